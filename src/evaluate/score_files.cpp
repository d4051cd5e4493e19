#include "evaluate/score_files.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "base/error.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "data/tables/rows.hpp"

namespace ae::evaluate {

namespace {

constexpr std::size_t kMostLabelValues = 1000;

std::string lower_case(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

bool same_value(std::string_view a, std::string_view b) {
  if (a == b) return true;
  const auto x = parse_number(a);
  const auto y = parse_number(b);
  return x && y && *x == *y;
}

bool contains_value(const std::vector<std::string>& values, std::string_view value) {
  return std::any_of(values.begin(), values.end(), [&](const std::string& one) { return same_value(one, value); });
}

std::string quoted_list(const std::vector<std::string>& values) {
  std::vector<std::string> shown;
  for (const auto& value : values) shown.push_back(ae::quoted(value));
  return join(shown, ", ", 8);
}

enum class Class : std::uint8_t { normal, anomaly };

// The class of each label value by the pairs that speak for themselves; empty when they do not.
std::vector<Class> classes_by_known_pair(const std::vector<std::string>& values) {
  constexpr std::pair<std::string_view, std::string_view> pairs[] = {
      {"0", "1"}, {"false", "true"}, {"normal", "anomaly"}};
  for (const auto& [normal, anomaly] : pairs) {
    std::vector<Class> classes;
    for (const auto& value : values) {
      const std::string plain = lower_case(value);
      if (same_value(plain, normal)) classes.push_back(Class::normal);
      if (same_value(plain, anomaly)) classes.push_back(Class::anomaly);
    }
    if (classes.size() == values.size()) return classes;
  }
  return {};
}

// Distinct values of a label column, numbered in order of appearance.
class LabelValues {
 public:
  LabelValues(std::string file, std::string column) : file_(std::move(file)), column_(std::move(column)) {}

  std::uint32_t number(std::string_view value) {
    if (!values_.empty() && values_[last_] == value) return last_;
    const auto known = numbers_.find(std::string(value));
    if (known != numbers_.end()) return last_ = known->second;
    if (values_.size() == kMostLabelValues)
      throw InputError(file_ + ": column " + ae::quoted(column_) + " has more than " +
                       std::to_string(kMostLabelValues) +
                       " different values, too many for labels; name the label column with --label-column");
    last_ = static_cast<std::uint32_t>(values_.size());
    values_.emplace_back(value);
    numbers_.emplace(value, last_);
    return last_;
  }

  std::vector<Class> classes(const LabelMeaning& meaning) const {
    if (values_.empty()) throw InputError(file_ + ": no row has a label in column " + ae::quoted(column_));
    std::vector<Class> result;
    if (meaning.normal.empty() && meaning.anomaly.empty()) {
      result = classes_by_known_pair(values_);
      if (result.empty()) refuse_unknown();
    } else {
      for (const auto& value : values_) result.push_back(class_of(value, meaning));
    }
    check_both_classes(result, meaning);
    return result;
  }

  const std::string& value(std::uint32_t number) const { return values_[number]; }

 private:
  [[noreturn]] void refuse_unknown() const {
    throw InputError(file_ + ": column " + ae::quoted(column_) + " has the labels " + quoted_list(values_) +
                     "; expected 0 and 1 (1 = anomaly), false and true, or normal and anomaly; say which mean normal "
                     "with --normal VALUE or which mean anomaly with --anomaly VALUE");
  }

  Class class_of(const std::string& value, const LabelMeaning& meaning) const {
    if (contains_value(meaning.normal, value)) return Class::normal;
    if (contains_value(meaning.anomaly, value)) return Class::anomaly;
    if (meaning.normal.empty()) return Class::normal;
    if (meaning.anomaly.empty()) return Class::anomaly;
    throw InputError(file_ + ": label " + ae::quoted(value) +
                     " is neither among --normal nor among --anomaly; add it to one" +
                     ", or give only one of the two options");
  }

  void check_both_classes(const std::vector<Class>& classes, const LabelMeaning& meaning) const {
    const bool normals = std::find(classes.begin(), classes.end(), Class::normal) != classes.end();
    const bool anomalies = std::find(classes.begin(), classes.end(), Class::anomaly) != classes.end();
    if (normals && anomalies) return;
    std::string line = file_ + ": all labelled rows are " + (normals ? "normal" : "anomalies") + " (labels " +
                       quoted_list(values_) + "); an ROC needs normal rows and anomalies";
    for (const auto* named : {&meaning.normal, &meaning.anomaly}) {
      for (const auto& value : *named) {
        if (contains_value(values_, value)) continue;
        line += "; no row has the label " + ae::quoted(value) + did_you_mean(value, values_);
      }
    }
    throw InputError(line);
  }

  std::string file_;
  std::string column_;
  std::vector<std::string> values_;
  std::unordered_map<std::string, std::uint32_t> numbers_;
  std::uint32_t last_ = 0;
};

// A score table as a stream: score, label and id of one row at a time.
class ScoreReader {
 public:
  ScoreReader(const std::filesystem::path& path, Reporter& reporter)
      : rows_(data::open_rows(path)), reporter_(reporter) {}
  ~ScoreReader() { reporter_.progress_done(); }
  ScoreReader(const ScoreReader&) = delete;
  ScoreReader& operator=(const ScoreReader&) = delete;

  std::optional<std::size_t> find(std::string_view column) const {
    const auto& names = rows_->columns();
    const auto found = std::find(names.begin(), names.end(), column);
    if (found == names.end()) return std::nullopt;
    return static_cast<std::size_t>(found - names.begin());
  }

  std::size_t require(const std::string& column, std::string_view what, std::string_view option) const {
    if (const auto found = find(column)) return *found;
    throw InputError(name() + ": no column " + ae::quoted(column) + " for the " + std::string(what) +
                     did_you_mean(column, rows_->columns()) + "; the columns are " + quoted_list(rows_->columns()) +
                     "; name it with " + std::string(option));
  }

  bool next() {
    constexpr std::int64_t rows_between_looks = 1 << 16;
    if (++looked_ % rows_between_looks == 0) {
      throw_if_stopped("reading scores");
      reporter_.progress("bytes", rows_->position(), rows_->size(), name());
    }
    return rows_->next();
  }

  double score(std::size_t column) const {
    const std::string_view text = rows_->has_numbers() ? std::string_view{} : trimmed(rows_->text(column));
    const auto number = rows_->has_numbers() ? std::optional(rows_->number(column)) : parse_number(text);
    if (number && std::abs(*number) < std::numeric_limits<double>::max()) return *number + 0.0;  // -0 becomes 0
    refuse_score(column, text, number);
  }

  std::string_view text(std::size_t column) const {
    if (rows_->has_numbers() && std::isnan(rows_->number(column))) return {};
    return trimmed(rows_->text(column));
  }

  const std::string& name() const { return rows_->name(); }
  std::string where(std::size_t column) const { return rows_->where(column); }

 private:
  [[noreturn]] void refuse_score(std::size_t column, std::string_view text, std::optional<double> number) const {
    const std::string place = rows_->where(column) + ": score ";
    const std::string expected = "; every labelled row needs a finite number (leave the row out, or empty its label)";
    if ((number && std::isnan(*number)) || (!number && text.empty())) throw InputError(place + "is missing" + expected);
    if (number)
      throw InputError(place + (text.empty() ? number_text(*number) : ae::quoted(text)) + " is too large" + expected);
    throw InputError(place + ae::quoted(text) + " is not a number" + expected);
  }

  std::unique_ptr<data::RowSource> rows_;
  Reporter& reporter_;
  std::int64_t looked_ = 0;
};

void warn_about_unlabeled(Reporter& reporter, const std::string& name, std::int64_t unlabeled) {
  if (unlabeled == 0) return;
  reporter.warning(name + ": " + std::to_string(unlabeled) +
                   (unlabeled == 1 ? " row without a label is" : " rows without a label are") + " left out");
}

[[noreturn]] void refuse_duplicate(const ScoreReader& reader, std::size_t column) {
  throw InputError(reader.where(column) + ": id " + ae::quoted(reader.text(column)) +
                   " occurs a second time; ids must be unique (see --id-column)");
}

void append(std::vector<double>& to, std::vector<double>&& from) {
  if (to.empty()) {
    to = std::move(from);
  } else {
    to.insert(to.end(), from.begin(), from.end());
  }
}

}  // namespace

void LabelMeaning::check() const {
  for (const auto& value : normal)
    if (contains_value(anomaly, value))
      throw UsageError("label " + ae::quoted(value) + " is given to both --normal and --anomaly; keep one");
}

LabeledRows read_labeled_scores(const std::filesystem::path& path, const ScoreColumns& columns,
                                const LabelMeaning& meaning, Reporter& reporter, const RowsToKeep& keep) {
  meaning.check();
  ScoreReader reader(path, reporter);
  const std::size_t score = reader.require(columns.score, "score", "--score-column");
  const std::size_t label = reader.require(columns.label, "label", "--label-column");
  const std::size_t id = keep.ids ? reader.require(columns.id, "id", "--id-column") : 0;
  const std::size_t group =
      keep.group_column.empty() ? 0 : reader.require(keep.group_column, "groups", "--group-by, or give --manifest");
  LabeledRows result;
  result.name = reader.name();
  LabelValues values(result.name, columns.label);
  std::vector<std::vector<double>> scores_of_value;
  std::unordered_set<std::string> ids;
  while (reader.next()) {
    const std::string_view text = reader.text(label);
    if (text.empty()) {
      ++result.unlabeled;
      continue;
    }
    const std::uint32_t value = values.number(text);
    if (value == scores_of_value.size()) scores_of_value.emplace_back();
    scores_of_value[value].push_back(reader.score(score));
    if (!keep.ids) continue;
    result.rows.push_back({std::string(reader.text(id)), value, scores_of_value[value].back(), ""});
    if (!ids.insert(result.rows.back().id).second) refuse_duplicate(reader, id);
    if (!keep.group_column.empty()) result.rows.back().group = reader.text(group);
  }
  const auto classes = values.classes(meaning);
  const bool kinds = std::count(classes.begin(), classes.end(), Class::anomaly) > 1;
  for (std::size_t value = 0; value < classes.size(); ++value) {
    const bool anomaly = classes[value] == Class::anomaly;
    result.labels.push_back({values.value(static_cast<std::uint32_t>(value)), anomaly, {}});
    if (anomaly && kinds) result.labels.back().scores = scores_of_value[value];
    append(anomaly ? result.anomalies : result.normals, std::move(scores_of_value[value]));
  }
  warn_about_unlabeled(reporter, result.name, result.unlabeled);
  return result;
}

namespace {

// Rows of the first file by id, waiting for their second score.
struct PairedRow {
  double first = 0;
  std::uint32_t label = 0;
  bool labeled = false;
  bool matched = false;
};

[[noreturn]] void refuse_unmatched(const std::string& in, const std::string& not_in, std::vector<std::string> ids) {
  std::sort(ids.begin(), ids.end());
  throw InputError(not_in + ": " + (ids.size() == 1 ? "id " : "ids ") + quoted_list(ids) + " of " + in +
                   (ids.size() == 1 ? " is" : " are") +
                   " missing; a paired comparison needs the same rows in both files (see --id-column)");
}

using PairedTable = std::unordered_map<std::string, PairedRow>;

// Adds second scores in the second file's order, so that the result does not depend on the map's.
class Pairing {
 public:
  Pairing(PairedTable& table, LabelValues& values, const std::vector<Class>& classes, PairedRows& result)
      : table_(table), values_(values), classes_(classes), result_(result) {}

