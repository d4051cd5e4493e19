// The two formats of molecules, as lists of atoms. InputError, or an exception of the library.
#pragma once

#include <memory>
#include <vector>

#include "data/bytes/source.hpp"
#include "data/gemmi/atoms.hpp"

namespace ae::data::molecules {

// Of the first model.
struct Listing {
  std::vector<ListedChain> chains;
  bool more_models = false;
  bool more_blocks = false;  // of CIF
};

constexpr std::size_t kMostTextBytes = std::size_t{1} << 29;  // decompressed, of a model
InputError too_much_text(const std::string& name);

Listing read_pdb(std::unique_ptr<ByteSource> source);
Listing read_mmcif(std::unique_ptr<ByteSource> source);

}  // namespace ae::data::molecules
