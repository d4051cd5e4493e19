// The config section "/data" of structures.
#pragma once

#include <string>

#include "data/options.hpp"
#include "data/structures/windows.hpp"

namespace ae::data {

struct StructureOptions : DataOptions {
  std::int64_t residues = 0;
  std::int64_t stride = 1;
  std::string frame = "own";
  config::Path rows;
  std::string scaling = "standard";
  void fields(config::Fields& f) override;
  Cut cut() const { return {residues, stride, frame == "own"}; }
};

}  // namespace ae::data
