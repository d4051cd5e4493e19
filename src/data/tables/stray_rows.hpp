// Lines of a table that stand where rows do and are none: units below the header, and the header once more.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace ae::data {

// A cell that is no number in a column of numbers.
struct StrayCell {
  std::string_view column;  // its name
  std::string_view text;
};

// What such a line is, in one line for all of its cells: "t.csv:2: looks like a row of units ...; remove the line ...".
// "" when it is neither: for a single cell, for texts that are neither the names of their columns nor in the first row,
// and for numbers that are written in another way. `where`: the place of one of its cells, FILE:LINE:COLUMN; `row`: the
// line's row, counted from 0.
std::string stray_row(const std::string& where, std::int64_t row, std::span<const StrayCell> cells);

// FILE:LINE of FILE:LINE:COLUMN.
std::string line_of_place(const std::string& where);

}  // namespace ae::data
