#include "fit/state_shares.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/parallel_tasks.hpp"
#include "base/random.hpp"
#include "base/text.hpp"
#include "evaluate/intervals.hpp"
#include "evaluate/rate_text.hpp"

namespace ae::fit {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr std::size_t kFewestRows = 20;  // of a state
constexpr double kNoError = std::numeric_limits<double>::quiet_NaN();

// --- bins ------------------------------------------------------------------------------------------------------------

// At most so many rows of each state place the edges, evenly taken.
constexpr std::size_t kRowsForEdges = 100'000;

std::vector<double> edges_of(const std::vector<data::ColvarSamples>& states, std::size_t variable, std::int64_t bins) {
  std::vector<std::pair<double, double>> weighted;  // value, and its weight: each state counts as much
  for (const auto& state : states) {
    const auto& cells = state.variables[variable];
    const std::size_t stride = cells.size() / kRowsForEdges + 1;
    const double weight = 1.0 / static_cast<double>((cells.size() + stride - 1) / stride);
    cells.for_each([&](std::size_t row, double value) {
      if (row % stride == 0) weighted.emplace_back(value, weight);
    });
  }
  std::sort(weighted.begin(), weighted.end());
  std::vector<double> edges;
  const double step = static_cast<double>(states.size()) / static_cast<double>(bins);
  double sum = 0, next = step;
  for (std::size_t i = 0; i + 1 < weighted.size(); ++i) {
    sum += weighted[i].second;
    const double edge = weighted[i + 1].first;
    if (sum < next || !(edge > weighted[i].first) || std::ssize(edges) == bins - 1) continue;
    edges.push_back(edge);
    next = step * (std::floor(sum / step) + 1);  // many rows of one value fill several bins at once
  }
  return edges;
}

// The smallest and the largest value of a variable.
using Ranges = std::vector<std::pair<double, double>>;

Ranges ranges_of(const std::vector<data::ColvarSamples>& runs) {
  Ranges all = runs.front().ranges;
  for (const auto& run : runs)
    for (std::size_t v = 0; v < all.size(); ++v)
      all[v] = {std::min(all[v].first, run.ranges[v].first), std::max(all[v].second, run.ranges[v].second)};
  return all;
}

// What a run has seen, by bins and blocks of time.
struct Seen {
  MatrixXd weights;  // [bins, blocks], of rows e^{(V - largest V) / kT}
  MatrixXd counts;   // [bins, blocks]
  double squares = 0;
  double outside = 0;  // weight of rows beyond the ranges

