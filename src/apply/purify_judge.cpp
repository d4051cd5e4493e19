#include "apply/purify_judge.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apply/purifiers.hpp"
#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/random.hpp"
#include "base/text.hpp"
#include "evaluate/intervals.hpp"
#include "evaluate/rate_text.hpp"
#include "score/maps.hpp"

namespace ae::apply {
namespace {

// Each pixel one way or the other, as far as that leads to a pixel.
at::Tensor with_noise(const NetworkImage& image, double size, std::uint64_t seed) {
  Random random(stream_key(seed, "noise", static_cast<std::uint64_t>(image.number)));
  auto noisy = image.network.contiguous().clone();
  for (float *at = noisy.data_ptr<float>(), *end = at + noisy.numel(); at != end; ++at)
    *at += static_cast<float>((random.bits() & 1) != 0 ? size : -size);
  return noisy.clamp(0, 1);
}

double share(std::int64_t part, std::int64_t of) {
  return of > 0 ? static_cast<double>(part) / static_cast<double>(of) : NAN;
}

}  // namespace

PurifyJudge::PurifyJudge(const recipe::Checkpoint& checkpoint, const JudgeOptions& options, const ImageBatches& images,
                         Reporter& reporter)
    : checkpoint_(checkpoint),
      options_(options),
      reporter_(reporter),
      detectors_(options.detectors),
      names_(options.classes.empty() ? victim::names_in(options.classifier) : options.classes) {
  if (!options.labels.empty()) {
    labels_.emplace(options.labels, reporter);
    labels_->check_count(images.size());
    labelled_ = true;
  } else if (images.has_labels()) {
    labelled_ = !options.classes.empty() || std::ranges::all_of(images.names(), [this](const NamedImage& image) {
      return image.label.empty() || parse_number(image.label).has_value() ||
             std::ranges::find(names_, image.label) != names_.end();
    });
    if (!labelled_)
      reporter.info(
          "the labels of the images are no classes that the classifier's file names and no numbers, and are not "
          "compared "
          "with answers; --classes names them in the classifier's order");
  }
  folders_ = labels_ || images.has_labels() ? std::vector<std::string>() : names_;
  labelled_ = labelled_ || std::ranges::any_of(images.names(), [this](const NamedImage& image) {
                return !victim::folder_class(image.id, folders_).empty();
              });
  if (!options.detectors.empty()) clean_.emplace(checkpoint, options.clean, reporter);
}

std::vector<std::filesystem::path> PurifyJudge::files() const {
  return clean_ ? clean_->files() : std::vector<std::filesystem::path>();
}

void PurifyJudge::finish() {
  if (labelled_ && figures_.labelled < figures_.images)
    reporter_.warning(counted(figures_.images - figures_.labelled, "images") + " of " +
                      std::to_string(figures_.images) + " have no label" + (labels_ ? " in " + labels_->name() : ""));
  if (!classifier_) return;
  if (classifier_->random())
    reporter_.warning(classifier_->name() + ": answers otherwise when asked again; these figures are of one answer");
  if (classifier_->looks_like_probabilities())
    reporter_.warning(classifier_->name() +
                      ": seems to give probabilities, of which divergences mean little; say --outputs probabilities");
}

void PurifyJudge::open(const at::Tensor& examples) {
  size_ = examples[0].sizes().vec();
  classifier_.emplace(options_.classifier, options_.input, examples);
  classifier_->check_names(options_.classes);
  if (options_.classes.empty()) names_ = classifier_->names();
  if (!detectors_.empty()) calibrate();
}

void PurifyJudge::calibrate() {
  const score::Reconstructor reconstruct(checkpoint_.autoencoder(), image_kind(checkpoint_).geometry());
  std::vector<at::Tensor> unchanged, noisy;
  const auto scores = [&](const at::Tensor& images) {
    return detector_scores(detectors_, images, reconstruct, *classifier_);
  };
  clean_->for_each(size_, "calibrating detectors", [&](const std::vector<NetworkImage>& batch, const at::Tensor& all) {
    unchanged.push_back(scores(all));
    std::vector<at::Tensor> changed;
    for (const auto& image : batch) changed.push_back(with_noise(image, options_.noise, options_.seed));
    noisy.push_back(scores(torch::stack(changed)));
  });
  const auto all = torch::cat(unchanged), all_noisy = torch::cat(noisy);
  detectors_.calibrate(all, options_.false_positives);
  const auto count = [](const at::Tensor& flags) { return flags.sum().item<std::int64_t>(); };
  figures_.clean = all.size(0);
  figures_.clean_flagged = count(detectors_.flagged(all));
  figures_.noisy_flagged = count(detectors_.flagged(all_noisy));
  for (std::size_t d = 0; d < detectors_.names().size(); ++d) {
    const auto at = static_cast<std::int64_t>(d);
    const auto threshold = detectors_.thresholds()[at];
    figures_.detectors.push_back({detectors_.names()[d], threshold.item<double>(), 0,
                                  count(all.select(1, at) > threshold), count(all_noisy.select(1, at) > threshold)});
  }
}

std::string PurifyJudge::header() const {
  std::string text = std::string(labelled_ ? ",class" : "") + ",predicted_before,predicted_after";
  if (detectors_.empty()) return text;
  for (const auto& name : detectors_.names()) text += ",score_" + name;
  return text + ",flagged";
}

std::vector<std::string> PurifyJudge::answers(const std::vector<NetworkImage>& images,
                                              const std::vector<std::vector<at::Tensor>>& draws,
                                              const std::vector<at::Tensor>& reconstructions) {
  if (images.empty()) return {};
  const torch::NoGradGuard no_grad;
  if (!classifier_) {
    constexpr std::size_t kExamples = 8;
    open(stacked_for_classifier(
        {images.begin(), images.begin() + static_cast<std::ptrdiff_t>(std::min(kExamples, images.size()))},
        images.front().network.sizes().vec()));
  }
  const auto pixels = stacked_for_classifier(images, size_);
  const auto before = classifier_->logits(pixels).argmax(1);
  Votes votes(std::ssize(images), classifier_->classes());
  at::Tensor first;
  for (const auto& after : draws) {
    const auto answers = classifier_->logits(torch::stack(after).clamp(0, 1)).argmax(1);
    votes.add(answers);
    if (!first.defined()) first = answers;
  }
  const auto purified = votes.winners();
  figures_.votes = std::ssize(draws);
  at::Tensor scores, flagged = torch::zeros({std::ssize(images)}, at::kBool);
  if (!detectors_.empty()) {
    scores = detectors_.scores({pixels, torch::stack(reconstructions), *classifier_});
    flagged = detectors_.flagged(scores);
  }
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < images.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    const auto answer = before[at].item<std::int64_t>(), answer_after = purified[at].item<std::int64_t>();
    const bool alarm = flagged[at].item<bool>();
    ++figures_.images;
    figures_.other_class += answer != answer_after;
    figures_.flagged += alarm;
    std::string& text = texts.emplace_back();
    if (labelled_) {
      const auto label =
          labels_ ? labels_->of(images[i].id, images[i].number)
                  : std::optional(folders_.empty() ? images[i].label : victim::folder_class(images[i].id, folders_));
      text += ',';
      if (label && !label->empty()) {
        const auto truth = victim::class_of(*label, names_, classifier_->classes(), images[i].id);
        append_csv_field(text, victim::class_name(truth, names_));
        ++figures_.labelled;
        figures_.none += answer == truth;
        figures_.purifier += answer_after == truth;
        figures_.one_draw += first[at].item<std::int64_t>() == truth;
        figures_.detector += alarm || answer == truth;
        figures_.both += alarm || answer_after == truth;
      }
    }
    for (const auto number : {answer, answer_after}) {
      text += ',';
      append_csv_field(text, victim::class_name(number, names_));
    }
    if (detectors_.empty()) continue;
    for (std::size_t d = 0; d < figures_.detectors.size(); ++d) {
      const auto score = scores[at][static_cast<std::int64_t>(d)];
      text += ',';
      append_number(text, score.item<double>());
      figures_.detectors[d].flagged += score.item<double>() > figures_.detectors[d].threshold;
    }
    text += alarm ? ",1" : ",0";
  }
  return texts;
}

