// Crystals in files, one after another.
#pragma once

#include <memory>
#include <string>

#include "data/tables/rows.hpp"
#include "geometry/crystal.hpp"

namespace ae::data {

class Crystals {
 public:
  virtual ~Crystals() = default;
  // Puts the next one into `crystal`, with its id; false at the end. InputError.
  virtual bool next(geometry::Crystal& crystal) = 0;
};

// A table with a row for each crystal ("wide") or for each of its sites ("long"). Columns, in any case of letters and
// any order; others are not looked at:
//
// - id: `structure`, `material_id` or `id`, the first of these. Wide tables may do without: numbers from 0.
// - cell: `a`, `b`, `c` in Angstrom and `alpha`, `beta`, `gamma` in degrees; or the vectors `a_x`, `a_y`, ... `c_z` in
//   Angstrom. What makes no cell, such as NaN, leaves the crystal without one.
// - sites: `z` (atomic number or symbol; also `element`, `species`, `symbol`), and `fx`, `fy`, `fz` in fractions of the
//   cell, or `p_x`, `p_y`, `p_z` in Angstrom; `occupancy` (0 to 1; 1 where there is none). Of wide tables with the
//   site's number, from 1: `z1`, `fx1`, ... A site of a wide table whose cells are all empty or NaN is none; one with
//   an element and without coordinates, or the reverse, is missing.
// - long: the rows of a crystal follow each other, with the same cell; `n_atoms` or `num_atoms` says how many these
//   are.
//
// InputError for other columns, texts that are no numbers, and crystals of more than geometry::kMostCrystalSites. Rows
// are read one at a time.
std::unique_ptr<Crystals> open_crystal_table(std::unique_ptr<RowSource> rows);

// The lattice of `cell`; none when it makes none. InputError "PLACE: ..." for a vector longer than
// geometry::kMostCellLength.
std::optional<geometry::Lattice> checked_lattice(const geometry::CellParameters& cell, const std::string& place);

// [0, 1). InputError "PLACE: ..." for a fraction further from 0 than kMostFraction. NaN: none.
constexpr double kMostFraction = 1e6;
std::optional<geometry::Point> checked_fractions(const geometry::Point& fractions, const std::string& place);

// InputError for one below 0, above 100 or no number.
double checked_occupancy(std::optional<double> occupancy, const std::string& found, const std::string& place);

InputError too_many_sites(const std::string& place);

}  // namespace ae::data
