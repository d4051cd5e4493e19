#include "geometry/torsions.hpp"

#include <algorithm>
#include <numbers>

namespace ae::geometry {
namespace {

constexpr std::size_t kBins = 12;
// From -180 degrees: phi by rows, psi by columns.
constexpr std::array<std::array<int, kBins>, kBins> kCounts{{
    {449, 46, 16, 25, 47, 31, 66, 74, 129, 314, 1321, 2311},
    {478, 42, 43, 91, 261, 536, 741, 453, 639, 2212, 7946, 5130},
    {495, 116, 68, 221, 1135, 2864, 2905, 414, 437, 3916, 9216, 3277},
    {457, 29, 43, 481, 19599, 9489, 1259, 276, 671, 2157, 8133, 4536},
    {31, 8, 30, 587, 11533, 1949, 46, 7, 25, 410, 2707, 502},
    {0, 2, 7, 47, 94, 3, 2, 4, 10, 31, 40, 2},
    {4, 4, 16, 14, 0, 0, 3, 20, 23, 11, 5, 3},
    {30, 161, 77, 23, 5, 8, 249, 1288, 224, 19, 6, 9},
    {201, 157, 68, 60, 129, 550, 1532, 517, 79, 49, 41, 167},
    {83, 42, 8, 22, 94, 565, 290, 30, 14, 14, 81, 161},
    {98, 28, 4, 11, 30, 48, 23, 12, 9, 10, 29, 131},
    {258, 30, 6, 11, 26, 30, 10, 10, 13, 39, 61, 185},
}};
constexpr double kAdded = 5;

std::size_t bin_of(double radians) {
  const auto bin = std::floor((radians / (2 * std::numbers::pi) + 0.5) * kBins);
  return static_cast<std::size_t>(std::clamp(bin, 0.0, static_cast<double>(kBins - 1)));
}

double log_density(std::size_t phi, std::size_t psi) {
  static const double total = [] {
    double sum = 0;
    for (const auto& row : kCounts)
      for (const int count : row) sum += count + kAdded;
    return sum;
  }();
  return std::log((kCounts[phi][psi] + kAdded) / total * kBins * kBins);
}

std::optional<double> torsion_of(const BackboneResidue& a, BackboneAtom a_atom, const BackboneResidue& b,
                                 BackboneAtom b_atom, const BackboneResidue& c, BackboneAtom c_atom,
                                 const BackboneResidue& d, BackboneAtom d_atom) {
  if (!a.has(a_atom) || !b.has(b_atom) || !c.has(c_atom) || !d.has(d_atom)) return std::nullopt;
  return torsion(a.at(a_atom), b.at(b_atom), c.at(c_atom), d.at(d_atom));
}

}  // namespace

std::vector<ResidueTorsions> torsions(const Backbone& backbone) {
  const auto& residues = backbone.residues;
  std::vector<ResidueTorsions> all(residues.size());
  for (std::size_t i = 1; i < residues.size(); ++i) {
    if (!is_joined(backbone, i)) continue;
    const auto& before = residues[i - 1];
    const auto& own = residues[i];
    all[i].omega = torsion_of(before, kCa, before, kC, own, kN, own, kCa);
    all[i].phi = torsion_of(before, kC, own, kN, own, kCa, own, kC);
    all[i - 1].psi = torsion_of(before, kN, before, kCa, before, kC, own, kN);
  }
  return all;
}

TorsionLikelihood torsion_likelihood(const std::vector<ResidueTorsions>& torsions) {
  TorsionLikelihood likelihood;
  for (const auto& [phi, psi, omega] : torsions) {
    if (!phi || !psi) continue;
    ++likelihood.residues;
    likelihood.chain += log_density(bin_of(*phi), bin_of(*psi));
    likelihood.mirrored += log_density(bin_of(-*phi), bin_of(-*psi));
  }
  return likelihood;
}

std::optional<double> chiral_volume(const BackboneResidue& residue) {
  if (!residue.cb || !residue.has(kN) || !residue.has(kCa) || !residue.has(kC)) return std::nullopt;
  const auto& ca = residue.at(kCa);
  return dot(difference(residue.at(kN), ca), cross(difference(residue.at(kC), ca), difference(*residue.cb, ca)));
}

}  // namespace ae::geometry
