// Tables of scores and labels, as ae-score writes them, read into the two classes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/reporter.hpp"
#include "evaluate/labels.hpp"

namespace ae::evaluate {

struct ScoreColumns {
  std::string score = "score";
  std::string label = "label";  // of the scores, or of the table of labels
  std::string id = "id";        // of the scores; only read when rows are matched with something else
};

struct ScoreReading {
  ScoreColumns columns = {};
  LabelMeaning labels = {};
  std::filesystem::path label_table = {};  // the labels of the rows, by id; "" = they stand beside the scores
  std::string label_id = {};               // its id column; "" = columns.id
  bool mixed_models = false;               // warn of rows of several models instead of refusing them
};

// A labelled row that is to be matched with files or with rows of another table.
struct IdentifiedRow {
  std::string id;
  std::uint32_t label = 0;  // of LabeledRows::labels
  double score = 0;
  std::string group;  // text of the group column
};

struct LabelKind {
  std::string value;  // as it appeared first
  bool anomaly = false;
  std::vector<double> scores;  // of an anomaly's kind, when there are two or more of them; else empty
};

struct LabeledRows {
  std::string name;
  std::string model;  // the first digits of its file's SHA-256, when all scores are said to be of one; else ""
  std::vector<double> anomalies;
  std::vector<double> normals;
  std::int64_t unlabeled = 0;       // rows without a label, left out
  std::int64_t unscored = 0;        // rows with a label and without a score, left out
  std::vector<LabelKind> labels;    // in order of appearance
  std::vector<IdentifiedRow> rows;  // only when asked for
};

// What to keep of each row besides its score.
struct RowsToKeep {
  bool ids = false;          // fills LabeledRows::rows; ids must be there and unique
  std::string group_column;  // "" = no group
};

// InputError, with the place, for: a column that is not there (with the nearest name), a score that is no finite
// number, label values whose meaning is not known (all of them are listed), a class without rows, rows of several
// models.
//
// Rows with a label and an empty score, as ae-score writes for what it cannot read, are left out with a warning.
//
// With a table of labels, its ids and those of the scores are compared as texts without blanks around them; an empty
// one matches nothing. Rows without a label there are left out, and ids there without a row are counted, each in a
// warning. Further InputErrors: an id twice on either side, no id that both sides have.
LabeledRows read_labeled_scores(const std::filesystem::path& path, const ScoreReading& how, Reporter& reporter,
                                const RowsToKeep& keep = {});

// Scores of the same rows from several files, in their order: [file][i] of a class is one row in all of them.
struct MatchedRows {
  std::vector<std::string> names;
  std::vector<std::string> models;  // of each file, as in LabeledRows
  std::vector<std::vector<double>> anomalies;
  std::vector<std::vector<double>> normals;
  std::int64_t unlabeled = 0;
  std::int64_t unscored = 0;  // in any of the files
};

// Rows are matched by the id column, in any order; labels come from the first file or the table of labels, and a label
// column of the others must agree with the first file's. Further InputErrors: an id twice in one file, ids of labelled
// rows that are not in all files (named). At least two paths.
MatchedRows read_matched_scores(std::span<const std::filesystem::path> paths, const ScoreReading& how,
                                Reporter& reporter);

}  // namespace ae::evaluate
