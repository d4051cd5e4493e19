#include "attack/campaign/campaign.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <tuple>

#include "apply/clean_images.hpp"
#include "apply/detectors.hpp"
#include "apply/pictures.hpp"
#include "apply/purifiers.hpp"
#include "apply/purify_images.hpp"
#include "apply/streams.hpp"
#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/random.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "data/bytes/npy_writer.hpp"
#include "data/images/images.hpp"
#include "evaluate/rate_text.hpp"
#include "victim/class_labels.hpp"

namespace ae::attack {
namespace {

enum class Threat { none, classifier, purifier, transfer, fixed, detector };
enum class Defence { none, purifier, fixed, detector };
constexpr double kSmallestThreshold = 1e-12;
constexpr std::array kThreatNames{"none", "classifier", "purifier", "transfer", "purifier-fixed", "purifier+detector"};
constexpr std::array kDefenceNames{"none", "purifier", "purifier-fixed", "purifier+detector"};

// Images as the model wants them, or as they are.
recipe::ImageKind kind_of(const CampaignOptions& options) {
  if (options.model != nullptr) {
    const auto& kind = apply::image_kind(*options.model);
    if (kind.geometry().tiled())
      throw UsageError(options.model->name() +
                       ": sees images in tiles, through which gradients are not taken; train a purifier without "
                       "/data/tile");
    return kind;
  }
  const data::ImageOptions as_they_are;
  const auto source = data::ImageSource::open(options.images, as_they_are, data::Purpose::scoring);
  data::Geometry geometry;
  const auto first = source->load(0, 0).image;
  geometry.channels = data::channels_of(as_they_are, first);
  geometry.height = first.size().height;
  geometry.width = first.size().width;
  return {geometry, as_they_are, {}};
}

const char* name_of(Threat threat) { return kThreatNames[static_cast<std::size_t>(threat)]; }
const char* name_of(Defence defence) { return kDefenceNames[static_cast<std::size_t>(defence)]; }

// What a row's attack is; null of "clean" and "worst".
const AttackKind* kind_of(const CampaignRow& row) {
  for (const auto& kind : attack_kinds())
    if (kind.name == row.attack) return &kind;
  return nullptr;
}

// Whose draws they are.
constexpr std::string_view kDefender = "defender", kAttacker = "attacker", kFixed = "fixed";

bool knows_purifier(Threat threat) {
  return threat == Threat::purifier || threat == Threat::fixed || threat == Threat::detector;
}

// What a defence makes of images.
struct Verdict {
  at::Tensor answer;   // [n] int64, classes
  at::Tensor flagged;  // [n] bool; undefined: nobody flags
  at::Tensor wrong(const at::Tensor& labels) const {
    const auto other = answer != labels;
    return flagged.defined() ? other.logical_and(flagged.logical_not()) : other;
  }
};

struct Setting {
  Threat threat;
  const AttackKind* kind;
  double eps;
};

class Attacker {
 public:
  Attacker(const CampaignOptions& options, Reporter& reporter)
      : options_(options),
        kind_(kind_of(options)),
        images_(options.model != nullptr
                    ? apply::ImageBatches(*options.model, {options.images}, options.unreadable, reporter)
                    : apply::ImageBatches(kind_, {options.images}, options.unreadable, reporter)),
        detectors_(options.detectors) {
    if (!options.labels.empty()) {
      labels_.emplace(options.labels, reporter);
      labels_->check_count(images_.size());
    } else if (!images_.has_labels()) {
      folders_ = options.classes.empty() ? victim::names_in(options.victim) : options.classes;
      const auto tells = [&](const auto& image) { return !victim::folder_class(image.id, folders_).empty(); };
      if (!std::ranges::any_of(images_.names(), tells))
        throw UsageError(
            options.images +
            ": its images have no labels; give them by --labels FILE, or in folders that are called as its classes");
    }
    if (options.model != nullptr) {
      apply::check_network(*options.model, "ae-attack", "purify images");
      apply::PurifierSource source{*options.model, {}, options.among};
      if (!options.clean.empty()) {
        clean_.emplace(*options.model, options.clean, reporter);
        source.clean = [this] { return clean_->all(); };
      }
      purify_.emplace(options.purifiers, source);
      reconstruct_.emplace(options.model->autoencoder(), kind_.geometry());
    }
    defences_ = {Defence::none};
    random_ = purify_ && purify_->random();
    const bool certifies = options.certify.sigma > 0;
    votes_ = apply::votes_of(certifies && !random_ ? std::nullopt : options.votes, random_);
    if (certifies)
      for (const double radius : {0.0, 0.25, 0.5, 0.75, 1.0}) found_.certified.push_back({radius, 0});
    if (purify_) defences_.push_back(Defence::purifier);
    if (random_) defences_.push_back(Defence::fixed);
    if (!detectors_.empty()) defences_.push_back(Defence::detector);
    eps_ = options.eps;
    std::ranges::sort(eps_);
    eps_.erase(std::unique(eps_.begin(), eps_.end()), eps_.end());
  }

