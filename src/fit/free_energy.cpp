#include "fit/free_energy.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/parallel_tasks.hpp"
#include "base/random.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "evaluate/rate_text.hpp"

namespace ae::fit {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr int kPenaltyFolds = 10;
constexpr double kShallowest = 1;  // kT: basins that are less deep are none of their own

// Penalties that are tried, rising: per unit of the squared curvature over an axis of length 1, two a decade. At the
// first nothing is smoothed, at the last the free energy is a straight line.
std::vector<double> penalty_range() {
  std::vector<double> all;
  for (int half_decades = -20; half_decades <= 4; ++half_decades) all.push_back(std::pow(10, half_decades / 2.0));
  return all;
}

std::vector<Observed> observe(const std::vector<Window>& windows, const std::vector<std::vector<std::int32_t>>& times,
                              const Eigen::Array<bool, Eigen::Dynamic, 1>& reached) {
  std::vector<Observed> all;
  for (std::size_t k = 0; k < windows.size(); ++k) {
    all.push_back(windows[k].observed(times.empty() ? std::span<const std::int32_t>() : times[k]));
    all.back().counts = reached.select(all.back().counts, 0.0);
    all.back().exposure = reached.select(all.back().exposure, 0.0);
  }
  return all;
}

// Blocks that belong to a fold of held-out ones, or all others.
std::vector<std::vector<std::int32_t>> fold_blocks(const std::vector<Window>& windows, int fold, bool held_out) {
  std::vector<std::vector<std::int32_t>> times;
  for (const auto& window : windows) {
    times.emplace_back();
    for (std::int32_t t = 0; t < window.blocks(); ++t) times.back().push_back((t % kPenaltyFolds == fold) == held_out);
  }
  return times;
}

std::vector<std::vector<std::int32_t>> resampled_blocks(const std::vector<Window>& windows, std::uint64_t key) {
  std::vector<std::vector<std::int32_t>> times;
  for (std::size_t k = 0; k < windows.size(); ++k) {
    Random random(stream_key(key, "blocks", k));
    times.emplace_back(static_cast<std::size_t>(windows[k].blocks()), 0);
    for (std::int32_t t = 0; t < windows[k].blocks(); ++t)
      ++times.back()[random.below(static_cast<std::uint64_t>(windows[k].blocks()))];
  }
  return times;
}

std::vector<std::vector<std::int32_t>> half_blocks(const std::vector<Window>& windows, bool second) {
  std::vector<std::vector<std::int32_t>> times;
  for (const auto& window : windows) {
    times.emplace_back();
    for (std::int32_t t = 0; t < window.blocks(); ++t) times.back().push_back((2 * t >= window.blocks()) == second);
  }
  return times;
}

VectorXd energies_of(const VectorXd& probabilities, double cell, double kt) {
  return -kt * (probabilities.array() / cell).log();
}

// At the centres of bins: there a density differs from its mean over the bin by a 24th of its second difference.
VectorXd central_energies(const Grid& grid, const VectorXd& probabilities, double kt) {
  VectorXd energies = energies_of(probabilities, grid.cell(), kt);
  for (Index b = 0; b < grid.bins(); ++b) {
    const auto neighbours = grid.neighbours(b);
    if (neighbours.size() < 2 * grid.axes.size()) continue;
    double second = 0;
    for (const Index other : neighbours) second += probabilities[other] / probabilities[b] - 1;
    energies[b] -= kt * std::log1p(std::clamp(-second / 24, -0.5, 0.5));
  }
  return energies;
}

// Masses of the bins of `inner`, which are those of `grid` cut into steps, by bins of `grid`.
VectorXd by_bins(const VectorXd& inner_masses, const Grid& inner, const Grid& grid) {
  if (inner.bins() == grid.bins()) return inner_masses;
  const Index first = inner.axes[0].bins / grid.axes[0].bins;
  const Index last = inner.axes.back().bins / grid.axes.back().bins;
  VectorXd sums = VectorXd::Zero(grid.bins());
  for (Index b = 0; b < inner_masses.size(); ++b) {
    const auto [i, j] = inner.place(b);
    sums[grid.axes.size() == 1 ? i / first : i / first * grid.axes[1].bins + j / last] += inner_masses[b];
  }
  return sums;
}

// The rest of what is estimated of a density: on which bins, and how.
struct Questions {
  std::optional<std::pair<Index, Index>> barrier;  // saddle, minimum
  Eigen::Array<bool, Eigen::Dynamic, 1> right;     // for delta F; empty = not asked
  Eigen::Array<bool, Eigen::Dynamic, 1> left;
  std::vector<std::int32_t> of_bin;
  std::size_t states = 0;
};

struct Observables {
  VectorXd energies;
  double barrier = kNan, delta_f = kNan;
  std::vector<double> states;
};

double barrier_of(const std::pair<Index, Index>& barrier, const VectorXd& probabilities, const Grid& inner, double kt) {
  const VectorXd energies = central_energies(inner, probabilities, kt);
  return energies[barrier.first] - energies[barrier.second];
}

Observables answer(const Questions& questions, const VectorXd& probabilities, const Grid& inner, const Grid& grid,
                   double kt) {
  Observables a;
  // Bins that are cut are wide: their density's mean says more than a guess of what it is at their centres.
  a.energies = inner.bins() == grid.bins() ? central_energies(grid, probabilities, kt)
                                           : energies_of(by_bins(probabilities, inner, grid), grid.cell(), kt);
  if (questions.barrier) a.barrier = barrier_of(*questions.barrier, probabilities, inner, kt);
  if (questions.right.size() > 0) {
    const double right = questions.right.select(probabilities.array(), 0.0).sum();
    const double left = questions.left.select(probabilities.array(), 0.0).sum();
    a.delta_f = -kt * std::log(right / left);
  }
  a.states = state_energies(questions.of_bin, questions.states, probabilities, kt);
  const double lowest = a.states.empty() ? 0 : *std::min_element(a.states.begin(), a.states.end());
  for (auto& state : a.states) state -= lowest;
  return a;
}

class Estimation {
 public:
  Estimation(const std::vector<data::ColvarSamples>& files, const BlurSource& source, FileRole role,
             const FreeEnergyOptions& options, Reporter& reporter, FreeEnergy& result)
      : files_(files),
        source_(source),
        options_(options),
        reporter_(reporter),
        result_(result),
        role_{options.kt, options.blocks, role} {}