  void read_second(ScoreReader& reader, const ScoreColumns& columns) {
    const std::size_t score = reader.require(columns.score, "score", "--score-column");
    const std::size_t id = reader.require(columns.id, "id", "--id-column");
    const auto label = reader.find(columns.label);
    std::vector<std::string> unknown;
    while (reader.next()) {
      const std::string key(reader.text(id));
      const auto row = table_.find(key);
      if (row == table_.end()) {
        unknown.push_back(key);
        continue;
      }
      if (row->second.matched) refuse_duplicate(reader, id);
      row->second.matched = true;
      if (!row->second.labeled) continue;
      if (label) check_label(reader, *label, row->second, key);
      auto& own = classes_[row->second.label] == Class::anomaly ? result_.anomalies : result_.normals;
      own.first.push_back(row->second.first);
      own.second.push_back(reader.score(score));
    }
    if (!unknown.empty()) refuse_unmatched(reader.name(), result_.first_name, std::move(unknown));
    std::vector<std::string> missing;
    for (const auto& [key, row] : table_)
      if (row.labeled && !row.matched) missing.push_back(key);
    if (!missing.empty()) refuse_unmatched(result_.first_name, reader.name(), std::move(missing));
  }

 private:
  void check_label(const ScoreReader& reader, std::size_t column, const PairedRow& row, const std::string& id) const {
    const std::string_view second = reader.text(column);
    if (second.empty() || same_value(second, values_.value(row.label))) return;
    throw InputError(reader.where(column) + ": id " + ae::quoted(id) + " has the label " + ae::quoted(second) +
                     ", but " + ae::quoted(values_.value(row.label)) + " in " + result_.first_name);
  }