  Campaign run() {
    const auto last = options_.most > 0 ? std::min(options_.most, images_.size()) : images_.size();
    images_.for_each(0, last, false, "attacking",
                     [this](const std::vector<apply::NetworkImage>& batch) { take(batch); });
    if (found_.images == 0)
      throw InputError("none of the " + std::to_string(last) + " images could be read and has a label");
    for (auto& [name, writer] : arrays_) writer->finish();
    images_.tell_unseen();
    found_.unreadable = images_.left_out();
    found_.classes = victim_->classes();
    for (auto& row : found_.rows) row.mean_distance /= static_cast<double>(std::max<std::int64_t>(1, row.images));
    flag();
    return std::move(found_);
  }

 private:
  // --- Who is attacked
  // As ae-purify does it.
  at::Tensor purified(const at::Tensor& images, apply::Keys keys) const {
    apply::ImageSet set(images.unbind(0), std::move(keys));
    return torch::stack((*purify_)(set)).clamp(0, 1);
  }
  apply::Keys keys_of(std::string_view purpose, std::span<const std::int64_t> numbers, std::int64_t draw) const {
    return random_ ? apply::draw_keys(options_.seed, purpose, numbers, draw) : apply::Keys();
  }
  at::Tensor class_of(const at::Tensor& images) const {
    const torch::NoGradGuard no_grad;
    return victim_->logits(images).argmax(1);
  }
  // By so many draws of that purpose.
  at::Tensor class_behind_purifier(const at::Tensor& images, std::span<const std::int64_t> numbers,
                                   std::string_view purpose, std::int64_t draws) const {
    apply::Votes votes(images.size(0), victim_->classes());
    for (std::int64_t draw = 0; draw < draws; ++draw)
      votes.add(class_of(purified(images, keys_of(purpose, numbers, draw))));
    return votes.winners();
  }
  at::Tensor flagged(const at::Tensor& images) const {
    return detectors_.flagged(apply::detector_scores(detectors_, images, *reconstruct_, *victim_));
  }
  // Of each defence.
  std::vector<Verdict> verdicts(const at::Tensor& images, std::span<const std::int64_t> numbers) const {
    std::vector<Verdict> all(1);
    all.front().answer = class_of(images);
    if (!purify_) return all;
    all.push_back({class_behind_purifier(images, numbers, kDefender, votes_), {}});
    if (random_) all.push_back({class_behind_purifier(images, numbers, kFixed, 1), {}});
    if (!detectors_.empty()) all.push_back({all[1].answer, flagged(images)});
    return all;
  }