  void run() {
    result_.windows = make_windows(files_, result_.observed_grid, role_);
    result_.blur = source_.blur();
    find_reached();
    const Deconvolution deconvolution(result_.inner, result_.blur);
    const auto all = observe(result_.windows, {}, reached_);
    as_it_is_ = unblurred(all);
    if (!as_it_is_.converged) result_.reasons.emplace_back("the free energies of windows did not converge");
    choose(deconvolution);
    density_ = solve(deconvolution, all, nullptr, 1e-8);
    if (!density_.converged) result_.reasons.emplace_back("the deconvolution did not reach its maximum of likelihood");
    ask();
    fill_energies(all);
    judge_fit(all);
    compare(deconvolution, all);
    judge_blur(all);
    resample(all);
    judge_sampling();
    conclude();
  }

 private:
  bool of_richardson_and_lucy() const { return options_.method == DeconvolutionMethod::richardson_lucy; }

  void find_reached() {
    const VectorXd most = result_.blur * VectorXd::Ones(result_.blur.cols());
    reached_ = most.array() > 1e-12;
    for (const auto& window : result_.windows)
      result_.beyond += static_cast<std::int64_t>(reached_.select(0.0, window.counts.rowwise().sum().array()).sum());
    double rows = 0;
    for (const auto& window : result_.windows) rows += static_cast<double>(window.rows);
    if (result_.beyond == static_cast<std::int64_t>(rows))
      throw InputError(
          "no row lies where the blur can bring one; expected pairs, or a kernel, of the same observed "
          "variable as --cv");
  }

  Density solve(const Deconvolution& deconvolution, const std::vector<Observed>& windows, const VectorXd* start,
                double tolerance, const Deconvolution::Factors* near = nullptr) const {
    if (!of_richardson_and_lucy()) return deconvolution.fit(windows, result_.penalty, start, tolerance, near);
    RichardsonLucy iteration(deconvolution.blur(), windows, &as_it_is_.f);
    for (std::int64_t i = 0; i < iterations_; ++i) iteration.step();
    Density density;
    density.u = (iteration.probabilities().array().max(1e-300)).log();
    density.converged = true;
    return density;
  }

  // By the likelihood of blocks of time that were held out.
  void choose(const Deconvolution& deconvolution) {
    choose_iterations(deconvolution);
    result_.penalty = options_.penalty.value_or(0);
    if (options_.penalty || of_richardson_and_lucy()) return;
    std::vector<std::vector<Observed>> learned, held_out;
    for (int fold = 0; fold < kPenaltyFolds; ++fold) {
      learned.push_back(observe(result_.windows, fold_blocks(result_.windows, fold, false), reached_));
      held_out.push_back(observe(result_.windows, fold_blocks(result_.windows, fold, true), reached_));
    }
    constexpr double kShare = 1 - 1.0 / kPenaltyFolds;  // so that all data get the penalty as it is
    constexpr double kWorse = 1;                        // below that, nothing better comes where less is smoothed
    const auto range = penalty_range();
    const std::size_t stride = result_.grid.axes.size() > 1 ? 2 : 1;  // a decade, where fits take longer
    std::vector<VectorXd> starts(kPenaltyFolds);
    std::vector<double> penalties;            // falling
    std::vector<Eigen::ArrayXd> likelihoods;  // [penalties][folds]
    double best = -std::numeric_limits<double>::infinity();
    int worse = 0;
    // A fold may get worse for a while before it gets better, as where it has a state that others lack: all go on.
    for (std::size_t p = 0; p < range.size() && worse < 4; p += stride) {
      penalties.push_back(range[range.size() - 1 - p]);
      likelihoods.emplace_back(kPenaltyFolds);
      run_tasks(kPenaltyFolds, task_threads(options_.threads, kPenaltyFolds), "choosing the penalty",
                [&](std::int64_t fold, int) {
                  const auto f = static_cast<std::size_t>(fold);
                  const auto density = deconvolution.fit(learned[f], penalties.back() * kShare,
                                                         starts[f].size() > 0 ? &starts[f] : nullptr, 1e-3);
                  starts[f] = density.u;
                  likelihoods.back()[fold] =
                      log_likelihood(held_out[f], deconvolution.blur() * density.probabilities());
                });
      const double sum = likelihoods.back().sum();
      worse = sum >= best - kWorse ? 0 : worse + 1;
      if (sum > best) best = sum;
      reporter_.progress("penalties", penalties.size(), (range.size() + stride - 1) / stride);
    }
    reporter_.progress_done();
    result_.penalty = penalties[chosen_of(likelihoods)];
    for (std::size_t p = penalties.size(); p-- > 0;) {
      result_.penalties.push_back(penalties[p]);
      result_.held_out.push_back(likelihoods[p].sum());
    }
  }

