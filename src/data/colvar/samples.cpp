#include "data/colvar/samples.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "base/signals.hpp"
#include "data/colvar/reader.hpp"

namespace ae::data {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::int64_t kRowsBetweenLooks = 1 << 14;

// Tells the rows that a restarted simulation wrote again.
class Clock {
 public:
  bool repeats(double time) {
    if (!(time > latest_)) {
      const bool begins_anew = time <= first_ && time != previous_;
      if (!begins_anew) return true;
      latest_ = -kInfinity;
    }
    if (first_ == kInfinity) first_ = time;
    latest_ = previous_ = time;
    return false;
  }

 private:
  double first_ = kInfinity, latest_ = -kInfinity, previous_ = kInfinity;
};

}  // namespace

ColvarRows& ColvarRows::operator+=(const ColvarRows& other) {
  read += other.read;
  used += other.used;
  not_finite += other.not_finite;
  repeated += other.repeated;
  skipped += other.skipped;
  incomplete += other.incomplete;
  restarts += other.restarts;
  return *this;
}

ColvarSamples read_colvar(const std::filesystem::path& path, const ColvarColumns& columns, ScratchFile& scratch,
                          Reporter& reporter) {
  const std::size_t variables = columns.variables.size();
  auto wanted = columns.variables;
  wanted.insert(wanted.end(), columns.biases.begin(), columns.biases.end());
  ColvarReader reader(ByteSource::open(path), wanted, "time");
  const auto room = CellRoom::on_disk(scratch, variables + 1);
  ColvarSamples samples{reader.name(), {}, {}, {}, ColumnCells<double>(room), {}, -kInfinity};
  samples.variables.assign(variables, ColumnCells<double>(room));
  samples.ranges.assign(variables, {kInfinity, -kInfinity});
  std::vector<double> values(wanted.size());
  Clock clock;
  auto& rows = samples.rows;
  while (reader.next(values)) {
    if (rows.read % kRowsBetweenLooks == 0) {
      throw_if_stopped("reading");
      reporter.progress("bytes", reader.source().position(), reader.source().size(), reader.name());
    }
    ++rows.read;
    rows.restarts += reader.restarted();
    if (reader.time() && !std::isfinite(*reader.time())) {
      ++rows.not_finite;
      continue;
    }
    if (reader.time() && clock.repeats(*reader.time())) {
      ++rows.repeated;
      continue;
    }
    if (rows.skipped < columns.skipped) {
      ++rows.skipped;
      continue;
    }
    if (!std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); })) {
      ++rows.not_finite;
      continue;
    }
    for (std::size_t v = 0; v < variables; ++v) {
      samples.variables[v].push_back(values[v]);
      samples.ranges[v] = {std::min(samples.ranges[v].first, values[v]), std::max(samples.ranges[v].second, values[v])};
    }
    double bias = 0;
    for (std::size_t b = variables; b < values.size(); ++b) bias += values[b];
    samples.bias.push_back(bias);
    samples.largest_bias = std::max(samples.largest_bias, bias);
    ++rows.used;
  }
  reporter.progress_done();
  rows.incomplete = reader.incomplete();
  for (std::size_t v = 0; v < variables; ++v) {
    const bool is_known = v < columns.period_is_known.size() && columns.period_is_known[v];
    samples.periods.push_back(is_known ? std::nullopt : reader.period(columns.variables[v]));
  }
  if (rows.used == 0)
    throw InputError(reader.name() + ": no row can be used: " + std::to_string(rows.read) + " read, " +
                     std::to_string(rows.not_finite) + " not finite, " + std::to_string(rows.repeated) + " repeated, " +
                     std::to_string(rows.skipped) + " skipped; expected at least one");
  return samples;
}

}  // namespace ae::data
