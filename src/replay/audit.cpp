#include "replay/audit.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"
#include "model/threads.hpp"

namespace ae::replay {
namespace {

// Directions whose curvatures add up to tr(H M): the columns of a root of M.
std::vector<at::Tensor> root_of(const at::Tensor& second) {
  const auto [values, vectors] = at::linalg_eigh(second);
  std::vector<at::Tensor> directions;
  for (std::int64_t k = 0; k < values.size(0); ++k) {
    const double value = values[k].item<double>();
    if (value > 0) directions.push_back((vectors.select(1, k) * std::sqrt(value)).unsqueeze(0));
  }
  return directions;
}

// The mean of numbers of which all are much alike, and what they vary by (Welford 1962, Technometrics 4, 419).
struct Spread {
  double count = 0, mean = 0, squares = 0;
  // Returns by how much the new one differs from the mean of those before it.
  double add(double value) {
    const double off = value - mean;
    mean += off / ++count;
    squares += off * (value - mean);
    return off;
  }
};

// Sums over the transitions that bootstrap; others have a bias of 0.
class Totals {
 public:
  explicit Totals(std::int64_t width) : gradient_(at::zeros({width}, at::kDouble)) {}

  // `value`: the best one at the original, from which the bias is a difference.
  void add(const AuditedTransition& t, double value, double along_error, double half_second) {
    ++count_;
    const double predicted = t.predicted();
    measured_ += t.measured, measured2_ += t.measured * t.measured;
    predicted_ += predicted;
    values2_ += value * value;
    const double off = predicted_spread_.add(predicted);
    measured_spread_.add(t.measured);
    product_ += off * (t.measured - measured_spread_.mean);
    largest_ = std::max(largest_, std::abs(t.measured));
    along_error_ += along_error;
    half_second_ += half_second;
    hessian_ += t.hessian, hessian2_ += t.hessian * t.hessian;
    kink_ += t.kink;
    remainder_ += t.remainder, remainder2_ += t.remainder * t.remainder;
    changes_ += t.action != t.action_stored;
  }
  void add_gradients(const at::Tensor& gradients) { gradient_ += gradients.sum(0); }

  void finish(Audit& audit, bool drawn) const {
    const auto all = static_cast<double>(audit.transitions), count = static_cast<double>(count_);
    audit.mean_bias = measured_ / all;
    audit.rms_bias = std::sqrt(measured2_ / all);
    audit.mean_bias_se = std::sqrt(std::max(0.0, measured2_ / all - audit.mean_bias * audit.mean_bias) / all);
    audit.largest_bias = largest_;
    audit.predicted_bias = predicted_ / all;
    audit.correlation = std::numeric_limits<double>::quiet_NaN();
    // Biases are differences of values, of whose rounding a correlation says nothing.
    const double rounding = 1e-13 * std::sqrt(values2_), x = std::sqrt(predicted_spread_.squares),
                 y = std::sqrt(measured_spread_.squares);
    if (std::min(x, y) > rounding) audit.correlation = std::clamp(product_ / x / y, -1.0, 1.0);
    audit.action_changes = static_cast<double>(changes_) / count;
    auto& parts = audit.parts;
    parts.gradient = gradient_.dot(audit.moments.mean).item<double>() / all;
    parts.gradient_covariance = along_error_ / all - parts.gradient;
    parts.hessian = hessian_ / all;
    parts.hessian_covariance = half_second_ / all - parts.hessian;
    parts.kink = kink_ / all;
    parts.remainder = remainder_ / all;
    audit.remainder_rms = std::sqrt(remainder2_ / all);
    audit.usual_formula = parts.gradient + parts.hessian;
    const double mean = hessian_ / count;
    audit.usual_formula_se =
        drawn ? std::sqrt(std::max(0.0, hessian2_ / count - mean * mean) / count) * count / all : 0;
    const double negligible = 1e-12 * std::sqrt(values2_ / all);
    audit.valid = audit.remainder_rms <= kMostRemainder * audit.rms_bias + negligible;
  }

 private:
  at::Tensor gradient_;
  std::int64_t count_ = 0, changes_ = 0;
  double measured_ = 0, measured2_ = 0, predicted_ = 0, values2_ = 0, largest_ = 0;
  Spread measured_spread_, predicted_spread_;
  double product_ = 0;  // of what both differ from their means
  double along_error_ = 0, half_second_ = 0, hessian_ = 0, hessian2_ = 0;
  double kink_ = 0, remainder_ = 0, remainder2_ = 0;
};

// Rows that one thread takes at once.
std::int64_t piece_of(std::int64_t width) {
  constexpr std::int64_t kPiece = 512;
  return std::min(kPiece, data::block_transitions(width));
}

// What the errors of the observations themselves do, and the difference of TD errors.
struct InputErrors {
  std::int64_t count = 0;
  double sum = 0, squares = 0, td_squares = 0;

