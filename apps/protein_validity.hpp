// ae-score --validity protein
#pragma once

#include "validity.hpp"

namespace ae::apps {

// Backbones of NPY, NPZ, PDB and mmCIF files. InputError for a file that is none, or damaged.
std::string run_protein_validity(const ValidityRun& run, cli::Context& context);

}  // namespace ae::apps