  PairedTable& table_;
  const LabelValues& values_;
  const std::vector<Class>& classes_;
  PairedRows& result_;
};

}  // namespace

PairedRows read_paired_scores(const std::filesystem::path& first, const std::filesystem::path& second,
                              const ScoreColumns& columns, const LabelMeaning& meaning, Reporter& reporter) {
  meaning.check();
  PairedRows result;
  PairedTable table;
  ScoreReader reader(first, reporter);
  result.first_name = reader.name();
  const std::size_t score = reader.require(columns.score, "score", "--score-column");
  const std::size_t label = reader.require(columns.label, "label", "--label-column");
  const std::size_t id = reader.require(columns.id, "id", "--id-column");
  LabelValues values(result.first_name, columns.label);
  while (reader.next()) {
    const auto [row, added] = table.try_emplace(std::string(reader.text(id)));
    if (!added) refuse_duplicate(reader, id);
    const std::string_view text = reader.text(label);
    row->second.labeled = !text.empty();
    if (text.empty()) {
      ++result.unlabeled;
      continue;
    }
    row->second.label = values.number(text);
    row->second.first = reader.score(score);
  }
  const auto classes = values.classes(meaning);
  ScoreReader second_reader(second, reporter);
  result.second_name = second_reader.name();
  Pairing(table, values, classes, result).read_second(second_reader, columns);
  warn_about_unlabeled(reporter, result.first_name, result.unlabeled);
  return result;
}

}  // namespace ae::evaluate