  // What an attack of one start sees.
  Opponent seen_by(Threat threat, std::size_t surrogate, double lambda, std::uint64_t key) const {
    switch (threat) {
      case Threat::none:
      case Threat::classifier:
        return [this](const at::Tensor& images, std::span<const std::int64_t>) -> Seen {
          throw_if_stopped("attacking");
          return {{victim_->logits(images)}, {}, {}};
        };
      case Threat::transfer:
        return [this](const at::Tensor& images, std::span<const std::int64_t>) -> Seen {
          throw_if_stopped("attacking");
          return {{surrogate_->logits(images)}, {}, {}};
        };
      case Threat::fixed:
        return [this, surrogate](const at::Tensor& images, std::span<const std::int64_t> numbers) -> Seen {
          throw_if_stopped("attacking");
          return {{behind_purifier(images, {surrogate, keys_of(kFixed, numbers, 0)})}, {}, {}};
        };
      default:
        return [=, this, draw = std::int64_t{0}](const at::Tensor& images,
                                                 std::span<const std::int64_t> numbers) mutable -> Seen {
          throw_if_stopped("attacking");
          Seen seen;
          for (std::int64_t i = 0; i < draws(threat); ++i)  // other ones at each step
            seen.logits.push_back(behind_purifier(
                images, {surrogate, random_ ? apply::draw_keys(key, "expectation", numbers, draw++) : apply::Keys()}));
          if (threat == Threat::detector) look_out(images, lambda, seen);
          return seen;
        };
    }
  }
  at::Tensor behind_purifier(const at::Tensor& images, const apply::Pass& pass) const {
    return victim_->logits(purify_->differentiable(images, pass).clamp(0, 1));
  }
  void look_out(const at::Tensor& images, double lambda, Seen& seen) const {
    const auto reconstructions =
        options_.model->autoencoder().differentiable_expected({images, torch::ones_like(images)});
    const auto scores = detectors_.scores({images, reconstructions, *victim_});
    seen.penalty = lambda * (scores / detectors_.thresholds().clamp_min(kSmallestThreshold)).sum(1);
    seen.flagged = detectors_.flagged(scores.detach());
  }
  // Expectation over transformation (Athalye et al. 2018).
  std::int64_t draws(Threat threat) const {
    return random_ && (threat == Threat::purifier || threat == Threat::detector) ? options_.eot : 1;
  }
  // Which an attacker can tell by itself to have been turned, by draws of its own.
  at::Tensor turned(Threat threat, const Attacked& attacked) const {
    const torch::NoGradGuard no_grad;
    if (!knows_purifier(threat))
      return seen_by(threat, 0, 0, 0)(attacked.images, attacked.numbers).turned(attacked.labels);
    const bool fixed = threat == Threat::fixed;
    Verdict verdict{
        class_behind_purifier(attacked.images, attacked.numbers, fixed ? kFixed : kAttacker, fixed ? 1 : votes_), {}};
    if (threat == Threat::detector) verdict.flagged = flagged(attacked.images);
    return verdict.wrong(attacked.labels);
  }

  void open_victims(const at::Tensor& images) {
    const auto examples = images.narrow(0, 0, std::min<std::int64_t>(8, images.size(0)));
    victim_.emplace(options_.victim, options_.input, examples);
    victim_->check_names(options_.classes);
    if (!options_.surrogate.empty()) {
      surrogate_.emplace(options_.surrogate, options_.input, examples);
      if (surrogate_->classes() != victim_->classes())
        throw InputError(surrogate_->name() + ": has " + std::to_string(surrogate_->classes()) + " classes, expected " +
                         std::to_string(victim_->classes()) + " as " + victim_->name());
    }
    if (!detectors_.empty()) calibrate();
    plan();
    if (options_.most_examples > 0) choose_shown();
  }

  const std::vector<std::string>& names() const {
    return options_.classes.empty() ? victim_->names() : options_.classes;
  }

  void calibrate() {
    std::vector<at::Tensor> scores;
    clean_->for_each(size_, "calibrating detectors", [&](const auto&, const at::Tensor& pixels) {
      scores.push_back(apply::detector_scores(detectors_, pixels, *reconstruct_, *victim_));
    });
    const auto all = torch::cat(scores);
    detectors_.calibrate(all, options_.false_positives);
    found_.clean = all.size(0);
    found_.clean_flagged = detectors_.flagged(all).sum().item<std::int64_t>();
    for (std::size_t d = 0; d < detectors_.names().size(); ++d)
      found_.detectors.push_back(
          {detectors_.names()[d], detectors_.thresholds()[static_cast<std::int64_t>(d)].item<double>()});
  }

