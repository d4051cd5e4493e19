#include "fit/deconvolution_job.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/random.hpp"
#include "base/scratch_folder.hpp"
#include "base/text.hpp"
#include "fit/estimate_text.hpp"

namespace ae::fit {
namespace {

using Eigen::Index;

constexpr std::int64_t kUsualBins = 120, kUsualBinsOfTwo = 40, kMostUsualBins = 240;
constexpr Index kMostBins = 40'000, kMostBinsOfPairs = 400;

class FixedBlur final : public BlurSource {
 public:
  // `blur` of errors that are a share of theirs.
  FixedBlur(std::function<Blur(double)> blur, bool has_errors, std::pair<double, double> line)
      : blur_(std::move(blur)), has_errors_(has_errors), line_(line) {}
  Blur blur() const override { return blur_(1); }
  std::optional<Blur> scaled(double share) const override {
    return has_errors_ ? std::optional(blur_(share)) : std::nullopt;
  }
  std::pair<double, double> line() const override { return line_; }

 private:
  std::function<Blur(double)> blur_;
  bool has_errors_;
  std::pair<double, double> line_;
};

class BlurOfPairs final : public BlurSource {
 public:
  BlurOfPairs(const CalibrationPairs& pairs, const Grid& truth, const Grid& observed, std::int32_t blocks)
      : pairs_(pairs, truth, observed, blocks) {}
  Blur blur() const override { return pairs_.blur(); }
  std::optional<Blur> scaled(double share) const override { return pairs_.blur({}, share); }
  std::pair<double, double> line() const override { return pairs_.line(); }
  std::optional<Blur> resampled(std::uint64_t key) const override {
    Random random(stream_key(key, "pairs"));
    std::vector<std::int32_t> times(static_cast<std::size_t>(pairs_.blocks()), 0);
    for (std::size_t t = 0; t < times.size(); ++t) ++times[random.below(times.size())];
    return pairs_.blur(times);
  }

 private:
  PairBlur pairs_;
};

// Reads the files, and gathers what they agree on.
class Runs {
 public:
  Runs(const DeconvolutionJob& job, Reporter& reporter) : scratch_(scratch_folder()) {
    auto columns = job.columns;
    for (const auto& axis : job.axes) columns.period_is_known.push_back(axis.period || axis.not_periodic);
    for (const auto& file : job.files) samples.push_back(data::read_colvar(file, columns, scratch_, reporter));
    for (std::size_t v = 0; v < job.columns.variables.size(); ++v) {
      ranges.push_back(samples.front().ranges[v]);
      for (const auto& one : samples) {
        ranges[v] = {std::min(ranges[v].first, one.ranges[v].first), std::max(ranges[v].second, one.ranges[v].second)};
        if (!columns.period_is_known[v] && one.periods[v] != samples.front().periods[v])
          throw InputError(one.name + ": the period of " + ae::quoted(job.columns.variables[v]) + " is not that of " +
                           samples.front().name + "; expected the same min_ and max_, or --periodic");
      }
    }
  }

  std::vector<data::ColvarSamples> samples;
  std::vector<std::pair<double, double>> ranges;