  double rows() const { return counts.sum(); }
};

// Piece by piece, so that memory does not grow with the rows.
Seen see(const data::ColvarSamples& run, const std::vector<std::vector<double>>& edges, const Ranges& ranges,
         const StateShareOptions& options, double largest_bias) {
  const auto rows = run.bias.size();
  const auto blocks = std::min<std::size_t>(static_cast<std::size_t>(options.blocks), rows);
  Index bins = 1;
  for (const auto& axis : edges) bins *= static_cast<Index>(axis.size()) + 1;
  Seen seen;
  seen.weights = seen.counts = MatrixXd::Zero(bins, static_cast<Index>(blocks));
  std::vector<std::vector<double>> buffers(edges.size());
  std::vector<double> bias_buffer;
  std::vector<std::span<const double>> values(edges.size());
  for (std::size_t piece = 0; run.bias.piece_begin(piece) < rows; ++piece) {
    const std::size_t begin = run.bias.piece_begin(piece);
    const auto biases = run.bias.piece(piece, bias_buffer);
    for (std::size_t v = 0; v < edges.size(); ++v) values[v] = run.variables[v].piece(piece, buffers[v]);
    for (std::size_t i = 0; i < biases.size(); ++i) {
      Index bin = 0;
      bool is_inside = true;
      for (std::size_t v = 0; v < edges.size(); ++v) {
        const double value = values[v][i];
        is_inside &= value >= ranges[v].first && value <= ranges[v].second;
        const auto place = std::upper_bound(edges[v].begin(), edges[v].end(), value) - edges[v].begin();
        bin = bin * (static_cast<Index>(edges[v].size()) + 1) + place;
      }
      const double weight = std::exp((biases[i] - largest_bias) / options.kt);
      const auto block = static_cast<Index>((begin + i) * blocks / rows);
      seen.weights(bin, block) += weight;
      seen.counts(bin, block) += 1;
      seen.squares += weight * weight;
      if (!is_inside) seen.outside += weight;
    }
  }
  return seen;
}

VectorXd resampled(const MatrixXd& by_block, Random& random) {
  VectorXd sum = VectorXd::Zero(by_block.rows());
  for (Index t = 0; t < by_block.cols(); ++t)
    sum += by_block.col(static_cast<Index>(random.below(static_cast<std::uint64_t>(by_block.cols()))));
  return sum;
}

// Of the first state itself 0, not -0.
double energy_of(double share, double first, double kt) { return -kt * std::log(share / first) + 0.0; }

std::string two_digits(double value) { return evaluate::rate_text(value, 2); }

// --- estimate --------------------------------------------------------------------------------------------------------

class Estimate {
 public:
  Estimate(const std::vector<data::ColvarSamples>& biased, const std::vector<data::ColvarSamples>& states,
           const std::vector<std::string>& names, const std::vector<std::string>& variables,
           const StateShareOptions& options, StateShares& result)
      : options_(options), result_(result), kinds_(states.size()) {
    for (const auto& state : states)
      if (state.bias.size() < kFewestRows)
        throw InputError(state.name + ": found " + counted(state.bias.size(), "rows") +
                         " of a state, expected at least " + std::to_string(kFewestRows));
    const auto ranges = ranges_of(states);
    for (std::size_t v = 0; v < ranges.size(); ++v) {
      result.edges.push_back(edges_of(states, v, options.bins));
      if (result.edges.back().empty())
        throw InputError("nearly all values of " + ae::quoted(variables[v]) +
                         " are the same in the runs of the states; expected a variable that tells them apart");
    }
    for (const auto& state : states) states_.push_back(see(state, result.edges, ranges, options, 0));
    double largest_bias = -std::numeric_limits<double>::infinity();
    for (const auto& run : biased) largest_bias = std::max(largest_bias, run.largest_bias);
    for (const auto& run : biased) biased_.push_back(see(run, result.edges, ranges, options, largest_bias));
    for (const auto& name : names) result.states.push_back({name, 0, {0, kNoError}, kNoError, kNoError, 0, 0});
  }

  void run() {
    MatrixXd in(states_.front().weights.rows(), static_cast<Index>(kinds_));
    for (std::size_t s = 0; s < kinds_; ++s)
      in.col(static_cast<Index>(s)) = normalised(states_[s].weights.rowwise().sum());
    VectorXd sum = VectorXd::Zero(in.rows());
    double weights = 0, squares = 0;
    for (const auto& run : biased_) {
      sum += run.weights.rowwise().sum();
      weights += run.weights.sum();
      squares += run.squares;
    }
    result_.effective_rows = weights * weights / squares;
    result_.observed_in = in;
    result_.observed = sum / weights;
    const VectorXd shares = mixture_shares(in, result_.observed * result_.effective_rows);
    if (!shares.allFinite())
      throw InputError(
          "no weight of the run lies where one of the states was seen; expected runs of the same variable");
    result_.fitted = in * shares;
    fill(shares);
    judge(in, sum);
    resample();
    conclude();
  }

 private:
  static VectorXd normalised(const VectorXd& sums) { return sums / sums.sum(); }

  void fill(const VectorXd& shares) {
    const auto most = most_likely();
    VectorXd assigned = VectorXd::Zero(shares.size());
    for (Index b = 0; b < result_.observed.size(); ++b)
      if (most[static_cast<std::size_t>(b)] >= 0) assigned[most[static_cast<std::size_t>(b)]] += result_.observed[b];
    double blocks = 0;
    VectorXd visited = VectorXd::Zero(shares.size());
    for (const auto& run : biased_) {
      blocks += static_cast<double>(run.counts.cols());
      MatrixXd rows = MatrixXd::Zero(shares.size(), run.counts.cols());
      for (Index b = 0; b < run.counts.rows(); ++b)
        if (most[static_cast<std::size_t>(b)] >= 0) rows.row(most[static_cast<std::size_t>(b)]) += run.counts.row(b);
      visited += (rows.array() > 0).cast<double>().rowwise().sum().matrix();
    }
    for (std::size_t s = 0; s < kinds_; ++s) {
      const auto at = static_cast<Index>(s);
      auto& state = result_.states[s];
      state.share = shares[at];
      state.energy.value = energy_of(shares[at], shares[0], options_.kt);
      state.assigned = energy_of(assigned[at], assigned[0], options_.kt);
      state.share_of_blocks = visited[at] / blocks;
    }
  }