  void plan() {
    for (const double eps : eps_) {
      for (const auto* kind : options_.attacks) {
        if (kind->sees == AttackKind::Sees::nothing) {
          settings_.push_back({Threat::none, kind, eps});
          continue;
        }
        settings_.push_back({Threat::classifier, kind, eps});
        if (surrogate_) settings_.push_back({Threat::transfer, kind, eps});
        if (purify_) settings_.push_back({Threat::purifier, kind, eps});
        if (random_) settings_.push_back({Threat::fixed, kind, eps});
        if (!detectors_.empty()) settings_.push_back({Threat::detector, kind, eps});
      }
    }
    for (const auto defence : defences_) row_of("none", "clean", defence, 0);
  }

  CampaignRow& row_of(const std::string& threat, const std::string& attack, Defence defence, double eps) {
    const std::string of = name_of(defence);
    for (auto& row : found_.rows)
      if (row.threat == threat && row.attack == attack && row.defence == of && row.eps == eps) return row;
    auto& row = found_.rows.emplace_back();
    row.threat = threat;
    row.attack = attack;
    row.defence = of;
    row.eps = eps;
    row.votes = defence == Defence::purifier || defence == Defence::detector ? votes_ : 1;
    return row;
  }

  // --- The images
  void take(const std::vector<apply::NetworkImage>& batch) {
    std::vector<at::Tensor> pixels;
    Attacked attacked;
    std::vector<std::int64_t> classes;
    std::vector<const apply::NetworkImage*> taken;
    if (!victim_) {
      std::vector<at::Tensor> first;
      for (const auto& image : batch)
        if (image.network.sizes() == batch.front().network.sizes()) first.push_back(image.network);
      size_ = batch.front().network.sizes().vec();
      open_victims(torch::stack(first));
    }
    for (const auto& image : batch) {
      apply::check_for_classifier(image, size_);
      const auto label = labels_
                             ? labels_->of(image.id, image.number)
                             : std::optional(folders_.empty() ? image.label : victim::folder_class(image.id, folders_));
      if (!label || label->empty()) {
        ++found_.without_label;
        continue;
      }
      classes.push_back(victim::class_of(*label, names(), victim_->classes(), image.id));
      pixels.push_back(image.network);
      attacked.numbers.push_back(image.number);
      taken.push_back(&image);
    }
    if (pixels.empty()) return;
    attacked.images = torch::stack(pixels);
    attacked.labels = torch::tensor(classes, at::kLong);
    found_.images += std::ssize(classes);
    attack(attacked, taken);
  }

  void attack(const Attacked& attacked, const std::vector<const apply::NetworkImage*>& taken) {
    const auto clean = verdicts(attacked.images, attacked.numbers);
    std::vector<at::Tensor> wrong;  // by defence; what any attack so far did
    for (std::size_t d = 0; d < defences_.size(); ++d) {
      wrong.push_back(clean[d].wrong(attacked.labels));
      count(row_of("none", "clean", defences_[d], 0), wrong.back(), {}, clean.back().flagged);
    }
    if (purify_) {
      const torch::NoGradGuard no_grad;
      const auto other = behind_purifier(attacked.images, {0, keys_of(kFixed, attacked.numbers, 0)}).argmax(1);
      forward_differs_ += (other != clean[random_ ? 2 : 1].answer).sum().item<std::int64_t>();
    }
    // The smallest eps by which each was turned; 0: it is wrong by itself, infinite: none.
    std::vector<std::vector<double>> smallest(defences_.size(), std::vector<double>(taken.size(), INFINITY));
    const auto note = [&](double eps) {
      for (std::size_t d = 0; d < defences_.size(); ++d)
        for (std::size_t i = 0; i < taken.size(); ++i)
          if (wrong[d][static_cast<std::int64_t>(i)].item<bool>()) smallest[d][i] = std::min(smallest[d][i], eps);
    };
    note(0);
    at::Tensor strong;  // what the strongest attack makes of them
    std::vector<Verdict> after;
    for (std::size_t s = 0; s < settings_.size(); ++s) {
      const auto& setting = settings_[s];
      const auto images = setting.eps > 0 ? strongest(setting, attacked) : attacked.images;
      const Ball ball{options_.norm, setting.eps};
      const auto distances = ball.distances(images, attacked.images);
      const auto now = verdicts(images, attacked.numbers);
      if (s == shown_) {
        strong = images;
        after = now;
      }
      for (std::size_t d = 0; d < defences_.size(); ++d) {
        if (knows_purifier(setting.threat) && defences_[d] == Defence::none) continue;
        const auto turned = now[d].wrong(attacked.labels);
        if (setting.eps == 0) eps_0_differs_ += (now[d].answer != clean[d].answer).sum().item<std::int64_t>();
        wrong[d] = wrong[d].logical_or(turned);
        auto& row = row_of(name_of(setting.threat), std::string(setting.kind->name), defences_[d], setting.eps);
        describe(row, setting);
        count(row, turned, distances, now.back().flagged);
      }
      if (setting.eps > 0) keep(setting, images);
      if (s + 1 < settings_.size() && settings_[s + 1].eps == setting.eps) continue;
      note(setting.eps);
      for (std::size_t d = 0; d < defences_.size(); ++d)
        count(row_of("all", "worst", defences_[d], setting.eps), wrong[d], {}, {});
    }
    write_samples(attacked, taken, clean, smallest);
    if (options_.certify.sigma > 0) certify(attacked, taken);
    if (options_.most_examples > 0) show(attacked, taken, clean, strong, after);
  }

