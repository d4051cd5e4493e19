// Torsions of a backbone, and what they tell of its handedness.
//
// N, CA, C and O have no centre of chirality: a mirrored backbone has the same bonds and angles. But each phi and psi
// is turned into its negative, and chains of L-amino acids have most phi below 0 (Ramachandran et al. 1963).
#pragma once

#include <optional>
#include <vector>

#include "geometry/backbone.hpp"

namespace ae::geometry {

// In radians, [-pi, pi]; none where an atom is missing or the chain is broken.
struct ResidueTorsions {
  std::optional<double> phi, psi;
  std::optional<double> omega;  // of the peptide bond before the residue
};
std::vector<ResidueTorsions> torsions(const Backbone& backbone);

// Log-likelihoods in nats, summed over residues with both phi and psi, taken as independent, above that of torsions
// drawn evenly: of the chain, and of its mirror image. The density is a histogram of 121,940 residues of crystal
// structures (fragments of haddocking/BM5-clean, commit ff8ee22, Apache-2.0), 30 degrees a bin, 5 added to each.
struct TorsionLikelihood {
  std::int64_t residues = 0;
  double chain = 0;
  double mirrored = 0;
};
TorsionLikelihood torsion_likelihood(const std::vector<ResidueTorsions>& torsions);

// (N - CA) . [(C - CA) x (CB - CA)] in cubic Angstrom: 2.52 with a standard deviation of 0.15 for L-amino acids, the
// negative for D. None without CB or one of the others.
std::optional<double> chiral_volume(const BackboneResidue& residue);

}  // namespace ae::geometry
