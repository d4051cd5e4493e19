#include "geometry/restraints.hpp"

#include <algorithm>
#include <numbers>

#include "geometry/clashes.hpp"
#include "geometry/derivatives.hpp"

namespace ae::geometry {
namespace {

constexpr auto kMissing = static_cast<std::size_t>(-1);
constexpr double kOmegaSigma = 5.8;   // degrees
constexpr double kPlaneSigma = 0.05;  // of whole chains of crystal structures
constexpr double kMostNoise = 1;      // Angstrom

template <std::size_t count>
Strain strain(const Measured<count>& measured, double deviation, double scale) {
  Strain result{deviation * scale, {}};
  for (std::size_t i = 0; i < count; ++i) result.derivatives[i] = scaled(measured.derivatives[i], scale);
  return result;
}

// Bonds change by sqrt(2) of the noise on each coordinate, angles of backbones by about 1.65 radians for each
// Angstrom of it. The larger one counts: errors of networks are alike for neighbours, so that bonds hide some of it.
double noise_of(const std::vector<Restraint>& restraints, const Points& at) {
  constexpr std::array<double, 2> kChange{std::numbers::sqrt2, 1.65};
  std::array<double, 2> squares{}, counts{};
  for (const auto& restraint : restraints) {
    const auto kind = static_cast<std::size_t>(restraint.kind);
    const double off = strain_of(restraint, at).z / restraint.scale / kChange.at(kind);
    squares.at(kind) += off * off;
    ++counts.at(kind);
  }
  double noise = 0;
  for (std::size_t kind = 0; kind < counts.size(); ++kind)
    if (counts.at(kind) > 0) noise = std::max(noise, std::sqrt(squares.at(kind) / counts.at(kind)));
  return std::min(noise, kMostNoise);
}

}  // namespace

Strain strain_of(const Restraint& restraint, const Points& at) {
  const auto point = [&](std::size_t i) -> const Point& { return at[restraint.atoms[i]]; };
  switch (restraint.kind) {
    case RestraintKind::bond: {
      const auto measured = distance_derivatives(point(0), point(1));
      return strain(measured, measured.value - restraint.ideal, restraint.scale);
    }
    case RestraintKind::angle: {
      const auto measured = angle_derivatives(point(0), point(1), point(2));
      return strain(measured, measured.value - restraint.ideal, restraint.scale);
    }
    case RestraintKind::omega: {
      const auto measured = torsion_derivatives(point(0), point(1), point(2), point(3));
      const double off = std::remainder(measured.value - restraint.ideal, 2 * std::numbers::pi);
      return strain(measured, off, restraint.scale);
    }
    case RestraintKind::plane:
      break;
  }
  const auto measured = volume_derivatives(point(0), point(1), point(2), point(3));
  return strain(measured, measured.value - restraint.ideal, restraint.scale);
}

RestrainedChain::RestrainedChain(const Backbone& backbone) : backbone_(backbone) {
  const auto& residues = backbone.residues;
  numbers_.assign(residues.size() * kBackboneAtoms, kMissing);
  joined_.assign(residues.size(), 0);
  for (std::size_t i = 0; i < residues.size(); ++i) {
    joined_[i] = is_joined(backbone, i) ? 1 : 0;
    for (std::size_t a = 0; a < kBackboneAtoms; ++a) {
      if (!residues[i].observed[a]) continue;
      numbers_[i * kBackboneAtoms + a] = start_.size();
      start_.push_back(residues[i].atoms[a]);
      radii_.push_back(kRadii[a]);
    }
  }
  for (std::size_t i = 0; i < residues.size(); ++i) add_covalent(i);
  noise_ = noise_of(restraints_, start_);
  for (std::size_t i = 0; i < residues.size(); ++i) add_peptide(i);
  for (const auto& restraint : restraints_) {
    const auto end = restraint.atoms.begin() + static_cast<std::ptrdiff_t>(restraint.points());
    const auto [low, high] = std::minmax_element(restraint.atoms.begin(), end);
    reach_ = std::max(reach_, *high - *low);
  }
}

std::vector<Contact> RestrainedChain::contacts(const Points& at, double overlap) const {
  auto moved = backbone_;
  put(at, moved);
  std::vector<Contact> found;
  for (const auto& [first, second] : close_pairs(moved, joined_, overlap)) {
    const auto a = numbers_[first], b = numbers_[second];
    found.push_back({a, b, radii_[a] + radii_[b]});
  }
  return found;
}

void RestrainedChain::put(const Points& at, Backbone& backbone) const {
  for (std::size_t i = 0; i < numbers_.size(); ++i)
    if (numbers_[i] != kMissing) backbone.residues[i / kBackboneAtoms].atoms[i % kBackboneAtoms] = at[numbers_[i]];
}

// None where an atom is missing, or the chain is broken.
std::optional<std::array<std::size_t, 4>> RestrainedChain::atoms_of(const std::vector<AtomPlace>& places,
                                                                    std::size_t residue) const {
  std::array<std::size_t, 4> atoms{};
  for (std::size_t i = 0; i < places.size(); ++i) {
    const auto at = residue + (places[i].next ? 1 : 0);
    if (places[i].next && (at >= joined_.size() || joined_[at] == 0)) return std::nullopt;
    atoms[i] = numbers_[at * kBackboneAtoms + static_cast<std::size_t>(places[i].atom)];
    if (atoms[i] == kMissing) return std::nullopt;
  }
  return atoms;
}

void RestrainedChain::add_covalent(std::size_t residue) {
  const auto add = [&](RestraintKind kind, const CovalentType& type, double unit) {
    const auto atoms = atoms_of(type.atoms, residue);
    if (!atoms) return;
    const auto& [mean, sigma] = ideal_value(type, backbone_.residues[telling_residue(type, residue)].kind);
    restraints_.push_back({kind, *atoms, mean * unit, 1 / (sigma * unit)});
  };
  for (const auto& type : bond_types()) add(RestraintKind::bond, type, 1);
  for (const auto& type : angle_types()) add(RestraintKind::angle, type, 1 / kDegrees);
}

void RestrainedChain::add_peptide(std::size_t residue) {
  static const std::vector<AtomPlace> kOmega{{kCa}, {kC}, {kN, true}, {kCa, true}};
  static const std::vector<AtomPlace> kPlane{{kCa}, {kC}, {kO}, {kN, true}};
  if (const auto atoms = atoms_of(kOmega, residue))
    restraints_.push_back(
        {RestraintKind::omega, *atoms, is_cis(residue) ? 0 : std::numbers::pi, kDegrees / kOmegaSigma});
  constexpr double kLengths = 1.525 * 1.229 * 1.336;  // of the three bonds of C
  if (const auto atoms = atoms_of(kPlane, residue))
    restraints_.push_back({RestraintKind::plane, *atoms, 0, 1 / (kPlaneSigma * kLengths)});
}

// By the odds of cis peptides, about one in 20 before proline and one in 300 where the residue is not known, or is
// another one, and by those of the two distances that differ most, with so much noise on their atoms.
bool RestrainedChain::is_cis(std::size_t residue) const {
  constexpr double kLeastNoise = 0.1;  // Angstrom; of measured peptides, which are not planar
  const auto& here = backbone_.residues[residue];
  const auto& next = backbone_.residues[residue + 1];
  double log_odds = -std::log(next.kind == ResidueKind::proline ? 19.0 : 299.0);
  const double noise = std::max(noise_, kLeastNoise), variance = 2 * noise * noise;
  const auto compare = [&](const Point& atom, double trans, double cis) {
    const double found = distance(atom, next.at(kCa));
    log_odds += ((found - trans) * (found - trans) - (found - cis) * (found - cis)) / (2 * variance);
  };
  compare(here.at(kCa), 3.80, 2.94);
  if (here.has(kO)) compare(here.at(kO), 2.77, 3.57);
  return log_odds > 0;
}

}  // namespace ae::geometry
