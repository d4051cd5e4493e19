#include "fit/calibration.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/error.hpp"
#include "base/text.hpp"
#include "evaluate/score_reader.hpp"
#include "fit/error_model.hpp"

namespace ae::fit {
namespace {

// Columns of a table or a COLVAR file, whichever it is, by name.
class NamedColumns {
 public:
  NamedColumns(const std::string& file, Reporter& reporter) : reader_(file, reporter) {}
  const std::vector<std::string>& names() const { return reader_.rows().columns(); }
  const std::string& name() const { return reader_.name(); }
  bool has(const std::string& column) const { return reader_.find(column).has_value(); }
  // visit(values of `columns`) for each row.
  void read(const std::vector<std::string>& columns, const std::function<void(std::span<const double>)>& visit) {
    std::vector<std::size_t> places;
    for (const auto& column : columns) places.push_back(*reader_.find(column));
    std::vector<double> values(columns.size());
    while (reader_.next()) {
      for (std::size_t c = 0; c < columns.size(); ++c) values[c] = number(places[c]);
      visit(values);
    }
  }

 private:
  double number(std::size_t column) const {
    if (reader_.rows().has_numbers()) return reader_.rows().number(column);
    const auto text = reader_.text(column);
    const auto number = parse_number(text);
    if (!number)
      throw InputError(reader_.where(column) + ": column " + ae::quoted(names()[column]) + ": found " +
                       ae::quoted(text) + ", expected a number");
    return *number;
  }
  evaluate::ScoreReader reader_;
};

// The first of these that is there; InputError when none is.
std::string require(const NamedColumns& columns, const std::vector<std::string>& candidates, const char* what,
                    const char* option) {
  for (const auto& name : candidates)
    if (columns.has(name)) return name;
  std::vector<std::string> quoted;
  for (const auto& name : candidates) quoted.push_back(ae::quoted(name));
  throw InputError(columns.name() + ": no column " + join(quoted, " or ") + " with the " + what + "; found " +
                   join(columns.names()) + did_you_mean(candidates.front(), columns.names()) + "; name it with " +
                   option);
}

}  // namespace

ReadPairs read_pairs(const PairReading& reading, Reporter& reporter) {
  NamedColumns columns(reading.file, reporter);
  const std::size_t variables = reading.variables.size();
  const auto usual = [&](const std::string& name, std::size_t v) {
    return variables == 1 ? name : name + std::to_string(v + 1);
  };
  std::vector<std::string> wanted;
  for (std::size_t v = 0; v < variables; ++v)
    wanted.push_back(
        require(columns, {reading.truth.empty() ? usual("true", v) : reading.truth[v]}, "true values", "--true"));
  for (std::size_t v = 0; v < variables; ++v)
    wanted.push_back(require(columns,
                             reading.observed.empty()
                                 ? std::vector<std::string>{usual("observed", v), reading.variables[v]}
                                 : std::vector<std::string>{reading.observed[v]},
                             "observed values", "--observed"));
  ReadPairs result;
  const bool has_weight = !reading.weight.empty() || columns.has("weight");
  const bool has_bias =
      !has_weight && !reading.biases.empty() &&
      std::all_of(reading.biases.begin(), reading.biases.end(), [&](const auto& name) { return columns.has(name); });
  if (has_weight)
    wanted.push_back(require(columns, {reading.weight.empty() ? "weight" : reading.weight}, "weights", "--weight"));
  if (has_bias) wanted.insert(wanted.end(), reading.biases.begin(), reading.biases.end());
  result.weighted = has_weight || has_bias;
  auto& pairs = result.pairs;
  pairs.truth.resize(variables);
  pairs.observed.resize(variables);
  columns.read(wanted, [&](std::span<const double> row) {
    double weight = has_weight ? row[2 * variables] : 0;  // of a bias its logarithm, until all rows are read
    for (std::size_t b = 2 * variables; has_bias && b < row.size(); ++b) weight += row[b] / reading.kt;
    if (has_weight && weight < 0)
      throw InputError(columns.name() + ": found the weight " + number_text(weight) + ", expected none below 0");
    if (!std::all_of(row.begin(), row.end(), [](double v) { return std::isfinite(v); }) ||
        (has_weight && weight == 0)) {
      ++result.left_out;
      return;
    }
    for (std::size_t v = 0; v < variables; ++v) {
      pairs.truth[v].push_back(row[v]);
      pairs.observed[v].push_back(row[variables + v]);
    }
    pairs.weight.push_back(result.weighted ? weight : 1);
  });
  if (has_bias && !pairs.weight.empty()) {
    const double largest = *std::max_element(pairs.weight.begin(), pairs.weight.end());
    for (auto& weight : pairs.weight) weight = std::exp(std::max(weight - largest, -700.0));
  }
  return result;
}

BlurTable::BlurTable(const std::string& file, const std::string& variable, Reporter& reporter) {
  if (is_error_model(file))
    read_model(file, variable);
  else
    read_table(file, reporter);
}

void BlurTable::read_model(const std::string& file, const std::string& variable) {
  const auto model = read_error_model(file);
  const auto found = model.blur.find(variable);
  if (found == model.blur.end()) {
    std::vector<std::string> names;
    for (const auto& [name, points] : model.blur) names.push_back(name);
    throw InputError(file + ": tells no blur of " + ae::quoted(variable) +
                     (names.empty() ? "; expected one that ae-embed --error-model --true COLUMN made"
                                    : "; it has those of " + join(names)));
  }
  for (const auto& point : found->second) {
    x_.push_back(point.x);
    mean_.push_back(point.mean);
    deviation_.push_back(point.sigma);
  }
}

void BlurTable::read_table(const std::string& file, Reporter& reporter) {
  NamedColumns columns(file, reporter);
  std::vector<std::string> wanted{require(columns, {"x"}, "true values", "a header"),
                                  require(columns, {"sigma"}, "standard deviations", "a header")};
  const bool has_mean = columns.has("mean");
  if (has_mean) wanted.emplace_back("mean");
  columns.read(wanted, [&](std::span<const double> row) {
    const auto refuse = [&](const std::string& found, const char* expected) {
      throw InputError(columns.name() + ": row " + std::to_string(x_.size() + 1) + ": found " + found + ", expected " +
                       expected);
    };
    for (const double value : row)
      if (!std::isfinite(value)) refuse(number_text(value), "finite numbers");
    if (!x_.empty() && !(row[0] > x_.back())) refuse("x = " + number_text(row[0]), "x to rise from row to row");
    if (!(row[1] >= 0)) refuse("sigma = " + number_text(row[1]), "none below 0");
    x_.push_back(row[0]);
    deviation_.push_back(row[1]);
    mean_.push_back(has_mean ? row[2] : row[0]);
  });
  if (x_.size() < 2)
    throw InputError(columns.name() + ": found " + std::to_string(x_.size()) + " rows, expected at least 2");
}

NormalError BlurTable::operator()(double truth) const {
  const auto above = std::upper_bound(x_.begin() + 1, x_.end() - 1, truth);
  const auto i = static_cast<std::size_t>(above - x_.begin());
  const double at = (truth - x_[i - 1]) / (x_[i] - x_[i - 1]);
  const double inside = std::clamp(at, 0.0, 1.0);
  return {mean_[i - 1] + at * (mean_[i] - mean_[i - 1]),
          deviation_[i - 1] + inside * (deviation_[i] - deviation_[i - 1])};
}

}  // namespace ae::fit