  void add(const value::QNetwork& network, const PairBlock& block, const std::vector<double>& biases) {
    if (!block.original.defined()) return;
    const auto original = all_values(network, block.original), stored = all_values(network, block.stored);
    const auto greedy = original.argmax(1);
    const auto actions = original.size(1);
    for (std::int64_t i = 0; i < block.count; ++i) {
      const auto at = static_cast<std::size_t>(i);
      if (block.left_out[at] || (!block.terminated[at] && !block.has_next[at])) continue;
      auto action = greedy.data_ptr<std::int64_t>()[i];
      if (std::ssize(block.actions) == block.count && actions > 1) {
        const double taken = block.actions[at];
        if (taken == std::floor(taken) && taken >= 0 && taken < static_cast<double>(actions))
          action = static_cast<std::int64_t>(taken);
      }
      const auto place = i * actions + action;
      const double error = stored.data_ptr<double>()[place] - original.data_ptr<double>()[place];
      ++count;
      sum += error;
      squares += error * error;
      td_squares += (biases[at] - error) * (biases[at] - error);
    }
  }

  void finish(Audit& audit) const {
    const double all = count > 0 ? static_cast<double>(count) : std::numeric_limits<double>::quiet_NaN();
    audit.input_mean = sum / all;
    audit.input_rms = std::sqrt(squares / all);
    audit.td_rms = std::sqrt(td_squares / all);
  }
};

class Auditor {
 public:
  Auditor(const value::QNetwork& network, const AuditOptions& options, const PairMoments& moments)
      : network_(network), options_(options), moments_(moments), totals_(moments.mean.size(0)) {
    if (moments.second.defined()) root_ = root_of(moments.second);
  }

  bool drawn() const { return !moments_.second.defined(); }

  void block(const PairBlock& block, const std::function<void(const AuditedTransition&)>& visit) {
    const auto places = bootstrapping(block);
    std::vector<AuditedTransition> rows(static_cast<std::size_t>(block.count));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      rows[i].number = block.first + static_cast<std::int64_t>(i);
      rows[i].terminated = block.terminated[i] != 0;
      rows[i].action = rows[i].action_stored = -1;
    }
    if (places.numel() > 0) expand_rows(block, places, rows);
    std::vector<double> biases;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      biases.push_back(rows[i].measured);
      if (block.left_out[i] || (!block.terminated[i] && !block.has_next[i])) continue;
      ++audited_;
      visit(rows[i]);
    }
    inputs_.add(network_, block, biases);
  }

  void finish(Audit& audit) const {
    audit.transitions = audited_;
    totals_.finish(audit, drawn());
    inputs_.finish(audit);
  }

 private:
  std::vector<at::Tensor> directions(std::int64_t first, std::int64_t count) const {
    if (!drawn()) return root_;
    const auto& sample = moments_.sample;
    std::vector<std::int64_t> chosen;
    for (std::int64_t i = 0; i < count; ++i)
      chosen.push_back(static_cast<std::int64_t>(
          Random(stream_key(options_.seed, "another's error", static_cast<std::uint64_t>(first + i)))
              .below(static_cast<std::uint64_t>(sample.size()))));
    const auto at = torch::tensor(chosen, at::kLong);
    return {sample.stored.index_select(0, at) - sample.original.index_select(0, at)};
  }

  void expand_rows(const PairBlock& block, const at::Tensor& places, std::vector<AuditedTransition>& rows) {
    const auto original = block.next_original.index_select(0, places),
               stored = block.next_stored.index_select(0, places);
    const auto along_which = directions(block.first, places.numel());
    const auto found = expand_all(original, stored - original, along_which);
    const auto at_stored = all_values(network_, stored);
    const auto gather = [&](const at::Tensor& values) {
      return values.gather(1, found.greedy.unsqueeze(1)).squeeze(1);
    };
    const double gamma = options_.gamma;
    const auto best = gather(found.values), along = gamma * gather(found.first),
               half = gamma / 2 * gather(found.second);
    const auto measured = gamma * (std::get<0>(at_stored.max(1)) - best);
    const auto expanded = std::get<0>((found.values + found.first + found.second / 2).max(1));
    const auto kink = gamma * (expanded - best) - along - half;
    const auto mean = gamma * found.gradient.mv(moments_.mean), curvature = gamma / 2 * found.curvature;
    const auto action_stored = at_stored.argmax(1);
    totals_.add_gradients(gamma * found.gradient);
    const auto value = [](const at::Tensor& of, std::int64_t k) { return of.data_ptr<double>()[k]; };
    for (std::int64_t k = 0; k < places.numel(); ++k) {
      auto& row = rows[static_cast<std::size_t>(places.data_ptr<std::int64_t>()[k])];
      row.measured = value(measured, k);
      if (!std::isfinite(row.measured) || !std::isfinite(value(expanded, k)))
        throw InputError(network_.name() + ": is not finite at the next observation of transition " +
                         std::to_string(row.number) + ", or its derivatives are not");
      row.gradient = value(mean, k);
      row.hessian = value(curvature, k);
      row.kink = value(kink, k);
      row.covariance = value(along, k) - row.gradient + value(half, k) - row.hessian;
      row.remainder = row.measured - row.predicted();
      row.action = found.greedy.data_ptr<std::int64_t>()[k];
      row.action_stored = action_stored.data_ptr<std::int64_t>()[k];
      totals_.add(row, value(best, k), value(along, k), value(half, k));
    }
  }

