// The objective "reconstruction": a pair of autoencoder and loss, and the score head that is fitted on it.
#include "train/reconstruct.hpp"

#include <torch/types.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <span>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/signals.hpp"
#include "recipe/checkpoint.hpp"
#include "recipe/config.hpp"
#include "train/makers.hpp"
#include "train/reconstruction.hpp"
#include "train/trainee.hpp"

namespace ae::train {
namespace {

// All but some of so many samples.
std::vector<std::int64_t> all_but(const std::vector<std::int64_t>& left_out, std::int64_t count) {
  std::vector<std::int64_t> kept;
  for (std::int64_t i = 0; i < count; ++i)
    if (!std::binary_search(left_out.begin(), left_out.end(), i)) kept.push_back(i);
  return kept;
}

// Some of the samples, perhaps several times.
class Kept final : public model::Samples {
 public:
  Kept(const model::Samples& all, std::vector<std::int64_t> kept) : all_(all), kept_(std::move(kept)) {}
  std::int64_t size() const override { return static_cast<std::int64_t>(kept_.size()); }
  model::Batch batch(const std::vector<std::int64_t>& indices) const override { return all_.batch(chosen(indices)); }
  model::Batch range(std::int64_t begin, std::int64_t end) const override {
    return all_.batch({kept_.begin() + begin, kept_.begin() + end});
  }
  void gather(std::span<const std::int64_t> indices, float* values, float* observed) const override {
    all_.gather(chosen(indices), values, observed);
  }
  bool gather_sizes(std::span<const std::int64_t> indices, float* sizes) const override {
    return all_.gather_sizes(chosen(indices), sizes);
  }
  bool has_missing() const override { return all_.has_missing(); }

 private:
  std::vector<std::int64_t> chosen(std::span<const std::int64_t> indices) const {
    std::vector<std::int64_t> chosen;
    for (const auto i : indices) chosen.push_back(kept_[static_cast<std::size_t>(i)]);
    return chosen;
  }

  const model::Samples& all_;
  std::vector<std::int64_t> kept_;
};

void check_targets(const loss::Composition& loss, const model::Domain& domain, const model::Samples& samples) {
  constexpr std::int64_t kMostSamples = 256, kMostValues = 1 << 20;
  const auto values = static_cast<std::int64_t>(domain.elements.size()) * domain.positions();
  const std::int64_t at_once = std::clamp<std::int64_t>(kMostValues / values, 1, kMostSamples);
  for (std::int64_t begin = 0; begin < samples.size(); begin += at_once) {
    throw_if_stopped("checking the data");
    loss.check_targets(samples.range(begin, std::min(begin + at_once, samples.size())));
  }
}

class Reconstruct final : public Trainee {
 public:
  Reconstruct(recipe::Config& config, const recipe::Dataset& data, Group& group, std::unique_ptr<Adversary> adversary)
      : config_(config),
        data_(data),
        group_(group),
        adversary_(std::move(adversary)),
        observed_matters_(resolve(config, data)),
        pair_(new_pair()) {
    config.training.check(data.domain());
    if (adversary_ && !pair_.has_network())
      throw UsageError(
          "/model/type: \"none\" has no network, which this objective trains; use \"dense_images\" or \"conv\"");
    if (adversary_ && pair_.members() > 1)
      throw UsageError("/model/members: this objective trains one network; set it to 1");
    if (!pair_.has_network()) {
      if (!data.training_weights.empty())
        throw UsageError("/data/weight: is of training a network, and /model/type \"none\" has none; leave it out");
      if (config.training.trim > 0) {
        throw UsageError(
            "/training/trim: leaves out what a network reconstructs worst, and /model/type \"none\" has none; "
            "set it to 0");
      }
      return;
    }
    check_targets(pair_.loss(), data.domain(), *data.training);
    if (const auto outputs = pair_.loss().first_outputs(*data.training); outputs.defined())
      pair_.network().begin_outputs(outputs);
    if (!pair_.network().uses_batch_statistics()) return;
    if (data.training->size() < 2) {
      throw UsageError("/model/norm: batch normalisation needs at least two training rows; use \"layer\" or \"none\"");
    }
    if (group.size() > 1) {
      throw UsageError(
          "/model/norm: batch normalisation would normalise each process's part of a batch by itself; use "
          "another norm, or one process");
    }
  }

  std::int64_t parameter_count() const override {
    std::int64_t count = pair_.network().parameter_count();
    if (adversary_)
      for (const auto& [name, tensor] : adversary_->parameters()) count += tensor.numel();
    return count;
  }

  Work work() const override {
    // A head that does not ask the network is most of the work, and shares it out itself.
    constexpr double kMuch = 1e9;
    const bool by_head = !config_.score->asks_network();
    // A step is a forward pass and about twice as much for the gradients.
    double operations =
        3 * pair_.network().operations(data_.domain()) * static_cast<double>(config_.training.batch_size);
    // The dense engine hands over whole members, which pays much sooner.
    if (pair_.has_network() && uses_dense_engine(pair_, config_.training) && pair_.members() > 1) operations *= 20;
    return {by_head ? std::max(operations, kMuch) : operations, by_head ? model::Pool::openmp : pair_.network().pool()};
  }

