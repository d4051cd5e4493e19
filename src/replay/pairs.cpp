#include "replay/pairs.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/signals.hpp"

namespace ae::replay {
namespace {

at::Tensor rows_of(const std::vector<double>& values, std::int64_t count, std::int64_t width) {
  auto rows = at::empty({count, width}, at::kDouble);
  std::copy_n(values.begin(), count * width, rows.data_ptr<double>());
  return rows;
}

void check_rows(const at::Tensor& rows, std::int64_t first, const data::Transitions& of, const char* what) {
  if (rows.isfinite().all().item<bool>()) return;
  const auto bad = rows.isfinite().all(1).logical_not().nonzero().flatten()[0].item<std::int64_t>();
  throw InputError(of.name() + ": the " + what + " of transition " + std::to_string(first + bad) +
                   " is not finite; expected numbers");
}

bool whole_actions(const PairBlock& block) { return std::ssize(block.actions) == block.count; }

}  // namespace

at::Tensor bootstrapping(const PairBlock& block) {
  std::vector<std::int64_t> places;
  for (std::size_t i = 0; i < static_cast<std::size_t>(block.count); ++i)
    if (bootstraps(block, i)) places.push_back(static_cast<std::int64_t>(i));
  return torch::tensor(places, at::kLong);
}

void for_each_pair(const data::Transitions& original, const data::Transitions& stored, Reporter& reporter,
                   const std::function<void(const PairBlock&)>& visit) {
  const auto width = original.width(), at_once = data::block_transitions(width);
  const auto one = original.read(), other = stored.read();
  const bool observed = original.has_observations() && stored.has_observations();
  data::TransitionBlock a, b;
  while (one->next(at_once, a)) {
    throw_if_stopped("reading");
    if (!other->next(at_once, b) || b.count != a.count)
      throw InputError(stored.name() + ": ends before " + original.name());
    PairBlock block;
    block.first = a.first;
    block.count = a.count;
    block.next_original = rows_of(a.next, a.count, width);
    block.next_stored = rows_of(b.next, b.count, width);
    check_rows(block.next_original, a.first, original, "next observation");
    check_rows(block.next_stored, a.first, stored, "next observation");
    if (observed) {
      block.original = rows_of(a.observations, a.count, width);
      block.stored = rows_of(b.observations, b.count, width);
      check_rows(block.original, a.first, original, "observation");
      check_rows(block.stored, a.first, stored, "observation");
    }
    block.terminated = a.terminated;
    block.left_out = a.reset;
    for (std::size_t i = 0; i < a.has_next.size(); ++i) {
      // One file may know of an end, and have what came behind it in a row of its own, of which the other does not.
      const bool ends_alike =
          (stored.stores_next() || !a.last[i] || b.last[i]) && (original.stores_next() || !b.last[i] || a.last[i]);
      block.has_next.push_back(a.has_next[i] && b.has_next[i] && ends_alike);
    }
    block.actions = std::move(a.actions);
    block.rewards = std::move(a.rewards);
    visit(block);
    reporter.progress("transitions", static_cast<std::uint64_t>(block.first + block.count),
                      static_cast<std::uint64_t>(original.size()));
  }
  reporter.progress_done();
}

PairMoments moments_of(const data::Transitions& original, const data::Transitions& stored, std::int64_t most,
                       std::uint64_t seed, Reporter& reporter) {
  constexpr std::int64_t kMostNumbers = 1 << 25;
  const auto width = original.width();
  most = std::clamp<std::int64_t>(kMostNumbers / (3 * width), 2, most);
  PairMoments found;
  found.mean = at::zeros({width}, at::kDouble);
  if (width <= kMostExact) found.second = at::zeros({width, width}, at::kDouble);
  auto& sample = found.sample;
  Reservoir reservoir(most, Random(stream_key(seed, "pairs")));
  double squares = 0;
  at::Tensor centre;  // the first next observation: deviations from it do not cancel
  auto deviations = at::zeros({width}, at::kDouble), deviations2 = at::zeros({width}, at::kDouble);
  bool whole = true;
  for_each_pair(original, stored, reporter, [&](const PairBlock& block) {
    found.transitions += block.count;
    for (std::size_t i = 0; i < static_cast<std::size_t>(block.count); ++i) {
      found.left_out += block.left_out[i];
      found.terminated += block.terminated[i] && !block.left_out[i];
      found.without_next += !block.terminated[i] && !block.left_out[i] && !block.has_next[i];
    }
    const auto places = bootstrapping(block);
    if (places.numel() == 0) return;
    const auto errors = (block.next_stored - block.next_original).index_select(0, places);
    found.bootstrapping += errors.size(0);
    found.mean += errors.sum(0);
    if (found.second.defined()) found.second += errors.t().mm(errors);
    squares += errors.square().sum().item<double>();
    const auto originals = block.next_original.index_select(0, places);
    if (!centre.defined()) centre = originals[0].clone();
    const auto from_centre = originals - centre;
    deviations += from_centre.sum(0);
    deviations2 += from_centre.square().sum(0);
    if (!sample.original.defined()) {
      const auto rows = std::min(most, original.size());
      sample.original = at::zeros({rows, width}, at::kDouble);
      sample.stored = at::zeros({rows, width}, at::kDouble);
      if (block.original.defined()) sample.observations = at::zeros({rows, width}, at::kDouble);
      sample.actions.resize(static_cast<std::size_t>(rows));
    }
    whole = whole && whole_actions(block);
    const auto copy = [&](const at::Tensor& from, std::int64_t row, const at::Tensor& to, std::int64_t at) {
      if (from.defined()) std::copy_n(from.data_ptr<double>() + row * width, width, to.data_ptr<double>() + at * width);
    };
    for (std::int64_t k = 0; k < places.numel(); ++k) {
      const auto row = places.data_ptr<std::int64_t>()[k], at = reservoir.place();
      if (at < 0) continue;
      copy(block.next_original, row, sample.original, at);
      copy(block.next_stored, row, sample.stored, at);
      copy(block.original, row, sample.observations, at);
      if (!whole) continue;
      const double action = block.actions[static_cast<std::size_t>(row)];
      whole = action == std::floor(action) && std::abs(action) < 1e9;
      if (whole) sample.actions[static_cast<std::size_t>(at)] = static_cast<std::int64_t>(action);
    }
  });
  const auto count = static_cast<double>(std::max<std::int64_t>(found.bootstrapping, 1));
  found.mean /= count;
  if (found.second.defined()) found.second /= count;
  found.rms = std::sqrt(squares / count / static_cast<double>(width));
  const auto variance = deviations2 / count - (deviations / count).square();
  found.spread = std::sqrt(std::max(0.0, variance.mean().item<double>()));
  if (reservoir.size() > 0) {
    sample.original = sample.original.narrow(0, 0, reservoir.size());
    sample.stored = sample.stored.narrow(0, 0, reservoir.size());
    if (sample.observations.defined()) sample.observations = sample.observations.narrow(0, 0, reservoir.size());
  }
  sample.actions.resize(whole ? static_cast<std::size_t>(reservoir.size()) : 0);
  return found;
}

}  // namespace ae::replay
