#include "data/structures/options.hpp"

#include <array>

namespace ae::data {
namespace {

constexpr std::array<config::Choice, 2> kFrames{{
    {"own", "of each sample: about the mean of its CA, turned as its residue in the middle"},
    {"none", "coordinates as they are"},
}};

constexpr std::array<config::Choice, 2> kScalings{{
    {"standard", "mean 0 and standard deviation 1 of each coordinate"},
    {"none", "as they are"},
}};

constexpr std::int64_t kMostResidues = 4096;

}  // namespace

void StructureOptions::fields(config::Fields& f) {
  f.path("path", path, "The file of structures: NPY or NPZ of (structures, residues, 4, 3), PDB or mmCIF.");
  f.integer("residues", residues, {0, kMostResidues},
            "Residues of a sample: each stretch of so many that are joined. 0: each structure is a sample, all of like "
            "many residues.");
  f.integer("stride", stride, {1, kMostResidues}, "Residues from the begin of one sample to that of the next.");
  f.choice("frame", frame, kFrames, "The frame of coordinates that the network sees.");
  f.path("rows", rows, "A file with one 0-based number of a sample a line; only these are used.");
  f.choice("scaling", scaling, kScalings, "How coordinates are brought to a common scale, fitted on training samples.");
}

}  // namespace ae::data
