#include "evaluate/score_files.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "evaluate/score_reader.hpp"

namespace ae::evaluate {

namespace {

// The labels of the rows of one score table: from a column of its own, or from another table by id.
class RowLabels {
 public:
  RowLabels(const ScoreReader& scores, const ScoreReading& how, Reporter& reporter)
      : scores_(scores), from_table_(!how.label_table.empty()) {
    if (!from_table_) {
      column_ = scores.require(how.columns.label, "label", "--label-column");
      values_.emplace(scores.name(), how.columns.label, how.labels);
      return;
    }
    column_ = scores.require(how.columns.id, "id", "--id-column");
    read_table(how, reporter);
    if (scores.find(how.columns.label))
      reporter.info(scores.name() + ": column " + ae::quoted(how.columns.label) + " is not read; labels are those of " +
                    values_->file());
  }

  // The label of the current row, which counts from here on when it is scored; else there is none for it.
  std::optional<std::uint32_t> next(bool scored) {
    const std::string_view text = scores_.text(column_);
    if (!from_table_) return counted(values_->number(text), scored);
    const auto found = text.empty() ? by_id_.end() : by_id_.find(std::string(text));
    if (found == by_id_.end()) {
      ++unmatched_rows_;
      if (unmatched_example_.empty()) unmatched_example_ = text;
      return std::nullopt;
    }
    if (found->second.met) scores_.refuse_duplicate(column_);
    found->second.met = true;
    ++met_;
    return counted(found->second.label, scored);
  }

  ResolvedLabels resolve(Reporter& reporter) {
    if (from_table_ && met_ == 0) refuse_strangers();
    auto result = values_->resolve(reporter);
    values_->warn_about_unlabeled(reporter, scores_.name());
    if (unmatched_rows_ > 0)
      reporter.warning(scores_.name() + ": " + ae::counted(unmatched_rows_, "row whose id is", "rows whose ids are") +
                       " not in " + values_->file() + (unmatched_rows_ == 1 ? " is" : " are") + " left out");
    const auto strangers = table_rows_ - met_;
    if (strangers > 0)
      reporter.warning(values_->file() + ": " +
                       ae::counted(strangers, "row has an id that is", "rows have ids that are") + " not in " +
                       scores_.name());
    return result;
  }

  const LabelValues& values() const { return *values_; }
  std::int64_t unlabeled() const { return values_->unlabeled() + unmatched_rows_; }
  std::int64_t unscored() const { return unscored_; }

 private:
  struct Entry {
    std::optional<std::uint32_t> label;
    bool met = false;
  };

  std::optional<std::uint32_t> counted(std::optional<std::uint32_t> label, bool scored) {
    if (label && !scored) {
      ++unscored_;
      return std::nullopt;
    }
    values_->count(label);
    return label;
  }

  void read_table(const ScoreReading& how, Reporter& reporter) {
    ScoreReader table(how.label_table, reporter);
    const std::size_t id = table.require(how.label_id.empty() ? how.columns.id : how.label_id, "ids", "--id");
    const std::size_t label = table.require(how.columns.label, "label", "--label-column");
    values_.emplace(table.name(), how.columns.label, how.labels);
    while (table.next()) {
      ++table_rows_;
      const std::string key(table.text(id));
      if (key.empty()) continue;
      const auto [entry, added] = by_id_.try_emplace(key);
      if (!added) table.refuse_duplicate(id);
      entry->second.label = values_->number(table.text(label));
      if (table_example_.empty()) table_example_ = key;
    }
  }

  [[noreturn]] void refuse_strangers() const {
    throw InputError(values_->file() + ": none of its " + ae::counted(table_rows_, "id", "ids") + " is an id of " +
                     scores_.name() + " (" + ae::quoted(table_example_) + " here, " + ae::quoted(unmatched_example_) +
                     " there); name the columns with --id and --id-column");
  }

