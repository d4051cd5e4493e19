#include "replay/choose.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "base/error.hpp"
#include "base/signals.hpp"
#include "evaluate/intervals.hpp"
#include "replay/correction.hpp"
#include "replay/jpeg.hpp"
#include "replay/latent_codec.hpp"
#include "replay/pairs.hpp"

namespace ae::replay {
namespace {

constexpr std::int64_t kMostBits = 16;

// What a store's answers do to Q, on the transitions that were drawn.
class Judge {
 public:
  Judge(const value::QNetwork& network, const PairMoments& moments, const ChooseOptions& options)
      : network_(network), sample_(moments.sample), options_(options) {
    const auto counted = static_cast<double>(moments.bootstrapping + moments.terminated);
    share_ = static_cast<double>(moments.bootstrapping) / counted;
    const auto next = all_values(network, sample_.original);
    std::tie(best_, greedy_) = next.max(1);
    if (!sample_.observations.defined()) return;
    const auto values = all_values(network, sample_.observations);
    taken_ = names_actions(network, sample_) ? torch::tensor(sample_.actions, at::kLong) : values.argmax(1);
    taken_ = taken_.unsqueeze(1);
    values_ = values.gather(1, taken_).squeeze(1);
  }

  // `next`, `observations`: as a store gives them back, the latter undefined where the sample has none.
  void judge(const at::Tensor& next, const at::Tensor& observations, StoreCandidate& candidate) const {
    const auto n = static_cast<double>(sample_.size());
    const auto [best, greedy] = all_values(network_, next).max(1);
    const auto bias = (best - best_) * options_.gamma;
    candidate.rms_error = std::sqrt((next - sample_.original).square().mean().item<double>());
    // Of all transitions: those that are terminated have no bias.
    const double mean = bias.mean().item<double>(), square = bias.square().mean().item<double>();
    candidate.mean_bias = share_ * mean;
    candidate.bias_se = share_ * std::sqrt(std::max(0.0, square - mean * mean) / n);
    candidate.rms_bias = std::sqrt(share_ * square);
    const auto changes = (greedy != greedy_).sum().item<std::int64_t>();
    candidate.action_changes = static_cast<double>(changes) / n;
    candidate.td_rms = std::numeric_limits<double>::quiet_NaN();
    double td_limit = 0;
    if (values_.defined()) {
      const auto input = all_values(network_, observations).gather(1, taken_).squeeze(1) - values_;
      const auto squares = (bias - input).square(), input_squares = input.square();
      const double td = share_ * squares.mean().item<double>() + (1 - share_) * input_squares.mean().item<double>();
      candidate.td_rms = std::sqrt(td);
      td_limit = std::sqrt(td + kOneSided * squares.std().item<double>() / std::sqrt(n));
    }
    const auto& budget = options_.budget;
    candidate.meets =
        std::isfinite(square) && std::abs(candidate.mean_bias) + kOneSided * candidate.bias_se <= budget.bias &&
        (network_.actions() == 1 || evaluate::wilson_interval(changes, sample_.size(), 0.9).high <= budget.changes) &&
        (values_.defined() ? td_limit : 0) <= budget.td_rms;
  }

  const PairSample& sample() const { return sample_; }
  double value_spread() const { return best_.std().item<double>(); }

 private:
  static constexpr double kOneSided = 1.6448536269514722;  // of a normal distribution, 95 % below

  const value::QNetwork& network_;
  const PairSample& sample_;
  const ChooseOptions& options_;
  double share_ = 1;
  at::Tensor best_, greedy_;   // at the next observations
  at::Tensor taken_, values_;  // at the observations: the action, [n, 1], and its value
};

// The codes of the sample by one model.
class CodedSample {
 public:
  CodedSample(const LatentCodec& codec, const PairSample& sample, const data::Transitions& transitions,
              Reporter& reporter)
      : codec_(codec), next_(codec.encode(sample.original)) {
    if (sample.observations.defined()) observations_ = codec.encode(sample.observations);
    find_ranges(transitions, reporter);
  }

  std::int64_t latents() const { return next_.size(1); }
  at::Tensor next(const std::vector<std::int64_t>& bits) const { return codec_.decode(quantised(next_, bits)); }
  at::Tensor observations(const std::vector<std::int64_t>& bits) const {
    return observations_.defined() ? codec_.decode(quantised(observations_, bits)) : at::Tensor();
  }