  // Which of the falling penalties. Where rows have like weights, the largest one whose held-out likelihood is not
  // worse than the best by more than two standard errors of the difference (after Breiman et al. 1984) and six units:
  // what the blur has taken away changes the likelihood little, and the density much, and slow modes make the error
  // large. Where weights of rows differ, effective counts understate what is known of barriers, whose rows weigh
  // little; then the best, or one like it.
  std::size_t chosen_of(const std::vector<Eigen::ArrayXd>& likelihoods) const {
    constexpr double kLikeBest = 2, kMostLost = 6;
    std::size_t best = 0;
    for (std::size_t p = 1; p < likelihoods.size(); ++p)
      if (likelihoods[p].sum() > likelihoods[best].sum()) best = p;
    if (std::any_of(result_.windows.begin(), result_.windows.end(),
                    [](const Window& window) { return window.reweighting == Reweighting::weights; })) {
      // Towards small penalties the likelihood is flat and its maximum chance: the first one from above that is none
      // to reject.
      constexpr double kAlike = 1;
      for (std::size_t p = 0; p < best; ++p)
        if (likelihoods[p].sum() >= likelihoods[best].sum() - kAlike &&
            likelihoods[p + 1].sum() <= likelihoods[p].sum())
          return p;
      return best;
    }
    for (std::size_t p = 0; p < best; ++p) {
      const Eigen::ArrayXd loss = likelihoods[best] - likelihoods[p];
      const double mean = loss.mean(), folds = static_cast<double>(kPenaltyFolds);
      const double error = std::sqrt((loss - mean).square().sum() / (folds * (folds - 1)));
      if (mean <= kLikeBest * error && loss.sum() <= kMostLost) return p;
    }
    return best;
  }

  void choose_iterations(const Deconvolution& deconvolution) {
    const std::int64_t most = result_.grid.axes.size() > 1 ? 200 : 2000;
    if (options_.iterations) {
      iterations_ = *options_.iterations;
      return;
    }
    // Folds side by side; after the one that gets worse first, no iteration is the best one of all.
    constexpr double kWorse = 20;
    constexpr std::int64_t kFewest = 100, kBetweenLooks = 64;
    std::vector<std::vector<Observed>> learned, held_out;
    for (int fold = 0; fold < kPenaltyFolds; ++fold) {
      learned.push_back(observe(result_.windows, fold_blocks(result_.windows, fold, false), reached_));
      held_out.push_back(observe(result_.windows, fold_blocks(result_.windows, fold, true), reached_));
    }
    RichardsonLucy iteration(deconvolution.blur(), learned, &as_it_is_.f);
    const HeldOutLikelihood likelihood(held_out, iteration.lanes());
    VectorXd best_of_folds = VectorXd::Constant(kPenaltyFolds, -std::numeric_limits<double>::infinity());
    double best = -std::numeric_limits<double>::infinity();
    for (std::int64_t i = 1; i <= most; ++i) {
      if (i % kBetweenLooks == 0) throw_if_stopped("choosing the iterations");
      iteration.step();
      const VectorXd of_folds = likelihood(iteration.all_observed());
      if (of_folds.sum() > best) {
        best = of_folds.sum();
        iterations_ = i;
      }
      best_of_folds = best_of_folds.cwiseMax(of_folds);
      if (i > kFewest + 1 && (of_folds.array() < best_of_folds.array() - kWorse).any()) break;
    }
  }

  // Where the density says something: the rows in the reach of a bin are at least one.
  Eigen::Array<bool, Eigen::Dynamic, 1> supported() const {
    VectorXd rows = VectorXd::Zero(result_.blur.rows());
    for (const auto& window : result_.windows) rows += window.counts.rowwise().sum();
    Eigen::Array<bool, Eigen::Dynamic, 1> found(result_.blur.cols());
    for (Index j = 0; j < result_.blur.outerSize(); ++j) {
      double sum = 0, squares = 0, seen = 0;
      for (Blur::InnerIterator entry(result_.blur, j); entry; ++entry) {
        sum += entry.value();
        squares += entry.value() * entry.value();
        seen += entry.value() * rows[entry.row()];
      }
      found[j] = squares > 0 && seen * sum / squares >= 1;
    }
    return found;
  }

