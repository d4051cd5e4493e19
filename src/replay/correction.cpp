#include "replay/correction.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/signals.hpp"
#include "model/threads.hpp"

namespace ae::replay {
namespace {

constexpr std::int64_t kNeighbours = 16, kDraws = 16;
// Rows that one thread takes at once: their values stay within its cache.
constexpr std::int64_t kPiece = 512;

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
at::Tensor feature_of(const value::QNetwork& network, const PairSample& sample, const at::Tensor& truth) {
  if (!sample.observations.defined()) return truth;
  const torch::NoGradGuard no_grad;
  if (!names_actions(network, sample)) return best_values(network, sample.observations);
  return network.values(sample.observations)
      .gather(1, torch::tensor(sample.actions, at::kLong).unsqueeze(1))
      .squeeze(1);
}

at::Tensor best_of(const value::QNetwork& network, const at::Tensor& embedded) {
  return std::get<0>(network.values_of(embedded).max(1));
}

// The mean of the rows that each list [n, k] names: [n, width]; 0 of none.
at::Tensor means_of(const at::Tensor& rows, const at::Tensor& lists) {
  const auto n = lists.size(0), k = lists.size(1);
  if (k == 0) return at::zeros({n, rows.size(1)}, rows.options());
  constexpr std::int64_t kMean = 1;
  return std::get<0>(at::embedding_bag(rows, lists.reshape({n * k}), at::arange(0, n * k, k, at::kLong), false, kMean));
}

void require_finite(const value::QNetwork& network, const at::Tensor& values) {
  if (!values.isfinite().all().item<bool>())
    throw InputError(network.name() +
                     ": is not finite at an observation of the pairs, or near one; expected a network that is "
                     "wherever the store's errors lead");
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

bool names_actions(const value::QNetwork& network, const PairSample& sample) {
  const auto& actions = sample.actions;
  return !actions.empty() && network.actions() > 1 && *std::ranges::min_element(actions) >= 0 &&
         *std::ranges::max_element(actions) < network.actions();
}

at::Tensor all_values(const value::QNetwork& network, const at::Tensor& observations) {
  const auto rows = std::min(kPiece, data::block_transitions(observations.size(1)));
  auto values = at::empty({observations.size(0), network.actions()}, at::kDouble);
  model::share_out(observations.size(0), rows, [&](std::int64_t begin, std::int64_t end) {
    const torch::NoGradGuard no_grad;
    values.narrow(0, begin, end - begin).copy_(network.values(observations.narrow(0, begin, end - begin)));
  });
  return values;
}

at::Tensor best_values(const value::QNetwork& network, const at::Tensor& observations) {
  return std::get<0>(all_values(network, observations).max(1));
}

PairSample some_pairs(const PairSample& sample, std::int64_t most, std::uint64_t seed) {
  const auto order = permutation(sample.size(), Random(stream_key(seed, "halves")));
  const std::vector<std::int64_t> places(order.begin(), order.begin() + std::min(most, sample.size()));
  const auto chosen = torch::tensor(places, at::kLong);
  PairSample some;
  some.original = sample.original.index_select(0, chosen);
  some.stored = sample.stored.index_select(0, chosen);
  if (sample.observations.defined()) some.observations = sample.observations.index_select(0, chosen);
  if (!sample.actions.empty())
    for (const auto at : places) some.actions.push_back(sample.actions[static_cast<std::size_t>(at)]);
  return some;
}

Correction::Correction(const value::QNetwork& network, const PairSample& sample, std::uint64_t seed)
    : network_(network),
      errors_(network.embedded_error(sample.stored - sample.original)),
      mean_(errors_.mean(0)),
      centre_(sample.stored.mean(0)),
      scale_(sample.stored.var(0, false).sqrt()),
      seed_(seed) {
  // What hardly varies is constant but for rounding, of which distances are not to be made.
  constexpr double kRounding = 1e-12;
  scale_ = at::where(scale_ > kRounding * std::get<0>(sample.stored.abs().max(0)), scale_, at::ones_like(scale_));
  stored_ = (sample.stored - centre_) / scale_;
}

at::Tensor Correction::values(const at::Tensor& stored, const at::Tensor& plain, std::int64_t first,
                              const CorrectionCheck& how) const {
  const auto values = how.model == ErrorModel::local ? local(stored, {how.centre}).front() : independent(stored, first);
  const auto& gain = how.gain;
  return gain.gain == 1 ? values : (1 - gain.gain) * (plain - gain.offset) + gain.gain * values;
}

std::vector<at::Tensor> Correction::local(const at::Tensor& stored, const std::vector<std::int64_t>& centres) const {
  const auto pairs = stored_.size(0), neighbours = std::min(kNeighbours, pairs);
  const auto needed = std::min(pairs, std::max(neighbours, *std::ranges::max_element(centres)));
  std::vector<at::Tensor> values;
  for (std::size_t c = 0; c < centres.size(); ++c) values.push_back(at::empty({stored.size(0)}, at::kDouble));
  // Distances to all pairs of so many rows are in memory at once.
  const auto rows = std::clamp<std::int64_t>((1 << 21) / pairs, 1, kPiece);
  model::share_out(stored.size(0), rows, [&](std::int64_t begin, std::int64_t end) {
    throw_if_stopped("correcting");
    const torch::NoGradGuard no_grad;
    const auto part = stored.narrow(0, begin, end - begin);
    const auto nearest = std::get<1>(at::cdist((part - centre_) / scale_, stored_).topk(needed, 1, false));
    const auto embedded = network_.embedded(part);
    for (std::size_t c = 0; c < centres.size(); ++c) {
      const auto mean = means_of(errors_, nearest.narrow(1, 0, std::min(centres[c], pairs)));
      const auto centre = embedded - mean;
      auto sum = at::zeros({end - begin}, at::kDouble);
      for (std::int64_t k = 0; k < neighbours; ++k) {
        const auto error = errors_.index_select(0, nearest.select(1, k)) - mean;
        sum += best_of(network_, centre + error) + best_of(network_, centre - error);
      }
      values[c].narrow(0, begin, end - begin).copy_(sum / static_cast<double>(2 * neighbours));
    }
  });
  return values;
}

at::Tensor Correction::independent(const at::Tensor& stored, std::int64_t first) const {
  auto values = at::empty({stored.size(0)}, at::kDouble);
  model::share_out(
      stored.size(0), std::min(kPiece, data::block_transitions(stored.size(1))),
      [&](std::int64_t begin, std::int64_t end) {
        throw_if_stopped("correcting");
        const torch::NoGradGuard no_grad;
        const auto count = end - begin;
        const auto centre = network_.embedded(stored.narrow(0, begin, count)) - mean_;
        auto sum = at::zeros({count}, at::kDouble), drawn = at::empty({count}, at::kLong);
        for (std::int64_t k = 0; k < kDraws; ++k) {
          for (std::int64_t i = 0; i < count; ++i) {
            Random random(stream_key(seed_, "errors", static_cast<std::uint64_t>(first + begin + i),
                                     static_cast<std::uint64_t>(k)));
            drawn.data_ptr<std::int64_t>()[i] =
                static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(errors_.size(0))));
          }
          const auto error = errors_.index_select(0, drawn) - mean_;
          sum += best_of(network_, centre + error) + best_of(network_, centre - error);
        }
        values.narrow(0, begin, count).copy_(2 * best_of(network_, centre) - sum / static_cast<double>(2 * kDraws));
      });
  return values;
}

CorrectionCheck check_correction(const value::QNetwork& network, const PairSample& sample, std::uint64_t seed) {
  constexpr std::int64_t kFitting = 300, kChoosing = 1500, kTrying = 2000;
  if (sample.size() < 2 * kFewestPairs) return {};
  // A reservoir's rows keep the order of time as long as it is not full; parts are to be alike.
  const auto all = some_pairs(sample, sample.size(), seed);
  const auto fitted_on = std::min(kFitting, all.size() / 10), chosen_on = std::min(kChoosing, all.size() / 5),
             tried_on = std::min(kTrying, all.size() / 5), not_tried = fitted_on + chosen_on;
  const auto choosing = part_of(all, 0, not_tried), trying = part_of(all, not_tried, tried_on),
             known = part_of(all, not_tried + tried_on, all.size() - not_tried - tried_on);
  struct Pairs {
    at::Tensor stored, plain, before, feature;  // `before`: the error without correction
    double size = 0;                            // of the true values, root of the mean square
  };
  const auto valued = [&](const PairSample& pairs) {
    const auto truth = best_values(network, pairs.original), plain = best_values(network, pairs.stored);
    const auto feature = feature_of(network, pairs, truth);
    for (const auto& values : {truth, plain, feature}) require_finite(network, values);
    return Pairs{pairs.stored, plain, plain - truth, feature, rms_of(truth)};
  };
  const auto first = [&](const at::Tensor& values) { return values.narrow(0, 0, fitted_on); };
  const auto second = [&](const at::Tensor& values) { return values.narrow(0, fitted_on, chosen_on); };
  const auto corrected = [](const Pairs& pairs, const at::Tensor& values, const CorrectionGain& gain) {
    return pairs.before - gain.offset - gain.gain * (pairs.plain - values - gain.offset);
  };

  const Correction correction(network, known, seed);
  const auto chosen_by = valued(choosing);
  struct Tried {
    CorrectionCheck check;
    double rms = 0, seen = 0;
  };
  const auto tried = [&](ErrorModel model, std::int64_t centre, const at::Tensor& values) {
    require_finite(network, values);
    Tried found;
    found.check.model = model;
    found.check.centre = centre;
    const auto bias = chosen_by.plain - values, varying = first(bias) - first(bias).mean();
    const double spread = varying.square().sum().item<double>();
    const double told = (varying * first(chosen_by.before)).sum().item<double>();
    found.check.gain = {bias.mean().item<double>(), spread > 0 ? std::clamp(told / spread, 0.0, 1.0) : 1};
    const auto after = second(corrected(chosen_by, values, found.check.gain));
    found.rms = rms_of(after);
    found.seen = seen_of(after, second(chosen_by.feature));
    return found;
  };
  // Local means bring the noise of a few errors into the mean of all targets, so they must be worth it; and they draw
  // what noise has blurred towards frequent states, which a learner would see.
  constexpr double kWorthIt = 0.9;
  const auto independent = tried(ErrorModel::independent, 0, correction.independent(choosing.stored, 0));
  auto best = independent;
  const double enough = kWorthIt * independent.rms, root_of_choosing = std::sqrt(static_cast<double>(chosen_on));
  const std::vector<std::int64_t> centres{256, 64, 16, 4};
  const auto local = correction.local(choosing.stored, centres);
  for (std::size_t c = 0; c < centres.size(); ++c) {
    const auto other = tried(ErrorModel::local, centres[c], local[c]);
    const bool drawn_in = independent.seen + 3 * other.rms / root_of_choosing < other.seen;
    if (other.rms < std::min(best.rms, enough) && !drawn_in) best = other;
  }

  auto check = best.check;
  const auto tried_by = valued(trying);
  auto without_gain = check;
  without_gain.gain = {};
  const auto values = correction.values(trying.stored, tried_by.plain, not_tried, without_gain);
  require_finite(network, values);
  const auto after = corrected(tried_by, values, check.gain);
  check.pairs = tried_on;
  check.mean_before = tried_by.before.mean().item<double>();
  check.mean_after = after.mean().item<double>();
  check.rms_before = rms_of(tried_by.before);
  check.rms_after = rms_of(after);
  check.seen_before = seen_of(tried_by.before, tried_by.feature);
  check.seen_after = seen_of(after, tried_by.feature);
  constexpr double kTolerated = 1.01;
  const double negligible = 1e-9 * tried_by.size, root = std::sqrt(static_cast<double>(tried_on));
  const double most_mean = std::abs(check.mean_before) + 2 * check.rms_after / root + negligible;
  check.harms =
      !(std::abs(check.mean_after) <= most_mean) || !(check.rms_after <= kTolerated * check.rms_before + negligible);
  return check;
}

}  // namespace ae::replay