  value::Expansion expand_all(const at::Tensor& original, const at::Tensor& errors,
                              const std::vector<at::Tensor>& along_which) const {
    const auto count = original.size(0), piece = piece_of(original.size(1));
    std::vector<value::Expansion> pieces(static_cast<std::size_t>((count + piece - 1) / piece));
    model::share_out(count, piece, [&](std::int64_t begin, std::int64_t end) {
      const auto rows = [&](const at::Tensor& all) {
        return all.size(0) == count ? all.narrow(0, begin, end - begin) : all;
      };
      std::vector<at::Tensor> own;
      for (const auto& direction : along_which) own.push_back(rows(direction));
      pieces[static_cast<std::size_t>(begin / piece)] = value::expand(network_, rows(original), rows(errors), own);
    });
    const auto together = [&](at::Tensor value::Expansion::*part) {
      std::vector<at::Tensor> parts;
      for (const auto& one : pieces) parts.push_back(one.*part);
      return torch::cat(parts);
    };
    return {together(&value::Expansion::values),   together(&value::Expansion::greedy),
            together(&value::Expansion::gradient), together(&value::Expansion::first),
            together(&value::Expansion::second),   together(&value::Expansion::curvature)};
  }

  const value::QNetwork& network_;
  const AuditOptions& options_;
  const PairMoments& moments_;
  std::vector<at::Tensor> root_;
  Totals totals_;
  InputErrors inputs_;
  std::int64_t audited_ = 0;
};

}  // namespace

Audit audit(const data::Transitions& original, const data::Transitions& stored, const value::QNetwork& network,
            const AuditOptions& options, const std::function<void(const AuditedTransition&)>& visit,
            Reporter& reporter) {
  Audit found;
  found.moments = moments_of(original, stored, options.most_pairs, options.seed, reporter);
  if (found.moments.bootstrapping == 0)
    throw InputError(original.name() +
                     ": no transition has a next observation that a target would use; expected some that do not "
                     "terminate, in both files");
  Auditor auditor(network, options, found.moments);
  for_each_pair(original, stored, reporter, [&](const PairBlock& block) { auditor.block(block, visit); });
  auditor.finish(found);
  auto& check = found.correction;
  try {
    check = check_correction(network, found.moments.sample, options.seed);
  } catch (const InputError& error) {  // what was measured is finite: see expand_rows()
    reporter.warning("a correction cannot be tried: " + error.lines().front());
  }
  for (auto* value : {&check.mean_before, &check.mean_after, &check.rms_before, &check.rms_after, &check.seen_before,
                      &check.seen_after})
    *value *= options.gamma;
  found.moments.sample = {};
  return found;
}

double remainder_share(const value::QNetwork& network, const PairSample& sample) {
  double remainders = 0, biases = 0;
  const auto rows = piece_of(sample.original.size(1));
  for (std::int64_t begin = 0; begin < sample.size(); begin += rows) {
    const auto count = std::min(rows, sample.size() - begin);
    const auto original = sample.original.narrow(0, begin, count), stored = sample.stored.narrow(0, begin, count);
    const auto found = value::expand(network, original, stored - original, {});
    const auto best = std::get<0>(found.values.max(1));
    const auto bias = best_values(network, stored) - best;
    const auto expanded = std::get<0>((found.values + found.first + found.second / 2).max(1)) - best;
    biases += bias.square().sum().item<double>();
    remainders += (bias - expanded).square().sum().item<double>();
  }
  return biases == 0 ? 0 : std::sqrt(remainders / biases);
}

at::Tensor example_observations(const data::Transitions& transitions) {
  constexpr std::int64_t kExamples = 64;
  const auto reader = transitions.read();
  data::TransitionBlock block;
  reader->next(kExamples, block);
  const auto& rows = transitions.has_observations() ? block.observations : block.next;
  auto examples = at::empty({block.count, transitions.width()}, at::kDouble);
  std::copy_n(rows.begin(), examples.numel(), examples.data_ptr<double>());
  if (!examples.isfinite().all().item<bool>())
    throw InputError(transitions.name() + ": an observation is not finite; expected numbers");
  return examples;
}

}  // namespace ae::replay
