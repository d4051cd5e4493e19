#include "attack/campaign/campaign.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <set>

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

enum class Threat { none, classifier, purifier, transfer };
enum class Defence { none, purifier };
constexpr std::array kThreatNames{"none", "classifier", "purifier", "transfer"};
constexpr std::array kDefenceNames{"none", "purifier"};

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

struct Setting {
  Threat threat;
  const AttackKind* kind;
  double eps;
};

class Attacker {
 public:
  Attacker(const CampaignOptions& options, Reporter& reporter)
      : options_(options), kind_(kind_of(options)), images_(kind_, {options.images}, options.unreadable, reporter) {
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
      purify_.emplace(options.purifiers, *options.model);
    }
    defences_ = {Defence::none};
    if (purify_) defences_.push_back(Defence::purifier);
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
  at::Tensor purified(const at::Tensor& images) const {
    apply::ImageSet set(images.unbind(0));
    return torch::stack((*purify_)(set)).clamp(0, 1);
  }
  at::Tensor predicted(Defence defence, const at::Tensor& images) const {
    const torch::NoGradGuard no_grad;
    return victim_->logits(defence == Defence::none ? images : purified(images)).argmax(1);
  }
  Logits seen_by(Threat threat, std::size_t surrogate) const {
    switch (threat) {
      case Threat::purifier:
        return [this, surrogate](const at::Tensor& images) {
          throw_if_stopped("attacking");
          return victim_->logits(purify_->differentiable(images, surrogate).clamp(0, 1));
        };
      case Threat::transfer:
        return [this](const at::Tensor& images) {
          throw_if_stopped("attacking");
          return surrogate_->logits(images);
        };
      default:
        return [this](const at::Tensor& images) {
          throw_if_stopped("attacking");
          return victim_->logits(images);
        };
    }
  }
  // What the attacker can check by itself.
  at::Tensor judged(Threat threat, const at::Tensor& images) const {
    if (threat == Threat::purifier) return predicted(Defence::purifier, images);
    const torch::NoGradGuard no_grad;
    return seen_by(threat, 0)(images).argmax(1);
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
    plan();
  }

  const std::vector<std::string>& names() const {
    return options_.classes.empty() ? victim_->names() : options_.classes;
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
    std::vector<at::Tensor> clean, wrong;  // by defence; of the second what any attack so far did
    for (const auto defence : defences_) {
      clean.push_back(predicted(defence, attacked.images));
      wrong.push_back(clean.back() != attacked.labels);
      count(row_of("none", "clean", defence, 0), wrong.back(), {});
    }
    if (purify_) {
      const torch::NoGradGuard no_grad;
      const auto other = seen_by(Threat::purifier, 0)(attacked.images).argmax(1);
      forward_differs_ += (other != clean[1]).sum().item<std::int64_t>();
    }
    // The smallest eps by which each was turned; 0: it is wrong by itself, infinite: none.
    std::vector<std::vector<double>> smallest(defences_.size(), std::vector<double>(taken.size(), INFINITY));
    const auto note = [&](double eps) {
      for (std::size_t d = 0; d < defences_.size(); ++d)
        for (std::size_t i = 0; i < taken.size(); ++i)
          if (wrong[d][static_cast<std::int64_t>(i)].item<bool>()) smallest[d][i] = std::min(smallest[d][i], eps);
    };
    note(0);
    for (std::size_t s = 0; s < settings_.size(); ++s) {
      const auto& setting = settings_[s];
      const auto images = setting.eps > 0 ? strongest(setting, attacked) : attacked.images;
      const Ball ball{options_.norm, setting.eps};
      const auto distances = ball.distances(images, attacked.images);
      for (std::size_t d = 0; d < defences_.size(); ++d) {
        if (setting.threat == Threat::purifier && defences_[d] == Defence::none) continue;
        const auto now = predicted(defences_[d], images);
        const auto turned = now != attacked.labels;
        if (setting.eps == 0) eps_0_differs_ += (now != clean[d]).sum().item<std::int64_t>();
        wrong[d] = wrong[d].logical_or(turned);
        auto& row = row_of(name_of(setting.threat), std::string(setting.kind->name), defences_[d], setting.eps);
        describe(row, setting);
        count(row, turned, distances);
      }
      if (setting.eps > 0) keep(setting, images);
      if (s + 1 < settings_.size() && settings_[s + 1].eps == setting.eps) continue;
      note(setting.eps);
      for (std::size_t d = 0; d < defences_.size(); ++d)
        count(row_of("all", "worst", defences_[d], setting.eps), wrong[d], {});
    }
    write_samples(attacked, taken, clean, smallest);
  }

