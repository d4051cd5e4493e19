#include "replay/correct.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/scratch_folder.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "data/arrays/npz_writer.hpp"
#include "evaluate/rate_text.hpp"
#include "replay/audit.hpp"

namespace ae::replay {
namespace {

// Reasons to think that a correction would harm.
std::vector<std::string> doubts(const CorrectTotals& totals) {
  using evaluate::rate_text;
  const auto& check = totals.check;
  std::vector<std::string> found;
  if (check.pairs == 0)
    found.push_back("fewer than " + std::to_string(2 * kFewestPairs) +
                    " pairs of original and stored observations: whether a correction helps cannot be told");
  if (check.harms)
    found.push_back("the correction would harm: on held-out pairs the mean bias went from " +
                    rate_text(check.mean_before, 4) + " to " + rate_text(check.mean_after, 4) + ", its rms from " +
                    rate_text(check.rms_before, 4) + " to " + rate_text(check.rms_after, 4));
  if (!(totals.remainder_share <= kMostRemainder))
    found.push_back("expansion invalid: the errors are too large to tell what they do, the remainder is " +
                    rate_text(100 * totals.remainder_share, 0) + " % of the rms bias, expected at most " +
                    rate_text(100 * kMostRemainder, 0) + " %");
  return found;
}

// A mean that might as well be 0, and single targets that are no nearer: what is taken off may be noise of the pairs.
void tell_nothing_to_gain(const CorrectionCheck& check, Reporter& reporter) {
  constexpr double kNoNearer = 0.99;
  if (check.pairs == 0 || check.rms_after < kNoNearer * check.rms_before) return;
  const double error = check.rms_before / std::sqrt(static_cast<double>(check.pairs));
  if (std::abs(check.mean_before) > 2 * error) return;
  reporter.warning("the mean bias of held-out pairs, " + evaluate::rate_text(check.mean_before, 4) + " +- " +
                   evaluate::rate_text(error, 4) +
                   ", cannot be told from 0: a correction has nothing to take off, and may move targets by as much");
}

// Three columns that wait until all are known, since arrays are written one after another.
class Columns {
 public:
  Columns() : file_(scratch_folder()) {}
  void add(std::int64_t count, const std::array<const double*, 3>& columns) {
    for (std::int64_t i = 0; i < count; ++i)
      for (const auto* column : columns) rows_.push_back(column[i]);
    file_.append(rows_.data(), rows_.size() * sizeof(double));
    count_ += count;
    rows_.clear();
  }
  void write(Output& output) {
    data::NpzWriter writer(output);
    const std::array<std::int64_t, 1> shape{count_};
    for (std::size_t c = 0; c < 3; ++c) {
      writer.begin(std::array{"targets", "uncorrected", "bias"}[c], "<f8", shape);
      constexpr std::int64_t kAtOnce = 1 << 15;
      for (std::int64_t first = 0; first < count_; first += kAtOnce) {
        const auto count = static_cast<std::size_t>(std::min(kAtOnce, count_ - first));
        rows_.resize(3 * count);
        file_.read(static_cast<std::uint64_t>(first) * 3 * sizeof(double), rows_.data(), rows_.size() * sizeof(double));
        std::vector<double> column(count);
        for (std::size_t i = 0; i < count; ++i) column[i] = rows_[3 * i + c];
        writer.add(column);
      }
    }
    writer.finish();
  }

 private:
  ScratchFile file_;
  std::int64_t count_ = 0;
  std::vector<double> rows_;
};

}  // namespace

CorrectTotals correct(const data::Transitions& buffer, const PairSample& pairs, const value::QNetwork& network,
                      const CorrectOptions& options, Output& output, Reporter& reporter) {
  if (!buffer.has_rewards())
    throw InputError(buffer.name() + ": has no rewards; expected an array \"rewards\", or name it with --array");
  if (pairs.size() == 0)
    throw InputError(buffer.name() + ": no pairs of original and stored observations to learn the errors from");
  if (buffer.width() != pairs.original.size(1))
    throw InputError(buffer.name() + ": an observation has " + counted(buffer.width(), "elements") + ", expected " +
                     std::to_string(pairs.original.size(1)) + " as in the pairs of original and stored ones");
  CorrectTotals totals;
  auto& check = totals.check = check_correction(network, pairs, options.seed);
  for (auto* value : {&check.mean_before, &check.mean_after, &check.rms_before, &check.rms_after, &check.seen_before,
                      &check.seen_after})
    *value *= options.gamma;
  totals.remainder_share = remainder_share(network, pairs);
  const auto found = doubts(totals);
  if (!found.empty() && !options.force) {
    const bool few = check.pairs == 0;
    const std::string remedy = !few                ? "take more bits"
                               : found.size() == 1 ? "give more pairs"
                                                   : "give more pairs and bits";
    throw RunError(join(found, "; ", found.size()) + "; " + remedy + ", or give --force to correct all the same");
  }
  for (const auto& reason : found) reporter.warning(reason + "; corrected all the same, as --force asks");
  if (found.empty()) tell_nothing_to_gain(check, reporter);
  const Correction correction(network, pairs, options.seed);
  Columns columns;
  double shifts = 0;
  std::int64_t shifted = 0;
  data::TransitionBlock block;
  const auto reader = buffer.read();
  const auto width = buffer.width();
  while (reader->next(data::block_transitions(width), block)) {
    throw_if_stopped("correcting");
    std::vector<double> targets(block.rewards), uncorrected(block.rewards), biases(block.rewards.size(), 0);
    std::vector<std::int64_t> places;
    for (std::size_t i = 0; i < targets.size(); ++i) {
      if (block.terminated[i]) continue;
      if (block.has_next[i] && !block.reset[i]) {
        places.push_back(static_cast<std::int64_t>(i));
        continue;
      }
      ++(block.reset[i] ? totals.resets : totals.without_next);
      targets[i] = uncorrected[i] = biases[i] = std::numeric_limits<double>::quiet_NaN();
    }
    if (!places.empty()) {
      const auto next = torch::from_blob(block.next.data(), {block.count, width}, at::kDouble)
                            .index_select(0, torch::tensor(places, at::kLong));
      if (!next.isfinite().all().item<bool>())
        throw InputError(buffer.name() + ": a next observation of transitions " + std::to_string(block.first) + " to " +
                         std::to_string(block.first + block.count - 1) + " is not finite; expected numbers");
      const auto plain = best_values(network, next);
      const auto better = correction.values(next, plain, block.first, check).contiguous();
      for (std::size_t k = 0; k < places.size(); ++k) {
        const auto i = static_cast<std::size_t>(places[k]);
        if (!std::isfinite(plain.data_ptr<double>()[k]) || !std::isfinite(better.data_ptr<double>()[k]))
          throw InputError(network.name() + ": is not finite at the next observation of transition " +
                           std::to_string(block.first + places[k]) +
                           ", or near it, as far as errors of the store lead");
        uncorrected[i] += options.gamma * plain.data_ptr<double>()[k];
        targets[i] += options.gamma * better.data_ptr<double>()[k];
        biases[i] = uncorrected[i] - targets[i];
        shifts -= biases[i];
        ++shifted;
      }
    }
    columns.add(block.count, {targets.data(), uncorrected.data(), biases.data()});
    totals.transitions += block.count;
    reporter.progress("transitions", static_cast<std::uint64_t>(totals.transitions),
                      static_cast<std::uint64_t>(buffer.size()));
  }
  reporter.progress_done();
  totals.mean_shift = shifted > 0 ? shifts / static_cast<double>(shifted) : 0;
  columns.write(output);
  return totals;
}

}  // namespace ae::replay
