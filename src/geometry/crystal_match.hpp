// Whether two descriptions are of the same crystal: the same atoms in another cell, about another origin, in another
// order, turned or mirrored, and a little displaced or strained.
//
// The way is that of pymatgen's StructureMatcher (Ong et al. 2013, Comput. Mater. Sci. 68, 314) with its defaults and
// scaling, which published match rates are made with:
// - Both are reduced to a primitive cell and its shortest vectors, and brought to the same volume.
// - Every basis of the first lattice is tried whose lengths and angles are those of the second one within tolerances.
// - In the cell that is half-way between the two by lengths and angles, every site of the rarest kind is tried for the
//   origin. Sites are given to sites so that the sum of squared distances is least, and the mean displacement is taken
//   out.
// - The best of all is a match when its root mean square displacement is below `site`.
//
// As there, near the tolerances the answer may depend on the order of the two. It differs in what is told of a match:
// - Assignment and shift are repeated while the sum of squares decreases, and not done once.
// - Cells are first reduced by exact repetitions only. Where these do not match, sites that repeat each other roughly
//   are averaged, and what that takes away counts as displacement.
// - How much one cell has to be strained to become the other is told, as the displacements do not have it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "geometry/crystal.hpp"

namespace ae::geometry {

struct MatchTolerances {
  double length = 0.3;  // of the vectors' lengths, by which a ratio may be off from 1
  double angle = 10;    // degrees
  double site = 0.5;    // root mean square displacement, in units of (volume / sites)^(1/3)
  double exact = 0.01;  // Angstrom: sites that a translation brings within this of others are repetitions
  double rough = 0.25;  // likewise, where exact ones do not match
};

// A cell that cannot be made smaller. Sites that repeat each other within the tolerance are at their mean.
struct PrimitiveCell {
  Lattice lattice{};
  std::vector<Point> sites;                // fractions, [0, 1)
  std::vector<std::string> kinds;          // of the sites, sorted: see CrystalSite::kind()
  std::vector<std::string> kinds_of_file;  // each once, by where it comes first
  double spread = 0;                       // mean square distance from these means, of all sites; square Angstrom
  double farthest = 0;                     // largest distance, Angstrom
};

constexpr std::size_t kMostMatchedSites = 500;

// None for a crystal that cannot be compared: without a cell of kLeastVolume, with no sites or more than
// kMostMatchedSites.
std::optional<PrimitiveCell> primitive_cell(const Crystal& crystal, double tolerance);

struct CrystalMatch {
  double normalised_rms = 0;  // in units of (volume / sites)^(1/3), of the cell half-way between the two
  double rms = 0;             // Angstrom, in that cell
  double largest = 0;         // displacement of a site, Angstrom; where sites were averaged, what it is at most
  double strain = 0;          // |F F^T - 1| / 2 (Frobenius): F makes the other's cell the one's, with its volume
};

struct MatchResult {
  std::optional<CrystalMatch> match;
  bool too_large = false;  // not decided: too many sites, or too many ways to lay one on the other
};

MatchResult match(const Crystal& one, const Crystal& other, const MatchTolerances& tolerances = {});

}  // namespace ae::geometry