  static void count(CampaignRow& row, const at::Tensor& wrong, const at::Tensor& distances) {
    row.images += wrong.size(0);
    row.right += wrong.size(0) - wrong.sum().item<std::int64_t>();
    if (!distances.defined()) return;
    row.mean_distance += distances.sum().item<double>();
    row.largest_distance = std::max(row.largest_distance, distances.max().item<double>());
  }

  std::int64_t starts(const Setting& setting) const { return setting.kind->random ? options_.restarts : 1; }
  std::size_t surrogates(const Setting& setting) const {
    return setting.threat == Threat::purifier && setting.kind->follows_gradients() ? purify_->surrogates().size() : 1;
  }

  void describe(CampaignRow& row, const Setting& setting) const {
    const auto& kind = *setting.kind;
    row.steps = kind.repeats != nullptr ? options_.attack.*kind.repeats : 1;
    row.starts = starts(setting);
    if (kind.sees == AttackKind::Sees::margin) row.losses = loss_name(Loss::margin);
    if (!kind.follows_gradients()) return;
    std::set<Loss> used;
    for (std::int64_t r = 0; r < starts(setting); ++r) used.insert(loss_of(r));
    row.losses.clear();
    for (const auto loss : used) row.losses += (row.losses.empty() ? "" : " ") + std::string(loss_name(loss));
    row.backward = "exact";
    if (setting.threat != Threat::purifier) return;
    const auto names = purify_->surrogates();
    row.backward = ae::join(std::vector<std::string>(names.begin(), names.end()), " ");
  }
  Loss loss_of(std::int64_t start) const {
    return options_.losses[static_cast<std::size_t>(start % std::ssize(options_.losses))];
  }

  // Of all starts, for each image the first that turns it.
  at::Tensor strongest(const Setting& setting, const Attacked& attacked) {
    const Ball ball{options_.norm, setting.eps};
    auto images = attacked.images.clone();
    auto left = setting.threat == Threat::none
                    ? torch::arange(images.size(0))
                    : (judged(setting.threat, attacked.images) == attacked.labels).nonzero().squeeze(1);
    for (std::int64_t start = 0; start < starts(setting); ++start) {
      for (std::size_t surrogate = 0; surrogate < surrogates(setting) && left.size(0) > 0; ++surrogate) {
        Attacked now{attacked.images.index_select(0, left), attacked.labels.index_select(0, left), {}};
        for (std::int64_t i = 0; i < left.size(0); ++i)
          now.numbers.push_back(attacked.numbers[static_cast<std::size_t>(left[i].item<std::int64_t>())]);
        const auto key = stream_key(options_.seed, setting.kind->name, static_cast<std::uint64_t>(start), surrogate);
        const bool others_judge = purify_ && setting.threat != Threat::purifier;
        const Start from{loss_of(start), key, others_judge};
        const auto found = setting.kind->run(seen_by(setting.threat, surrogate), now, ball, options_.attack, from,
                                             tallies_[setting.threat]);
        images.index_copy_(0, left, found);
        if (setting.threat == Threat::none) continue;
        left = left.index_select(0, (judged(setting.threat, found) == now.labels).nonzero().squeeze(1));
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
                     const std::vector<at::Tensor>& clean, const std::vector<std::vector<double>>& smallest) {
    if (options_.samples == nullptr) return;
    std::string text;
    if (!header_written_) {
      text = "id,label,predicted,turned_at";
      if (purify_) text += ",predicted_purified,turned_at_purified";
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
        append_csv_field(text, name_of(clean[d][at]));
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
        if (other.attack == row.attack && other.threat != row.threat)
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
  std::optional<victim::Classifier> victim_, surrogate_;
  std::vector<Defence> defences_;
  std::vector<double> eps_;  // ascending
  std::vector<Setting> settings_;
  std::vector<std::int64_t> size_;  // of an image
  std::map<Threat, GradientTally> tallies_;
  std::map<std::string, std::unique_ptr<data::NpyWriter>> arrays_;
  bool header_written_ = false;
  std::int64_t eps_0_differs_ = 0, forward_differs_ = 0;
  Campaign found_;
};

}  // namespace

Campaign attack_images(const CampaignOptions& options, Reporter& reporter) { return Attacker(options, reporter).run(); }

}  // namespace ae::attack
