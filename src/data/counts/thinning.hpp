// Molecular cross-validation: each molecule of a cell goes to one of two parts, so that what is learned from one can be
// judged on the other, without any truth (Batson, Royer, Webber 2019, bioRxiv 786269).
#pragma once

#include <cstdint>
#include <span>

#include "data/counts/matrix.hpp"

namespace ae::data {

// How many of `count` molecules go to the part that is held out, each with probability `share`: binomial, and a
// function of (seed, cell, gene) alone, so that cells may be cut into blocks anywhere. `count`: a whole number >= 0.
std::int64_t held_out_molecules(std::uint64_t seed, std::int64_t cell, std::int32_t gene, std::int64_t count,
                                double share);

struct ThinnedCounts {
  CellCounts kept, held_out;  // the same cells; their sum is what was given
};
// `first_cell`: the number of the first of these cells in the whole file. InputError for a count that is no whole
// number, which has no molecules to deal out.
ThinnedCounts thin(const CountView& counts, std::int64_t first_cell, std::uint64_t seed, double share);

}  // namespace ae::data
