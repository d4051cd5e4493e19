#include "replay/correction.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>

#include "base/random.hpp"
#include "base/signals.hpp"

namespace ae::replay {
namespace {

constexpr std::int64_t kNeighbours = 16, kDraws = 16;

PairSample part_of(const PairSample& sample, std::int64_t first, std::int64_t count) {
  PairSample part;
  part.original = sample.original.narrow(0, first, count);
  part.stored = sample.stored.narrow(0, first, count);
  if (sample.observations.defined()) part.observations = sample.observations.narrow(0, first, count);
  if (!sample.actions.empty())
    part.actions.assign(sample.actions.begin() + first, sample.actions.begin() + first + count);
  return part;
}

// What a learner knows of each transition: Q of its observation and action where they are there, its best value where
// the action is none of the network's, else the true next value.
at::Tensor feature_of(const QNetwork& network, const PairSample& sample, const at::Tensor& truth) {
  if (!sample.observations.defined()) return truth;
  const torch::NoGradGuard no_grad;
  const auto& actions = sample.actions;
  const bool known = !actions.empty() && network.actions() > 1 && *std::ranges::min_element(actions) >= 0 &&
                     *std::ranges::max_element(actions) < network.actions();
  if (!known) return best_values(network, sample.observations);
  return network.values(sample.observations).gather(1, torch::tensor(actions, at::kLong).unsqueeze(1)).squeeze(1);
}

double rms_of(const at::Tensor& values) { return std::sqrt(values.square().mean().item<double>()); }

double seen_of(const at::Tensor& error, const at::Tensor& feature) {
  const auto centred = feature - feature.mean();
  const double spread = centred.square().mean().item<double>(), mean = error.mean().item<double>();
  const double covariance = (centred * error).mean().item<double>();
  return std::sqrt(mean * mean + (spread > 0 ? covariance * covariance / spread : 0));
}

}  // namespace

std::string error_model_name(ErrorModel model) { return model == ErrorModel::local ? "local" : "independent"; }

at::Tensor best_values(const QNetwork& network, const at::Tensor& observations) {
  const torch::NoGradGuard no_grad;
  const auto rows = data::block_transitions(observations.size(1));
  std::vector<at::Tensor> parts;
  for (std::int64_t begin = 0; begin < observations.size(0); begin += rows)
    parts.push_back(std::get<0>(
        network.values(observations.narrow(0, begin, std::min(rows, observations.size(0) - begin))).max(1)));
  return parts.empty() ? at::zeros({0}, at::kDouble) : torch::cat(parts);
}

Correction::Correction(const PairSample& sample, ErrorModel model, std::int64_t centre, std::uint64_t seed)
    : errors_(sample.stored - sample.original),
      stored_(sample.stored),
      scale_(sample.stored.var(0, false).sqrt()),
      mean_(errors_.mean(0)),
      model_(model),
      centre_(std::min(centre, sample.size())),
      seed_(seed) {
  scale_ = at::where(scale_ > 0, scale_, at::ones_like(scale_));
  stored_ = stored_ / scale_;
}

at::Tensor Correction::values(const QNetwork& network, const at::Tensor& stored, std::int64_t first,
                              const CorrectionGain& gain) const {
  const torch::NoGradGuard no_grad;
  // Distances to all pairs of so many rows are in memory at once.
  const auto rows = std::clamp<std::int64_t>((1 << 22) / stored_.size(0), 1, 1024);
  std::vector<at::Tensor> parts{at::zeros({0}, at::kDouble)};
  for (std::int64_t begin = 0; begin < stored.size(0); begin += rows) {
    const auto part = stored.narrow(0, begin, std::min(rows, stored.size(0) - begin));
    parts.push_back(model_ == ErrorModel::local ? local(network, part) : independent(network, part, first + begin));
  }
  auto values = torch::cat(parts);
  if (gain.gain == 1) return values;
  return (1 - gain.gain) * (best_values(network, stored) - gain.offset) + gain.gain * values;
}

at::Tensor Correction::local(const QNetwork& network, const at::Tensor& stored) const {
  const auto neighbours = std::min(kNeighbours, stored_.size(0)), needed = std::max(neighbours, centre_);
  const auto nearest = std::get<1>(at::cdist(stored / scale_, stored_).topk(needed, 1, false));
  auto mean = at::zeros_like(stored);
  for (std::int64_t k = 0; k < centre_; ++k) mean += errors_.index_select(0, nearest.select(1, k));
  if (centre_ > 0) mean /= static_cast<double>(centre_);
  auto sum = at::zeros({stored.size(0)}, at::kDouble);
  for (std::int64_t k = 0; k < neighbours; ++k) {
    const auto error = errors_.index_select(0, nearest.select(1, k)) - mean;
    sum += best_values(network, stored - mean + error) + best_values(network, stored - mean - error);
  }
  return sum / static_cast<double>(2 * neighbours);
}

at::Tensor Correction::independent(const QNetwork& network, const at::Tensor& stored, std::int64_t first) const {
  const auto count = stored.size(0);
  const auto centre = stored - mean_;
  auto sum = at::zeros({count}, at::kDouble);
  std::vector<std::int64_t> drawn(static_cast<std::size_t>(count));
  for (std::int64_t k = 0; k < kDraws; ++k) {
    for (std::int64_t i = 0; i < count; ++i) {
      Random random(stream_key(seed_, "errors", static_cast<std::uint64_t>(first + i), static_cast<std::uint64_t>(k)));
      drawn[static_cast<std::size_t>(i)] =
          static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(errors_.size(0))));
    }
    const auto error = errors_.index_select(0, torch::tensor(drawn, at::kLong)) - mean_;
    sum += best_values(network, centre + error) + best_values(network, centre - error);
  }
  return 2 * best_values(network, centre) - sum / static_cast<double>(2 * kDraws);
}

