// HDF5 files as named arrays: datasets of the root, and of the groups episode_0, episode_1, ... in which Minari keeps
// episodes.
#pragma once

#include <filesystem>
#include <memory>

#include "data/arrays/array_file.hpp"

namespace ae::data {

// InputError as Hdf5File says. Of groups that are not episodes nothing is looked at.
std::unique_ptr<ArrayFile> open_hdf5_arrays(const std::filesystem::path& path);

// HDF5, NPZ or NPY by the first bytes; of a folder that Minari wrote its main_data.hdf5. InputError.
std::shared_ptr<const ArrayFile> open_arrays(const std::filesystem::path& path);
// The file that is read for it.
std::filesystem::path file_of_arrays(const std::filesystem::path& path);

}  // namespace ae::data