std::string judge_text(const JudgeFigures& figures, const JudgeOptions& options) {
  using evaluate::percent_text;
  std::string text;
  char line[160];
  if (figures.labelled > 0) {
    text += "of " + counted(figures.labelled, "labelled images") + ", classified rightly" +
            (options.detectors.empty() ? "" : " or flagged") + ":\n";
    const auto row = [&](const char* name, std::int64_t count) {
      std::snprintf(line, sizeof line, "  %-9s %8s\n", name, percent_text(share(count, figures.labelled)).c_str());
      text += line;
    };
    row("none", figures.none);
    if (!options.detectors.empty()) row("detector", figures.detector);
    row("purifier", figures.purifier);
    if (figures.votes > 1) row("one draw", figures.one_draw);
    if (!options.detectors.empty()) row("both", figures.both);
  }
  text += std::to_string(figures.other_class) + " of " + counted(figures.images, "images") +
          " taken for another class once purified\n";
  if (options.detectors.empty()) return text;
  text += "flagged: of the images, of " + counted(figures.clean, "clean ones") + ", and of those with noise of " +
          number_text(options.noise) + " (harmless: a control)\n";
  const auto row = [&](const std::string& name, std::int64_t flagged, std::int64_t clean, std::int64_t noisy) {
    std::snprintf(line, sizeof line, "  %-9s %8s %8s %8s\n", name.c_str(),
                  percent_text(share(flagged, figures.images)).c_str(),
                  percent_text(share(clean, figures.clean)).c_str(), percent_text(share(noisy, figures.clean)).c_str());
    text += line;
  };
  for (const auto& d : figures.detectors) row(d.name, d.flagged, d.clean_flagged, d.noisy_flagged);
  if (figures.detectors.size() > 1) row("any", figures.flagged, figures.clean_flagged, figures.noisy_flagged);
  return text;
}

