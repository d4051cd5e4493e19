// Backbones of protein chains in files, one after another.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "data/arrays/array_file.hpp"
#include "geometry/backbone.hpp"

namespace ae::data {

class Structures {
 public:
  virtual ~Structures() = default;
  // Puts the next one into `backbone`, with its id; false at the end. InputError.
  virtual bool next(geometry::Backbone& backbone) = 0;
  virtual bool of_one_molecule() const { return false; }  // all are chains of it
};

// NPY of [structures, residues, 4, 3], or [residues, 4, 3] for a single one: N, CA, C and O of residues that follow
// each other, in Angstrom. NPZ of such an array, or of `xyz` [residues, 4, 3] with `offset` [structures + 1], where
// each begins. An atom with a NaN is missing; residues without atoms are gaps, or at the end padding. Ids are numbers
// from 0. InputError for other shapes, numbers that are no coordinates, and damaged files. Rows are read one at a time.
std::unique_ptr<Structures> open_structure_arrays(std::unique_ptr<ArrayFile> file);

// InputError "PLACE: coordinate ..." for one that is infinite, or further from 0 than geometry::kMostCoordinate.
void check_coordinate(double value, const std::string& place);

}  // namespace ae::data
