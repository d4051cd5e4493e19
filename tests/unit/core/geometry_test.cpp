#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "geometry/clashes.hpp"
#include "geometry/covalent.hpp"
#include "geometry/torsions.hpp"
#include "geometry/validity.hpp"
#include "support/helix.hpp"

namespace ae::geometry::geometry_test {
namespace {

template <typename Change>
Backbone changed(Backbone backbone, Change change) {
  for (auto& residue : backbone.residues) {
    for (auto& atom : residue.atoms) atom = change(atom);
    if (residue.cb) residue.cb = change(*residue.cb);
  }
  return backbone;
}

Point mirrored(const Point& p) { return {p[0], p[1], -p[2]}; }

// About two axes, and moved.
Point turned(const Point& p) {
  const double a = 0.7, b = -2.1;
  const Point once{p[0] * std::cos(a) - p[1] * std::sin(a), p[0] * std::sin(a) + p[1] * std::cos(a), p[2]};
  return {once[0] + 31, once[1] * std::cos(b) - once[2] * std::sin(b) - 17,
          once[1] * std::sin(b) + once[2] * std::cos(b) + 5};
}

TEST(BackboneGeometry, AngleAndTorsionAreThoseOfKnownPoints) {
  EXPECT_DOUBLE_EQ(angle({1, 0, 0}, {0, 0, 0}, {0, 2, 0}) * kDegrees, 90);
  EXPECT_DOUBLE_EQ(angle({1, 0, 0}, {0, 0, 0}, {-3, 0, 0}) * kDegrees, 180);
  EXPECT_NEAR(angle({1, 0, 0}, {0, 0, 0}, {1, 1e-9, 0}), 1e-9, 1e-15);
  EXPECT_DOUBLE_EQ(torsion({1, 0, 0}, {0, 0, 0}, {0, 0, 1}, {1, 0, 1}), 0);
  EXPECT_DOUBLE_EQ(torsion({1, 0, 0}, {0, 0, 0}, {0, 0, 1}, {0, 1, 1}) * kDegrees, 90);
  EXPECT_DOUBLE_EQ(std::abs(torsion({1, 0, 0}, {0, 0, 0}, {0, 0, 1}, {-1, 0, 1})) * kDegrees, 180);
}

TEST(BackboneGeometry, AnIdealHelixHasNoDeviationAndItsTorsions) {
  const auto backbone = helix(20);
  for (const auto& deviation : bond_deviations(backbone)) EXPECT_NEAR(deviation.z, 0, 1e-6);
  for (const auto& deviation : angle_deviations(backbone)) EXPECT_NEAR(deviation.z, 0, 1e-6);
  EXPECT_EQ(bond_deviations(backbone).size(), 20 * 3 + 19u);
  EXPECT_EQ(angle_deviations(backbone).size(), 20 * 2 + 19 * 3u);
  const auto all = torsions(backbone);
  for (std::size_t i = 1; i + 1 < all.size(); ++i) {
    EXPECT_NEAR(*all[i].phi * kDegrees, -57, 1e-6);
    EXPECT_NEAR(*all[i].psi * kDegrees, -47, 1e-6);
    EXPECT_NEAR(std::abs(*all[i].omega) * kDegrees, 180, 1e-6);
  }
  EXPECT_FALSE(all.front().phi || all.front().omega || all.back().psi);
  EXPECT_THAT(verdict(validate(backbone)), testing::ElementsAre("bonds_too_ideal", "angles_too_ideal"));
}

TEST(BackboneGeometry, ABondThatIsThreeSigmaLongerIsToldWithItsPlace) {
  auto backbone = helix(12);
  auto& residue = backbone.residues[4];
  auto& o = residue.atoms[3];
  const auto c = residue.at(kC);
  const double longer = 1 + 3 * 0.019 / 1.229;
  for (std::size_t i = 0; i < o.size(); ++i) o[i] = c[i] + (o[i] - c[i]) * longer;
  const auto validity = validate(backbone);
  EXPECT_NEAR(validity.bonds.worst, 3, 1e-6);
  EXPECT_EQ(validity.bonds.worst_at, "C(5)-O(5)");
  EXPECT_NEAR(*validity.bonds.rmsz(), 3 / std::sqrt(12 * 3 + 11.0), 1e-6);
  EXPECT_EQ(validity.angles.within_4, validity.angles.count);
}

TEST(BackboneGeometry, TurningAndMovingChangesNothing) {
  auto backbone = helix(15, -120, 130, 175);
  for (auto& residue : backbone.residues) residue.atoms[1][0] += 0.01;
  const auto before = validate(backbone), after = validate(changed(backbone, turned));
  EXPECT_NEAR(*before.bonds.rmsz(), *after.bonds.rmsz(), 1e-9);
  EXPECT_NEAR(*before.angles.rmsz(), *after.angles.rmsz(), 1e-9);
  EXPECT_NEAR(*before.omega_rms(), *after.omega_rms(), 1e-9);
  EXPECT_NEAR(*before.handedness(), *after.handedness(), 1e-9);
  EXPECT_EQ(before.clashes, after.clashes);
}

TEST(BackboneGeometry, AMirrorImageHasTheSameBondsAndIsNoticed) {
  const auto backbone = helix(16), image = changed(backbone, mirrored);
  const auto validity = validate(backbone), reflected = validate(image);
  EXPECT_NEAR(*validity.bonds.rmsz(), *reflected.bonds.rmsz(), 1e-9);
  EXPECT_EQ(validity.positive_phis, 0);
  EXPECT_EQ(reflected.positive_phis, reflected.phis);
  EXPECT_NEAR(*validity.handedness(), -*reflected.handedness(), 1e-9);
  EXPECT_THAT(verdict(reflected), testing::Contains("mirrored"));
  EXPECT_THAT(verdict(validity), testing::Not(testing::Contains("mirrored")));
}

TEST(BackboneGeometry, TorsionsThatNoChainHasAreNotTakenForAMirrorImage) {
  const auto flags = verdict(validate(helix(16, -5, -120)));
  EXPECT_THAT(flags, testing::Contains("torsions"));
  EXPECT_THAT(flags, testing::Not(testing::Contains("mirrored")));
}

TEST(BackboneGeometry, CisPeptidesAreFineBeforeProlineAlone) {
  auto backbone = helix(6, -75, 150, 0);
  EXPECT_EQ(validate(backbone).odd_peptides, 5);
  EXPECT_THAT(verdict(validate(backbone)), testing::Contains("peptides"));
  for (auto& residue : backbone.residues) residue.kind = ResidueKind::proline;
  const auto validity = validate(backbone);
  EXPECT_EQ(validity.cis, 5);
  EXPECT_EQ(validity.odd_peptides, 0);
  EXPECT_THAT(verdict(validity), testing::Not(testing::Contains("peptides")));
  EXPECT_EQ(validate(helix(6, -75, 150, 140)).twisted, 5);
}

TEST(BackboneGeometry, ATwistedCisPeptideIsOneOddPeptide) {
  const auto validity = validate(helix(6, -75, 150, 60));
  EXPECT_EQ(validity.cis, 5);
  EXPECT_EQ(validity.twisted, 5);
  EXPECT_EQ(validity.odd_peptides, 5);
}

TEST(BackboneGeometry, WhatCannotBeJudgedIsMissing) {
  EXPECT_THAT(verdict(validate(Backbone{})), testing::ElementsAre("missing"));
  auto backbone = helix(10);
  for (std::size_t i = 0; i < 4; ++i) backbone.residues[i].observed[3] = false;
  EXPECT_THAT(verdict(validate(backbone)), testing::Not(testing::Contains("missing")));
  backbone.residues[4].observed[3] = false;
  EXPECT_THAT(verdict(validate(backbone)), testing::Contains("missing"));
}

TEST(BackboneGeometry, NeighboursInTheListThatAreNotJoinedCanClash) {
  Backbone backbone;
  backbone.residues.resize(2);
  backbone.residues[0].atoms = {Point{0, 0, 0}, Point{1.4, 0, 0}, Point{2, 1.4, 0}, Point{3, 1.6, 0}};
  backbone.residues[1].atoms = {Point{0, 0.1, 3.4}, Point{1.4, 0.1, 2.6}, Point{2, 1.4, 2.6}, Point{3, 1.6, 2.6}};
  for (auto& residue : backbone.residues) residue.observed.fill(true);
  EXPECT_GT(clashes(backbone), 0);
  const auto count = clashes(backbone);
  auto with_gap = backbone;
  with_gap.residues.insert(with_gap.residues.begin() + 1, BackboneResidue{});
  EXPECT_EQ(clashes(with_gap), count);
  backbone.residues[1].follows = true;
  EXPECT_EQ(clashes(backbone), 0);
}

TEST(BackboneGeometry, GlycineAndProlineHaveIdealValuesOfTheirOwn) {
  auto backbone = helix(2);
  backbone.residues[0].kind = ResidueKind::glycine;
  backbone.residues[1].kind = ResidueKind::proline;
  const auto bonds = bond_deviations(backbone);
  ASSERT_EQ(bonds.size(), 7u);
  EXPECT_NEAR(bonds[0].z, (1.459 - 1.456) / .015, 1e-6);
  EXPECT_NEAR(bonds[1].z, (1.525 - 1.514) / .016, 1e-6);
  EXPECT_NEAR(bonds[3].z, (1.336 - 1.338) / .019, 1e-6);  // of the proline that N belongs to
  EXPECT_NEAR(bonds[4].z, (1.459 - 1.468) / .017, 1e-6);
}

TEST(BackboneGeometry, MissingAtomsAreNotMeasuredAndGapsAreBreaks) {
  auto backbone = helix(10);
  backbone.residues[2].observed[3] = false;
  backbone.residues[6].observed.fill(false);
  backbone.residues[6].follows = backbone.residues[7].follows = false;
  backbone.residues[6].atoms.fill({std::numeric_limits<double>::quiet_NaN(), 0, 0});
  const auto validity = validate(backbone);
  EXPECT_EQ(validity.residues, 9);
  EXPECT_EQ(validity.missing_atoms, 1);
  EXPECT_EQ(validity.chain_breaks, 1);
  EXPECT_EQ(validity.bonds.count, 9 * 3 - 1 + 7);
  EXPECT_NEAR(validity.bonds.worst, 0, 1e-6);
}

TEST(BackboneGeometry, AFarNeighbourIsAWrongBondAndAFarStrangerABreak) {
  auto backbone = helix(8);
  for (std::size_t i = 4; i < 8; ++i)
    for (auto& atom : backbone.residues[i].atoms) atom[0] += 20;
  EXPECT_THAT(verdict(validate(backbone)), testing::Contains("bonds"));
  EXPECT_EQ(validate(backbone).chain_breaks, 0);
  backbone.residues[4].follows = false;
  EXPECT_EQ(validate(backbone).chain_breaks, 1);
  EXPECT_NEAR(validate(backbone).bonds.worst, 0, 1e-6);
}

TEST(BackboneGeometry, ClashesAreThoseOfAllPairs) {
  auto backbone = helix(30, -57, -47);
  for (std::size_t i = 0; i < 30; ++i)
    for (auto& atom : backbone.residues[i].atoms)
      for (std::size_t axis = 0; axis < 3; ++axis) atom[axis] = atom[axis] * 0.7 - 8;
  std::int64_t expected = 0;
  for (std::size_t i = 0; i < 30; ++i)
    for (std::size_t j = i + 2; j < 30; ++j)
      for (std::size_t a = 0; a < 4; ++a)
        for (std::size_t b = 0; b < 4; ++b)
          expected +=
              kRadii[a] + kRadii[b] - distance(backbone.residues[i].atoms[a], backbone.residues[j].atoms[b]) >= 0.4 ? 1
                                                                                                                    : 0;
  EXPECT_GT(expected, 20);
  EXPECT_EQ(clashes(backbone), expected);
  EXPECT_EQ(clashes(helix(30)), 0);
}

TEST(BackboneGeometry, ManyAtomsAtOnePlaceEndTheCount) {
  Backbone backbone;
  backbone.residues.resize(5000);
  for (auto& residue : backbone.residues) residue.observed.fill(true);
  EXPECT_EQ(clashes(backbone), kMostClashes);
}

TEST(BackboneGeometry, TheChiralVolumeTellsHands) {
  BackboneResidue residue;
  residue.observed = {true, true, true, false};
  residue.atoms = {Point{1.2, 0.8, 0}, Point{0, 0, 0}, Point{-1.2, 0.9, 0}, Point{}};
  EXPECT_FALSE(chiral_volume(residue));
  residue.cb = Point{0, -0.9, 1.2};
  const auto volume = *chiral_volume(residue);
  EXPECT_NEAR(std::abs(volume), 1.2 * (1.2 * 0.9 + 1.2 * 0.8), 1e-9);
  for (auto& atom : residue.atoms) atom = mirrored(atom);
  residue.cb = mirrored(*residue.cb);
  EXPECT_NEAR(*chiral_volume(residue), -volume, 1e-9);
}

}  // namespace
}  // namespace ae::geometry::geometry_test
