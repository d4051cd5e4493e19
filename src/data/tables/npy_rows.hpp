// NumPy's arrays as rows: a 2-D array [rows, columns] or a 1-D one (a single column); columns are named f0, f1, ...
//
// - NaN is a missing cell.
// - C order is streamed and may be larger than memory; Fortran order is loaded whole.
// - text() is the shortest decimal text that reads back to the same element.
#pragma once

#include <memory>
#include <string>

#include "data/bytes/source.hpp"
#include "data/tables/rows.hpp"

namespace ae::data {

std::unique_ptr<RowSource> open_npy(std::unique_ptr<ByteSource> source);

// `array`: the member's name with or without ".npy"; "" = the only member, or the only 2-D one.
std::unique_ptr<RowSource> open_npz(std::unique_ptr<RandomAccess> file, const std::string& array = "");

}  // namespace ae::data
