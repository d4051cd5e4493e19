#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <random>

#include "geometry/band_matrix.hpp"
#include "geometry/clashes.hpp"
#include "geometry/derivatives.hpp"
#include "geometry/relax.hpp"
#include "geometry/torsions.hpp"
#include "geometry/validity.hpp"
#include "support/helix.hpp"

namespace ae::geometry::geometry_relax_test {
namespace {

constexpr auto kNaN = std::numeric_limits<double>::quiet_NaN();

Backbone shaken(Backbone backbone, double noise, unsigned seed) {
  std::mt19937 chance(seed);
  std::normal_distribution<double> normal(0, noise);
  for (auto& residue : backbone.residues) {
    for (auto& atom : residue.atoms)
      for (auto& axis : atom) axis += normal(chance);
    if (residue.cb)
      for (auto& axis : *residue.cb) axis += normal(chance);
  }
  return backbone;
}

// Two helices, a strand and turns between them.
Backbone mixed(std::size_t residues) {
  auto backbone = helix(residues, -63, -42);
  const auto tail = helix(residues, -120, 130);
  for (std::size_t i = residues / 2; i < residues; ++i) {
    for (std::size_t a = 0; a < kBackboneAtoms; ++a) {
      const auto step = difference(tail.residues[i].atoms[a], tail.residues[residues / 2].atoms[0]);
      backbone.residues[i].atoms[a] = sum(backbone.residues[residues / 2].atoms[0], step);
    }
  }
  return backbone;
}

double rmsd(const Backbone& a, const Backbone& b) {
  double squares = 0, count = 0;
  for (std::size_t i = 0; i < a.residues.size(); ++i) {
    for (std::size_t atom = 0; atom < kBackboneAtoms; ++atom) {
      if (!a.residues[i].observed[atom]) continue;
      const auto off = difference(a.residues[i].atoms[atom], b.residues[i].atoms[atom]);
      squares += dot(off, off);
      ++count;
    }
  }
  return std::sqrt(squares / count);
}

Point turned(const Point& p) {
  const double a = 0.7, b = -2.1;
  const Point once{p[0] * std::cos(a) - p[1] * std::sin(a), p[0] * std::sin(a) + p[1] * std::cos(a), p[2]};
  return {once[0] + 31, once[1] * std::cos(b) - once[2] * std::sin(b) - 17,
          once[1] * std::sin(b) + once[2] * std::cos(b) + 5};
}

void expect_finite(const Backbone& backbone) {
  for (const auto& residue : backbone.residues)
    for (std::size_t a = 0; a < kBackboneAtoms; ++a)
      for (const double axis : residue.atoms[a]) EXPECT_EQ(std::isfinite(axis), static_cast<bool>(residue.observed[a]));
}

template <std::size_t count, typename Measure>
void expect_central_differences(Measure measure, double scale, unsigned seed) {
  std::mt19937 chance(seed);
  std::normal_distribution<double> normal(0, scale);
  std::array<Point, count> points{};
  for (auto& point : points)
    for (auto& axis : point) axis = normal(chance);
  const auto measured = measure(points);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t x = 0; x < 3; ++x) {
      constexpr double kStep = 1e-5;
      auto before = points, after = points;
      before[i][x] -= kStep;
      after[i][x] += kStep;
      const double change = std::remainder(measure(after).value - measure(before).value, 2 * std::numbers::pi);
      const double size = std::max(1.0, std::abs(measured.derivatives[i][x]));
      EXPECT_NEAR(measured.derivatives[i][x], change / (2 * kStep), 1e-7 * size * size * size);
    }
  }
}

TEST(Relax, DerivativesAreCentralDifferences) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    expect_central_differences<2>([](const auto& p) { return distance_derivatives(p[0], p[1]); }, 1, seed);
    expect_central_differences<3>([](const auto& p) { return angle_derivatives(p[0], p[1], p[2]); }, 1, seed);
    expect_central_differences<4>([](const auto& p) { return torsion_derivatives(p[0], p[1], p[2], p[3]); }, 1, seed);
    expect_central_differences<4>([](const auto& p) { return volume_derivatives(p[0], p[1], p[2], p[3]); }, 0.5, seed);
  }
}