  // Of each latent: the mean square by which values change, per square of its range.
  std::vector<double> sensitivities(const value::QNetwork& network) const {
    constexpr std::int64_t kSome = 512;
    constexpr double kStep = 1.0 / 64;  // of the range: the slope over about as much as a code of 6 bits is off
    const auto stride = std::max<std::int64_t>(1, next_.size(0) / kSome);  // they lie in order of time
    const auto some = next_.slice(0, 0, next_.size(0), stride).contiguous();
    const auto values = all_values(network, codec_.decode(some));
    std::vector<double> found;
    for (std::int64_t k = 0; k < latents(); ++k) {
      auto moved = some.clone();
      moved.select(1, k).add_(kStep * (high_[k].item<double>() - low_[k].item<double>()));
      const auto change = all_values(network, codec_.decode(moved)) - values;
      // Not finite where the network is not: then nothing is known, and other latents go before this one.
      const double square = change.square().mean().item<double>() / (kStep * kStep);
      found.push_back(std::isfinite(square) ? square : 0);
    }
    return found;
  }

 private:
  // Of all that a store would hold, as its grid reaches from the least to the largest latent.
  void find_ranges(const data::Transitions& transitions, Reporter& reporter) {
    const auto extend = [&](const at::Tensor& rows) {
      if (rows.size(0) == 0) return;
      const auto codes = codec_.encode(rows);
      const auto low = std::get<0>(codes.min(0)).to(at::kDouble), high = std::get<0>(codes.max(0)).to(at::kDouble);
      low_ = low_.defined() ? at::minimum(low_, low) : low;
      high_ = high_.defined() ? at::maximum(high_, high) : high;
    };
    for_each_pair(transitions, transitions, reporter, [&](const PairBlock& block) {
      if (block.original.defined()) extend(block.original);
      std::vector<std::int64_t> there;
      for (std::int64_t i = 0; i < block.count; ++i)
        if (block.has_next[static_cast<std::size_t>(i)]) there.push_back(i);
      extend(block.next_original.index_select(0, torch::tensor(there, at::kLong)).contiguous());
    });
  }

  at::Tensor quantised(const at::Tensor& codes, const std::vector<std::int64_t>& bits) const {
    auto quantised = at::empty_like(codes);
    for (std::int64_t k = 0; k < latents(); ++k) {
      const Quantiser grid{bits[static_cast<std::size_t>(k)], low_[k].item<double>(), high_[k].item<double>()};
      const auto* from = codes.data_ptr<float>() + k;
      auto* to = quantised.data_ptr<float>() + k;
      for (std::int64_t i = 0; i < codes.size(0); ++i)
        to[i * latents()] = static_cast<float>(grid.value(grid.code(from[i * latents()])));
    }
    return quantised;
  }

  const LatentCodec& codec_;
  at::Tensor next_, observations_;
  at::Tensor low_, high_;
};

// Bits in the order in which they take most off of the error of values: the latent that each goes to.
std::vector<std::size_t> order_of_bits(const std::vector<double>& sensitivities) {
  const auto square = [](std::int64_t bits) {
    const double step = 1 / static_cast<double>((std::int64_t{1} << bits) - 1);
    return step * step / 12;  // of an error that is even over a step
  };
  std::vector<std::int64_t> bits(sensitivities.size(), 1);
  std::vector<std::size_t> order;
  while (order.size() < sensitivities.size() * (kMostBits - 1)) {
    const auto has_room = [](std::int64_t of_latent) { return of_latent < kMostBits; };
    auto best = static_cast<std::size_t>(std::ranges::find_if(bits, has_room) - bits.begin());
    double most = -1;
    for (std::size_t k = 0; k < bits.size(); ++k) {
      if (bits[k] == kMostBits) continue;
      const double gain = sensitivities[k] * (square(bits[k]) - square(bits[k] + 1));
      if (gain > most) most = gain, best = k;
    }
    order.push_back(best);
    ++bits[best];
  }
  return order;
}

// Tries whole numbers between `low` and `high`, of which each that meets is followed by others that do, or nearly so:
// some that tell what others cost, and then halves the gap before the first that meets.
void search(std::int64_t low, std::int64_t high, const std::vector<std::int64_t>& some,
            const std::function<bool(std::int64_t)>& meets) {
  std::int64_t below = low - 1, above = high + 1;
  for (const auto at : some) {
    if (at < low || at > high) continue;
    if (meets(at))
      above = std::min(above, at);
    else
      below = std::max(below, at);
  }
  below = std::min(below, above - 1);
  while (above - below > 1) {
    const auto middle = below + (above - below) / 2;
    (meets(middle) ? above : below) = middle;
  }
}

class Chooser {
 public:
  Chooser(const Judge& judge, Choice& choice, Reporter& reporter)
      : judge_(judge), choice_(choice), reporter_(reporter) {}