  // Of each bin the state that observes it most often; -1 where none does.
  std::vector<Index> most_likely() const {
    std::vector<Index> most;
    for (Index b = 0; b < result_.observed_in.rows(); ++b) {
      Index state = 0;
      most.push_back(result_.observed_in.row(b).maxCoeff(&state) > 0 ? state : -1);
    }
    return most;
  }

  void judge(const MatrixXd& in, const VectorXd& sum) {
    for (Index s = 0; s < in.cols(); ++s)
      for (Index other = 0; other < s; ++other)
        result_.overlap = std::max(result_.overlap, in.col(s).cwiseMin(in.col(other)).sum());
    const double weights = sum.sum();
    Index used = 0;
    double unseen = 0, outside = 0;
    for (const auto& run : biased_) outside += run.outside / weights;
    for (Index b = 0; b < in.rows(); ++b) {
      if (!(in.row(b).maxCoeff() > 0)) {
        unseen += sum[b] / weights;
        continue;
      }
      // That of the run, and that of the states' own runs, which say what is to be expected.
      double variance = result_.fitted[b] * weights * weights / result_.effective_rows;
      double of_blocks = 0, of_states = 0;
      for (const auto& run : biased_) {
        const double mean = run.weights.row(b).mean();
        const auto blocks = static_cast<double>(run.weights.cols());
        if (blocks > 1) of_blocks += (run.weights.row(b).array() - mean).square().sum() * blocks / (blocks - 1);
      }
      for (std::size_t s = 0; s < kinds_; ++s) {
        const double share = result_.states[s].share * weights;
        of_states += share * share * variance_of(states_[s], b);
      }
      variance = std::max(variance, of_blocks) + of_states;
      if (!(variance > 0)) continue;
      const double difference = sum[b] - result_.fitted[b] * weights;
      result_.chi_squared += difference * difference / variance;
      ++used;
    }
    if (used > 0) result_.chi_squared /= static_cast<double>(used);
    result_.unexplained = std::max(unseen, outside);
  }

  // Of the probability of a bin in a state: by rows, or by blocks where that is more.
  static double variance_of(const Seen& state, Index bin) {
    const double rows = state.rows(), probability = state.counts.row(bin).sum() / rows;
    const auto blocks = static_cast<double>(state.counts.cols());
    double of_blocks = 0;
    if (blocks > 1) {
      const double mean = state.counts.row(bin).mean();
      of_blocks = (state.counts.row(bin).array() - mean).square().sum() * blocks / (blocks - 1) / (rows * rows);
    }
    return std::max(probability * (1 - probability) / rows, of_blocks);
  }

  void resample() {
    if (options_.bootstrap == 0) return;
    const auto count = static_cast<std::size_t>(options_.bootstrap);
    MatrixXd energies(static_cast<Index>(count), static_cast<Index>(kinds_));
    run_tasks(options_.bootstrap, task_threads(options_.threads, options_.bootstrap), "resampling",
              [&](std::int64_t task, int) {
                Random random(stream_key(options_.seed, "states", static_cast<std::uint64_t>(task)));
                MatrixXd in(result_.observed_in.rows(), static_cast<Index>(kinds_));
                for (std::size_t s = 0; s < kinds_; ++s)
                  in.col(static_cast<Index>(s)) = normalised(resampled(states_[s].weights, random));
                VectorXd sum = VectorXd::Zero(in.rows());
                for (const auto& run : biased_) sum += resampled(run.weights, random);
                const VectorXd shares = mixture_shares(in, sum * (result_.effective_rows / sum.sum()));
                for (Index s = 0; s < shares.size(); ++s)
                  energies(task, s) = energy_of(shares[s], shares[0], options_.kt);
              });
    for (std::size_t s = 0; s < kinds_; ++s) {
      auto& state = result_.states[s];
      std::vector<double> sorted;
      for (const double energy : energies.col(static_cast<Index>(s)))
        if (std::isfinite(energy)) sorted.push_back(energy);
      result_.failed_resamples = std::max(result_.failed_resamples, static_cast<std::int32_t>(count - sorted.size()));
      if (sorted.size() < 2) continue;
      std::sort(sorted.begin(), sorted.end());
      const Eigen::Map<const Eigen::ArrayXd> of(sorted.data(), static_cast<Index>(sorted.size()));
      const auto interval = evaluate::percentile_interval(sorted, options_.confidence);
      state.lower = interval.low, state.upper = interval.high;
      state.energy.standard_error = std::sqrt((of - of.mean()).square().sum() / static_cast<double>(of.size() - 1));
    }
  }

