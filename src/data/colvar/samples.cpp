#include "data/colvar/samples.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "data/tables/rows.hpp"

namespace ae::data {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::size_t kNamed = 20;  // columns in a message
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

// Columns of a table by name.
class WantedColumns {
 public:
  WantedColumns(const RowSource& rows, const std::vector<std::string>& wanted) : rows_(rows) {
    for (const auto& name : wanted) {
      const auto found = find(name);
      if (!found) {
        std::vector<std::string> quoted_names;
        for (const auto& column : rows.columns()) quoted_names.push_back(ae::quoted(column));
        throw InputError(rows.name() + ": no column " + ae::quoted(name) + "; found " +
                         join(quoted_names, ", ", kNamed) + did_you_mean(name, rows.columns()) +
                         "; expected a COLVAR file or a table with that column");
      }
      places_.push_back(*found);
    }
    time_ = find("time");
  }
  std::size_t place(std::size_t wanted) const { return places_[wanted]; }
  void read(std::span<double> values) const {
    for (std::size_t w = 0; w < places_.size(); ++w) values[w] = number(places_[w]);
  }
  std::optional<double> time() const { return time_ ? std::optional(number(*time_)) : std::nullopt; }

 private:
  std::optional<std::size_t> find(const std::string& name) const {
    const auto found = std::find(rows_.columns().begin(), rows_.columns().end(), name);
    if (found == rows_.columns().end()) return std::nullopt;
    return static_cast<std::size_t>(found - rows_.columns().begin());
  }
  // An empty cell is none.
  double number(std::size_t column) const {
    if (rows_.has_numbers()) return rows_.number(column);
    const auto text = rows_.text(column);
    const auto number = text.empty() ? std::optional(std::numeric_limits<double>::quiet_NaN()) : parse_number(text);
    if (!number)
      throw InputError(rows_.where(column) + ": column " + ae::quoted(rows_.columns()[column]) + ": found " +
                       ae::quoted(text) + ", expected a number");
    return *number;
  }

  const RowSource& rows_;
  std::vector<std::size_t> places_;
  std::optional<std::size_t> time_;
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
  const auto source = open_rows(path);
  const WantedColumns cells(*source, wanted);
  const auto room = CellRoom::on_disk(scratch, variables + 1);
  ColvarSamples samples{source->name(), {}, {}, {}, ColumnCells<double>(room), {}, -kInfinity};
  samples.variables.assign(variables, ColumnCells<double>(room));
  samples.ranges.assign(variables, {kInfinity, -kInfinity});
  std::vector<double> values(wanted.size());
  Clock clock;
  auto& rows = samples.rows;
  while (source->next()) {
    if (rows.read % kRowsBetweenLooks == 0) {
      throw_if_stopped("reading");
      reporter.progress("bytes", source->position(), source->size(), source->name());
    }
    ++rows.read;
    rows.restarts += source->restarted();
    cells.read(values);
    const auto time = cells.time();
    if (time && !std::isfinite(*time)) {
      ++rows.not_finite;
      continue;
    }
    if (time && clock.repeats(*time)) {
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
  for (const auto& note : source->notes()) reporter.info(note);
  if (source->incomplete() == 0)  // which is counted with the rows
    for (const auto& doubt : source->doubts()) reporter.warning(doubt);
  rows.incomplete = source->incomplete();
  for (std::size_t v = 0; v < variables; ++v) {
    const bool is_known = v < columns.period_is_known.size() && columns.period_is_known[v];
    samples.periods.push_back(is_known ? std::nullopt : source->period(cells.place(v)));
  }
  if (rows.used == 0)
    throw InputError(source->name() + ": no row can be used: " + std::to_string(rows.read) + " read, " +
                     std::to_string(rows.not_finite) + " not finite, " + std::to_string(rows.repeated) + " repeated, " +
                     std::to_string(rows.skipped) + " skipped; expected at least one");
  return samples;
}

}  // namespace ae::data