  // States, and what is asked of them.
  void ask() {
    const auto& grid = result_.inner;
    const VectorXd p = density_.probabilities();
    const VectorXd f = central_energies(grid, p, options_.kt);
    inner_supported_ = supported();
    supported_ = by_bins(inner_supported_.cast<double>().matrix(), grid, result_.grid).array() > 0;
    auto found = find_states(grid, f, kShallowest * options_.kt);
    label_observed(found);
    const double fewest = std::max(5.0, 0.001 * visits_rows_.sum());
    for (std::size_t s = 0; s < found.states.size(); ++s) {
      const auto& state = found.states[s];
      if (s > 0 && !(visits_rows_.row(static_cast<Index>(s)).sum() >= fewest)) continue;
      const auto [i, j] = grid.place(state.minimum);
      StateEnergy energy;
      energy.at.push_back(grid.axes[0].centre(i));
      if (grid.axes.size() > 1) energy.at.push_back(grid.axes[1].centre(j));
      energy.persistence = state.persistence;
      energy.rows = visits_rows_.row(static_cast<Index>(s)).sum();
      energy.share_of_blocks = (visits_rows_.row(static_cast<Index>(s)).array() > 0).cast<double>().mean();
      kept_.push_back(s);
      result_.states.push_back(energy);
    }
    std::vector<std::int32_t> number(found.states.size(), -1);
    for (std::size_t k = 0; k < kept_.size(); ++k) number[kept_[k]] = static_cast<std::int32_t>(k);
    for (auto& of : found.of_bin) of = of < 0 ? -1 : number[static_cast<std::size_t>(of)];
    questions_.of_bin = found.of_bin;
    questions_.states = kept_.size();
    if (kept_.size() > 1) {
      // Over states on the way that are none to tell; each saddle on it is higher than those before.
      std::size_t on = kept_[1];
      Index saddle = found.states[on].saddle;
      while (number[on = found.states[on].into] < 0) saddle = found.states[on].saddle;
      questions_.barrier = {saddle, found.states[0].minimum};
    }
    if (grid.axes.size() == 1 && !(grid.axes[0].periodic && !options_.split)) {
      if (options_.split)
        result_.split = options_.split;
      else if (questions_.barrier)
        result_.split = grid.axes[0].centre(questions_.barrier->first);
      if (!result_.split) return;
      questions_.right.resize(grid.bins());
      for (Index b = 0; b < grid.bins(); ++b) questions_.right[b] = grid.axes[0].centre(b) > *result_.split;
      questions_.left = !questions_.right;
    } else if (kept_.size() > 1) {
      // The further one along the first axis is the right one.
      const bool second = result_.states[1].at > result_.states[0].at;
      questions_.right.resize(grid.bins());
      questions_.left.resize(grid.bins());
      for (Index b = 0; b < grid.bins(); ++b) {
        questions_.right[b] = found.of_bin[static_cast<std::size_t>(b)] == (second ? 1 : 0);
        questions_.left[b] = found.of_bin[static_cast<std::size_t>(b)] == (second ? 0 : 1);
      }
    }
  }

  // Observed bins whose rows are of one state, as far as can be told; and how rows go from one to another.
  void label_observed(const States& found) {
    constexpr double kSure = 0.9;
    const auto labels = static_cast<Index>(found.states.size());
    MatrixXd shares = MatrixXd::Zero(result_.blur.rows(), labels);
    const VectorXd p = density_.probabilities();
    for (Index j = 0; j < result_.blur.outerSize(); ++j) {
      const std::int32_t state = found.of_bin[static_cast<std::size_t>(j)];
      if (state < 0) continue;
      for (Blur::InnerIterator entry(result_.blur, j); entry; ++entry)
        shares(entry.row(), state) += entry.value() * p[j];
    }
    labels_.assign(static_cast<std::size_t>(result_.blur.rows()), -1);
    for (Index b = 0; b < shares.rows(); ++b) {
      Index most = 0;
      const double largest = shares.row(b).maxCoeff(&most);
      if (largest >= kSure * shares.row(b).sum() && largest > 0)
        labels_[static_cast<std::size_t>(b)] = static_cast<std::int32_t>(most);
    }
    visits_rows_ = MatrixXd::Zero(labels, result_.windows.front().blocks());
    for (const auto& window : result_.windows) {
      for (Index b = 0; b < shares.rows(); ++b) {
        const auto label = labels_[static_cast<std::size_t>(b)];
        if (label < 0) continue;
        for (Index t = 0; t < std::min<Index>(window.blocks(), visits_rows_.cols()); ++t)
          visits_rows_(label, t) += window.counts(b, t);
      }
    }
  }

  void fill_energies(const std::vector<Observed>& all) {
    const auto& grid = result_.grid;
    const auto answers = answer(questions_, density_.probabilities(), result_.inner, grid, options_.kt);
    result_.energies = supported_.select(answers.energies.array(), kNan);
    shift_ = std::numeric_limits<double>::infinity();
    for (Index b = 0; b < grid.bins(); ++b)
      if (supported_[b]) shift_ = std::min(shift_, result_.energies[b]);
    result_.energies.array() -= shift_;
    for (std::size_t s = 0; s < result_.states.size(); ++s) result_.states[s].energy.value = answers.states[s];
    if (questions_.barrier) result_.barrier = {answers.barrier, kNan};
    if (questions_.right.size() > 0) result_.delta_f = {answers.delta_f, kNan};
    read_as_it_is(all);
  }

