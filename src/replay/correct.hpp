// Targets of a stored buffer, corrected for the store's errors.
#pragma once

#include <cstdint>
#include <string>

#include "base/files.hpp"
#include "base/reporter.hpp"
#include "replay/correction.hpp"

namespace ae::replay {

struct CorrectOptions {
  double gamma = 0.99;
  std::uint64_t seed = 0;
  bool force = false;  // also where that would harm
};

struct CorrectTotals {
  std::int64_t transitions = 0, without_next = 0;
  std::int64_t resets = 0;     // of vector environments, whose rows are no transitions
  CorrectionCheck check;       // times gamma
  double remainder_share = 0;  // see audit.hpp
  double mean_shift = 0;       // of the corrected targets less the uncorrected, where there are any
};

// Writes an NPZ archive of float64 arrays [transitions]: `targets`, corrected; `uncorrected`, as the store gives them;
// `bias`, the estimate that was taken off. NaN where a target needs a next observation that is not there, and for
// resets. InputError when the buffer has no rewards or other observations than the pairs, or Q is not finite; RunError,
// without `force`, where a correction tried on pairs that it did not know made the mean or the rms worse, where errors
// are too large for their expansion to hold, or there are too few pairs to tell.
CorrectTotals correct(const data::Transitions& buffer, const PairSample& pairs, const value::QNetwork& network,
                      const CorrectOptions& options, Output& output, Reporter& reporter);

}  // namespace ae::replay
