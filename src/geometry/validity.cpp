#include "geometry/validity.hpp"

#include <algorithm>
#include <cmath>

#include "geometry/clashes.hpp"
#include "geometry/torsions.hpp"

namespace ae::geometry {
namespace {

// 4 sigma: MolProbity's outliers; 12: the tolerance of AlphaFold 2's violation loss (Jumper et al. 2021).
constexpr double kOutlier = 4, kViolation = 12;
constexpr double kMostRmsz = 2;
// Below those of all of 9,856 crystal fragments of 16 residues (0.15 and 0.26).
constexpr double kLeastBondRmsz = 0.1, kLeastAngleRmsz = 0.2;
constexpr double kTwisted = 30;           // degrees; MolProbity's limit
constexpr double kMostOddPeptides = 0.1;  // share
constexpr double kMostClashShare = 0.1;   // a residue
constexpr double kMostMissing = 0.1;      // share of atoms
constexpr double kDecisive = 6.907755;    // nats: odds of 1,000 to 1

Deviations summed(const std::vector<Deviation>& all, const Backbone& backbone) {
  Deviations sum;
  const Deviation* worst = nullptr;
  for (const auto& deviation : all) {
    sum.add(deviation.z);
    if (worst == nullptr || std::abs(deviation.z) > std::abs(worst->z)) worst = &deviation;
  }
  if (worst != nullptr) sum.worst_at = place_of(*worst, backbone);
  return sum;
}

std::int64_t observed_atoms(const BackboneResidue& residue) { return std::ranges::count(residue.observed, true); }

void count_residues(const Backbone& backbone, BackboneValidity& validity) {
  bool before = false;  // a residue that was observed, with nothing between it and this one
  bool any = false;
  for (std::size_t i = 0; i < backbone.residues.size(); ++i) {
    const auto atoms = observed_atoms(backbone.residues[i]);
    if (atoms == 0) {
      before = false;
      continue;
    }
    ++validity.residues;
    validity.missing_atoms += static_cast<std::int64_t>(kBackboneAtoms) - atoms;
    if (any && !(before && is_joined(backbone, i))) ++validity.chain_breaks;
    before = any = true;
  }
}

void count_peptide(double omega, ResidueKind behind, BackboneValidity& validity) {
  const double degrees = std::abs(omega) * kDegrees;
  const bool cis = degrees < 90;
  const double bent = cis ? degrees : 180 - degrees;
  const bool twisted = bent > kTwisted;
  ++validity.peptides;
  validity.cis += cis ? 1 : 0;
  validity.twisted += twisted ? 1 : 0;
  validity.odd_peptides += twisted || (cis && behind != ResidueKind::proline) ? 1 : 0;
  if (!cis) validity.omega_squares += bent * bent;
}

void count_torsions(const Backbone& backbone, BackboneValidity& validity) {
  const auto all = torsions(backbone);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].omega) count_peptide(*all[i].omega, backbone.residues[i].kind, validity);
    if (all[i].phi) {
      ++validity.phis;
      validity.positive_phis += *all[i].phi > 0 ? 1 : 0;
    }
  }
  const auto likelihood = torsion_likelihood(all);
  validity.ramachandran_residues = likelihood.residues;
  validity.log_likelihood = likelihood.chain;
  validity.mirrored_log_likelihood = likelihood.mirrored;
}

void count_volumes(const Backbone& backbone, BackboneValidity& validity) {
  for (const auto& residue : backbone.residues) {
    const auto volume = chiral_volume(residue);
    if (!volume) continue;
    ++validity.cb_volumes;
    validity.cb_volume_sum += *volume;
    validity.chiral_flips += *volume < 0 ? 1 : 0;
  }
}

bool too_far(const Deviations& deviations) {
  return deviations.within_12 < deviations.count || deviations.rmsz().value_or(0) > kMostRmsz;
}

bool lacks_atoms(const BackboneValidity& validity) {
  const auto atoms = static_cast<double>(validity.residues) * kBackboneAtoms;
  return validity.bonds.count == 0 || static_cast<double>(validity.missing_atoms) > kMostMissing * atoms;
}

}  // namespace

void Deviations::add(double z) {
  ++count;
  within_4 += std::abs(z) <= kOutlier ? 1 : 0;
  within_12 += std::abs(z) <= kViolation ? 1 : 0;
  squares += z * z;
  if (std::abs(z) > std::abs(worst)) worst = z;
}

