// Which rows are held out together.
#pragma once

#include <cstdint>
#include <vector>

#include "fit/outcome.hpp"

namespace ae::fit {

using FoldOfRow = std::vector<std::int32_t>;  // one number in [0, folds) a row

// Each stratum of the outcome (events and censored rows, or each class) is shuffled and dealt out in turn, so that
// folds differ by at most one row of it, and by at most one in size. A function of (outcome's strata, folds, key)
// alone. 2 <= folds <= rows.
FoldOfRow stratified_folds(const Outcome& outcome, std::int32_t folds, std::uint64_t key);

// Rows of a fold, and all others, in rising order.
std::vector<std::int64_t> rows_in(const FoldOfRow& folds, std::int32_t fold);
std::vector<std::int64_t> rows_outside(const FoldOfRow& folds, std::int32_t fold);

}  // namespace ae::fit
