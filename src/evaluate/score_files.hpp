// Tables of scores and labels, as ae-score writes them, read into the two classes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/reporter.hpp"
#include "evaluate/roc.hpp"

namespace ae::evaluate {

struct ScoreColumns {
  std::string score = "score";
  std::string label = "label";
  std::string id = "id";  // only read when rows are matched with something else
};

// Which label values mean what. Both empty: the pairs 0/1, false/true and normal/anomaly (any case) speak for
// themselves. One given: every other value means the opposite. Both given: every value must be in one of them.
// Numbers compare by value: "0" is "0.0".
struct LabelMeaning {
  std::vector<std::string> normal;
  std::vector<std::string> anomaly;
  void check() const;  // UsageError when a value is in both
};

// A labelled row that is to be matched with files or with rows of another table.
struct IdentifiedRow {
  std::string id;
  std::uint32_t label = 0;  // of LabeledRows::labels
  double score = 0;
  std::string group;  // text of the group column
};

struct LabelKind {
  std::string value;
  bool anomaly = false;
  std::vector<double> scores;  // of an anomaly's kind, when there are two or more of them; else empty
};

struct LabeledRows {
  std::string name;
  std::vector<double> anomalies;
  std::vector<double> normals;
  std::int64_t unlabeled = 0;       // rows with an empty label, left out
  std::vector<LabelKind> labels;    // in order of appearance
  std::vector<IdentifiedRow> rows;  // only when asked for
};

// What to keep of each row besides its score.
struct RowsToKeep {
  bool ids = false;          // fills LabeledRows::rows; ids must be there and unique
  std::string group_column;  // "" = no group
};

// InputError, with the place, for: a column that is not there (with the nearest name), a labelled row without a finite
// score, label values whose meaning is not known (all of them are listed), a class without rows.
LabeledRows read_labeled_scores(const std::filesystem::path& path, const ScoreColumns& columns,
                                const LabelMeaning& meaning, Reporter& reporter, const RowsToKeep& keep = {});

// Two scores of the same rows: [i] of a class is one row in both files.
struct PairedRows {
  std::string first_name;
  std::string second_name;
  PairedScores anomalies;
  PairedScores normals;
  std::int64_t unlabeled = 0;
};

// Rows are matched by the id column, in any order; labels come from the first file, and a label column of the second
// must agree. Further InputErrors: an id twice in one file, ids of labelled rows that are in one file only (named).
PairedRows read_paired_scores(const std::filesystem::path& first, const std::filesystem::path& second,
                              const ScoreColumns& columns, const LabelMeaning& meaning, Reporter& reporter);

}  // namespace ae::evaluate