  const ScoreReader& scores_;
  bool from_table_;
  std::size_t column_ = 0;  // of the labels, or of the ids
  std::optional<LabelValues> values_;
  std::unordered_map<std::string, Entry> by_id_;
  std::int64_t table_rows_ = 0;
  std::int64_t met_ = 0;
  std::int64_t unmatched_rows_ = 0;
  std::int64_t unscored_ = 0;
  std::string table_example_;
  std::string unmatched_example_;
};

// An empty cell is a row that could not be scored; "nan" is a score that is none.
bool has_score(const ScoreReader& reader, std::size_t column) { return !reader.text(column).empty(); }

// What cannot be scored may be what is strange, so that this is more than a note.
void warn_of_unscored(std::int64_t rows, const std::string& file, Reporter& reporter) {
  if (rows > 0)
    reporter.warning(
        file + ": " +
        ae::counted(rows, "labelled row has no score and is left out", "labelled rows have no score and are left out") +
        "; the figures do not know of " + (rows == 1 ? "it" : "them"));
}

ModelColumn model_column(const ScoreReader& reader, const ScoreReading& how) {
  return {
      reader, {how.columns.score, how.label_table.empty() ? how.columns.label : "", how.columns.id}, how.mixed_models};
}

void append(std::vector<double>& to, std::vector<double>&& from) {
  if (to.empty()) {
    to = std::move(from);
  } else {
    to.insert(to.end(), from.begin(), from.end());
  }
}

// From the scores of each label, by its number, to those of each class and of each kind of anomaly.
void divide(LabeledRows& result, const ResolvedLabels& resolved, const LabelValues& values,
            std::vector<std::vector<double>>&& scores) {
  std::vector<std::uint32_t> kind_of(scores.size(), 0);
  std::vector<std::uint32_t> kind_of_first(resolved.same_as.size(), std::numeric_limits<std::uint32_t>::max());
  for (std::uint32_t value = 0; value < scores.size(); ++value) {
    if (scores[value].empty()) continue;
    auto& kind = kind_of_first[resolved.same_as[value]];
    if (kind == std::numeric_limits<std::uint32_t>::max()) {
      kind = static_cast<std::uint32_t>(result.labels.size());
      result.labels.push_back({values.value(value), resolved.classes[value] == LabelClass::anomaly, {}});
    }
    kind_of[value] = kind;
  }
  const bool kinds =
      std::count_if(result.labels.begin(), result.labels.end(), [](const LabelKind& kind) { return kind.anomaly; }) > 1;
  for (std::size_t value = 0; value < scores.size(); ++value) {
    if (scores[value].empty()) continue;
    LabelKind& kind = result.labels[kind_of[value]];
    if (kind.anomaly && kinds) append(kind.scores, std::vector<double>(scores[value]));
    append(kind.anomaly ? result.anomalies : result.normals, std::move(scores[value]));
  }
  for (auto& row : result.rows) row.label = kind_of[row.label];
}

}  // namespace

LabeledRows read_labeled_scores(const std::filesystem::path& path, const ScoreReading& how, Reporter& reporter,
                                const RowsToKeep& keep) {
  how.labels.check();
  ScoreReader reader(path, reporter);
  const auto& columns = how.columns;
  const std::size_t score = reader.require(columns.score, "score", "--score-column");
  RowLabels labels(reader, how, reporter);
  const std::size_t id = keep.ids ? reader.require(columns.id, "id", "--id-column") : 0;
  const std::size_t group =
      keep.group_column.empty() ? 0 : reader.require(keep.group_column, "groups", "--group-by, or give --manifest");
  ModelColumn model = model_column(reader, how);
  LabeledRows result;
  result.name = reader.name();
  std::vector<std::vector<double>> scores_of_value;
  std::unordered_set<std::string> ids;
  while (reader.next()) {
    model.look();
    const auto value = labels.next(has_score(reader, score));
    if (!value) continue;
    if (*value >= scores_of_value.size()) scores_of_value.resize(*value + 1);
    scores_of_value[*value].push_back(reader.score(score));
    if (!keep.ids) continue;
    result.rows.push_back({std::string(reader.text(id)), *value, scores_of_value[*value].back(), ""});
    if (!ids.insert(result.rows.back().id).second) reader.refuse_duplicate(id);
    if (!keep.group_column.empty()) result.rows.back().group = reader.text(group);
  }
  const auto resolved = labels.resolve(reporter);
  divide(result, resolved, labels.values(), std::move(scores_of_value));
  result.unlabeled = labels.unlabeled();
  result.unscored = labels.unscored();
  warn_of_unscored(result.unscored, result.name, reporter);
  result.model = model.finish(reporter);
  return result;
}

namespace {

// The scores of the labelled rows of several files; rows are numbered as in the first.
class Matching {
 public:
  Matching(const ScoreReading& how, Reporter& reporter) : how_(how), reporter_(reporter) {}

  void read_first(const std::filesystem::path& path) {
    ScoreReader reader(path, reporter_);
    const std::size_t score = reader.require(how_.columns.score, "score", "--score-column");
    RowLabels labels(reader, how_, reporter_);
    const std::size_t id = reader.require(how_.columns.id, "id", "--id-column");
    ModelColumn model = model_column(reader, how_);
    auto& scores = scores_.emplace_back();
    while (reader.next()) {
      model.look();
      const auto [row, added] =
          row_of_.try_emplace(std::string(reader.text(id)), static_cast<std::uint32_t>(labels_.size()));
      if (!added) reader.refuse_duplicate(id);
      labels_.push_back(labels.next(has_score(reader, score)));
      scores.push_back(labels_.back() ? reader.score(score) : none);
    }
    result_.unscored = labels.unscored();
    labels_of_table_ = !how_.label_table.empty();
    const auto resolved = labels.resolve(reporter_);
    classes_ = resolved.classes;
    for (std::uint32_t value = 0; value < classes_.size(); ++value)
      label_texts_.push_back(labels.values().value(value));
    result_.unlabeled = labels.unlabeled();
    add_names(reader, model);
  }

