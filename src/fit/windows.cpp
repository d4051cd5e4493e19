#include "fit/windows.hpp"

#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "base/error.hpp"
#include "base/signals.hpp"

namespace ae::fit {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

// Weights within a bin that are this like each other, by Kish's effective share, come from the bin.
constexpr double kLikeWeights = 0.8;
constexpr double kFewestOfBin = 10;  // rows by which that is judged

// bias = constant + sum_v (linear_v d_v + curvature_v d_v^2), d the difference to `at`.
struct Parabola {
  std::vector<double> at, linear, curvature;
  double deviation = 0;  // root mean square of what it leaves

  double value(const Grid& grid, const std::vector<double>& x) const {
    double sum = 0;
    for (std::size_t v = 0; v < at.size(); ++v) {
      const auto& axis = grid.axes[v];
      if (axis.periodic && curvature[v] > 0) {  // the nearest image of the centre
        const double d = axis.difference(x[v], at[v] - linear[v] / (2 * curvature[v]));
        sum += curvature[v] * d * d - linear[v] * linear[v] / (4 * curvature[v]);
      } else {
        const double d = axis.difference(x[v], at[v]);
        sum += linear[v] * d + curvature[v] * d * d;
      }
    }
    return sum;
  }
};

Parabola fit_parabola(const data::ColvarSamples& file, const Grid& grid) {
  constexpr std::int64_t kMostRows = 2000;
  const auto variables = file.variables.size();
  const std::int64_t step = std::max<std::int64_t>(1, file.rows.used / kMostRows);
  std::vector<std::vector<double>> x(variables);
  std::vector<double> bias;
  const auto take = [&](const data::ColumnCells<double>& cells, std::vector<double>& to) {
    cells.for_each([&](std::size_t i, double cell) {
      if (static_cast<std::int64_t>(i) % step == 0) to.push_back(cell);
    });
  };
  for (std::size_t v = 0; v < variables; ++v) take(file.variables[v], x[v]);
  take(file.bias, bias);
  const auto lowest = static_cast<std::size_t>(std::min_element(bias.begin(), bias.end()) - bias.begin());
  Parabola fitted;
  for (std::size_t v = 0; v < variables; ++v) fitted.at.push_back(x[v][lowest]);
  const auto rows = static_cast<Index>(bias.size());
  MatrixXd design(rows, 1 + 2 * static_cast<Index>(variables));
  design.col(0).setOnes();
  for (std::size_t v = 0; v < variables; ++v) {
    const Index c = 1 + 2 * static_cast<Index>(v);
    for (Index i = 0; i < rows; ++i) {
      design(i, c) = grid.axes[v].difference(x[v][static_cast<std::size_t>(i)], fitted.at[v]);
      design(i, c + 1) = design(i, c) * design(i, c);
    }
  }
  const VectorXd answer = Eigen::Map<const VectorXd>(bias.data(), rows);
  const VectorXd solved = design.colPivHouseholderQr().solve(answer);
  for (std::size_t v = 0; v < variables; ++v) {
    fitted.linear.push_back(solved[1 + 2 * static_cast<Index>(v)]);
    fitted.curvature.push_back(solved[2 + 2 * static_cast<Index>(v)]);
  }
  fitted.deviation = std::sqrt((design * solved - answer).squaredNorm() / static_cast<double>(rows));
  return fitted;
}

constexpr double kRoundingOfBias = 0.02;  // kT: what the digits of a file may leave of a parabola

bool are_different(const std::vector<Parabola>& all, const std::vector<data::ColvarSamples>& files, const Grid& grid,
                   double kt) {
  // By the bias at both ends and in the middle of what any file has seen, relative to the first of these.
  constexpr double kDifferent = 0.1;
  std::vector<std::vector<double>> places;
  for (const auto& file : files) {
    std::vector<double> low, high, middle;
    for (const auto& [from, to] : file.ranges) {
      low.push_back(from);
      high.push_back(to);
      middle.push_back((from + to) / 2);
    }
    places.insert(places.end(), {low, middle, high});
  }
  for (const auto& place : places)
    for (const auto& other : all)
      if (std::abs(other.value(grid, place) - other.value(grid, places[0]) - all[0].value(grid, place) +
                   all[0].value(grid, places[0])) > kDifferent * kt)
        return true;
  return false;
}

std::optional<Index> bin_of(const Grid& grid, const double* x) {
  Index bin = 0;
  for (std::size_t v = 0; v < grid.axes.size(); ++v) {
    const auto at = grid.axes[v].bin(x[v]);
    if (!at) return std::nullopt;
    bin = bin * grid.axes[v].bins + *at;
  }
  return bin;
}

// visit(values, bias, number of the row in the window) in order.
template <typename Visit>
void for_each_sample(const std::vector<const data::ColvarSamples*>& files, Visit&& visit) {
  std::int64_t row = 0;
  for (const auto* file : files) {
    const auto variables = file->variables.size();
    std::vector<std::vector<double>> buffers(variables + 1);
    for (std::size_t first = 0, piece = 0; first < file->bias.size(); ++piece) {
      throw_if_stopped("reading");
      std::vector<std::span<const double>> columns;
      for (std::size_t v = 0; v < variables; ++v) columns.push_back(file->variables[v].piece(piece, buffers[v]));
      const auto bias = file->bias.piece(piece, buffers[variables]);
      double x[2];
      for (std::size_t i = 0; i < bias.size(); ++i) {
        for (std::size_t v = 0; v < variables; ++v) x[v] = columns[v][i];
        visit(x, bias[i], row++);
      }
      first += bias.size();
    }
  }
}

std::int64_t rows_of(const std::vector<const data::ColvarSamples*>& files) {
  std::int64_t rows = 0;
  for (const auto* file : files) rows += file->rows.used;
  return rows;
}

// Weights over counts vary smoothly with the bias; of bins without rows those of the nearest ones stand in.
VectorXd filled(const VectorXd& scale, const Grid& grid) {
  VectorXd full = scale;
  std::vector<Index> front;
  for (Index b = 0; b < full.size(); ++b)
    if (full[b] > 0) front.push_back(b);
  while (!front.empty()) {
    std::vector<Index> reached;
    VectorXd sums = VectorXd::Zero(full.size()), numbers = sums;
    for (const Index b : front) {
      for (const Index other : grid.neighbours(b)) {
        if (full[other] > 0) continue;
        if (numbers[other] == 0) reached.push_back(other);
        sums[other] += std::log(full[b]);
        numbers[other] += 1;
      }
    }
    for (const Index b : reached) full[b] = std::exp(sums[b] / numbers[b]);
    front = std::move(reached);
  }
  return full;
}

void choose_reweighting(Window& window, const Grid& grid) {
  const VectorXd counts = window.counts.rowwise().sum(), weights = window.weights.rowwise().sum(),
                 squares = window.squares.rowwise().sum();
  double like = 0, judged = 0;
  for (Index b = 0; b < counts.size(); ++b) {
    if (counts[b] < kFewestOfBin || !(squares[b] > 0)) continue;  // of weights whose squares are too small to tell
    like += weights[b] * weights[b] / squares[b];
    judged += counts[b];
  }
  window.reweighting = judged > 0 && like >= kLikeWeights * judged ? Reweighting::exposure : Reweighting::weights;
  const double overall = squares.sum() / weights.sum();
  if (window.reweighting == Reweighting::exposure)
    window.scale = filled((squares.array() > 0).select(squares.array() / weights.array(), 0.0), grid);
  else
    window.scale = VectorXd::Constant(counts.size(), overall);
  window.exposure = window.scale.cwiseInverse();
  window.exposure /= window.exposure.maxCoeff();
}

Window make_window(const std::vector<const data::ColvarSamples*>& files, const Grid& grid, const WindowOptions& options,
                   bool harmonic) {
  Window window;
  for (const auto* file : files) window.files.push_back(file->name);
  const std::int64_t rows = rows_of(files);
  const auto blocks = static_cast<Index>(std::min<std::int64_t>(options.blocks, rows));
  window.counts = window.weights = window.squares = MatrixXd::Zero(grid.bins(), blocks);
  double largest = -std::numeric_limits<double>::infinity();
  for (const auto* file : files) largest = std::max(largest, file->largest_bias);
  double sum = 0, squares = 0;
  for_each_sample(files, [&](const double* x, double bias, std::int64_t row) {
    const auto bin = bin_of(grid, x);
    if (!bin) {
      ++window.outside;
      return;
    }
    const Index block = static_cast<Index>(row * blocks / rows);
    const double weight = harmonic ? 1 : std::exp((bias - largest) / options.kt);
    window.counts(*bin, block) += 1;
    window.weights(*bin, block) += weight;
    window.squares(*bin, block) += weight * weight;
    sum += weight;
    squares += weight * weight;
    ++window.rows;
  });
  if (window.rows == 0)
    throw InputError(files.front()->name + ": all " + std::to_string(window.outside) +
                     " rows lie outside the grid; expected some inside; widen --minimum and --maximum");
  window.effective_rows = squares > 0 ? sum * sum / squares : 0;
  if (!harmonic) {
    choose_reweighting(window, grid);
    return window;
  }
  window.reweighting = Reweighting::harmonic;
  window.scale = VectorXd::Ones(grid.bins());
  const auto parabola = fit_parabola(*files.front(), grid);
  VectorXd logarithm(grid.bins());
  constexpr int kPoints = 5;  // along each axis of a bin
  for (Index b = 0; b < grid.bins(); ++b) {
    const auto [i, j] = grid.place(b);
    double seen = 0;
    int points = 0;
    const auto offset = [&](int p, const Axis& axis) { return ((p + 0.5) / kPoints - 0.5) * axis.width(); };
    const double middle = parabola.value(
        grid, grid.axes.size() == 1 ? std::vector<double>{grid.axes[0].centre(i)}
                                    : std::vector<double>{grid.axes[0].centre(i), grid.axes[1].centre(j)});
    for (int p = 0; p < kPoints; ++p) {
      for (int q = 0; q < (grid.axes.size() == 1 ? 1 : kPoints); ++q) {
        std::vector<double> x{grid.axes[0].centre(i) + offset(p, grid.axes[0])};
        if (grid.axes.size() > 1) x.push_back(grid.axes[1].centre(j) + offset(q, grid.axes[1]));
        seen += std::exp(-(parabola.value(grid, x) - middle) / options.kt);
        ++points;
      }
    }
    logarithm[b] = std::log(seen / points) - middle / options.kt;
  }
  window.exposure = (logarithm.array() - logarithm.maxCoeff()).exp();
  return window;
}

// The files of each window, in order.
std::vector<std::vector<std::size_t>> window_files(const std::vector<data::ColvarSamples>& files, const Grid& observed,
                                                   const WindowOptions& options) {
  std::vector<std::size_t> all(files.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  bool apart = options.role == FileRole::windows;
  if (options.role == FileRole::automatic && files.size() > 1) {
    std::vector<Parabola> parabolas;
    for (const auto& file : files) parabolas.push_back(fit_parabola(file, observed));
    apart = std::all_of(parabolas.begin(), parabolas.end(),
                        [&](const Parabola& p) { return p.deviation <= kRoundingOfBias * options.kt; }) &&
            are_different(parabolas, files, observed, options.kt);
  }
  if (!apart) return {all};
  std::vector<std::vector<std::size_t>> each;
  for (const auto f : all) each.push_back({f});
  return each;
}

bool is_harmonic(const Parabola& parabola, const WindowOptions& options) {
  return parabola.deviation <= kRoundingOfBias * options.kt;
}

}  // namespace

Observed Window::observed(std::span<const std::int32_t> times) const {
  VectorXd sums;
  if (times.empty()) {
    sums = weights.rowwise().sum();
  } else {
    VectorXd often(blocks());
    for (Index t = 0; t < often.size(); ++t) often[t] = times[static_cast<std::size_t>(t)];
    sums = weights * often;
  }
  return {sums.cwiseQuotient(scale), exposure};
}

std::vector<Window> make_windows(const std::vector<data::ColvarSamples>& files, const Grid& observed,
                                 const WindowOptions& options) {
  const auto groups = window_files(files, observed, options);
  std::vector<Window> windows;
  for (const auto& group : groups) {
    std::vector<const data::ColvarSamples*> members;
    for (const auto f : group) members.push_back(&files[f]);
    const bool harmonic = groups.size() > 1 && is_harmonic(fit_parabola(*members.front(), observed), options);
    windows.push_back(make_window(members, observed, options, harmonic));
    auto& window = windows.back();
    // What a window is not known to see, it says nothing about.
    if (groups.size() > 1 && !harmonic)
      window.exposure = (window.counts.rowwise().sum().array() > 0).select(window.exposure, 0.0);
  }
  return windows;
}

bool are_windows(const std::vector<data::ColvarSamples>& files, const Grid& observed, const WindowOptions& options) {
  return window_files(files, observed, options).size() > 1;
}

std::vector<Index> steps_of_bins(const std::vector<data::ColvarSamples>& files, const Grid& observed,
                                 const WindowOptions& options, bool& is_coarse) {
  constexpr double kOfWidth = 3;  // steps in a window's standard deviation
  const Index most = observed.axes.size() == 1 ? 1000 : 200;
  std::vector<Index> steps(observed.axes.size(), 1);
  is_coarse = false;
  const auto groups = window_files(files, observed, options);
  if (groups.size() == 1) return steps;
  for (const auto& group : groups) {
    const auto parabola = fit_parabola(files[group.front()], observed);
    if (!is_harmonic(parabola, options)) continue;
    for (std::size_t v = 0; v < steps.size(); ++v) {
      if (!(parabola.curvature[v] > 0)) continue;
      const auto& axis = observed.axes[v];
      const double needed =
          std::ceil(kOfWidth * axis.width() / std::sqrt(options.kt / (2 * parabola.curvature[v])) - 1e-9);
      const Index allowed = std::max<Index>(1, most / axis.bins);
      is_coarse = is_coarse || needed > static_cast<double>(allowed);
      steps[v] = std::max(steps[v], static_cast<Index>(std::clamp(needed, 1.0, static_cast<double>(allowed))));
    }
  }
  return steps;
}

std::int64_t count_transitions(const std::vector<data::ColvarSamples>& files, const Grid& observed,
                               const std::vector<std::int32_t>& label) {
  std::int64_t transitions = 0;
  for (const auto& file : files) {
    std::int32_t last = -1;
    for_each_sample({&file}, [&](const double* x, double, std::int64_t) {
      const auto bin = bin_of(observed, x);
      const std::int32_t here = bin ? label[static_cast<std::size_t>(*bin)] : -1;
      if (here < 0) return;
      transitions += last >= 0 && last != here;
      last = here;
    });
  }
  return transitions;
}

}  // namespace ae::fit