  // The observed variable itself, brought to the scale of the truth by a line where it has another one.
  void read_as_it_is(const std::vector<Observed>& all) {
    const auto& grid = result_.grid;
    const VectorXd& q = as_it_is_.probabilities;
    VectorXd counts = VectorXd::Zero(q.size());
    for (const auto& window : all) counts += window.counts;
    VectorXd mass = VectorXd::Zero(grid.bins());
    result_.effective = VectorXd::Zero(grid.bins());
    const auto line = source_.line();
    const double intercept = line.first, slope = line.second;
    // [bins, observed bins] of an axis: which share of an observed bin lies in which bin.
    const auto shares = [&](std::size_t v) {
      const auto &from = result_.observed_grid.axes[v], &to = grid.axes[v];
      MatrixXd all_shares(to.bins, from.bins);
      for (Index b = 0; b < from.bins; ++b) {
        const double one = (from.centre(b) - from.width() / 2 - intercept) / slope;
        const double other = (from.centre(b) + from.width() / 2 - intercept) / slope;
        VectorXd column = VectorXd::Zero(to.bins);
        add_evenly(column, to, std::min(one, other), std::max(one, other), 1);
        all_shares.col(b) = column;
      }
      return all_shares;
    };
    const VectorXd seen = (counts.array() > 0).select(q, 0.0);
    if (grid.axes.size() == 1) {
      mass = shares(0) * seen;
      result_.effective = shares(0) * counts;
    } else {
      using Table = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
      const Index rows = result_.observed_grid.axes[0].bins, columns = result_.observed_grid.axes[1].bins;
      const MatrixXd first = shares(0), second = shares(1).transpose();
      Eigen::Map<Table>(mass.data(), first.rows(), second.cols()) =
          first * Eigen::Map<const Table>(seen.data(), rows, columns) * second;
      Eigen::Map<Table>(result_.effective.data(), first.rows(), second.cols()) =
          first * Eigen::Map<const Table>(counts.data(), rows, columns) * second;
    }
    result_.observed = (mass.array() > 0).select(energies_of(mass, grid.cell(), options_.kt).array(), kNan);
    double lowest = std::numeric_limits<double>::infinity();
    for (Index b = 0; b < grid.bins(); ++b)
      if (!std::isnan(result_.observed[b])) lowest = std::min(lowest, result_.observed[b]);
    result_.observed.array() -= lowest;
  }

  // Pearson's chi^2 of what is seen against what the blurred density predicts, over bins of some rows, by the larger of
  // the variance of independent rows and the variance between blocks.
  void judge_fit(const std::vector<Observed>& all) {
    constexpr double kFewestRows = 10, kFewestExpected = 5;  // of which the variance can be told
    const VectorXd q = result_.blur * density_.probabilities();
    double sum = 0;
    for (std::size_t k = 0; k < all.size(); ++k) {
      const auto& window = result_.windows[k];
      const auto& [counts, exposure] = all[k];
      const VectorXd expected = counts.sum() / exposure.dot(q) * exposure.cwiseProduct(q);
      const auto blocks = static_cast<double>(window.blocks());
      double rows = 0, seen = 0, model = 0, variance = 0;
      VectorXd of_blocks = VectorXd::Zero(window.blocks());
      for (Index b = 0; b < q.size(); ++b) {
        if (reached_[b]) {
          rows += window.counts.row(b).sum();
          seen += counts[b];
          model += expected[b];
          const double scale = window.scale[b];
          variance +=
              window.reweighting == Reweighting::weights ? window.squares.row(b).sum() / (scale * scale) : expected[b];
          of_blocks += window.weights.row(b).transpose() / scale;
        }
        const bool enough = rows >= kFewestRows && model >= kFewestExpected;
        if (!enough) continue;
        const double between =
            (of_blocks.array() - of_blocks.mean()).square().sum() * blocks / std::max(1.0, blocks - 1);
        sum += (seen - model) * (seen - model) / std::max({variance, between, 1e-300});
        ++result_.chi_squared_bins;
        rows = seen = model = variance = 0;
        of_blocks.setZero();
      }
    }
    result_.chi_squared = result_.chi_squared_bins > 0 ? sum / static_cast<double>(result_.chi_squared_bins) : kNan;
  }

  void compare(const Deconvolution& deconvolution, const std::vector<Observed>& all) {
    if (iterations_ == 0) return;
    RichardsonLucy iteration(deconvolution.blur(), all, &as_it_is_.f);
    for (std::int64_t i = 0; i < iterations_; ++i) iteration.step();
    const auto answers = answer(questions_, iteration.probabilities().array().max(1e-300).matrix(), result_.inner,
                                result_.grid, options_.kt);
    Comparison comparison{supported_.select(answers.energies.array(), kNan), iterations_, answers.barrier,
                          answers.delta_f};
    double lowest = std::numeric_limits<double>::infinity();
    for (Index b = 0; b < comparison.energies.size(); ++b)
      if (supported_[b]) lowest = std::min(lowest, comparison.energies[b]);
    comparison.energies.array() -= lowest;
    result_.comparison = std::move(comparison);
  }

