#include "replay/correction.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <limits>

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

Correction::Correction(const PairSample& sample, ErrorModel model, std::uint64_t seed)
    : errors_(sample.stored - sample.original),
      stored_(sample.stored),
      scale_(sample.stored.var(0, false).sqrt()),
      mean_(errors_.mean(0)),
      model_(model),
      seed_(seed) {
  scale_ = at::where(scale_ > 0, scale_, at::ones_like(scale_));
  stored_ = stored_ / scale_;
}

at::Tensor Correction::values(const QNetwork& network, const at::Tensor& stored, std::int64_t first) const {
  const torch::NoGradGuard no_grad;
  const auto count = stored.size(0), width = stored.size(1);
  if (count == 0) return at::zeros({0}, at::kDouble);
  if (model_ == ErrorModel::local) {
    const auto neighbours = std::min(kNeighbours, stored_.size(0));
    const auto distances = at::cdist(stored / scale_, stored_);
    const auto nearest = std::get<1>(distances.topk(neighbours, 1, false));
    at::Tensor sum = at::zeros({count}, at::kDouble);
    for (std::int64_t k = 0; k < neighbours; ++k)
      sum += best_values(network, stored - errors_.index_select(0, nearest.select(1, k)));
    return sum / static_cast<double>(neighbours);
  }
  const auto centre = stored - mean_;
  at::Tensor sum = at::zeros({count}, at::kDouble);
  std::vector<std::int64_t> drawn(static_cast<std::size_t>(count));
  for (std::int64_t k = 0; k < kDraws; ++k) {
    for (std::int64_t i = 0; i < count; ++i) {
      Random random(stream_key(seed_, "errors", static_cast<std::uint64_t>(first + i), static_cast<std::uint64_t>(k)));
      drawn[static_cast<std::size_t>(i)] =
          static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(errors_.size(0))));
    }
    const auto error = errors_.index_select(0, torch::tensor(drawn, at::kLong)).reshape({count, width}) - mean_;
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
  check.seen_after = std::numeric_limits<double>::infinity();
  const double root = std::sqrt(static_cast<double>(check.pairs));
  for (const auto model : {ErrorModel::local, ErrorModel::independent}) {
    throw_if_stopped("the check of the correction");
    const Correction correction(known, model, seed);
    const auto after = correction.values(network, held_out.stored, 0) - truth;
    const double seen = seen_of(after, feature);
    // What is stored tells of the errors, so local ones leave less noise; noise itself must not decide.
    const double noise = model == ErrorModel::local ? 0 : 3 * check.rms_after / root;
    if (!(seen + noise < check.seen_after)) continue;
    check.model = model;
    check.mean_after = after.mean().item<double>();
    check.rms_after = rms_of(after);
    check.seen_after = seen;
  }
  constexpr double kTolerated = 1.01;
  check.harms = std::abs(check.mean_after) > std::abs(check.mean_before) + 2 * check.rms_after / root ||
                check.rms_after > kTolerated * check.rms_before + 1e-12;
  return check;
}

}  // namespace ae::replay
