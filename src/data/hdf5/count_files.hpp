// Counts in HDF5: AnnData's .h5ad files and 10x's .h5 files.
//
// .h5ad, as anndata 0.7 to 0.13 write them: the matrix X, a layer or raw/X, in CSR, CSC or dense; names and annotation
// of cells as texts, categories (also of 0.7), numbers, truth values, and these with missing values. CSR and dense
// matrices are read piece by piece, CSC as a whole.
// .h5, of Cell Ranger 2 (a group for each genome) and 3 (/matrix).
#pragma once

#include "data/counts/readers.hpp"

namespace ae::data {

extern const CountReader kHdf5Counts;

}  // namespace ae::data
