#include "fit/table.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "evaluate/labels.hpp"
#include "evaluate/score_reader.hpp"
#include "fit/by_id.hpp"
#include "fit/numbers.hpp"

namespace ae::fit {
namespace {

using evaluate::quoted_list;
using evaluate::ScoreReader;

constexpr std::size_t kMostClasses = 50;

bool contains(const std::vector<std::string>& all, std::string_view one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

bool matches(const std::vector<std::string>& patterns, std::string_view name) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const auto& p) { return wildcard_match(p, name); });
}

// The outcome of one row, as far as it is known.
struct OutcomeCells {
  bool missing = false;
  double time = 0;
  std::uint8_t event = 0;
  std::string label;
  double target = 0;
};

// Outcome and controls of the current row of one table.
class Answers {
 public:
  Answers(const ScoreReader& reader, const TableReading& how, const Numbers& numbers)
      : reader_(reader), how_(how), numbers_(numbers) {
    const auto& names = how.outcome;
    if (!names.time.empty()) time_ = reader.require(names.time, "times", "--time");
    if (!names.event.empty()) event_ = reader.require(names.event, "events", "--event");
    if (!names.label.empty()) label_ = reader.require(names.label, "labels", "--label-column");
    if (!names.target.empty()) target_ = reader.require(names.target, "numbers to predict", "--target");
  }

  OutcomeCells read() const {
    OutcomeCells cells;
    switch (how_.outcome.family()) {
      case Family::cox:
        cells.time = numbers_.number(reader_, time_, "expected the time of the event or of censoring");
        if (cells.time < 0)
          throw InputError(Numbers::place(reader_, time_) + "time " + number_text(cells.time) +
                           " is negative; expected a time since the row's beginning");
        cells.event = event(cells.missing);
        cells.missing = cells.missing || std::isnan(cells.time);
        break;
      case Family::logistic:
        cells.label = reader_.rows().has_numbers() ? Numbers::shown(reader_, label_) : reader_.text(label_);
        cells.missing = is_missing_label(cells.label);
        break;
      case Family::ridge:
        cells.target = numbers_.number(reader_, target_, "expected a number to predict (classes: --label-column)");
        cells.missing = std::isnan(cells.target);
        break;
    }
    return cells;
  }

 private:
  bool is_missing_label(std::string_view text) const {
    const auto kind = reader_.rows().has_numbers() ? numbers_.cells().read(reader_.rows(), label_).kind
                                                   : numbers_.cells().read(text).kind;
    return kind == data::CellKind::missing || kind == data::CellKind::unclear;
  }

  std::uint8_t event(bool& missing) const {
    const auto cell = numbers_.cells().read(reader_.rows(), event_);
    if (cell.kind == data::CellKind::number && (cell.value == 0 || cell.value == 1)) return cell.value == 1;
    if (cell.kind == data::CellKind::missing || cell.kind == data::CellKind::unclear) {
      missing = true;
      return 0;
    }
    const auto text = lower_case(reader_.rows().has_numbers() ? std::string_view{} : reader_.text(event_));
    if (text == "true" || text == "yes") return 1;
    if (text == "false" || text == "no") return 0;
    throw InputError(Numbers::place(reader_, event_) + "found " + Numbers::shown(reader_, event_) +
                     "; expected 1, true or yes for an event, 0, false or no for a censored time");
  }

  const ScoreReader& reader_;
  const TableReading& how_;
  const Numbers& numbers_;
  std::size_t time_ = 0, event_ = 0, label_ = 0, target_ = 0;
};

// The columns to predict from: those that are nothing else.
std::vector<std::size_t> feature_columns(const ScoreReader& table, std::optional<std::size_t> id,
                                         const TableReading& how) {
  std::vector<std::size_t> features;
  const auto& names = table.rows().columns();
  const auto outcome = how.outcome.names();
  for (std::size_t c = 0; c < names.size(); ++c) {
    const auto& name = names[c];
    if (id == c || contains(outcome, name) || contains(how.columns.controls, name)) continue;
    if (matches(how.columns.ignored, name)) continue;
    if (!how.columns.features.empty() && !matches(how.columns.features, name)) continue;
    features.push_back(c);
  }
  for (const auto& pattern : how.columns.features)
    if (std::none_of(features.begin(), features.end(), [&](auto c) { return wildcard_match(pattern, names[c]); }))
      throw InputError(table.name() + ": --features " + ae::quoted(pattern) + " matches no column" +
                       did_you_mean(pattern, names) + "; the columns are " + quoted_list(names));
  if (features.empty())
    throw InputError(table.name() + ": no column is left to predict from; the columns are " + quoted_list(names));
  return features;
}

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct SideRow {
  OutcomeCells outcome;
  std::vector<double> controls;  // those that the side table has, in their order
};

class Reading {
 public:
  Reading(const TableReading& how, Reporter& reporter)
      : how_(how), reporter_(reporter), numbers_(how.missing, how.missing_cells), table_(how.table, reporter) {
    result_.name = table_.name();
    result_.outcome.family = how.outcome.family();
  }