  // Of the largest size, by who knows most, by gradients where there are some.
  void choose_shown() {
    const auto rank = [&](const Setting& setting) {
      return std::tuple(setting.eps, setting.kind->follows_gradients(), setting.threat != Threat::transfer,
                        setting.threat);
    };
    for (std::size_t s = 1; s < settings_.size(); ++s)
      if (rank(settings_[s]) >= rank(settings_[shown_])) shown_ = s;
    const auto& setting = settings_[shown_];
    found_.shown = std::string(name_of(setting.threat)) + " " + std::string(setting.kind->name) + ", eps " +
                   number_text(setting.eps);
  }

  // Those that were turned come first.
  void show(const Attacked& attacked, const std::vector<const apply::NetworkImage*>& taken,
            const std::vector<Verdict>& clean, const at::Tensor& strong, const std::vector<Verdict>& after) {
    const std::size_t behind = purify_ ? 1 : 0;
    const auto was_right = clean[behind].wrong(attacked.labels).logical_not();
    const auto turned = after.back().wrong(attacked.labels).logical_and(was_right);
    const auto pure = purify_ ? purified(strong, keys_of(kFixed, attacked.numbers, 0)) : at::Tensor();
    const auto name = [&](const Verdict& verdict, std::int64_t at) {
      const bool alarm = verdict.flagged.defined() && verdict.flagged[at].item<bool>();
      return victim::class_name(verdict.answer[at].item<std::int64_t>(), options_.classes) + (alarm ? ", flagged" : "");
    };
    const auto order = (turned.to(at::kLong) * 2 + was_right.to(at::kLong)).argsort(true, 0, true);
    for (std::int64_t i = 0; i < order.size(0) && std::ssize(found_.examples) < options_.most_examples; ++i) {
      const auto at = order[i].item<std::int64_t>();
      const auto step = strong[at] - attacked.images[at];
      const auto largest = step.abs().max().clamp_min(1e-12F);
      const Verdict before{clean[behind].answer, clean.back().flagged},
          then{after[behind].answer, after.back().flagged};
      found_.examples.push_back({taken[static_cast<std::size_t>(at)]->id,
                                 victim::class_name(attacked.labels[at].item<std::int64_t>(), options_.classes),
                                 name(before, at), name(then, at), apply::image_png(attacked.images[at]),
                                 apply::image_png(strong[at]), purify_ ? apply::image_png(pure[at]) : "",
                                 apply::image_png(0.5 + step / (2 * largest))});
    }
  }

  void certify(const Attacked& attacked, const std::vector<const apply::NetworkImage*>& taken) {
    const auto classes = [this](const at::Tensor& images, const apply::Keys& keys) {
      return class_of(purify_ ? purified(images, random_ ? keys : apply::Keys()) : images);
    };
    std::string text = certified_before_ ? "" : "id,class,predicted,radius\n";
    certified_before_ = true;
    for (std::size_t i = 0; i < taken.size(); ++i) {
      const auto at = static_cast<std::int64_t>(i);
      const auto certificate = ae::attack::certify(classes, victim_->classes(), attacked.images[at],
                                                   attacked.numbers[i], options_.seed, options_.certify);
      const auto label = attacked.labels[at].item<std::int64_t>();
      found_.undecided += certificate.answer < 0;
      for (auto& row : found_.certified) row.right += certificate.answer == label && certificate.radius >= row.radius;
      append_csv_field(text, taken[i]->id);
      text += ',';
      append_csv_field(text, victim::class_name(label, options_.classes));
      text += ',';
      if (certificate.answer >= 0) append_csv_field(text, victim::class_name(certificate.answer, options_.classes));
      text += ',';
      if (certificate.answer >= 0) append_number(text, certificate.radius);
      text += '\n';
    }
    if (options_.certificates != nullptr) options_.certificates->write(text);
  }

