// Whether two descriptions are of the same crystal: the same atoms in another cell, about another origin, in another
// order, turned or mirrored, and a little displaced or strained.
//
// The way is that of pymatgen's StructureMatcher (Ong et al. 2013, Comput. Mater. Sci. 68, 314) with its defaults and
// scaling, which published match rates are made with:
// - Both are reduced to a primitive cell and its shortest vectors, and brought to the same volume.
// - Every basis of the second lattice is tried whose lengths and angles are those of the first one within tolerances.
// - In the cell that is half-way between the two by lengths and angles, every site of the rarest kind is tried for the
//   origin. Sites are given to sites so that the sum of squared distances is least, the mean displacement is taken out,
//   and both are repeated while the sum decreases, which StructureMatcher does once.
// - The best of all is a match when its root mean square displacement is below `site`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "geometry/crystal.hpp"

namespace ae::geometry {

struct MatchTolerances {
  double length = 0.3;      // of the vectors' lengths, by which a ratio may be off from 1
  double angle = 10;        // degrees
  double site = 0.5;        // root mean square displacement, in units of (volume / sites)^(1/3)
  double primitive = 0.25;  // Angstrom: sites that a translation brings within this of others are repetitions
};

// A cell that cannot be made smaller. Sites that repeat each other within the tolerance are at their mean.
struct PrimitiveCell {
  Lattice lattice{};
  std::vector<Point> sites;        // fractions, [0, 1)
  std::vector<std::string> kinds;  // of the sites, sorted: see CrystalSite::kind()
};

constexpr std::size_t kMostMatchedSites = 500;

// None for a crystal that cannot be compared: without a cell of kLeastVolume, with no sites or more than
// kMostMatchedSites.
std::optional<PrimitiveCell> primitive_cell(const Crystal& crystal, double tolerance);

struct CrystalMatch {
  double normalised_rms = 0;  // in units of (volume / sites)^(1/3), of the cell half-way between the two
  double rms = 0;             // Angstrom, in that cell
  double largest = 0;         // displacement of a site; Angstrom
};

struct MatchResult {
  std::optional<CrystalMatch> match;
  bool too_large = false;  // not decided: there were too many ways to lay one on the other
};

MatchResult match(const PrimitiveCell& one, const PrimitiveCell& other, const MatchTolerances& tolerances);

}  // namespace ae::geometry