  // What the barrier would be with errors that are a tenth smaller: where it is much lower, sigma decides, not the
  // data.
  void judge_blur(const std::vector<Observed>& all) {
    constexpr double kSmaller = 0.9, kMuch = 3;  // kT
    const auto narrower = source_.scaled(kSmaller);
    if (!narrower || of_richardson_and_lucy()) return;
    std::string found;
    if (questions_.barrier) {
      auto inside = all;
      restrict(inside, *narrower);
      const auto density = Deconvolution(result_.inner, *narrower).fit(inside, result_.penalty, &density_.u);
      const double barrier = barrier_of(*questions_.barrier, density.probabilities(), result_.inner, options_.kt);
      if (result_.barrier->value > barrier + kMuch * options_.kt)
        found = "it is " + evaluate::rate_text(result_.barrier->value, 1) + ", and " + evaluate::rate_text(barrier, 1) +
                " with errors that are a tenth smaller";
    }
    if (found.empty() && !options_.penalty && result_.penalty == penalty_range().front())
      found = "of all penalties the smallest was chosen";
    if (!found.empty())
      result_.warnings.push_back("the barrier depends strongly on sigma: " + found +
                                 "; measure sigma, as by --pairs, or take the barrier for unknown");
  }

  void resample(const std::vector<Observed>& all) {
    const auto resamples = static_cast<std::size_t>(options_.bootstrap);
    result_.standard_errors = VectorXd::Constant(result_.grid.bins(), kNan);
    if (resamples < 2) return;
    std::vector<std::optional<Observables>> answers(resamples);
    const Deconvolution fixed(result_.inner, result_.blur);
    const auto near = of_richardson_and_lucy() ? nullptr : fixed.factors(all, result_.penalty, density_.u);
    run_tasks(
        options_.bootstrap, task_threads(options_.threads, options_.bootstrap), "resampling",
        [&](std::int64_t r, int) {
          const std::uint64_t key = stream_key(options_.seed, "bootstrap", static_cast<std::uint64_t>(r));
          const auto windows = observe(result_.windows, resampled_blocks(result_.windows, key), reached_);
          const auto blur = source_.resampled(key);
          Density density;
          if (blur) {
            auto inside = windows;
            restrict(inside, *blur);
            density = solve(Deconvolution(result_.inner, *blur), inside, &density_.u, 1e-3);
          } else {
            density = solve(fixed, windows, &density_.u, 1e-3, near.get());
          }
          if (density.converged && density.u.allFinite())
            answers[static_cast<std::size_t>(r)] =
                answer(questions_, density.probabilities(), result_.inner, result_.grid, options_.kt);
        },
        [&](std::int64_t done) {
          reporter_.progress("resamples", static_cast<std::uint64_t>(done), static_cast<std::uint64_t>(resamples));
        });
    reporter_.progress_done();
    result_.failed_resamples = static_cast<std::int32_t>(std::count(answers.begin(), answers.end(), std::nullopt));
    spread_of(answers);
  }

  // Rows that this blur does not reach.
  static void restrict(std::vector<Observed>& windows, const Blur& blur) {
    const VectorXd most = blur * VectorXd::Ones(blur.cols());
    for (auto& window : windows) {
      window.counts = (most.array() > 1e-12).select(window.counts, 0.0);
      window.exposure = (most.array() > 1e-12).select(window.exposure, 0.0);
    }
  }

  void spread_of(const std::vector<std::optional<Observables>>& answers) {
    std::int32_t blocks = std::numeric_limits<std::int32_t>::max();
    for (const auto& window : result_.windows) blocks = std::min(blocks, window.blocks());
    // A resample of n blocks varies by (n - 1) / n of what new ones would.
    const double small = blocks > 1 ? std::sqrt(blocks / (blocks - 1.0)) : kNan;
    const auto deviation = [&](const auto& value) {
      double sum = 0, squares = 0, count = 0;
      for (const auto& a : answers) {
        if (!a || !std::isfinite(value(*a))) continue;
        const double v = value(*a);
        ++count;
        const double step = v - sum;  // Welford 1962
        sum += step / count;
        squares += step * (v - sum);
      }
      return count > 1 ? small * std::sqrt(squares / (count - 1)) : kNan;
    };
    for (Index b = 0; b < result_.standard_errors.size(); ++b)
      if (supported_[b]) result_.standard_errors[b] = deviation([&](const Observables& a) { return a.energies[b]; });
    if (result_.barrier) result_.barrier->standard_error = deviation([](const Observables& a) { return a.barrier; });
    if (result_.delta_f) result_.delta_f->standard_error = deviation([](const Observables& a) { return a.delta_f; });
    for (std::size_t s = 0; s < result_.states.size(); ++s)
      result_.states[s].energy.standard_error = deviation([&](const Observables& a) { return a.states[s]; });
  }