std::string judge_json(const JudgeFigures& figures, const JudgeOptions& options) {
  using Ordered = nlohmann::ordered_json;
  constexpr double kConfidence = 0.95;
  const auto rate = [&](std::int64_t part, std::int64_t of) -> Ordered {
    if (of == 0) return nullptr;
    const auto interval = evaluate::wilson_interval(part, of, kConfidence);
    return {{"share", share(part, of)}, {"interval", {interval.low, interval.high}}};
  };
  Ordered json{{"classifier", options.classifier.string()},
               {"images", figures.images},
               {"labelled", figures.labelled},
               {"other_class_once_purified", figures.other_class},
               {"votes", figures.votes},
               {"right_or_flagged",
                {{"none", rate(figures.none, figures.labelled)},
                 {"detector", options.detectors.empty() ? Ordered(nullptr) : rate(figures.detector, figures.labelled)},
                 {"purifier", rate(figures.purifier, figures.labelled)},
                 {"purifier_one_draw", figures.votes > 1 ? rate(figures.one_draw, figures.labelled) : Ordered(nullptr)},
                 {"both", options.detectors.empty() ? Ordered(nullptr) : rate(figures.both, figures.labelled)}}}};
  if (options.detectors.empty()) return json.dump(2, ' ', false, Ordered::error_handler_t::replace) + "\n";
  json["flagged"] = rate(figures.flagged, figures.images);
  json["clean"] = {{"input", options.clean},
                   {"images", figures.clean},
                   {"false_positives", options.false_positives},
                   {"flagged", rate(figures.clean_flagged, figures.clean)},
                   {"noise", options.noise},
                   {"flagged_with_noise", rate(figures.noisy_flagged, figures.clean)}};
  json["detectors"] = Ordered::array();
  for (const auto& d : figures.detectors)
    json["detectors"].push_back({{"name", d.name},
                                 {"threshold", d.threshold},
                                 {"flagged", rate(d.flagged, figures.images)},
                                 {"clean_flagged", rate(d.clean_flagged, figures.clean)},
                                 {"flagged_with_noise", rate(d.noisy_flagged, figures.clean)}});
  return json.dump(2, ' ', false, Ordered::error_handler_t::replace) + "\n";
}

}  // namespace ae::apply