  static void count(CampaignRow& row, const at::Tensor& wrong, const at::Tensor& distances, const at::Tensor& flagged) {
    row.images += wrong.size(0);
    row.right += wrong.size(0) - wrong.sum().item<std::int64_t>();
    if (flagged.defined()) row.flagged = row.flagged.value_or(0) + flagged.sum().item<std::int64_t>();
    if (!distances.defined()) return;
    row.mean_distance += distances.sum().item<double>();
    row.largest_distance = std::max(row.largest_distance, distances.max().item<double>());
  }

  std::int64_t starts(const Setting& setting) const {
    const auto wanted = setting.kind->random ? options_.restarts : 1;
    return setting.threat == Threat::detector ? std::max(wanted, std::ssize(options_.lambdas)) : wanted;
  }
  // So that in the end each loss meets each of them.
  double lambda_of(std::int64_t start) const {
    if (options_.lambdas.empty() || options_.losses.empty()) return 0;
    const auto lambdas = std::ssize(options_.lambdas), period = std::lcm(lambdas, std::ssize(options_.losses));
    return options_.lambdas[static_cast<std::size_t>((start + start / period) % lambdas)];
  }
  std::size_t surrogates(const Setting& setting) const {
    return knows_purifier(setting.threat) && setting.kind->follows_gradients() ? purify_->surrogates().size() : 1;
  }

  void describe(CampaignRow& row, const Setting& setting) const {
    const auto& kind = *setting.kind;
    row.steps = kind.repeats != nullptr ? options_.attack.*kind.repeats : 1;
    row.starts = starts(setting);
    if (kind.sees != AttackKind::Sees::nothing) row.draws = draws(setting.threat);
    if (setting.threat == Threat::detector) {
      std::vector<std::string> lambdas;
      for (const double lambda : options_.lambdas) lambdas.push_back(number_text(lambda));
      row.lambdas = ae::join(lambdas, " ");
    }
    if (kind.sees == AttackKind::Sees::margin) row.losses = loss_name(Loss::margin);
    if (!kind.follows_gradients()) return;
    std::set<Loss> used;
    for (std::int64_t r = 0; r < starts(setting); ++r) used.insert(loss_of(r));
    row.losses.clear();
    for (const auto loss : used) row.losses += (row.losses.empty() ? "" : " ") + std::string(loss_name(loss));
    row.backward = "exact";
    if (!knows_purifier(setting.threat)) return;
    row.backward = ae::join(purify_->surrogates(), " ");
  }
  Loss loss_of(std::int64_t start) const {
    return options_.losses[static_cast<std::size_t>(start % std::ssize(options_.losses))];
  }

  // Of all starts, for each image the first that turns it.
  at::Tensor strongest(const Setting& setting, const Attacked& attacked) {
    const Ball ball{options_.norm, setting.eps};
    auto images = attacked.images.clone();
    auto left = setting.threat == Threat::none ? torch::arange(images.size(0))
                                               : turned(setting.threat, attacked).logical_not().nonzero().squeeze(1);
    for (std::int64_t start = 0; start < starts(setting); ++start) {
      for (std::size_t surrogate = 0; surrogate < surrogates(setting) && left.size(0) > 0; ++surrogate) {
        Attacked now{attacked.images.index_select(0, left), attacked.labels.index_select(0, left), {}};
        for (std::int64_t i = 0; i < left.size(0); ++i)
          now.numbers.push_back(attacked.numbers[static_cast<std::size_t>(left[i].item<std::int64_t>())]);
        const auto key = stream_key(options_.seed, setting.kind->name, static_cast<std::uint64_t>(start), surrogate);
        // Also of what is drawn anew.
        const bool others_judge =
            purify_ && (!knows_purifier(setting.threat) || (random_ && setting.threat != Threat::fixed));
        const Start from{loss_of(start), key, others_judge};
        now.images = setting.kind->run(seen_by(setting.threat, surrogate, lambda_of(start), key), now, ball,
                                       options_.attack, from, tallies_[setting.threat]);
        images.index_copy_(0, left, now.images);
        if (setting.threat == Threat::none) continue;
        left = left.index_select(0, turned(setting.threat, now).logical_not().nonzero().squeeze(1));
      }
    }
    return images;
  }