  void try_model(const std::string& model, const value::QNetwork& network, const data::Transitions& transitions) {
    const auto checkpoint = recipe::Checkpoint::open(model);
    const LatentCodec codec(checkpoint, transitions.width());
    const CodedSample coded(codec, judge_.sample(), transitions, reporter_);
    const auto latents = coded.latents();
    const auto order = order_of_bits(coded.sensitivities(network));
    std::map<std::vector<std::int64_t>, StoreCandidate> tried;
    const auto meets = [&](const std::vector<std::int64_t>& bits) {
      const auto [at, is_new] = tried.try_emplace(bits);
      auto& candidate = at->second;
      if (!is_new) return candidate.meets;
      tell();
      candidate.model = model;
      candidate.bits = bits;
      for (const auto of_latent : bits) candidate.bytes += static_cast<double>(of_latent) / 8;
      judge_.judge(coded.next(bits), coded.observations(bits), candidate);
      return candidate.meets;
    };
    const std::vector<std::int64_t> some{2, 3, 4, 5, 6, 8, 10};
    search(1, kMostBits, some,
           [&](std::int64_t bits) { return meets(std::vector(static_cast<std::size_t>(latents), bits)); });
    std::vector<std::int64_t> totals;
    for (const auto bits : some) totals.push_back(bits * latents);
    if (latents > 1)
      search(latents, kMostBits * latents, totals, [&](std::int64_t total) {
        std::vector<std::int64_t> bits(static_cast<std::size_t>(latents), 1);
        for (std::size_t i = 0; i < static_cast<std::size_t>(total - latents); ++i) ++bits[order[i]];
        return meets(bits);
      });
    add(tried);
  }

  void try_jpeg(const FrameShape& shape) {
    std::map<std::int64_t, StoreCandidate> tried;
    const auto& sample = judge_.sample();
    search(1, 100, {25, 50, 75, 90, 95, 100}, [&](std::int64_t quality) {
      const auto [at, is_new] = tried.try_emplace(quality);
      auto& candidate = at->second;
      if (!is_new) return candidate.meets;
      tell();
      candidate.quality = quality;
      const auto next = through_jpeg(sample.original, shape, quality, candidate.bytes);
      candidate.bytes /= static_cast<double>(sample.size());
      double ignored = 0;
      judge_.judge(
          next,
          sample.observations.defined() ? through_jpeg(sample.observations, shape, quality, ignored) : at::Tensor(),
          candidate);
      return candidate.meets;
    });
    add(tried);
  }

 private:
  void tell() {
    throw_if_stopped("trying stores");
    reporter_.progress("stores", ++tried_, 0);
  }

  template <typename Key>
  void add(std::map<Key, StoreCandidate>& tried) {
    const auto first = std::ssize(choice_.candidates);
    for (auto& [key, candidate] : tried) choice_.candidates.push_back(std::move(candidate));
    std::ranges::stable_sort(choice_.candidates.begin() + first, choice_.candidates.end(), {}, &StoreCandidate::bytes);
  }

  const Judge& judge_;
  Choice& choice_;
  Reporter& reporter_;
  std::uint64_t tried_ = 0;
};

// Whether all numbers are whole and within [0, 255].
bool is_bytes(const at::Tensor& rows) {
  return rows.defined() && ((rows >= 0) & (rows <= 255) & (rows == rows.floor())).all().item<bool>();
}

}  // namespace

Choice choose(const std::vector<std::string>& models, const data::Transitions& transitions,
              const value::QNetwork& network, const ChooseOptions& options, Reporter& reporter) {
  const auto moments = moments_of(transitions, transitions, options.most_transitions, options.seed, reporter);
  if (moments.sample.size() < 2)
    throw InputError(transitions.name() +
                     ": fewer than two transitions have a next observation and go on; there is nothing to choose by");
  Choice choice;
  const Judge judge(network, moments, options);
  choice.transitions = moments.sample.size();
  choice.value_spread = judge.value_spread();
  using Role = data::TransitionRole;
  const auto* array = transitions.find(Role::observations);
  if (array == nullptr) array = transitions.find(Role::next_observations);
  choice.bytes = static_cast<double>(transitions.width() * data::element_bytes(*array));
  const auto& sample = moments.sample;
  auto shape = frame_shape(transitions.observation_shape());
  if (!is_bytes(sample.original) || (sample.observations.defined() && !is_bytes(sample.observations)))
    shape = std::nullopt;
  if (models.empty() && !shape)
    throw UsageError(
        "there is nothing to choose from: no model is given, and observations are no frames of 8 bits, "
        "which JPEG could keep; give models before the transitions");
  Chooser chooser(judge, choice, reporter);
  for (const auto& model : models) chooser.try_model(model, network, transitions);
  if (shape) chooser.try_jpeg(*shape);
  reporter.progress_done();
  for (std::size_t i = 0; i < choice.candidates.size(); ++i)
    if (choice.candidates[i].meets &&
        (!choice.chosen || choice.candidates[i].bytes < choice.candidates[*choice.chosen].bytes))
      choice.chosen = i;
  return choice;
}

}  // namespace ae::replay