TEST(Relax, DerivativesAreFiniteWhereThereIsNoDirection) {
  const Point here{1, 2, 3}, there{2, 2, 3}, further{3, 2, 3};
  const auto finite = [](const auto& measured) {
    for (const auto& point : measured.derivatives)
      for (const double axis : point)
        if (!std::isfinite(axis)) return false;
    return std::isfinite(measured.value);
  };
  EXPECT_TRUE(finite(distance_derivatives(here, here)));
  EXPECT_TRUE(finite(angle_derivatives(here, here, here)) && finite(angle_derivatives(here, there, further)));
  EXPECT_TRUE(finite(torsion_derivatives(here, there, further, here)));
  EXPECT_TRUE(finite(torsion_derivatives(here, here, here, here)));
}

TEST(Relax, ABandMatrixSolvesWhatItMultiplies) {
  constexpr std::size_t kSize = 40, kReach = 7;
  std::mt19937 chance(1);
  std::uniform_real_distribution<double> even(-1, 1);
  BandMatrix matrix(kSize, kReach);
  for (std::size_t i = 0; i < kSize; ++i)
    for (std::size_t j = i > kReach ? i - kReach : 0; j <= i; ++j) matrix.at(i, j) = i == j ? 10 : even(chance);
  std::vector<double> wanted(kSize), product, by_hand(kSize);
  for (auto& x : wanted) x = even(chance);
  for (std::size_t i = 0; i < kSize; ++i)
    for (std::size_t j = 0; j < kSize; ++j)
      if (std::max(i, j) - std::min(i, j) <= kReach)
        by_hand[i] += matrix.at(std::max(i, j), std::min(i, j)) * wanted[j];
  matrix.multiply(wanted, product);
  for (std::size_t i = 0; i < kSize; ++i) EXPECT_NEAR(product[i], by_hand[i], 1e-12);
  ASSERT_TRUE(matrix.factorise());
  matrix.solve(product);
  for (std::size_t i = 0; i < kSize; ++i) EXPECT_NEAR(product[i], wanted[i], 1e-12);
  BandMatrix indefinite(2, 1);
  indefinite.at(0, 0) = indefinite.at(1, 1) = 1;
  indefinite.at(1, 0) = 2;
  EXPECT_FALSE(indefinite.factorise());
}

TEST(Relax, WhatIsFineStaysWhereItIs) {
  for (auto backbone : {helix(30), helix(30, -120, 130), shaken(helix(30), 0.005, 1)}) {
    const auto before = backbone;
    const auto told = relax(backbone, {});
    EXPECT_TRUE(told.converged);
    EXPECT_EQ(told.steps, 0);
    EXPECT_EQ(told.moved, 0);
    EXPECT_EQ(rmsd(backbone, before), 0);
  }
}

// Of 12 coordinates a residue, geometry fixes 10; about 2 of 12 parts of the noise should be left.
TEST(Relax, TakesNoiseAwayAndLeavesDeviationsAsMeasuredStructuresHaveThem) {
  for (unsigned seed = 0; seed < 5; ++seed) {
    for (const auto& truth : {helix(60), helix(60, -120, 130), mixed(100)}) {
      auto backbone = shaken(truth, 0.3, seed);
      const auto noisy = backbone;
      EXPECT_NEAR(rmsd(noisy, truth), 0.52, 0.04);
      const auto told = relax(backbone, {});
      EXPECT_TRUE(told.converged);
      EXPECT_LE(told.steps, 60);
      EXPECT_NEAR(told.moved, rmsd(backbone, noisy), 1e-12);
      EXPECT_LT(rmsd(backbone, truth), 0.33);
      const auto validity = validate(backbone);
      EXPECT_NEAR(*validity.bonds.rmsz(), 0.58, 0.03);
      EXPECT_NEAR(*validity.angles.rmsz(), 0.88, 0.04);
      EXPECT_EQ(validity.bonds.within_4, validity.bonds.count);
      EXPECT_EQ(validity.angles.within_4, validity.angles.count);
      EXPECT_EQ(validity.clashes, 0);
      EXPECT_EQ(validity.cis + validity.twisted, 0);
      EXPECT_GT(*validity.handedness(), 0);
    }
  }
}

