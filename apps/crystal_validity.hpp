// ae-score --validity crystal
#pragma once

#include "validity.hpp"

namespace ae::apps {

// Crystals of CIF files and tables, compared with those of the same id in run.reference. InputError for a file that is
// neither, or damaged, and for a crystal whose reference is not there.
std::string run_crystal_validity(const ValidityRun& run, cli::Context& context);

}  // namespace ae::apps