CorrectionCheck check_correction(const QNetwork& network, const PairSample& sample, std::uint64_t seed) {
  CorrectionCheck check;
  const auto half = sample.size() / 2;
  if (half < kFewestPairs) return check;
  // A reservoir's rows keep the order of time as long as it is not full; halves are to be alike.
  auto order = permutation(sample.size(), Random(stream_key(seed, "halves")));
  const auto shuffled = torch::tensor(order, at::kLong);
  PairSample all;
  all.original = sample.original.index_select(0, shuffled);
  all.stored = sample.stored.index_select(0, shuffled);
  if (sample.observations.defined()) all.observations = sample.observations.index_select(0, shuffled);
  if (!sample.actions.empty())
    for (const auto at : order) all.actions.push_back(sample.actions[static_cast<std::size_t>(at)]);
  const auto known = part_of(all, 0, half), held_out = part_of(all, half, sample.size() - half);
  const auto truth = best_values(network, held_out.original), before = best_values(network, held_out.stored) - truth;
  const auto feature = feature_of(network, held_out, truth);
  check.pairs = held_out.size();
  check.mean_before = before.mean().item<double>();
  check.rms_before = rms_of(before);
  check.seen_before = seen_of(before, feature);
  const double root = std::sqrt(static_cast<double>(check.pairs));
  const auto tried = [&](ErrorModel model, std::int64_t centre) {
    throw_if_stopped("the check of the correction");
    auto with = check;
    with.model = model;
    with.centre = centre;
    const auto bias = best_values(network, held_out.stored) -
                      Correction(known, model, centre, seed).values(network, held_out.stored, 0);
    const auto varying = bias - bias.mean();
    const double spread = varying.square().sum().item<double>(), told = (varying * before).sum().item<double>();
    with.gain = {bias.mean().item<double>(), spread > 0 ? std::clamp(told / spread, 0.0, 1.0) : 1};
    const auto after = before - with.gain.offset - with.gain.gain * varying;
    with.mean_after = after.mean().item<double>();
    with.rms_after = rms_of(after);
    with.seen_after = seen_of(after, feature);
    return with;
  };
  // Local means bring the noise of a few errors into the mean of all targets, so they must be worth it; and they draw
  // what noise has blurred towards frequent states, which a learner would see.
  constexpr double kWorthIt = 0.9;
  auto best = tried(ErrorModel::independent, 0);
  const auto independent = best;
  const double enough = kWorthIt * best.rms_after;
  for (const std::int64_t centre : {256, 64, 16, 4}) {
    const auto other = tried(ErrorModel::local, centre);
    const bool drawn_in = independent.seen_after + 3 * other.rms_after / root < other.seen_after;
    if (other.rms_after < std::min(best.rms_after, enough) && !drawn_in) best = other;
  }
  check = best;
  constexpr double kTolerated = 1.01;
  check.harms = std::abs(check.mean_after) > std::abs(check.mean_before) + 2 * check.rms_after / root ||
                check.rms_after > kTolerated * check.rms_before + 1e-12;
  return check;
}

}  // namespace ae::replay
