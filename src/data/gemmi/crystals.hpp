// Crystals of CIF files (Hall, Allen and Brown 1991), whose text the library gemmi reads. A crystal a data block with
// atoms, its id the block's name.
//
// - Standard uncertainties, "1.23(4)", are left out. An angle of the cell that is not given is 90 degrees, as the CIF
//   dictionary has it; without a length there is no cell.
// - Symmetry: by the operations that are listed, else by the space group's Hermann-Mauguin name, of which the library
//   knows the operations; of several settings of that name the first is taken, which is told. A file with neither has
//   all of its sites.
// - The images of a site that lie within geometry::kOneSite are one, as those on a mirror plane are. So are an image
// and
//   a site of the same element of another row, both always there: that row was one too many (merged_sites).
// - The element is that of type_symbol, else that which the label begins with.
// - An occupancy that is not given, "." or "?", is 1. A site of occupancy 0 is none, nor is a dummy one (calc_flag
//   "dum"). One without coordinates is missing.
#pragma once

#include <memory>
#include <vector>

#include "base/reporter.hpp"
#include "data/bytes/source.hpp"
#include "geometry/crystal.hpp"

namespace ae::data {

// InputError when the file is damaged, or no block has atoms with fract_x, fract_y and fract_z.
std::vector<geometry::Crystal> read_crystals(std::unique_ptr<ByteSource> source, Reporter& reporter);

}  // namespace ae::data
