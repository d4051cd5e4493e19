// What AnnData's .h5ad files keep of cells beside X, as surface proteins in obsm["protein_expression"].
//
// A data frame names its columns. An array does not; those of scvi-tools are named by uns["protein_names"].
#pragma once

#include <filesystem>
#include <string>

#include "data/counts/readers.hpp"

namespace ae::data {

// CountReader::open_obsm. InputError as Hdf5File says.
MeasuredCells open_obsm(const std::filesystem::path& path, const std::string& name);

}  // namespace ae::data