  void keep(const Setting& setting, const at::Tensor& images) {
    if (!options_.array) return;
    const auto name = std::string(name_of(setting.threat)) + "-" + std::string(setting.kind->name) + "-" +
                      std::string(norm_name(options_.norm)) + "-" + number_text(setting.eps) + ".npy";
    auto& writer = arrays_[name];
    for (const auto& image : images.unbind(0)) {
      const auto pixels = apply::array_pixels(image);
      if (!writer) writer = std::make_unique<data::NpyWriter>(*options_.array(name), pixels.sizes().vec());
      writer->add({pixels.data_ptr<float>(), static_cast<std::size_t>(pixels.numel())});
    }
  }

  void write_samples(const Attacked& attacked, const std::vector<const apply::NetworkImage*>& taken,
                     const std::vector<Verdict>& clean, const std::vector<std::vector<double>>& smallest) {
    if (options_.samples == nullptr) return;
    std::string text;
    if (!header_written_) {
      text = "id,label,predicted,turned_at";
      if (purify_) text += ",predicted_purified,turned_at_purified";
      if (random_) text += ",predicted_fixed,turned_at_fixed";
      if (!detectors_.empty()) text += ",flagged,turned_at_undetected";
      text += '\n';
      header_written_ = true;
    }
    const auto name_of = [&](const at::Tensor& number) {
      return victim::class_name(number.item<std::int64_t>(), names());
    };
    for (std::size_t i = 0; i < taken.size(); ++i) {
      const auto at = static_cast<std::int64_t>(i);
      append_csv_field(text, taken[i]->id);
      text += ',';
      append_csv_field(text, name_of(attacked.labels[at]));
      for (std::size_t d = 0; d < defences_.size(); ++d) {
        text += ',';
        if (clean[d].flagged.defined())
          text += clean[d].flagged[at].item<bool>() ? '1' : '0';
        else
          append_csv_field(text, name_of(clean[d].answer[at]));
        text += ',';
        if (std::isfinite(smallest[d][i])) append_number(text, smallest[d][i]);
      }
      text += '\n';
    }
    options_.samples->write(text);
  }

  // --- What should make a reader doubt
  void raise(const char* name, const std::string& detail) { found_.flags.push_back({name, detail}); }

  void flag() {
    if (victim_->random()) raise("random_output", victim_->name() + " answers otherwise when asked again");
    if (random_)
      raise("random_output", "the purifier draws at random: the majority of " + counted(votes_, "draws") +
                                 " counts, and attacks ascend the mean of " + std::to_string(options_.eot) +
                                 "; purifier-fixed tells what is left where the draw is known");
    if (purify_ && purify_->optimises())
      raise("optimisation_inside",
            "an optimisation runs inside the purifier: gradients through it are those of what stands for it (" +
                ae::join(purify_->surrogates(), ", ") +
                "), and the accuracy of who knows of it is an upper bound, which may be far from the truth");
    if (victim_->looks_like_probabilities())
      raise("softmax_outputs",
            victim_->name() + " seems to give probabilities, whose gradients vanish; say --outputs probabilities");
    for (const auto& [threat, tally] : tallies_) {
      if (tally.zero * 100 <= tally.asked) continue;
      raise("zero_gradient", "of the threat " + std::string(name_of(threat)) + ", " + std::to_string(tally.zero) +
                                 " of " + std::to_string(tally.asked) + " gradients are 0 at the first step");
    }
    if (eps_0_differs_ > 0)
      raise("eps_0_differs_from_clean", counted(eps_0_differs_, "answers") + " to unchanged images are others");
    if (forward_differs_ * 100 > found_.images)
      raise("forward_differs", "gradients are taken of a purifier that makes " + std::to_string(forward_differs_) +
                                   " of " + counted(found_.images, "images") + " another class");
    compare();
  }