  // Of the two sides, by rows reweighted as they are.
  std::pair<double, double> sides(const Window& window, const std::vector<std::int32_t>& times, bool squared) const {
    double right = 0, left = 0;
    const VectorXd p = density_.probabilities();
    VectorXd share = VectorXd::Zero(result_.blur.rows()), all = share;
    for (Index j = 0; j < result_.blur.outerSize(); ++j)
      for (Blur::InnerIterator entry(result_.blur, j); entry; ++entry) {
        all[entry.row()] += entry.value() * p[j];
        if (questions_.right[j])
          share[entry.row()] += entry.value() * p[j];
        else if (!questions_.left[j])
          all[entry.row()] -= entry.value() * p[j];
      }
    for (Index b = 0; b < share.size(); ++b) {
      if (!(all[b] > 0)) continue;
      double weight = 0;
      for (Index t = 0; t < window.blocks(); ++t)
        weight += times[static_cast<std::size_t>(t)] * (squared ? window.squares(b, t) : window.weights(b, t));
      right += weight * share[b] / all[b];
      left += weight * (1 - share[b] / all[b]);
    }
    return {right, left};
  }

  void judge_grid();
  void judge_sampling();
  void judge_windows();
  void judge_states();
  void judge_weights();
  void conclude();

  const std::vector<data::ColvarSamples>& files_;
  const BlurSource& source_;
  const FreeEnergyOptions& options_;
  Reporter& reporter_;
  FreeEnergy& result_;
  const WindowOptions role_;
  Eigen::Array<bool, Eigen::Dynamic, 1> reached_, inner_supported_, supported_;
  Unblurred as_it_is_;
  Density density_;
  Questions questions_;
  std::vector<std::size_t> kept_;     // of the states found, those that are told
  std::vector<std::int32_t> labels_;  // [observed bins]: the state found that a row there is in, -1 = unsure
  MatrixXd visits_rows_;              // [states found, blocks]
  std::int64_t iterations_ = 0;
  double shift_ = 0;
};

std::string shown(double value) { return evaluate::rate_text(value, 2); }

void Estimation::judge_windows() {
  // Windows that see the same bins hang together; what does not has no free energy relative to the rest.
  const std::size_t count = result_.windows.size();
  std::vector<std::size_t> group(count);
  std::iota(group.begin(), group.end(), std::size_t{0});
  const auto top = [&](std::size_t k) {
    while (group[k] != k) k = group[k];
    return k;
  };
  constexpr double kOverlap = 0.01;
  for (std::size_t a = 0; a < count; ++a) {
    for (std::size_t b = 0; b < a; ++b) {
      const VectorXd one = result_.windows[a].counts.rowwise().sum(), other = result_.windows[b].counts.rowwise().sum();
      if ((one / one.sum()).cwiseMin(other / other.sum()).sum() >= kOverlap) group[top(a)] = top(b);
    }
  }
  std::size_t groups = 0;
  for (std::size_t k = 0; k < count; ++k) groups += group[k] == k;
  if (groups > 1)
    result_.reasons.push_back("the windows fall into " + std::to_string(groups) +
                              " groups that do not overlap; add windows between them");
}

void Estimation::judge_states() {
  constexpr std::int64_t kFewestTransitions = 10;
  constexpr double kFewestBlocks = 0.3;  // share
  const bool pooled = result_.windows.size() == 1;
  const auto name = [&](std::size_t s) {
    std::string text = "the state at " + number_text(std::round(result_.states[s].at[0] * 1000) / 1000);
    if (result_.states[s].at.size() > 1) text += ", " + number_text(std::round(result_.states[s].at[1] * 1000) / 1000);
    return text;
  };
  if (!pooled) return;
  if (result_.states.size() < 2) {
    // A bias is there to bring a run over barriers.
    constexpr double kStrongBias = 10, kFewestOfBin = 5;
    const auto& window = result_.windows.front();
    const VectorXd counts = window.counts.rowwise().sum(), weights = window.weights.rowwise().sum();
    double smallest = std::numeric_limits<double>::infinity(), largest = 0;
    for (Index b = 0; b < counts.size(); ++b) {
      if (counts[b] < kFewestOfBin) continue;
      smallest = std::min(smallest, weights[b] / counts[b]);
      largest = std::max(largest, weights[b] / counts[b]);
    }
    constexpr double kLeast = std::numeric_limits<double>::min();  // below it weights are 0
    const double span = std::log(largest) - std::log(std::max(smallest, kLeast));
    if (span > kStrongBias)
      result_.reasons.push_back("one state is seen only, though the bias spans " +
                                std::string(smallest < kLeast ? "more than " : "") + shown(span) +
                                " kT: no barrier was crossed to another one");
    return;
  }
  for (std::size_t s = 0; s < result_.states.size(); ++s) {
    const auto rows = visits_rows_.row(static_cast<Index>(kept_[s]));
    const Index half = rows.size() / 2;
    if (rows.head(half).sum() == 0 || rows.tail(rows.size() - half).sum() == 0)
      result_.reasons.push_back(name(s) + " is visited in one half of the time only");
    else if (result_.states[s].share_of_blocks < kFewestBlocks)
      result_.reasons.push_back(name(s) + " is visited in " +
                                evaluate::percent_text(result_.states[s].share_of_blocks, 0) + " of the blocks only");
  }
  if (result_.transitions < kFewestTransitions)
    result_.reasons.push_back(counted(result_.transitions, "transitions") +
                              " between the two deepest states, fewer than " + std::to_string(kFewestTransitions));
}

void Estimation::judge_weights() {
  constexpr double kLargestShare = 0.5, kFewestEffective = 50;
  for (const auto& window : result_.windows) {
    if (window.reweighting == Reweighting::harmonic || window.blocks() < 4) continue;
    const VectorXd of_block = window.weights.colwise().sum().transpose();
    if (of_block.maxCoeff() > kLargestShare * of_block.sum())
      result_.reasons.push_back("one block of " + std::to_string(window.blocks()) + " holds " +
                                evaluate::percent_text(of_block.maxCoeff() / of_block.sum(), 0) + " of the weight");
    if (window.effective_rows < kFewestEffective)
      result_.reasons.push_back("the weights are those of " + shown(window.effective_rows) + " rows, fewer than " +
                                shown(kFewestEffective));
  }
}

void Estimation::judge_sampling() {
  const bool pooled = result_.windows.size() == 1;
  for (const auto& window : result_.windows) result_.effective_rows += window.effective_rows;
  if (pooled && result_.states.size() > 1) {
    auto labels = labels_;
    for (auto& label : labels)
      label = label == static_cast<std::int32_t>(kept_[0]) ? 0 : label == static_cast<std::int32_t>(kept_[1]) ? 1 : -1;
    result_.transitions = count_transitions(files_, result_.observed_grid, labels);
  }
  if (!pooled) judge_windows();
  judge_states();
  judge_weights();
  if (!result_.delta_f) return;
  const double se = result_.delta_f->standard_error;
  if (pooled) {
    const auto& window = result_.windows.front();
    const std::vector<std::int32_t> once(static_cast<std::size_t>(window.blocks()), 1);
    const auto [right, left] = sides(window, once, false);
    const auto [right_squares, left_squares] = sides(window, once, true);
    result_.delta_f_row_error = options_.kt * std::sqrt(right_squares / (right * right) + left_squares / (left * left));
    for (int half = 0; half < 2; ++half) {
      const auto [r, l] = sides(window, half_blocks(result_.windows, half == 1).front(), false);
      result_.delta_f_halves[half] = -options_.kt * std::log(r / l);
    }
    const double difference = std::abs(result_.delta_f_halves[1] - result_.delta_f_halves[0]);
    // Each half varies by the root of two more than the whole.
    const double usual = std::max(options_.kt, 3 * 2 * (std::isnan(se) ? 0 : se));
    if (!(difference <= std::min(usual, 3 * options_.kt)))
      result_.reasons.push_back("delta F is " + shown(result_.delta_f_halves[0]) + " in the first half and " +
                                shown(result_.delta_f_halves[1]) + " in the second");
  }
  if (se > options_.kt) result_.reasons.push_back("the standard error of delta F, " + shown(se) + ", is more than kT");
}

// A few values that lie far off take the grid, and leave a few bins to all others.
void Estimation::judge_grid() {
  constexpr double kNearlyAll = 0.9;
  constexpr Index kFewBins = 5, kManyBins = 40;
  VectorXd counts = VectorXd::Zero(result_.observed_grid.bins());
  for (const auto& window : result_.windows) counts += window.counts.rowwise().sum();
  const Index few = kFewBins * (result_.inner.bins() / result_.grid.bins());
  if (result_.grid.bins() < kManyBins) return;
  std::partial_sort(counts.begin(), counts.begin() + few, counts.end(), std::greater<>());
  if (counts.head(few - 1).sum() > kNearlyAll * counts.sum())
    result_.warnings.push_back("nine tenths of the rows lie in fewer than " + std::to_string(kFewBins) + " of " +
                               std::to_string(result_.grid.bins()) +
                               " bins, as where a few values lie far off; give --minimum and --maximum");
}

void Estimation::conclude() {
  judge_grid();
  constexpr double kLargestChiSquared = 2;
  if (result_.chi_squared > kLargestChiSquared)
    result_.warnings.push_back("chi^2 per bin is " + shown(result_.chi_squared) +
                               ": the blurred density does not fit what was observed; the blur is wider than it really "
                               "is, as with a sigma that is too large, or its pairs are of another ensemble");
  if (result_.beyond > 0)
    result_.warnings.push_back(counted(result_.beyond, "rows") +
                               " lie where the blur brings nothing, and are left out; the pairs do not reach as far");
  if (result_.failed_resamples > 0)
    result_.warnings.push_back(counted(result_.failed_resamples, "resamples") + " had no answer");
  result_.converged = result_.reasons.empty();
  if (!result_.converged) result_.warnings.push_back("not converged: " + join(result_.reasons, "; "));
  for (const auto& warning : result_.warnings) reporter_.warning(warning);
}

}  // namespace

FreeEnergy estimate_free_energy(const std::vector<data::ColvarSamples>& files, const Grid& truth, const Grid& inner,
                                const Grid& observed, const BlurSource& source, FileRole role,
                                const FreeEnergyOptions& options, Reporter& reporter) {
  FreeEnergy result;
  result.grid = truth;
  result.inner = inner;
  result.observed_grid = observed;
  Estimation(files, source, role, options, reporter, result).run();
  return result;
}

}  // namespace ae::fit
