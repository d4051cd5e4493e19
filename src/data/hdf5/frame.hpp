// Data frames of AnnData, as anndata 0.7 to 0.13 write them: names of rows, and columns. InputError as Hdf5File says.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/counts/source.hpp"
#include "data/hdf5/file.hpp"

namespace ae::data {

// The names of a frame's rows.
std::vector<std::string> read_index(const Hdf5File& file, const std::string& frame);
// A column as texts: texts, numbers, truth values, categories, and these with missing ones.
CellTexts read_column(const Hdf5File& file, const std::string& frame, const std::string& name);
// An array, or a group of an array and of what is missing in it; of the latter `missing` is as long. `expected`: what
// the error says of a group of another kind.
struct Masked {
  Hdf5Dataset values;
  std::vector<std::int64_t> missing;  // not 0 where a value is; empty: none is
};
Masked masked_at(const Hdf5File& file, const std::string& place, const char* expected);
std::vector<std::string> texts_at(const Hdf5File& file, const std::string& place);  // of such; "" where missing

}  // namespace ae::data
