// Atoms of a molecule as its file lists them, and chains made of them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "geometry/backbone.hpp"

namespace ae::data::molecules {

enum class Place : std::uint8_t { chain, elsewhere, unknown };  // whether a residue is of a polymer, as the file says

struct ListedAtom {
  std::string name;     // "CA"
  bool carbon = false;  // by its element
  bool nitrogen = false;
  std::string conformation;  // "" = the only one
  double occupancy = 1;
  geometry::Point at{};
};

// Those of one type at one number.
struct ListedResidue {
  std::string type;  // "GLY"
  int number = 0;
  std::string insertion;              // "A" of 52A
  std::optional<int> sequence_place;  // label_seq_id
  bool hetero = false;
  Place place = Place::unknown;
  std::vector<ListedAtom> atoms;
};

struct ListedChain {
  std::string name;
  std::vector<ListedResidue> residues;
};

bool is_backbone_name(std::string_view atom);  // also CB

// Chains without a backbone are left out.
std::vector<geometry::Backbone> backbones_of(const std::vector<ListedChain>& chains);

}  // namespace ae::data::molecules
