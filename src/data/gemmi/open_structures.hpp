// Files of backbones, whatever their format: NPY, NPZ, PDB, mmCIF.
#pragma once

#include <memory>
#include <string>

#include "base/reporter.hpp"
#include "data/structures/structures.hpp"

namespace ae::data {

// "-" is standard input, of PDB and mmCIF also a pipe. `prefix` is to stand before ids where several files are read,
// and before the names of chains. InputError for other kinds of files; what the readers say.
std::unique_ptr<Structures> open_structures(const std::string& path, bool several, std::string& prefix,
                                            Reporter& reporter);

}  // namespace ae::data
