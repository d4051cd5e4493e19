// A page of scored rows: how many score how, which are the strangest and why, and which columns are not what they were.
// One HTML file that works offline.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/files.hpp"

namespace ae::report {

// Text may hold any bytes; it is escaped and cut to a length that can be read.

// One of the columns that make a row strange. Places are shares of the column's axis, 0 to 1.
struct RowReason {
  std::string column;
  std::string observed;  // as the user wrote it; "" = it was missing
  std::string expected;
  std::string usual_low, usual_high;  // where the observed value usually lies, given what was expected; "" = not known
  double percent = 0;                 // of what makes the row strange
  std::optional<double> at;           // of numbers: the observed value,
  std::optional<double> expected_at;  // the expected one,
  double low = 0, high = 0;           // and where nine of ten training rows lie
};

struct PageRow {
  std::string id;
  std::string label;
  double score = 0;  // finite
  double p_value = 1;
  bool flagged = false;
  std::vector<std::string> kept;  // as TablePage::kept
  std::vector<RowReason> reasons;
};

struct ScoreBin {
  double from = 0, to = 0;
  std::int64_t rows = 0;
  double usual = 0;  // of so many normal rows, as many as were scored, would lie here
};

struct PageColumn {
  std::string name;
  double p_value = 1;
  double distance = 0;
  double missing = 0, missing_in_training = 0;  // shares
  std::int64_t unseen = 0;                      // cells with levels that training did not have
  bool drifted = false;
  std::vector<std::pair<double, double>> shares;  // of its values, in training and here, bin by bin
};

struct TablePage {
  std::string title;
  std::string noun = "rows";
  std::int64_t scored = 0, flagged = 0, bad = 0;
  bool any_rule = false;  // something can be flagged
  std::optional<double> threshold;
  std::string rule;
  bool drifted = false;
  double drift_p_value = 1;
  bool logarithmic = false;  // the axis of scores
  std::vector<ScoreBin> bins;
  std::vector<std::string> kept;  // names of the columns that pass through
  std::vector<PageRow> rows;      // the strangest first
  std::vector<PageColumn> columns;
  std::vector<std::string> warnings;
  std::string command;
  std::vector<std::pair<std::string, std::string>> facts;
};

void write_table_page(Output& output, const TablePage& page);

}  // namespace ae::report
