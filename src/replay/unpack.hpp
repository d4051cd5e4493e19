// Transitions as an NPZ archive.
#pragma once

#include "base/files.hpp"
#include "base/reporter.hpp"
#include "data/arrays/array_file.hpp"

namespace ae::replay {

// All arrays of the file, of the types that it gives them.
void write_arrays(const data::ArrayFile& arrays, Output& output, Reporter& reporter);

}  // namespace ae::replay
