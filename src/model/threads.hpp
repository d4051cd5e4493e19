// How many threads LibTorch and BLAS use, and what they are.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace ae::model {

// Whose threads do the bulk of the work: BLAS's (matrix products of tables) or OpenMP's (convolutions of images). Only
// one of them gets more than one: waiting threads spin, and two pools spinning against each other on the same cores can
// make two threads slower than one.
enum class Pool { blas, openmp };

// `requested` 0: chosen by the work: `operations` floating-point operations per call of the largest unit of work. Small
// work runs on one thread, where handing it over would cost more than it saves. Returns the number in use.
int use_threads(int requested, double operations, Pool pool);

// Calls work(begin, end) for pieces of at most `grain` that cover [0, count), on as many threads as use_threads() gave
// the larger pool. Meanwhile BLAS and LibTorch stay on the calling thread of each piece, and so does a share_out within
// `work`. Which thread takes a piece is left to chance. The first exception ends the work and is thrown here.
void share_out(std::int64_t count, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)>& work);

std::vector<std::string> library_versions();  // lines for --version: LibTorch, BLAS

}  // namespace ae::model
