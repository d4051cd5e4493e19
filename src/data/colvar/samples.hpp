// The rows of a COLVAR file that count, as numbers in a temporary file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/reporter.hpp"
#include "data/tables/column_cells.hpp"

namespace ae::data {

struct ColvarColumns {
  std::vector<std::string> variables;  // one or two
  std::vector<std::string> biases;     // whose sum is the bias; none = unbiased
  std::int64_t skipped = 0;            // rows left out at the beginning of each file
  std::vector<bool> period_is_known =
      {};  // of each variable: min_ and max_ of files are not looked at; empty = of none
};

// What became of the rows of a file.
struct ColvarRows {
  std::int64_t read = 0, used = 0;
  std::int64_t not_finite = 0;  // nan or inf in one of the columns, or in that of time
  std::int64_t repeated = 0;    // of a time that was there before, as after a restart
  std::int64_t skipped = 0;
  std::int64_t incomplete = 0;  // a last line without its end, whose last number may be cut
  std::int64_t restarts = 0;

  ColvarRows& operator+=(const ColvarRows& other);
};

struct ColvarSamples {
  std::string name;  // of the file
  ColvarRows rows;
  std::vector<std::optional<std::pair<double, double>>> periods;  // of each variable, as the file says
  std::vector<ColumnCells<double>> variables;                     // [rows.used] each
  ColumnCells<double> bias;
  std::vector<std::pair<double, double>> ranges;  // smallest and largest value of each variable
  double largest_bias = 0;
};

// One pass over a COLVAR file or any other table. Where there is a column `time`, a row of the same time as the row
// before is left out, and so are, after a step back in time, those up to the latest time so far: a restarted simulation
// writes them again. A step back to the file's first time or before is another run in the same file, which is kept.
// InputError as open_rows(), for a column that is not there, a cell that is no number (an empty one is not finite), and
// a file without a row that can be used.
ColvarSamples read_colvar(const std::filesystem::path& path, const ColvarColumns& columns, ScratchFile& scratch,
                          Reporter& reporter);

}  // namespace ae::data
