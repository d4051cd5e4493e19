// How many threads LibTorch and BLAS use, and what they are.
#pragma once

#include <string>
#include <vector>

namespace ae::model {

// `requested` 0: chosen by the work: `operations` floating-point operations per call of the largest unit of work. Small
// work runs on one thread, where handing it over would cost more than it saves. Returns the number in use.
int use_threads(int requested, double operations);

std::vector<std::string> library_versions();  // lines for --version: LibTorch, BLAS

}  // namespace ae::model