TEST(Relax, TurnsAndShiftsWithTheStructure) {
  auto one = shaken(mixed(40), 0.3, 3), other = one;
  for (auto& residue : other.residues)
    for (auto& atom : residue.atoms) atom = turned(atom);
  const auto told = relax(one, {}), told_other = relax(other, {});
  EXPECT_EQ(told.steps, told_other.steps);
  for (auto& residue : one.residues)
    for (auto& atom : residue.atoms) atom = turned(atom);
  EXPECT_LT(rmsd(one, other), 1e-8);
}

TEST(Relax, AMirrorImageStaysOne) {
  auto one = shaken(helix(30), 0.2, 3), image = one;
  for (auto& residue : image.residues)
    for (auto& atom : residue.atoms) atom[2] = -atom[2];
  relax(one, {});
  relax(image, {});
  for (auto& residue : image.residues)
    for (auto& atom : residue.atoms) atom[2] = -atom[2];
  EXPECT_LT(rmsd(one, image), 1e-8);
}

TEST(Relax, OneBadBondAmongManyIsMended) {
  auto backbone = shaken(helix(100), 0.005, 1);
  const auto along = difference(backbone.residues[50].at(kN), backbone.residues[49].at(kC));
  for (std::size_t i = 50; i < 100; ++i)
    for (auto& atom : backbone.residues[i].atoms) atom = sum(atom, scaled(along, 0.1));
  ASSERT_LT(*validate(backbone).bonds.rmsz(), 0.58);
  ASSERT_LT(validate(backbone).bonds.within_4, validate(backbone).bonds.count);
  EXPECT_TRUE(relax(backbone, {}).converged);
  const auto validity = validate(backbone);
  EXPECT_EQ(validity.bonds.within_4, validity.bonds.count);
}

TEST(Relax, ClashesGoAndChainsThatAreNotJoinedGetNoBond) {
  auto backbone = helix(20);
  const auto first = backbone.residues;
  for (auto residue : first) {
    for (auto& atom : residue.atoms) atom[1] += 5;
    backbone.residues.push_back(residue);
  }
  ASSERT_GT(clashes(backbone), 0);
  ASSERT_FALSE(is_joined(backbone, 20));
  EXPECT_TRUE(relax(backbone, {}).converged);
  EXPECT_EQ(clashes(backbone), 0);
  EXPECT_FALSE(is_joined(backbone, 20));
}

TEST(Relax, APeptideThatIsCisStaysCisUnlessNoiseMakesItAmbiguous) {
  const auto with_cis = [](ResidueKind kind) {
    auto backbone = helix(2, -90, 140, 0);
    backbone.residues[1].kind = kind;
    return backbone;
  };
  for (const auto kind : {ResidueKind::unknown, ResidueKind::general, ResidueKind::proline}) {
    auto backbone = shaken(with_cis(kind), 0.05, 2);
    EXPECT_TRUE(relax(backbone, {}).converged);
    EXPECT_EQ(validate(backbone).cis, 1) << static_cast<int>(kind);
  }
  int proline = 0, general = 0;
  for (unsigned seed = 0; seed < 40; ++seed) {
    auto one = shaken(with_cis(ResidueKind::proline), 0.35, seed),
         other = shaken(with_cis(ResidueKind::general), 0.35, seed);
    relax(one, {});
    relax(other, {});
    proline += static_cast<int>(validate(one).cis);
    general += static_cast<int>(validate(other).cis);
  }
  EXPECT_GT(proline, general);
}