  void compare() {
    // By chance two attacks differ by a few images.
    const double most = std::max(0.01, 2 / std::sqrt(static_cast<double>(found_.images)) / 10);
    const auto than = [](const CampaignRow& a, const CampaignRow& b) {
      return a.threat + " " + a.attack + " leaves " + evaluate::rate_text(a.accuracy(), 3) + ", " + b.threat + " " +
             b.attack + " " + evaluate::rate_text(b.accuracy(), 3) + " at " + number_text(a.eps) + " of defence " +
             a.defence;
    };
    std::set<std::string> raised;
    const auto once = [&](const char* name, const std::string& detail) {
      if (raised.insert(name).second) raise(name, detail);
    };
    for (const auto& row : found_.rows) {
      if (row.largest_distance > row.eps * (1 + 1e-5) + 1e-6)
        once("norm_exceeded", row.threat + " " + row.attack + " of " + number_text(row.eps) + " went as far as " +
                                  number_text(row.largest_distance));
      const auto* kind = kind_of(row);
      // One step may go too far; of several, more must not do worse.
      const bool climbs = kind != nullptr && kind->follows_gradients() && kind->repeats != nullptr;
      const bool white = row.threat == row.defence || (row.threat == "classifier" && row.defence == "none");
      if (row.eps <= 0) continue;
      for (const auto& other : found_.rows) {
        if (other.threat == row.threat && other.attack == row.attack && other.defence == row.defence && climbs &&
            other.eps > row.eps && other.accuracy() > row.accuracy() + most)
          once("not_monotone", row.threat + " " + row.attack + " leaves " + evaluate::rate_text(row.accuracy(), 3) +
                                   " at " + number_text(row.eps) + ", " + evaluate::rate_text(other.accuracy(), 3) +
                                   " at " + number_text(other.eps));
        const auto* others = kind_of(other);
        if (!climbs || !white || others == nullptr || other.eps != row.eps || other.defence != row.defence ||
            other.accuracy() + most >= row.accuracy())
          continue;
        if (others->sees == AttackKind::Sees::nothing) once("noise_beats_gradient", than(row, other));
        if (others->sees == AttackKind::Sees::margin && other.threat == row.threat)
          once("gradient_free_beats_white_box", than(row, other));
        // Who knows of the detector, too, or of the draw, knows more.
        const bool knows_more = other.threat == name_of(Threat::detector) || other.threat == name_of(Threat::fixed);
        if (other.attack == row.attack && other.threat != row.threat && !knows_more)
          once("transfer_beats_white_box", than(row, other));
      }
    }
  }

  const CampaignOptions& options_;
  recipe::ImageKind kind_;
  apply::ImageBatches images_;
  std::optional<victim::LabelFile> labels_;
  std::vector<std::string> folders_;  // whose names are labels; none: images bring theirs along
  std::optional<apply::PurifierChain> purify_;
  std::optional<score::Reconstructor> reconstruct_;
  apply::Detectors detectors_;
  std::optional<apply::CleanImages> clean_;
  std::optional<victim::Classifier> victim_, surrogate_;
  bool random_ = false;     // what purifies draws
  std::int64_t votes_ = 1;  // of draws
  std::vector<Defence> defences_;
  std::vector<double> eps_;  // ascending
  std::vector<Setting> settings_;
  std::size_t shown_ = 0;           // of them, of which examples are kept
  std::vector<std::int64_t> size_;  // of an image
  std::map<Threat, GradientTally> tallies_;
  std::map<std::string, std::unique_ptr<data::NpyWriter>> arrays_;
  bool header_written_ = false, certified_before_ = false;
  std::int64_t eps_0_differs_ = 0, forward_differs_ = 0;
  Campaign found_;
};

}  // namespace

Campaign attack_images(const CampaignOptions& options, Reporter& reporter) { return Attacker(options, reporter).run(); }

}  // namespace ae::attack
