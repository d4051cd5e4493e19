#include "geometry/backbone.hpp"

namespace ae::geometry {

std::string Backbone::label(std::size_t residue) const {
  const auto& own = residues[residue].label;
  return own.empty() ? std::to_string(residue + 1) : own;
}

bool is_bonded(const BackboneResidue& before, const BackboneResidue& after) {
  return before.has(kC) && after.has(kN) && distance(before.at(kC), after.at(kN)) <= kMostPeptideBond;
}

bool is_joined(const Backbone& backbone, std::size_t residue) {
  if (residue == 0 || residue >= backbone.residues.size()) return false;
  const auto& after = backbone.residues[residue];
  return after.follows || is_bonded(backbone.residues[residue - 1], after);
}

}  // namespace ae::geometry
