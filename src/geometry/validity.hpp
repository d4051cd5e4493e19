// What is wrong with the backbone of a protein chain, without a model: bonds, angles, peptide planes, clashes,
// handedness.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "geometry/backbone.hpp"
#include "geometry/covalent.hpp"
#include "geometry/flags.hpp"

namespace ae::geometry {

// z-scores of bonds, or of angles.
struct Deviations {
  std::int64_t count = 0;
  std::int64_t within_4 = 0, within_12 = 0;  // of |z|
  double squares = 0;                        // sum of z^2
  double worst = 0;                          // the z of the largest |z|
  std::string worst_at;                      // "" = there are none
  std::string worst_id;                      // of several structures: the one that it is in

  void add(double z);
  void add(const Deviations& others, const std::string& id);
  std::optional<double> rmsz() const;
};

struct BackboneValidity {
  std::int64_t residues = 0;       // with an observed atom
  std::int64_t missing_atoms = 0;  // of those residues
  std::int64_t chain_breaks = 0;   // between them
  Deviations bonds, angles;
  std::int64_t peptides = 0;      // with a torsion omega
  std::int64_t cis = 0;           // |omega| < 90 degrees
  std::int64_t twisted = 0;       // more than 30 degrees from cis and from trans
  std::int64_t odd_peptides = 0;  // twisted, or cis and not before a proline
  double omega_squares = 0;       // sum over trans peptides of squared deviations from 180 degrees
  std::int64_t clashes = 0;
  std::int64_t phis = 0, positive_phis = 0;
  std::int64_t ramachandran_residues = 0;
  double log_likelihood = 0;           // see TorsionLikelihood
  double mirrored_log_likelihood = 0;  // likewise
  std::int64_t cb_volumes = 0;         // residues with a chiral volume
  double cb_volume_sum = 0;
  std::int64_t chiral_flips = 0;  // of these, those with a negative one

  // Makes this that of several structures, of which `id` is one.
  void add(const BackboneValidity& other, const std::string& id);
  std::optional<double> omega_rms() const;  // degrees
  // Nats by which the torsions are likelier than those of the mirror image.
  std::optional<double> handedness() const;
};

BackboneValidity validate(const Backbone& backbone);

using ValidityFlag = Flag<BackboneValidity>;
const std::vector<ValidityFlag>& validity_flags();

std::vector<std::string> verdict(const BackboneValidity& validity);  // names of flags, in the order of the table

}  // namespace ae::geometry