TEST(Relax, BetaCarbonsKeepTheirSideAndTheirPlaceInTheFrame) {
  auto backbone = shaken(helix(20), 0.3, 4);
  for (std::size_t i = 0; i < backbone.residues.size(); ++i) {
    auto& residue = backbone.residues[i];
    const auto n = difference(residue.at(kN), residue.at(kCa)), c = difference(residue.at(kC), residue.at(kCa));
    const auto side = cross(n, c);
    const double sign = i % 5 == 0 ? -1 : 1;  // some of D-amino acids
    residue.cb = sum(residue.at(kCa), scaled(side, sign * 1.2 / length(side)));
  }
  const auto before = backbone;
  relax(backbone, {});
  for (std::size_t i = 0; i < backbone.residues.size(); ++i) {
    const double was = *chiral_volume(before.residues[i]), is = *chiral_volume(backbone.residues[i]);
    EXPECT_GT(was * is, 0);
    EXPECT_NEAR(distance(*backbone.residues[i].cb, backbone.residues[i].at(kCa)), 1.2, 1e-9);
  }
}

TEST(Relax, MissingAtomsStayMissingAndFewOrNoneAreFine) {
  auto backbone = shaken(helix(20), 0.2, 5);
  for (const auto& [i, a] : {std::pair{3, 0}, {4, 3}, {9, 1}, {9, 2}, {9, 3}, {9, 0}}) {
    backbone.residues[i].observed[a] = false;
    backbone.residues[i].atoms[a] = {kNaN, kNaN, kNaN};
  }
  EXPECT_TRUE(relax(backbone, {}).converged);
  expect_finite(backbone);
  Backbone none;
  EXPECT_EQ(relax(none, {}).moved, 0);
  auto single = shaken(helix(1), 0.3, 6);
  EXPECT_TRUE(relax(single, {}).converged);
  EXPECT_EQ(validate(single).bonds.within_4, 3);
  auto unseen = helix(5);
  for (auto& residue : unseen.residues) residue.observed.fill(false);
  EXPECT_TRUE(relax(unseen, {}).converged);
}

TEST(Relax, HopelessStructuresEndInTimeWithFiniteCoordinates) {
  std::mt19937 chance(1);
  std::uniform_real_distribution<double> even(-1e6, 1e6);
  auto same = helix(100), line = helix(100), far = helix(100), dense = helix(1000);
  for (std::size_t i = 0; i < 100; ++i) {
    for (std::size_t a = 0; a < kBackboneAtoms; ++a) {
      same.residues[i].atoms[a] = {1, 2, 3};
      line.residues[i].atoms[a] = {1.4 * static_cast<double>(4 * i + a), 0, 0};
      for (auto& axis : far.residues[i].atoms[a]) axis = even(chance);
    }
  }
  for (auto& residue : dense.residues)
    for (auto& atom : residue.atoms) atom = scaled(atom, 1e-3);
  for (auto* backbone : {&same, &line, &far, &dense}) {
    const auto begin = std::chrono::steady_clock::now();
    const auto told = relax(*backbone, {20});
    EXPECT_LE(told.steps, 20);
    EXPECT_TRUE(std::isfinite(told.moved));
    expect_finite(*backbone);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
  }
}

TEST(Relax, PairsAreThoseOfComparingAllAtoms) {
  const auto backbone = shaken(helix(30), 1.5, 7);
  const std::vector<char> joined(30, 1);
  const double overlap = -0.6;
  std::size_t count = 0;
  for (std::size_t a = 0; a < 120; ++a) {
    for (std::size_t b = a + 1; b < 120; ++b) {
      if (a / 4 + 1 >= b / 4) continue;
      const double apart = distance(backbone.residues[a / 4].atoms[a % 4], backbone.residues[b / 4].atoms[b % 4]);
      count += kRadii[a % 4] + kRadii[b % 4] - apart >= overlap ? 1 : 0;
    }
  }
  EXPECT_GT(count, 20u);
  EXPECT_EQ(close_pairs(backbone, joined, overlap).size(), count);
}

}  // namespace
}  // namespace ae::geometry::geometry_relax_test
