#include "geometry/backbone.hpp"

namespace ae::geometry {

const char* name_of(BackboneAtom atom) {
  constexpr std::array<const char*, kBackboneAtoms> kNames{"N", "CA", "C", "O"};
  return kNames[static_cast<std::size_t>(atom)];
}

std::string Backbone::label(std::size_t residue) const {
  const auto& own = residues[residue].label;
  return own.empty() ? std::to_string(residue + 1) : own;
}

bool is_joined(const Backbone& backbone, std::size_t residue) {
  if (residue == 0 || residue >= backbone.residues.size()) return false;
  const auto& before = backbone.residues[residue - 1];
  const auto& after = backbone.residues[residue];
  if (after.follows) return true;
  return before.has(kC) && after.has(kN) && distance(before.at(kC), after.at(kN)) <= kMostPeptideBond;
}

}  // namespace ae::geometry
