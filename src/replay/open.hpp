// Any file of transitions by its path.
#pragma once

#include <filesystem>
#include <memory>

#include "data/arrays/array_file.hpp"

namespace ae::replay {

// NPZ, NPY or HDF5, told by the first bytes; a folder that `pack` wrote, decoded; or a folder with main_data.hdf5 in it
// or in data/, as Minari makes them. InputError for anything else.
std::shared_ptr<const data::ArrayFile> open_arrays(const std::filesystem::path& path);

}  // namespace ae::replay
