// COLVAR files of PLUMED: what a simulation prints of its collective variables.
// Format: plumed.org/doc (files): "#! FIELDS time phi ..." names the columns, "#! SET min_phi -pi" sets a constant,
// rows are numbers between blanks, other lines that begin with '#' are comments. A restarted simulation appends to the
// file, with FIELDS again.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/bytes/lines.hpp"

namespace ae::data {

// One file as a stream of rows of the columns that are wanted. Memory does not grow with the rows.
class ColvarReader {
 public:
  // Reads up to the first FIELDS. InputError when the file is empty, binary or has no such line before its rows, or
  // when a wanted column is missing or there twice, with the nearest names. `time`: of a column that need not be there.
  ColvarReader(std::unique_ptr<ByteSource> source, std::vector<std::string> wanted, std::string time = "time");

  // The next row; values [wanted]. False at the end. InputError `FILE:LINE:COLUMN: ...` for a row of another number of
  // cells and for a cell that is no number; nan and inf are numbers here. A last line without its end is what a
  // running simulation leaves, and its last number may be cut: it is not given, and is counted by incomplete().
  bool next(std::span<double> values);

  const std::string& name() const { return lines_.source().name(); }
  std::string place() const { return lines_.place(); }  // `FILE:LINE` of the last row
  const std::vector<std::string>& columns() const { return columns_; }
  std::optional<double> time() const { return time_; }  // of the last row
  bool restarted() const { return restarted_; }         // whether FIELDS stood directly above the last row
  std::int64_t incomplete() const { return incomplete_; }
  const ByteSource& source() const { return lines_.source(); }

  // min_NAME and max_NAME as far as they were set until now: NAME is periodic. InputError for bounds that are no
  // numbers or multiples of pi, or are not in order.
  std::optional<std::pair<double, double>> period(const std::string& column) const;

 private:
  void take_comment(std::string_view line);
  void take_fields(std::string_view names);
  bool take_row(std::string_view line, std::span<double> values);
  [[noreturn]] void refuse_cell(std::size_t column, std::string_view line, std::string_view cell) const;

  Lines lines_;
  std::vector<std::string> wanted_;
  std::string time_name_;
  std::vector<std::string> columns_;
  std::vector<std::size_t> target_;  // of each column the wanted one, or as many as are wanted
  std::size_t time_column_ = 0;      // or as many as there are columns
  std::optional<double> time_;
  std::map<std::string, std::pair<std::string, std::string>> constants_;  // by name: text, and where it stands
  bool restarted_ = false;
  std::int64_t incomplete_ = 0;
};

// "3.14", "-pi", "2*pi", "pi/2", "+inf"; nothing for what is none of these.
std::optional<double> colvar_number(std::string_view text);

}  // namespace ae::data