  ProbeTable read() {
    find_id();
    if (!how_.outcome_table.empty()) read_side();
    if (!how_.scores.empty()) scores_.emplace(how_.scores, how_.score, reporter_);
    choose_columns();
    std::optional<Answers> own;
    if (how_.outcome_table.empty()) own.emplace(table_, how_, numbers_);
    while (table_.next()) read_row(own);
    finish();
    return std::move(result_);
  }

 private:
  void find_id() { id_ = fit::find_id(table_, how_.id, !how_.outcome_table.empty() || !how_.scores.empty()); }

  std::string id_name() const { return how_.id.value_or("id"); }

  void read_side() {
    ScoreReader side(how_.outcome_table, reporter_);
    side_.name = side.name();
    const std::size_t id = side.require(how_.outcome_id.empty() ? id_name() : how_.outcome_id, "ids", "--id");
    std::vector<std::size_t> columns;
    for (const auto& name : how_.columns.controls) {
      const auto found = side.find(name);
      if (!found) continue;
      side_controls_.push_back(name);
      columns.push_back(*found);
    }
    const Answers answers(side, how_, numbers_);
    while (side.next()) {
      SideRow row{answers.read(), {}};
      if (!row.outcome.missing)
        for (const auto column : columns) row.controls.push_back(numbers_.predictor(side, column));
      side_.add(side, id, std::move(row));
    }
  }

  void choose_columns() {
    const auto& names = table_.rows().columns();
    features_ = feature_columns(table_, id_, how_);
    for (const auto& name : how_.columns.controls)
      if (!contains(side_controls_, name)) controls_.push_back(table_.require(name, "controls", "--controls"));
    name_columns(names);
  }

  void name_columns(const std::vector<std::string>& names) {
    auto& columns = result_.columns;
    if (how_.keep_texts) {
      for (const auto c : features_) result_.text_names.push_back(names[c]);
    } else {
      for (const auto c : features_) columns.names.push_back(names[c]);
      if (!how_.scores.empty()) columns.names.emplace_back(kLossColumn);
    }
    columns.controls.assign(columns.names.size(), false);
    for (const auto c : controls_) columns.names.push_back(names[c]);
    columns.names.insert(columns.names.end(), side_controls_.begin(), side_controls_.end());
    columns.controls.resize(columns.names.size(), true);
  }

  void read_row(const std::optional<Answers>& own) {
    const std::string id = id_of(table_, id_);
    if (example_.empty()) example_ = id;
    const SideRow* side = own ? nullptr : side_.find(id);
    const OutcomeCells outcome = own ? own->read() : side ? side->outcome : OutcomeCells{true, 0, 0, {}, 0};
    if (outcome.missing) {
      ++result_.without_outcome;
      return;
    }
    if (id_ && !seen_.insert(id).second) table_.refuse_duplicate(*id_);
    result_.ids.push_back(id);
    take(outcome);
    if (how_.keep_texts)
      for (const auto c : features_) result_.texts.emplace_back(table_.rows().text(c));
    else
      for (const auto c : features_) values_.push_back(numbers_.predictor(table_, c));
    if (scores_) values_.push_back(scores_->of(id, table_.name()));
    for (const auto c : controls_) values_.push_back(numbers_.predictor(table_, c));
    if (side) values_.insert(values_.end(), side->controls.begin(), side->controls.end());
  }

  void take(const OutcomeCells& cells) {
    auto& outcome = result_.outcome;
    switch (outcome.family) {
      case Family::cox:
        outcome.times.push_back(cells.time);
        outcome.events.push_back(cells.event);
        break;
      case Family::logistic:
        labels_.push_back(cells.label);
        break;
      case Family::ridge:
        outcome.values.push_back(cells.target);
        break;
    }
  }

  void finish() {
    if (!how_.outcome_table.empty()) side_.finish(table_.name(), example_, reporter_);
    if (result_.without_outcome > 0)
      reporter_.warning(table_.name() + ": " +
                        counted(result_.without_outcome, "row without an outcome is", "rows without an outcome are") +
                        " left out");
    if (result_.ids.empty()) throw InputError(table_.name() + ": no row has an outcome");
    auto& columns = result_.columns;
    const auto width = static_cast<Eigen::Index>(columns.names.size());
    columns.values = Eigen::Map<const RowMajor>(values_.data(), static_cast<Eigen::Index>(result_.ids.size()), width);
    finish_outcome();
  }

  void finish_outcome() {
    auto& outcome = result_.outcome;
    if (outcome.family == Family::cox) {
      outcome.times = tied(std::move(outcome.times));
      if (outcome.scarcest() == 0) throw InputError(table_.name() + ": all times are censored; there is no event");
    } else if (outcome.family == Family::logistic) {
      number_classes();
    } else {
      const auto [low, high] = std::minmax_element(outcome.values.begin(), outcome.values.end());
      if (*low == *high)
        throw InputError(table_.name() + ": all values to predict are " + number_text(*low) +
                         "; expected different ones");
    }
  }