 private:
  ScratchFile scratch_;
};

std::optional<std::pair<double, double>> period_of(const DeconvolutionJob& job, const Runs& runs, std::size_t v) {
  if (job.axes[v].not_periodic) return std::nullopt;
  return job.axes[v].period ? job.axes[v].period : runs.samples.front().periods[v];
}

Axis make_axis(const AxisChoice& choice, std::pair<double, double> range,
               const std::optional<std::pair<double, double>>& period, std::int64_t usual_bins,
               const std::string& name) {
  Axis axis;
  if (period && (choice.low || choice.high))
    throw UsageError("--minimum and --maximum are not for " + ae::quoted(name) +
                     ", which is periodic: the whole period is taken; or give --periodic none");
  if (period) range = *period;
  axis.periodic = period.has_value();
  axis.low = choice.low.value_or(range.first);
  axis.high = choice.high.value_or(range.second);
  axis.bins = choice.bins.value_or(usual_bins);
  // Less is what rounding leaves of numbers of that size.
  constexpr double kNarrowest = 1e-12;
  const double length = axis.high - axis.low;
  if (axis.low < axis.high && std::isfinite(length) &&
      length >= kNarrowest * std::max(std::abs(axis.low), std::abs(axis.high)))
    return axis;
  if (!(axis.low < axis.high) && (choice.low || choice.high))
    throw UsageError("--minimum " + number_text(axis.low) + " is not below --maximum " + number_text(axis.high) +
                     "; the values of " + ae::quoted(name) + " are from " + number_text(range.first) + " to " +
                     number_text(range.second));
  if (axis.low == axis.high)
    throw InputError("all values of " + ae::quoted(name) + " are " + number_text(axis.low) +
                     "; expected a variable that varies");
  throw InputError("the values of " + ae::quoted(name) + " are from " + number_text(axis.low) + " to " +
                   number_text(axis.high) + ", " +
                   (std::isfinite(length) ? "which only rounding tells apart" : "too far apart") +
                   "; expected a variable that varies within what numbers can hold; subtract a constant or scale it");
}

std::int64_t usual_bins(const DeconvolutionJob& job, std::pair<double, double> range, std::size_t v) {
  if (job.columns.variables.size() > 1) return kUsualBinsOfTwo;
  constexpr double kOfSigma = 6;
  if (job.sigma.empty() || !(job.sigma[v] > 0)) return kUsualBins;
  const double wanted = kOfSigma * (range.second - range.first) / job.sigma[v];
  return static_cast<std::int64_t>(std::clamp<double>(wanted, kUsualBins, kMostUsualBins));
}

void check_size(const Grid& grid) {
  if (grid.bins() > kMostBins)
    throw UsageError("the grid has " + std::to_string(grid.bins()) + " bins; expected at most " +
                     std::to_string(kMostBins) + "; give fewer --bins");
}

struct Calibrated {
  Grid truth;            // as it is told
  Grid inner, observed;  // their bins cut into steps
  std::unique_ptr<BlurSource> source;
  std::string text;
};

// Cuts bins into steps where windows need it.
void cut_bins(Calibrated& c, const DeconvolutionJob& job, const Runs& runs, Reporter& reporter) {
  check_size(c.truth);
  c.inner = c.truth;
  bool is_coarse = false;
  const auto steps = steps_of_bins(runs.samples, c.observed, {job.options.kt, job.options.blocks, job.role}, is_coarse);
  for (std::size_t v = 0; v < steps.size(); ++v) {
    c.inner.axes[v].bins *= steps[v];
    c.observed.axes[v].bins *= steps[v];
  }
  if (is_coarse)
    reporter.warning(
        "the harmonic windows are narrow beside the bins, within which the density is taken as flat; give "
        "a narrower --minimum and --maximum, or more --bins");
}

Axis observed_axis(const DeconvolutionJob& job, const Runs& runs, std::size_t v, std::int64_t bins) {
  return make_axis({}, runs.ranges[v], period_of(job, runs, v), bins, job.columns.variables[v]);
}

Calibrated by_sigma(const DeconvolutionJob& job, const Runs& runs, Reporter& reporter) {
  Calibrated c;
  for (std::size_t v = 0; v < job.sigma.size(); ++v) {
    const auto period = period_of(job, runs, v);
    const auto axis = make_axis(job.axes[v], runs.ranges[v], period,
                                usual_bins(job, period.value_or(runs.ranges[v]), v), job.columns.variables[v]);
    c.truth.axes.push_back(axis);
    const double sigma = job.sigma[v];
    if (sigma > (axis.high - axis.low) / 2)
      throw UsageError("--sigma " + number_text(sigma) + " is more than half of the range of " +
                       ae::quoted(job.columns.variables[v]) + ", " + number_text(axis.low) + " to " +
                       number_text(axis.high) + "; is it in the unit of the variable?");
    c.text += (v == 0 ? "sigma " : ", ") + number_text(sigma);
  }
  c.observed = c.truth;
  cut_bins(c, job, runs, reporter);
  const auto blur = [sigma = job.sigma, grid = c.inner](double share) {
    const auto of = [&](std::size_t v) {
      return normal_blur(grid.axes[v], grid.axes[v], [&](double x) { return NormalError{x, share * sigma[v]}; });
    };
    return grid.axes.size() == 1 ? of(0) : product_blur(of(0), of(1));
  };
  const bool has_errors = std::any_of(job.sigma.begin(), job.sigma.end(), [](double sigma) { return sigma > 0; });
  c.source = std::make_unique<FixedBlur>(blur, has_errors, std::pair(0.0, 1.0));
  return c;
}

Calibrated by_table(const DeconvolutionJob& job, const Runs& runs, Reporter& reporter) {
  const BlurTable table(job.blur_table, job.columns.variables[0], reporter);
  Calibrated c;
  const auto truth = make_axis(job.axes[0], {table.low(), table.high()}, period_of(job, runs, 0), kUsualBins,
                               job.columns.variables[0]);
  const auto observed = observed_axis(job, runs, 0, truth.bins);
  c.truth.axes = {truth};
  c.observed.axes = {observed};
  double x = 0, y = 0, xx = 0, xy = 0, widest = 0;
  for (Index j = 0; j < truth.bins; ++j) {
    const double at = truth.centre(j) - truth.centre(truth.bins / 2);
    const auto [mean, deviation] = table(truth.centre(j));
    x += at, y += mean, xx += at * at, xy += at * mean;
    widest = std::max(widest, deviation);
  }
  if (widest > (observed.high - observed.low) / 2)
    throw InputError(job.blur_table + ": sigma is up to " + number_text(widest) + ", more than half of the range of " +
                     ae::quoted(job.columns.variables[0]) + ", " + number_text(observed.low) + " to " +
                     number_text(observed.high) + "; is it in the unit of the variable?");
  const auto n = static_cast<double>(truth.bins);
  const double slope = (n * xy - x * y) / (n * xx - x * x);
  const std::pair line((y - slope * x) / n - slope * truth.centre(truth.bins / 2), slope);
  check_line(job.blur_table, line, truth, observed);
  cut_bins(c, job, runs, reporter);
  const auto blur = [table, inner = c.inner.axes[0], seen = c.observed.axes[0]](double share) {
    return normal_blur(inner, seen, [&](double at) {
      const auto [mean, deviation] = table(at);
      return NormalError{mean, share * deviation};
    });
  };
  c.source = std::make_unique<FixedBlur>(blur, widest > 0, line);
  c.text = "errors by " + job.blur_table;
  return c;
}

Calibrated by_pairs(const DeconvolutionJob& job, const Runs& runs, CalibrationPairs& pairs, Reporter& reporter) {
  auto read = read_pairs(*job.pairs, reporter);
  pairs = std::move(read.pairs);
  pairs.name = job.pairs->file;
  if (pairs.size() < PairBlur::kFewest)
    throw InputError(job.pairs->file + ": found " + counted(pairs.size(), "pairs") + ", expected at least " +
                     std::to_string(PairBlur::kFewest) + " to learn the blur from");
  if (read.left_out > 0)
    reporter.warning(job.pairs->file + ": " + counted(read.left_out, "pairs") + " left out, not finite or of weight 0");
  if (!read.weighted && !job.columns.biases.empty())
    reporter.warning(job.pairs->file +
                     ": pairs have no weight: right if they are from an unbiased run; pairs of a biased one need a "
                     "column \"weight\" with e^(V/kT), or the columns of --bias");
  Calibrated c;
  const std::int64_t bins = job.columns.variables.size() > 1 ? kUsualBinsOfTwo : kUsualBins;
  for (std::size_t v = 0; v < job.columns.variables.size(); ++v) {
    const auto [low, high] = std::minmax_element(pairs.truth[v].begin(), pairs.truth[v].end());
    c.truth.axes.push_back(
        make_axis(job.axes[v], {*low, *high}, period_of(job, runs, v), bins, "true " + job.columns.variables[v]));
    c.observed.axes.push_back(observed_axis(job, runs, v, c.truth.axes[v].bins));
  }
  cut_bins(c, job, runs, reporter);
  if (c.inner.axes.size() == 1 && c.inner.bins() > kMostBinsOfPairs)
    throw UsageError("with --pairs " + std::to_string(c.inner.bins()) +
                     " bins are too many to learn a blur in; expected at most " + std::to_string(kMostBinsOfPairs) +
                     "; give fewer --bins");
  c.source = std::make_unique<BlurOfPairs>(pairs, c.inner, c.observed, job.options.blocks);
  c.text = counted(pairs.size(), read.weighted ? "weighted pairs" : "pairs") + " of " + job.pairs->file;
  return c;
}

// Where the sides of delta F part there have to be two.
void check_split(const DeconvolutionJob& job, const Axis& truth) {
  const auto& split = job.options.split;
  if (split && !(*split > truth.low && *split < truth.high))
    throw UsageError("--split " + number_text(*split) + " is not inside of the grid of " +
                     ae::quoted(job.columns.variables[0]) + ", " + number_text(truth.low) + " to " +
                     number_text(truth.high));
}

// What the sums of blocks take.
void check_blocks(const DeconvolutionJob& job, const Runs& runs, const Grid& observed) {
  constexpr double kMost = 2e7;
  const auto blocks = static_cast<double>(job.options.blocks);
  const double windows = job.role == FileRole::continuation ? 1 : static_cast<double>(runs.samples.size());
  if (blocks * windows * static_cast<double>(observed.bins()) > kMost)
    throw UsageError("--blocks " + std::to_string(job.options.blocks) + " of " + counted(runs.samples.size(), "files") +
                     " and " + counted(observed.bins(), "bins") + " are more than can be kept; expected at most " +
                     number_text(std::floor(kMost / windows / static_cast<double>(observed.bins()))) + " blocks");
}

void tell_rows(const FreeEnergyRun& run, Reporter& reporter) {
  for (std::size_t f = 0; f < run.files.size(); ++f) tell_left_out(run.files[f], run.rows[f], reporter);
  std::int64_t outside = 0;
  for (const auto& window : run.result.windows) outside += window.outside;
  if (outside > 0) reporter.warning(counted(outside, "rows") + " left out: outside of the grid");
}

}  // namespace

FreeEnergyRun run_deconvolution(const DeconvolutionJob& job, Reporter& reporter) {
  FreeEnergyRun run;
  run.options = job.options;
  run.variables = job.columns.variables;
  run.biases = job.columns.biases;
  const Runs runs(job, reporter);
  for (const auto& samples : runs.samples) {
    run.files.push_back(samples.name);
    run.rows.push_back(samples.rows);
  }
  CalibrationPairs pairs;
  const auto calibrated = job.pairs                ? by_pairs(job, runs, pairs, reporter)
                          : job.blur_table.empty() ? by_sigma(job, runs, reporter)
                                                   : by_table(job, runs, reporter);
  check_split(job, calibrated.truth.axes[0]);
  check_blocks(job, runs, calibrated.observed);
  run.blur_text = calibrated.text;
  run.result = estimate_free_energy(runs.samples, calibrated.truth, calibrated.inner, calibrated.observed,
                                    *calibrated.source, job.role, job.options, reporter);
  tell_rows(run, reporter);
  return run;
}

}  // namespace ae::fit
