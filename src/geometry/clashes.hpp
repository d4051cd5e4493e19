// Atoms of a backbone that lie within each other.
#pragma once

#include <cstdint>

#include "geometry/backbone.hpp"

namespace ae::geometry {

// Van der Waals radii in Angstrom, those of Probe for atoms whose hydrogens are looked at apart (Word et al. 1999,
// J. Mol. Biol. 285, 1711): a hydrogen bond N...O of 2.7 does not count as a clash. Hydrogens are not looked at.
constexpr std::array<double, kBackboneAtoms> kRadii{1.55, 1.70, 1.65, 1.40};
constexpr double kClashOverlap = 0.4;             // Angstrom; of MolProbity's definition
constexpr std::int64_t kMostClashes = 1'000'000;  // where counting ends

// Pairs of atoms that overlap by kClashOverlap or more, of two residues that are not joined (see is_joined()). At most
// kMostClashes.
std::int64_t clashes(const Backbone& backbone);

}  // namespace ae::geometry
