// Files of backbones, as open_structure_arrays() and read_molecules() read them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/files.hpp"
#include "geometry/backbone.hpp"

namespace ae::data {

class StructureWriter {
 public:
  virtual ~StructureWriter() = default;
  // `model`: structures of one number, which follow each other, are chains of one model. InputError for one that the
  // format has no room for.
  virtual void add(const geometry::Backbone& backbone, std::int64_t model) = 0;
  virtual void finish() = 0;  // after the last one; Output::commit() is the caller's
};

// By the file's name: .npy, float64 (structures, residues, 4, 3), with NaN for what is missing and behind the end of
// all but the longest; .pdb, with N, CA, C, O and CB of all chains, and several models where there are any. UsageError
// for other names. Memory does not grow with the structures.
std::unique_ptr<StructureWriter> make_structure_writer(Output& output);
void check_structure_name(const std::string& path);  // UsageError likewise

}  // namespace ae::data