void Deviations::add(const Deviations& others, const std::string& id) {
  if (!others.worst_at.empty() && std::abs(others.worst) >= std::abs(worst)) {
    worst = others.worst;
    worst_at = others.worst_at;
    worst_id = id;
  }
  count += others.count;
  within_4 += others.within_4;
  within_12 += others.within_12;
  squares += others.squares;
}

std::optional<double> Deviations::rmsz() const {
  if (count == 0) return std::nullopt;
  return std::sqrt(squares / static_cast<double>(count));
}

void BackboneValidity::add(const BackboneValidity& other, const std::string& id) {
  residues += other.residues;
  missing_atoms += other.missing_atoms;
  chain_breaks += other.chain_breaks;
  bonds.add(other.bonds, id);
  angles.add(other.angles, id);
  peptides += other.peptides;
  cis += other.cis;
  twisted += other.twisted;
  odd_peptides += other.odd_peptides;
  omega_squares += other.omega_squares;
  clashes += other.clashes;
  phis += other.phis;
  positive_phis += other.positive_phis;
  ramachandran_residues += other.ramachandran_residues;
  log_likelihood += other.log_likelihood;
  mirrored_log_likelihood += other.mirrored_log_likelihood;
  cb_volumes += other.cb_volumes;
  cb_volume_sum += other.cb_volume_sum;
  chiral_flips += other.chiral_flips;
}

std::optional<double> BackboneValidity::omega_rms() const {
  if (peptides == cis) return std::nullopt;
  return std::sqrt(omega_squares / static_cast<double>(peptides - cis));
}

std::optional<double> BackboneValidity::handedness() const {
  if (ramachandran_residues == 0) return std::nullopt;
  return log_likelihood - mirrored_log_likelihood;
}

BackboneValidity validate(const Backbone& backbone) {
  BackboneValidity validity;
  count_residues(backbone, validity);
  validity.bonds = summed(bond_deviations(backbone), backbone);
  validity.angles = summed(angle_deviations(backbone), backbone);
  count_torsions(backbone, validity);
  validity.clashes = clashes(backbone);
  count_volumes(backbone, validity);
  return validity;
}

const std::vector<ValidityFlag>& validity_flags() {
  using Validity = BackboneValidity;
  static const std::vector<ValidityFlag> flags{
      {"bonds", "a bond deviates by more than 12 sigma, or RMSZ of bonds is above 2",
       [](const Validity& v) { return too_far(v.bonds); }},
      {"angles", "an angle deviates by more than 12 sigma, or RMSZ of angles is above 2",
       [](const Validity& v) { return too_far(v.angles); }},
      {"bonds_too_ideal", "RMSZ of bonds is below 0.1",
       [](const Validity& v) { return v.bonds.rmsz().value_or(1) < kLeastBondRmsz; }},
      {"angles_too_ideal", "RMSZ of angles is below 0.2",
       [](const Validity& v) { return v.angles.rmsz().value_or(1) < kLeastAngleRmsz; }},
      {"peptides", "more than a tenth of the peptide bonds are twisted, or cis without a proline behind them",
       [](const Validity& v) {
         return static_cast<double>(v.odd_peptides) > kMostOddPeptides * static_cast<double>(v.peptides);
       }},
      {"clashes", "two clashes or more, and more than one for ten residues",
       [](const Validity& v) {
         return v.clashes >= 2 && static_cast<double>(v.clashes) > kMostClashShare * static_cast<double>(v.residues);
       }},
      {"mirrored", "the mirror image's phi and psi are 1,000 times likelier than the chain's, and than any",
       [](const Validity& v) { return v.mirrored_log_likelihood - std::max(v.log_likelihood, 0.0) > kDecisive; }},
      {"torsions",
       "phi and psi drawn evenly are 1,000 times likelier than the chain's, and the mirror image's not as much "
       "likelier than these",
       [](const Validity& v) { return -v.log_likelihood > kDecisive && v.mirrored_log_likelihood <= kDecisive; }},
      {"chirality", "a CB lies where D-amino acids have it", [](const Validity& v) { return v.chiral_flips > 0; }},
      {"missing", "there is no bond to judge, or more than a tenth of the atoms of the residues are missing",
       lacks_atoms},
      {"breaks", "the chain is broken", [](const Validity& v) { return v.chain_breaks > 0; }},
  };
  return flags;
}

std::vector<std::string> verdict(const BackboneValidity& validity) { return verdict(validity_flags(), validity); }

}  // namespace ae::geometry
