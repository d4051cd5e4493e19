// A crystal, and what is wrong with it without a model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "geometry/flags.hpp"
#include "geometry/lattice.hpp"

namespace ae::geometry {

// An element of a site, and the share of cells (above 0, 1 = all) in which it is there.
struct Occupant {
  int element = 0;  // atomic number, 1 to kElements
  double occupancy = 1;

  bool operator==(const Occupant&) const = default;
};

// A position, with what is there. Several occupants share it, each in other cells.
struct CrystalSite {
  Point at{};  // fractions of the cell's vectors, [0, 1)
  std::vector<Occupant> occupants;

  double occupancy() const;  // of all together
  bool partial() const;      // whether it is empty in some cells, or shared
  std::string kind() const;  // "Fe", "Fe0.5Ni0.5": equal where sites have the same occupants
};

constexpr std::size_t kMostCrystalSites = 20'000;  // of a cell; their pairs are looked at in seconds
constexpr double kMostCellLength = 1e6;            // Angstrom

struct Crystal {
  std::string id;
  std::optional<Lattice> lattice;  // none: what the file says makes no cell, and its sites are nowhere
  std::vector<CrystalSite> sites;  // in the file's order
  std::int64_t missing_sites = 0;  // further ones, without coordinates
  std::int64_t merged_sites = 0;   // further ones, which symmetry makes of others
};

// Sites of a crystal that lie within this of each other, and are not both full, are one. Angstrom.
constexpr double kOneSite = 0.1;
// Closer atoms are none: the bounds of Xie et al. 2022 (CDVAE), Angstrom and cubic Angstrom.
constexpr double kTooClose = 0.5;
constexpr double kLeastVolume = 0.1;

// Of the elements in a cell, in Hill's order: carbon and hydrogen first where there is carbon, then by the alphabet.
// "CaCO3" is "CCaO3"; of partial occupancies "Fe0.5".
std::string formula(const Crystal& crystal);

// Makes one site of those within kOneSite of each other of which one is partial, unless they were there more than 1.001
// times.
void join_shared_sites(Crystal& crystal);

struct CrystalValidity {
  std::int64_t sites = 0, missing_sites = 0, merged_sites = 0;
  std::int64_t partial_sites = 0;
  std::optional<CellParameters> cell;  // none: there is no cell, nor anything below
  double volume = 0;                   // cubic Angstrom
  double density = 0;                  // g/cm^3
  // Of two atoms or of one and its own image in another cell, in Angstrom; none without sites, or in a cell smaller
  // than kLeastVolume. Partial sites that are never there together are not looked at: those closer than kTooClose whose
  // occupancies add up to at most 1.
  std::optional<double> shortest_distance;
  std::string shortest_at;    // "Na(1)-Cl(2)": elements, and numbers of sites from 1
  std::int64_t overlaps = 0;  // pairs of sites closer than kTooClose, of which images count once
};

CrystalValidity validate(const Crystal& crystal);

using CrystalFlag = Flag<CrystalValidity>;
const std::vector<CrystalFlag>& crystal_flags();

std::vector<std::string> verdict(const CrystalValidity& validity);  // names of flags, in the order of the table

}  // namespace ae::geometry
