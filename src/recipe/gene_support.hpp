// Of which genes a cell's own counts tell more than cells alike do.
//
// A zero that is filled in is a measurement replaced by a prediction. That does harm where counts are good and a gene
// follows no other (as one that is read in a few cells of a type whose other cells look the same): the cells that do
// have it drown among those that might. Both sides are measured on the same scale, as squared correlations with what
// cannot be seen, the logarithm of the true amount:
//
//   reliability  of the counts. Each molecule goes to one of two halves, whose noise is independent, and all is to be
//                expected over how they fall; r being the correlation of both halves' values, it is 2 r / (1 + r) for
//                the whole (Spearman 1910, Brown 1910).
//   told         by the cells alike: of the mean over the 15 nearest cells by 10 principal components of other genes (a
//                fifth of the genes at a time), the covariance with a half, squared, over the mean's variance and the
//                halves' covariance.
//
// Values are log(1 + count / size factor). Neither a label nor the network is looked at.
#pragma once

#include <cstdint>

#include "base/reporter.hpp"
#include "data/counts/load.hpp"

namespace ae::recipe {

// Sets prepared.schema's `reliability` and `told`, rounded to four decimals: of at most 1,000 of the training cells, a
// function of the data and the seed. told is 0 where it correlates the wrong way round, both are 0 of genes without a
// variance. Leaves them empty where it cannot be told: of fewer than 50 cells, of counts that are no whole numbers,
// without /data/log1p, or where zeros are missing.
void tell_gene_support(data::PreparedCounts& prepared, const data::CountOptions& options, std::uint64_t seed,
                       Reporter& reporter);

}  // namespace ae::recipe
