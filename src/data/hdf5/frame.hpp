// Data frames of AnnData, as anndata 0.7 to 0.13 write them: names of rows, and columns. InputError as Hdf5File says.
#pragma once

#include <string>
#include <vector>

#include "data/counts/source.hpp"
#include "data/hdf5/file.hpp"

namespace ae::data {

// The names of a frame's rows.
std::vector<std::string> read_index(const Hdf5File& file, const std::string& frame);
// A column as texts: texts, numbers, truth values, categories, and these with missing ones.
CellTexts read_column(const Hdf5File& file, const std::string& frame, const std::string& name);
// An array, or a group of an array and of what is missing in it.
std::vector<std::string> texts_at(const Hdf5File& file, const std::string& place);

}  // namespace ae::data