  void read_further(const std::filesystem::path& path) {
    ScoreReader reader(path, reporter_);
    const std::size_t score = reader.require(how_.columns.score, "score", "--score-column");
    const std::size_t id = reader.require(how_.columns.id, "id", "--id-column");
    const auto label = labels_of_table_ ? std::nullopt : reader.find(how_.columns.label);
    LabelValues labels(reader.name(), how_.columns.label, how_.labels);
    ModelColumn model = model_column(reader, how_);
    auto& scores = scores_.emplace_back(labels_.size(), none);
    std::vector<bool> met(labels_.size(), false);
    std::vector<std::string> unknown;
    while (reader.next()) {
      model.look();
      const std::string key(reader.text(id));
      const auto found = row_of_.find(key);
      if (found == row_of_.end()) {
        unknown.push_back(key);
        continue;
      }
      const std::uint32_t row = found->second;
      if (met[row]) reader.refuse_duplicate(id);
      met[row] = true;
      if (!labels_[row]) continue;
      if (label) check_label(reader, *label, *labels_[row], key, labels);
      if (has_score(reader, score)) {
        scores[row] = reader.score(score);
      } else {
        labels_[row].reset();
        ++result_.unscored;
      }
    }
    if (!unknown.empty()) refuse_unmatched(reader.name(), result_.names.front(), std::move(unknown));
    std::vector<std::string> missing;
    for (const auto& [key, row] : row_of_)
      if (labels_[row] && !met[row]) missing.push_back(key);
    if (!missing.empty()) refuse_unmatched(result_.names.front(), reader.name(), std::move(missing));
    add_names(reader, model);
  }

  MatchedRows finish() {
    warn_of_unscored(result_.unscored, join(result_.names, ", "), reporter_);
    for (const auto& scores : scores_) {
      auto& anomalies = result_.anomalies.emplace_back();
      auto& normals = result_.normals.emplace_back();
      for (std::size_t row = 0; row < labels_.size(); ++row)
        if (labels_[row]) (classes_[*labels_[row]] == LabelClass::anomaly ? anomalies : normals).push_back(scores[row]);
    }
    return std::move(result_);
  }

 private:
  static constexpr double none = std::numeric_limits<double>::quiet_NaN();

  void add_names(const ScoreReader& reader, const ModelColumn& model) {
    result_.names.push_back(reader.name());
    result_.models.push_back(model.finish(reporter_));
  }

  void check_label(const ScoreReader& reader, std::size_t column, std::uint32_t label, const std::string& id,
                   LabelValues& labels) const {
    const std::string_view other = reader.text(column);
    const std::string& own = label_texts_[label];
    if (other.empty() || same_label(other, own) || !labels.number(other)) return;
    throw InputError(reader.where(column) + ": id " + ae::quoted(id) + " has the label " + ae::quoted(other) +
                     ", but " + ae::quoted(own) + " in " + result_.names.front());
  }

  [[noreturn]] static void refuse_unmatched(const std::string& in, const std::string& not_in,
                                            std::vector<std::string> ids) {
    std::sort(ids.begin(), ids.end());
    throw InputError(not_in + ": " + (ids.size() == 1 ? "id " : "ids ") + quoted_list(ids) + " of " + in +
                     (ids.size() == 1 ? " is" : " are") +
                     " missing; a paired comparison needs the same rows in every file (see --id-column)");
  }

  const ScoreReading& how_;
  Reporter& reporter_;
  std::unordered_map<std::string, std::uint32_t> row_of_;
  std::vector<std::optional<std::uint32_t>> labels_;  // of each row; none = left out
  std::vector<LabelClass> classes_;                   // of each label
  std::vector<std::string> label_texts_;
  bool labels_of_table_ = false;
  std::vector<std::vector<double>> scores_;  // [file][row]
  MatchedRows result_;
};

}  // namespace

MatchedRows read_matched_scores(std::span<const std::filesystem::path> paths, const ScoreReading& how,
                                Reporter& reporter) {
  how.labels.check();
  Matching matching(how, reporter);
  matching.read_first(paths.front());
  for (const auto& path : paths.subspan(1)) matching.read_further(path);
  return matching.finish();
}

}  // namespace ae::evaluate