  // In the order of numbers when all are, else of texts. "1" and "1.0" are one class.
  void number_classes() {
    auto& names = result_.outcome.class_names;
    const bool numbers = std::all_of(labels_.begin(), labels_.end(), [](const auto& l) { return !!parse_number(l); });
    const auto same = [&](const std::string& a, const std::string& b) {
      return numbers ? *parse_number(a) == *parse_number(b) : a == b;
    };
    for (const auto& label : labels_) {
      if (std::any_of(names.begin(), names.end(), [&](const auto& name) { return same(name, label); })) continue;
      names.push_back(label);
      if (names.size() > kMostClasses)
        throw InputError(table_.name() + ": column " + ae::quoted(how_.outcome.label) + " has more than " +
                         std::to_string(kMostClasses) + " classes; a number is predicted with --target");
    }
    std::sort(names.begin(), names.end(),
              [&](const auto& a, const auto& b) { return numbers ? *parse_number(a) < *parse_number(b) : a < b; });
    if (names.size() < 2)
      throw InputError(table_.name() + ": column " + ae::quoted(how_.outcome.label) + " holds the one class " +
                       ae::quoted(names.front()) + "; expected two or more");
    put_positive_last(names);
    for (const auto& label : labels_) {
      const auto found = std::find_if(names.begin(), names.end(), [&](const auto& name) { return same(name, label); });
      result_.outcome.classes.push_back(static_cast<std::int32_t>(found - names.begin()));
    }
  }

  void put_positive_last(std::vector<std::string>& names) const {
    const auto& positive = how_.outcome.positive;
    if (positive.empty()) return;
    const auto found = std::find_if(names.begin(), names.end(),
                                    [&](const auto& name) { return evaluate::same_label(name, positive); });
    if (names.size() != 2 || found == names.end())
      throw UsageError("--positive " + ae::quoted(positive) + ": expected one of two classes; the classes are " +
                       quoted_list(names));
    if (found == names.begin()) std::swap(names[0], names[1]);
  }

  const TableReading& how_;
  Reporter& reporter_;
  Numbers numbers_;
  ScoreReader table_;
  std::optional<std::size_t> id_;
  ById<SideRow> side_;
  std::optional<ScoresById> scores_;
  std::vector<std::string> side_controls_;
  std::vector<std::size_t> features_, controls_;  // columns of the table
  std::vector<double> values_;                    // row by row
  std::vector<std::string> labels_;
  std::unordered_set<std::string> seen_;
  std::string example_;
  ProbeTable result_;
};

}  // namespace

Family OutcomeColumns::family() const {
  return !time.empty() || !event.empty() ? Family::cox : !label.empty() ? Family::logistic : Family::ridge;
}

std::vector<std::string> OutcomeColumns::names() const {
  std::vector<std::string> given;
  for (const auto& name : {time, event, label, target})
    if (!name.empty()) given.push_back(name);
  return given;
}

void OutcomeColumns::check() const {
  if (time.empty() != event.empty())
    throw UsageError(std::string(time.empty() ? "--event needs --time" : "--time needs --event") + " as well");
  const int families = !time.empty() + !label.empty() + !target.empty();
  if (families == 0)
    throw UsageError(
        "nothing is to be predicted; name it by --time and --event (survival), --label-column (classes) or "
        "--target (a number)");
  if (families > 1)
    throw UsageError("--time with --event, --label-column and --target ask for different models; give one of them");
  if (!positive.empty() && label.empty()) throw UsageError("--positive needs --label-column as well");
}

ProbeTable read_probe_table(const TableReading& how, Reporter& reporter) {
  how.outcome.check();
  return Reading(how, reporter).read();
}

Columns read_other_codes(const std::filesystem::path& path, const ProbeTable& table, const TableReading& how,
                         Reporter& reporter) {
  ScoreReader reader(path, reporter);
  const Numbers numbers(how.missing, how.missing_cells);
  const auto id = find_id(reader, how.id, false);
  const auto features = feature_columns(reader, id, how);
  ById<std::vector<double>> codes;
  codes.name = reader.name();
  while (reader.next()) {
    std::vector<double> row;
    for (const auto c : features) row.push_back(numbers.predictor(reader, c));
    codes.add(reader, id, std::move(row));
  }
  Columns result;
  for (const auto c : features) result.names.push_back(reader.rows().columns()[c]);
  std::vector<double> values;
  for (const auto& name : table.ids) {
    const auto* row = codes.find(name);
    if (row == nullptr)
      throw InputError(codes.name + ": no codes for the id " + ae::quoted(name) + " of " + table.name +
                       "; expected the same rows (ids: --id-column)");
    values.insert(values.end(), row->begin(), row->end());
  }
  const auto rows = static_cast<Eigen::Index>(table.ids.size()), width = static_cast<Eigen::Index>(features.size());
  result.values = Eigen::Map<const RowMajor>(values.data(), rows, width);
  result.controls.assign(features.size(), false);
  result.append(table.columns.only(true));
  return result;
}

}  // namespace ae::fit