  void conclude() {
    constexpr double kResolvable = 0.4, kFewestBlocks = 0.3, kFewestEffective = 50, kLargestChiSquared = 2;
    constexpr double kUnexplained = 0.01, kFewestInTail = 20;
    auto& reasons = result_.reasons;
    if (result_.overlap > kResolvable)
      reasons.push_back("not resolvable: what is observed in two states overlaps by " + two_digits(result_.overlap) +
                        ", more than " + two_digits(kResolvable));
    double most = 0, most_rows = 0;  // of the most frequent state
    for (std::size_t s = 0; s < kinds_; ++s)
      if (result_.states[s].share > most) most = result_.states[s].share, most_rows = states_[s].rows();
    for (const auto& state : result_.states) {
      const bool found = state.share * result_.effective_rows >= 1;
      if (!found) reasons.push_back("state " + ae::quoted(state.name) + " was not found");
      // The tail of a frequent state is known by the rows that its run has there.
      if (found && state.share * most_rows < kFewestInTail)
        reasons.push_back("the run of the most frequent state has " + number_text(most_rows) +
                          " rows, too few to tell its tail from a share of " + evaluate::rate_text(state.share) +
                          " of state " + ae::quoted(state.name));
      if (state.share_of_blocks < kFewestBlocks)
        reasons.push_back("state " + ae::quoted(state.name) + " was visited in " +
                          evaluate::percent_text(state.share_of_blocks, 0) + " of the blocks only");
      if (state.energy.standard_error > options_.kt)
        reasons.push_back("the standard error of state " + ae::quoted(state.name) + ", " +
                          two_digits(state.energy.standard_error) + ", is more than kT");
    }
    if (result_.effective_rows < kFewestEffective)
      reasons.push_back("the weights are those of " + two_digits(result_.effective_rows) + " rows, fewer than " +
                        two_digits(kFewestEffective));
    if (result_.chi_squared > kLargestChiSquared)
      result_.warnings.push_back("chi^2 per bin is " + two_digits(result_.chi_squared) +
                                 ": no shares of these states give what was observed; there is another state, or the "
                                 "runs of states are not what is observed there, as where a model was trained on them");
    if (result_.unexplained > kUnexplained)
      result_.warnings.push_back(evaluate::percent_text(result_.unexplained, 1) +
                                 " of the weight lies where no state's run has been: there is another state");
    if (result_.failed_resamples > 0)
      result_.warnings.push_back(counted(result_.failed_resamples, "resamples") + " had no answer");
    result_.within_error = options_.bootstrap > 0;
    for (const auto& state : result_.states)
      result_.within_error &= std::abs(state.energy.value - state.assigned) <= state.energy.standard_error;
    result_.converged = reasons.empty();
    if (!result_.converged) result_.warnings.push_back("not converged: " + join(reasons, "; "));
  }

  const StateShareOptions& options_;
  StateShares& result_;
  std::size_t kinds_;
  std::vector<Seen> states_, biased_;
};

}  // namespace

VectorXd mixture_shares(const MatrixXd& observed_in, const VectorXd& counts) {
  constexpr int kMostSteps = 20'000;
  constexpr double kTolerance = 1e-12;
  const auto states = observed_in.cols();
  VectorXd shares = VectorXd::Constant(states, 1.0 / static_cast<double>(states));
  for (int step = 0; step < kMostSteps; ++step) {
    const VectorXd fitted = observed_in * shares;
    const VectorXd ratio = (fitted.array() > 0).select(counts.array() / fitted.array().max(1e-300), 0.0);
    VectorXd next = shares.cwiseProduct(observed_in.transpose() * ratio);
    if (!(next.sum() > 0)) return VectorXd::Constant(states, kNoError);
    next /= next.sum();
    const double change = (next - shares).cwiseAbs().maxCoeff();
    shares = next;
    if (change < kTolerance) break;
  }
  return shares;
}

StateShares estimate_state_shares(const std::vector<data::ColvarSamples>& biased,
                                  const std::vector<data::ColvarSamples>& states, const std::vector<std::string>& names,
                                  const std::vector<std::string>& variables, const StateShareOptions& options,
                                  Reporter& reporter) {
  StateShares result;
  Estimate(biased, states, names, variables, options, result).run();
  for (const auto& warning : result.warnings) reporter.warning(warning);
  return result;
}

}  // namespace ae::fit