  Objective* begin() override {
    if (!pair_.has_network()) return nullptr;
    if (!data_.held_out_weights.empty()) {
      constexpr double kMiddle = 0.5;
      judged_.emplace(*data_.held_out, systematic_sample(data_.held_out_weights, kMiddle));
    }
    const model::Samples& held_out = judged_ ? *judged_ : *data_.held_out;
    steps_.emplace(pair_, *data_.training, held_out, config_.training, group_, data_.training_weights,
                   adversary_.get());
    return &*steps_;
  }

  void publish(const recipe::Arrays& best, const Publication& to) override {
    // The best weights go into a pair of their own: the one in training goes on undisturbed.
    const loss::Autoencoder finished = new_pair();
    recipe::restore_tensors("", finished.network().state(), best, "best weights");
    distrusted_ = highest_losses(finished, *data_.training, config_.training.trim);
    // A model on the way is calibrated on few images, so that training goes on soon.
    constexpr std::int64_t kImagesOnTheWay = 50;
    std::optional<score::GoodImages> images;
    if (data_.good_images) {
      images = data_.good_images(config_.training.corruption, seed(),
                                 to.finished ? std::numeric_limits<std::int64_t>::max() : kImagesOnTheWay);
    }
    std::optional<Kept> without_distrusted;
    if (!distrusted_.empty()) without_distrusted.emplace(*data_.training, all_but(distrusted_, data_.training->size()));
    const model::Samples& trusted = without_distrusted ? *without_distrusted : *data_.training;
    const auto calibration = config_.score->calibrate(
        score::FitContext(finished, trusted, *data_.held_out, seed(), to.reporter, images ? &*images : nullptr));
    // Only now, as calibration may be interrupted, and then what was published stays.
    std::optional<recipe::Arrays> of_network;
    if (adversary_) {
      publish_adversary(best, to.model);
      of_network = best;
      std::erase_if(*of_network,
                    [](const auto& array) { return array.first.starts_with(ReconstructionObjective::kOfAdversary); });
    }
    recipe::write_checkpoint(to.model, {config_, *data_.kind, observed_matters_, of_network ? *of_network : best,
                                        *config_.score, calibration, to.training,
                                        recipe::profile_of(finished, *config_.score, trusted, *data_.held_out,
                                                           config_.training.mask_rate())});
  }

  std::string ending(const std::filesystem::path& model, std::span<const double> /*training*/,
                     std::span<const double> /*held_out*/) const override {
    return adversary_ ? adversary_->ending(model) : "";
  }
  std::vector<std::int64_t> distrusted() const override { return distrusted_; }

 private:
  static bool resolve(recipe::Config& config, const recipe::Dataset& data) {
    config.loss.resolve(data.domain().elements, config.model->variational());
    config.training.resolve(data.training->has_missing());
    score::resolve(config.score, data.domain(), config.model->has_network());
    return data.training->has_missing() || config.training.masks_cells();
  }
  void publish_adversary(const recipe::Arrays& best, const std::filesystem::path& model) const {
    model::NamedTensors parameters;
    for (const auto& [name, tensor] : adversary_->parameters())
      parameters.emplace_back(name, torch::empty_like(tensor, tensor.options().requires_grad(false)));
    recipe::restore_tensors(ReconstructionObjective::kOfAdversary, parameters, best, "best weights");
    adversary_->publish(parameters, model);
  }
  std::uint64_t seed() const { return static_cast<std::uint64_t>(config_.training.seed); }
  loss::Autoencoder new_pair() const {
    return {*config_.model, config_.loss.terms, data_.domain(), observed_matters_, seed()};
  }

  recipe::Config& config_;
  const recipe::Dataset& data_;
  Group& group_;
  std::unique_ptr<Adversary> adversary_;
  bool observed_matters_;  // see model::Interface
  loss::Autoencoder pair_;
  std::optional<Kept> judged_;  // held-out samples by their weights
  std::optional<ReconstructionObjective> steps_;
  std::vector<std::int64_t> distrusted_;
};

class ReconstructionOptions final : public recipe::ObjectiveOptions {
 public:
  void fields(config::Fields&) override {}
  std::unique_ptr<Trainee> build(recipe::Config& config, const recipe::Dataset& data, Group& group) const override {
    return reconstruct(config, data, group);
  }
};

}  // namespace

std::unique_ptr<Trainee> reconstruct(recipe::Config& config, const recipe::Dataset& data, Group& group,
                                     std::unique_ptr<Adversary> adversary) {
  return std::make_unique<Reconstruct>(config, data, group, std::move(adversary));
}

const config::Entry<recipe::ObjectiveOptions> kReconstruction{
    "reconstruction", "Reconstruct the clean sample from the corrupted one.",
    [] { return std::unique_ptr<recipe::ObjectiveOptions>(std::make_unique<ReconstructionOptions>()); }};

}  // namespace ae::train
