// Any file of transitions by its path.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "data/arrays/array_file.hpp"
#include "data/arrays/transitions.hpp"

namespace ae::replay {

// NPZ, NPY or HDF5, told by the first bytes; a folder that `pack` wrote, decoded; or a folder with main_data.hdf5 in it
// or in data/, as Minari makes them. InputError for anything else.
std::shared_ptr<const data::ArrayFile> open_arrays(const std::filesystem::path& path);

// The files that these arrays, and of a store its model, are in. InputError as open_arrays().
std::vector<std::filesystem::path> files_of_arrays(const std::filesystem::path& path);

// The arrays of `file`, and those of `other` that it has none for, other than observations: for a file of observations
// only, the actions, rewards and ends of the transitions that they are of. Of episodes in groups, `file` as it is.
// `like`: the transitions of `other`; `options`: how that was read, and `file` is.
std::shared_ptr<const data::ArrayFile> completed(std::shared_ptr<const data::ArrayFile> file,
                                                 std::shared_ptr<const data::ArrayFile> other,
                                                 const data::Transitions& like, const data::TransitionOptions& options);

}  // namespace ae::replay
