#include "fit/deconvolution_job.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/random.hpp"
#include "base/scratch_folder.hpp"
#include "base/text.hpp"

namespace ae::fit {
namespace {

using Eigen::Index;

constexpr std::int64_t kUsualBins = 120, kUsualBinsOfTwo = 40, kMostUsualBins = 240;
constexpr Index kMostBins = 40'000;

class FixedBlur final : public BlurSource {
 public:
  FixedBlur(Blur blur, std::pair<double, double> line) : blur_(std::move(blur)), line_(line) {}
  Blur blur() const override { return blur_; }
  std::pair<double, double> line() const override { return line_; }

 private:
  Blur blur_;
  std::pair<double, double> line_;
};

class BlurOfPairs final : public BlurSource {
 public:
  BlurOfPairs(const CalibrationPairs& pairs, const Grid& truth, const Grid& observed, std::int32_t blocks)
      : pairs_(pairs, truth, observed, blocks) {}
  Blur blur() const override { return pairs_.blur(); }
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
    for (const auto& file : job.files) samples.push_back(data::read_colvar(file, job.columns, scratch_, reporter));
    for (std::size_t v = 0; v < job.columns.variables.size(); ++v) {
      ranges.push_back(samples.front().ranges[v]);
      for (const auto& one : samples) {
        ranges[v] = {std::min(ranges[v].first, one.ranges[v].first), std::max(ranges[v].second, one.ranges[v].second)};
        if (one.periods[v] != samples.front().periods[v])
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
  if (!(axis.low < axis.high)) {
    if (choice.low || choice.high)
      throw UsageError("--minimum " + number_text(axis.low) + " is not below --maximum " + number_text(axis.high) +
                       "; the values of " + ae::quoted(name) + " are from " + number_text(range.first) + " to " +
                       number_text(range.second));
    throw InputError("all values of " + ae::quoted(name) + " are " + number_text(axis.low) +
                     "; expected a variable that varies");
  }
  return axis;
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
  Grid truth, observed;
  std::unique_ptr<BlurSource> source;
  std::string text;
};

Calibrated by_sigma(const DeconvolutionJob& job, const Runs& runs) {
  Calibrated c;
  std::vector<Blur> blurs;
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
    blurs.push_back(normal_blur(axis, axis, [sigma](double x) { return NormalError{x, sigma}; }));
    c.text += (v == 0 ? "sigma " : ", ") + number_text(sigma);
  }
  c.observed = c.truth;
  check_size(c.truth);
  c.source = std::make_unique<FixedBlur>(blurs.size() == 1 ? std::move(blurs[0]) : product_blur(blurs[0], blurs[1]),
                                         std::pair(0.0, 1.0));
  return c;
}

Axis observed_axis(const DeconvolutionJob& job, const Runs& runs, std::size_t v, std::int64_t bins) {
  return make_axis({}, runs.ranges[v], period_of(job, runs, v), bins, job.columns.variables[v]);
}

Calibrated by_table(const DeconvolutionJob& job, const Runs& runs, Reporter& reporter) {
  const BlurTable table(job.blur_table, reporter);
  Calibrated c;
  const auto truth = make_axis(job.axes[0], {table.low(), table.high()}, period_of(job, runs, 0), kUsualBins,
                               job.columns.variables[0]);
  const auto observed = observed_axis(job, runs, 0, truth.bins);
  c.truth.axes = {truth};
  c.observed.axes = {observed};
  double n = 0, x = 0, y = 0, xx = 0, xy = 0;
  for (Index j = 0; j < truth.bins; ++j) {
    const double at = truth.centre(j), mean = table(at).mean;
    n += 1, x += at, y += mean, xx += at * at, xy += at * mean;
  }
  const double slope = (n * xy - x * y) / (n * xx - x * x);
  c.source = std::make_unique<FixedBlur>(normal_blur(truth, observed, std::cref(table)),
                                         std::pair((y - slope * x) / n, slope));
  c.text = "errors by " + job.blur_table;
  return c;
}

Calibrated by_pairs(const DeconvolutionJob& job, const Runs& runs, CalibrationPairs& pairs, Reporter& reporter) {
  auto read = read_pairs(*job.pairs, reporter);
  pairs = std::move(read.pairs);
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
  check_size(c.truth);
  c.source = std::make_unique<BlurOfPairs>(pairs, c.truth, c.observed, job.options.blocks);
  c.text = counted(pairs.size(), read.weighted ? "weighted pairs" : "pairs") + " of " + job.pairs->file;
  return c;
}

void tell_rows(const FreeEnergyRun& run, Reporter& reporter) {
  for (std::size_t f = 0; f < run.files.size(); ++f) {
    const auto& rows = run.rows[f];
    const auto tell = [&](std::int64_t count, const char* what) {
      if (count > 0) reporter.warning(run.files[f] + ": " + counted(count, "rows") + " " + what);
    };
    tell(rows.not_finite, "left out: not finite in a column that is used");
    tell(rows.repeated, "left out: their time was there before, as after a restart");
    tell(rows.incomplete, "left out: the last line is incomplete");
  }
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
                          : job.blur_table.empty() ? by_sigma(job, runs)
                                                   : by_table(job, runs, reporter);
  run.blur_text = calibrated.text;
  run.result = estimate_free_energy(runs.samples, calibrated.truth, calibrated.observed, *calibrated.source, job.role,
                                    job.options, reporter);
  tell_rows(run, reporter);
  return run;
}

}  // namespace ae::fit
