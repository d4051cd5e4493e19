#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "geometry/assignment.hpp"
#include "geometry/crystal.hpp"
#include "geometry/crystal_match.hpp"
#include "geometry/elements.hpp"
#include "geometry/lattice.hpp"

namespace ae::geometry::geometry_crystal_test {
namespace {

using testing::ElementsAre;

constexpr int kIron = 26, kSodium = 11, kChlorine = 17, kCarbon = 6;

class Chance {
 public:
  explicit Chance(unsigned seed) : engine_(seed) {}
  double between(double from, double to) { return std::uniform_real_distribution(from, to)(engine_); }
  double normal() { return std::normal_distribution()(engine_); }
  Point point() { return {between(0, 1), between(0, 1), between(0, 1)}; }
  std::mt19937& engine() { return engine_; }

 private:
  std::mt19937 engine_;
};

Lattice cubic(double a) { return {Point{a, 0, 0}, Point{0, a, 0}, Point{0, 0, a}}; }

Lattice random_lattice(Chance& chance) {
  for (;;) {
    Lattice lattice{};
    for (auto& vector : lattice)
      for (auto& axis : vector) axis = chance.between(-5, 5);
    if (volume(lattice) > 20) return lattice;
  }
}

using Whole = std::array<std::array<int, 3>, 3>;

Lattice times(const Whole& matrix, const Lattice& lattice) {
  Lattice all{};
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j) all[i] = sum(all[i], scaled(lattice[j], matrix[i][j]));
  return all;
}

// Of determinant 1.
constexpr std::array<Whole, 4> kShears{{{{{1, 1, 0}, {0, 1, 0}, {0, 0, 1}}},
                                        {{{1, 0, 0}, {-2, 1, 0}, {3, 1, 1}}},
                                        {{{0, 1, 0}, {0, 0, 1}, {1, 0, 0}}},
                                        {{{1, 7, -30}, {0, 1, 11}, {0, 0, 1}}}}};

double shortest_by_all_images(const Lattice& lattice, const Point& difference, int reach) {
  double least = std::numeric_limits<double>::infinity();
  for (int i = -reach; i <= reach; ++i)
    for (int j = -reach; j <= reach; ++j)
      for (int k = -reach; k <= reach; ++k) {
        const Point cell{static_cast<double>(i), static_cast<double>(j), static_cast<double>(k)};
        least = std::min(least, length(sum(difference, cartesian(lattice, cell))));
      }
  return least;
}

Crystal crystal_of(const Lattice& lattice, const std::vector<std::pair<int, Point>>& sites) {
  Crystal crystal{"", lattice, {}, 0, 0};
  for (const auto& [element, at] : sites) crystal.sites.push_back({at, {{element, 1}}});
  return crystal;
}

Crystal face_centred(int element, double a) {
  return crystal_of(
      cubic(a), {{element, {0, 0, 0}}, {element, {0, 0.5, 0.5}}, {element, {0.5, 0, 0.5}}, {element, {0.5, 0.5, 0}}});
}

Crystal face_centred_primitive(int element, double a) {
  return crystal_of({Point{0, a / 2, a / 2}, Point{a / 2, 0, a / 2}, Point{a / 2, a / 2, 0}},
                    {{element, {0.3, 0.1, 0.9}}});
}

Crystal body_centred(int element, double a) {
  return crystal_of(cubic(a), {{element, {0, 0, 0}}, {element, {0.5, 0.5, 0.5}}});
}

Crystal random_crystal(Chance& chance) {
  return crystal_of(random_lattice(chance), {{kSodium, chance.point()},
                                             {kSodium, chance.point()},
                                             {kChlorine, chance.point()},
                                             {kChlorine, chance.point()},
                                             {kChlorine, chance.point()},
                                             {kIron, chance.point()}});
}

// Another description: in the basis `shear`, turned (and mirrored), about another origin, with sites in another order.
Crystal described_anew(const Crystal& crystal, const Whole& shear, bool mirrored, Chance& chance) {
  const auto turned = [mirrored](const Point& p) -> Point {
    const double x = p[0] * std::cos(0.7) - p[1] * std::sin(0.7), y = p[0] * std::sin(0.7) + p[1] * std::cos(0.7);
    const double z = mirrored ? -p[2] : p[2];
    return {x, y * std::cos(2.0) - z * std::sin(2.0), y * std::sin(2.0) + z * std::cos(2.0)};
  };
  const auto basis = times(shear, *crystal.lattice);
  const Fractions fractions(basis);
  const auto origin = chance.point();
  Crystal other{"", Lattice{turned(basis[0]), turned(basis[1]), turned(basis[2])}, {}, 0, 0};
  for (const auto& site : crystal.sites) {
    auto at = sum(fractions(cartesian(*crystal.lattice, site.at)), origin);
    for (auto& axis : at) axis -= std::floor(axis);
    other.sites.push_back({at, site.occupants});
  }
  std::ranges::shuffle(other.sites, chance.engine());
  return other;
}

std::optional<CrystalMatch> compared(const Crystal& a, const Crystal& b) {
  const auto found = match(a, b);
  if (found.too_large) throw std::runtime_error("not compared");
  return found.match;
}

// --- Lattices ---

TEST(Lattice, IsMadeOfLengthsAndAnglesAndBack) {
  const CellParameters cell{{3, 4, 5}, {80, 100, 120}};
  const auto lattice = lattice_of(cell);
  ASSERT_TRUE(lattice);
  const auto back = parameters_of(*lattice);
  for (std::size_t axis = 0; axis < 3; ++axis) {
    EXPECT_NEAR(back.lengths[axis], cell.lengths[axis], 1e-12);
    EXPECT_NEAR(back.angles[axis], cell.angles[axis], 1e-12);
  }
  const double ca = std::cos(80 / kDegrees), cb = std::cos(100 / kDegrees), cg = -0.5;
  EXPECT_NEAR(volume(*lattice), 60 * std::sqrt(1 - ca * ca - cb * cb - cg * cg + 2 * ca * cb * cg), 1e-10);
}

TEST(Lattice, IsNoneWhereThereIsNoCell) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(lattice_of({{3, 4, nan}, {90, 90, 90}}));
  EXPECT_FALSE(lattice_of({{3, 4, 5}, {90, 90, nan}}));
  EXPECT_FALSE(lattice_of({{3, 0, 5}, {90, 90, 90}}));
  EXPECT_FALSE(lattice_of({{3, -4, 5}, {90, 90, 90}}));
  EXPECT_FALSE(lattice_of({{3, 4, 5}, {90, 90, 180}}));
  EXPECT_FALSE(lattice_of({{3, 4, 5}, {30, 30, 90}}));  // c would have to be near to both a and b
}

TEST(Lattice, ReductionFindsTheShortestVectorsOfAnyBasis) {
  Chance chance(1);
  for (int round = 0; round < 50; ++round) {
    const auto lattice = random_lattice(chance);
    const auto short_ones = reduced(lattice);
    EXPECT_NEAR(volume(short_ones), volume(lattice), 1e-9 * volume(lattice));
    EXPECT_GT(dot(short_ones[0], cross(short_ones[1], short_ones[2])) * dot(lattice[0], cross(lattice[1], lattice[2])),
              0);
    for (const auto& shear : kShears) {
      const auto again = reduced(times(shear, lattice));
      for (std::size_t axis = 0; axis < 3; ++axis)
        EXPECT_NEAR(length(again[axis]), length(short_ones[axis]), 1e-9) << round;
    }
    // None of all vectors with small coefficients is shorter than the first, nor than the second but its multiples.
    const auto steps = {-2.0, -1.0, 0.0, 1.0, 2.0};
    for (const double i : steps)
      for (const double j : steps)
        for (const double k : steps) {
          const auto vector = length(cartesian(short_ones, {i, j, k}));
          if (i == 0 && j == 0 && k == 0) continue;
          const std::size_t axis = k != 0 ? 2 : j != 0 ? 1 : 0;
          EXPECT_GE(vector, length(short_ones[axis]) - 1e-9);
        }
  }
}

TEST(NearestImage, IsThatOfAllImagesInSkewedCells) {
  Chance chance(2);
  int rounding_was_wrong = 0;
  for (int round = 0; round < 300; ++round) {
    const auto lattice = random_lattice(chance);
    const NearestImage nearest(lattice);
    const auto fractions = chance.point();
    const auto apart = cartesian(lattice, fractions);
    const double least = shortest_by_all_images(reduced(lattice), nearest(apart), 2);
    EXPECT_NEAR(length(nearest(apart)), least, 1e-9);
    EXPECT_NEAR(least, shortest_by_all_images(lattice, apart, 6), 1e-9);
    const auto moved = Fractions(lattice)(difference(nearest(apart), apart));
    for (const double axis : moved) EXPECT_NEAR(axis, std::round(axis), 1e-9);  // it is an image
    const Point rounded{fractions[0] - std::round(fractions[0]), fractions[1] - std::round(fractions[1]),
                        fractions[2] - std::round(fractions[2])};
    rounding_was_wrong += length(cartesian(lattice, rounded)) > least + 1e-9 ? 1 : 0;
  }
  EXPECT_GT(rounding_was_wrong, 50);
}

TEST(NearestImage, IsTheSameInEveryBasis) {
  Chance chance(3);
  for (int round = 0; round < 100; ++round) {
    const auto lattice = random_lattice(chance);
    const auto apart = cartesian(lattice, scaled(chance.point(), 40));
    const double least = length(NearestImage(lattice)(apart));
    for (const auto& shear : kShears) EXPECT_NEAR(length(NearestImage(times(shear, lattice))(apart)), least, 1e-8);
  }
}

TEST(NearestImage, KnowsTheShortestVectorOfALattice) {
  EXPECT_NEAR(NearestImage(*face_centred_primitive(kIron, 4).lattice).shortest_vector(), 4 / std::sqrt(2.0), 1e-12);
  EXPECT_NEAR(NearestImage({Point{-1, 1, 1}, Point{1, -1, 1}, Point{1, 1, -1}}).shortest_vector(), std::sqrt(3.0),
              1e-12);
}

// --- Assignment ---

TEST(Assignment, IsTheBestOfAllPermutations) {
  Chance chance(4);
  Assignment assign;
  for (std::size_t n = 1; n <= 6; ++n) {
    for (int round = 0; round < 40; ++round) {
      std::vector<double> cost(n * n);
      for (auto& value : cost) value = round % 2 == 0 ? chance.between(-1, 1) : std::floor(chance.between(0, 3));
      std::vector<std::size_t> order(n);
      std::iota(order.begin(), order.end(), std::size_t{0});
      const auto total = [&](std::span<const std::size_t> columns) {
        double all = 0;
        for (std::size_t i = 0; i < n; ++i) all += cost[i * n + columns[i]];
        return all;
      };
      double least = std::numeric_limits<double>::infinity();
      do {
        least = std::min(least, total(order));
      } while (std::ranges::next_permutation(order).found);
      const auto columns = assign(cost, n);
      EXPECT_NEAR(total(columns), least, 1e-12);
      EXPECT_TRUE(std::ranges::is_permutation(columns, order));
    }
  }
}

// --- What is wrong with a crystal ---

TEST(Crystal, HasItsVolumeDensityAndShortestDistance) {
  const auto salt = crystal_of({Point{0, 2.82, 2.82}, Point{2.82, 0, 2.82}, Point{2.82, 2.82, 0}},
                               {{kSodium, {0, 0, 0}}, {kChlorine, {0.5, 0.5, 0.5}}});
  const auto found = validate(salt);
  EXPECT_EQ(formula(salt), "ClNa");
  EXPECT_NEAR(found.volume, 5.64 * 5.64 * 5.64 / 4, 1e-9);
  EXPECT_NEAR(found.density, 58.44 / 0.602214076 / found.volume, 1e-3);
  EXPECT_NEAR(found.shortest_distance.value_or(0), 2.82, 1e-12);
  EXPECT_EQ(found.shortest_at, "Na(1)-Cl(2)");
  EXPECT_TRUE(verdict(found).empty());
}

TEST(Crystal, OfOneAtomIsAsCloseToItsImages) {
  const auto found = validate(crystal_of({Point{3, 0, 0}, Point{2.7, 0.1, 0}, Point{0, 0, 4}}, {{kIron, {0.2, 0, 0}}}));
  EXPECT_NEAR(found.shortest_distance.value_or(0), std::sqrt(0.1), 1e-12);
  EXPECT_EQ(found.shortest_at, "Fe(1)-Fe(1)");
  EXPECT_THAT(verdict(found), ElementsAre("too_close"));
  // In next to no volume, nothing is looked at.
  const auto flat = validate(face_centred_primitive(kIron, 0.6));
  EXPECT_FALSE(flat.shortest_distance);
  EXPECT_THAT(verdict(flat), ElementsAre("volume"));
}

TEST(Crystal, TellsAtomsWithinEachOther) {
  const auto found =
      validate(crystal_of(cubic(5), {{kIron, {0.99, 0, 0}}, {kIron, {0.01, 0, 0}}, {kIron, {0.5, 0, 0}}}));
  EXPECT_NEAR(found.shortest_distance.value_or(0), 0.1, 1e-12);
  EXPECT_EQ(found.overlaps, 1);
  EXPECT_THAT(verdict(found), ElementsAre("too_close"));
}

TEST(Crystal, WithoutACellOrSitesIsMissing) {
  EXPECT_THAT(verdict(validate(Crystal{})), ElementsAre("missing"));
  EXPECT_THAT(verdict(validate(crystal_of(cubic(3), {}))), ElementsAre("missing"));
  auto lacking = face_centred(kIron, 4);
  lacking.missing_sites = 1;
  EXPECT_THAT(verdict(validate(lacking)), ElementsAre("missing"));
}

TEST(Crystal, SharedSitesAreOneAndAlternativesDoNotOverlap) {
  Crystal alloy{"", cubic(3), {}, 0, 0};
  alloy.sites = {{{0, 0, 0}, {{28, 0.5}}},
                 {{0.999, 0, 0}, {{kIron, 0.5}}},
                 {{0.5, 0.5, 0.5}, {{kCarbon, 0.3}}},
                 {{0.5, 0.5, 0.6}, {{kCarbon, 0.7}}}};
  join_shared_sites(alloy);
  ASSERT_EQ(alloy.sites.size(), 3U);
  EXPECT_EQ(alloy.sites[0].kind(), "Fe0.5Ni0.5");
  EXPECT_EQ(formula(alloy), "CFe0.5Ni0.5");
  const auto found = validate(alloy);
  EXPECT_EQ(found.overlaps, 0);
  EXPECT_EQ(found.partial_sites, 3);
  EXPECT_THAT(verdict(found), ElementsAre("disordered"));
  // But two full ones at one place are two.
  auto full = crystal_of(cubic(3), {{kIron, {0, 0, 0}}, {kIron, {0, 0, 0}}});
  join_shared_sites(full);
  EXPECT_EQ(validate(full).overlaps, 1);
}

TEST(Elements, AreKnownByTheirSymbols) {
  EXPECT_EQ(element_number("fe"), 26);
  EXPECT_EQ(element_number("Og"), kElements);
  EXPECT_EQ(element_number("D"), 1);
  EXPECT_EQ(element_number("Xx"), 0);
  EXPECT_EQ(element_number(""), 0);
  for (int number = 1; number <= kElements; ++number) EXPECT_EQ(element_number(element_symbol(number)), number);
}

// --- The same crystal ---

TEST(PrimitiveCell, HasTheAtomsThatDoNotRepeat) {
  EXPECT_EQ(primitive_cell(face_centred(kIron, 3.6), 0.25)->sites.size(), 1U);
  EXPECT_EQ(primitive_cell(body_centred(kIron, 2.9), 0.25)->sites.size(), 1U);
  EXPECT_NEAR(volume(primitive_cell(face_centred(kIron, 3.6), 0.25)->lattice), 3.6 * 3.6 * 3.6 / 4, 1e-9);
  // Caesium chloride's corner and middle are different atoms.
  EXPECT_EQ(primitive_cell(crystal_of(cubic(4), {{55, {0, 0, 0}}, {17, {0.5, 0.5, 0.5}}}), 0.25)->sites.size(), 2U);
}

TEST(PrimitiveCell, OfARepeatedCellIsThatCell) {
  Chance chance(5);
  for (int round = 0; round < 20; ++round) {
    const auto cell = random_crystal(chance);
    Crystal repeated{
        "", Lattice{scaled((*cell.lattice)[0], 2), scaled((*cell.lattice)[1], 3), (*cell.lattice)[2]}, {}, 0, 0};
    for (const auto& site : cell.sites)
      for (int i = 0; i < 2; ++i)
        for (int j = 0; j < 3; ++j)
          repeated.sites.push_back({{(site.at[0] + i) / 2, (site.at[1] + j) / 3, site.at[2]}, site.occupants});
    const auto primitive = primitive_cell(repeated, 0.01);
    ASSERT_EQ(primitive->sites.size(), cell.sites.size());
    const auto found = compared(cell, repeated);
    ASSERT_TRUE(found);
    EXPECT_LT(found->rms, 1e-6);
  }
}

TEST(CrystalMatch, KnowsLatticesByAnyOfTheirCells) {
  const auto same = compared(face_centred(kIron, 3.6), face_centred_primitive(kIron, 3.6));
  ASSERT_TRUE(same);
  EXPECT_LT(same->rms, 1e-9);
  EXPECT_FALSE(compared(face_centred(kIron, 3.6), body_centred(kIron, 2.9)));
  EXPECT_FALSE(compared(face_centred(kIron, 3.6), face_centred(kSodium, 3.6)));
}

TEST(CrystalMatch, IsExactOfTheSameCrystalDescribedAnew) {
  Chance chance(6);
  for (int round = 0; round < 30; ++round) {
    const auto crystal = random_crystal(chance);
    for (const auto& shear : kShears) {
      for (const bool mirrored : {false, true}) {
        const auto found = compared(crystal, described_anew(crystal, shear, mirrored, chance));
        ASSERT_TRUE(found) << round;
        EXPECT_LT(found->largest, 1e-6) << round;
      }
    }
  }
}

// One of n atoms moved by d: the best shift takes d/n away from all, which leaves d sqrt(n-1)/n.
TEST(CrystalMatch, TellsHowFarAnAtomWasMoved) {
  Chance chance(7);
  const auto crystal = crystal_of(
      *lattice_of({{6, 7, 8}, {80, 95, 105}}),
      {{kSodium, {0, 0, 0}}, {kSodium, {0.5, 0.1, 0.4}}, {kChlorine, {0.2, 0.6, 0.7}}, {kIron, {0.8, 0.4, 0.1}}});
  for (const std::size_t moved : {0U, 2U, 3U}) {
    auto other = crystal;
    const Point by{0.1, -0.2, 0.05};
    other.sites[moved].at = sum(other.sites[moved].at, Fractions(*crystal.lattice)(by));
    const auto found = compared(crystal, described_anew(other, kShears[1], true, chance));
    ASSERT_TRUE(found);
    EXPECT_NEAR(found->rms, length(by) * std::sqrt(3.0) / 4, 1e-9);
    EXPECT_NEAR(found->largest, length(by) * 3 / 4, 1e-9);
    EXPECT_NEAR(found->normalised_rms, found->rms / std::cbrt(volume(*crystal.lattice) / 4), 1e-9);
  }
}

// StructureMatcher() of pymatgen 2022.11.7, get_rms_dist(): one of two atoms moved by 0.12 A in a cube of 4 A.
TEST(CrystalMatch, GivesTheNormalisedFigureOfStructureMatcher) {
  const auto one = crystal_of(cubic(4), {{55, {0, 0, 0}}, {17, {0.5, 0.5, 0.5}}});
  const auto other = crystal_of(cubic(4), {{55, {0.03, 0, 0}}, {17, {0.5, 0.5, 0.5}}});
  const auto found = compared(one, other);
  ASSERT_TRUE(found);
  EXPECT_NEAR(found->normalised_rms, 0.0188988, 1e-6);
}

TEST(CrystalMatch, ScalesButDoesNotStrainBeyondItsTolerances) {
  EXPECT_TRUE(compared(face_centred(kIron, 3.6), face_centred(kIron, 5)));  // as StructureMatcher does
  const auto tetragonal = [](double ratio) {
    return crystal_of({Point{4, 0, 0}, Point{0, 4, 0}, Point{0, 0, 4 * ratio}},
                      {{55, {0, 0, 0}}, {17, {0.5, 0.5, 0.5}}});
  };
  EXPECT_TRUE(compared(tetragonal(1), tetragonal(1.2)));
  EXPECT_FALSE(compared(tetragonal(1), tetragonal(1.9)));
}

TEST(CrystalMatch, DoesNotComputeForEver) {
  Chance chance(8);
  Crystal large{"", cubic(20), {}, 0, 0}, flat{"", *lattice_of({{0.01, 1000, 1000}, {90, 90, 90}}), {}, 0, 0};
  for (std::size_t i = 0; i < kMostMatchedSites; ++i) large.sites.push_back({chance.point(), {{kCarbon, 1}}});
  auto other = large;
  for (auto& site : other.sites) site.at = chance.point();
  flat.sites = {{chance.point(), {{kCarbon, 1}}}, {chance.point(), {{kCarbon, 1}}}};
  EXPECT_TRUE(match(large, other).too_large);
  EXPECT_TRUE(match(flat, flat).too_large);
  large.sites.push_back(large.sites.front());
  EXPECT_TRUE(match(large, large).too_large);
}

// A superstructure is not its average, and no order of the two makes a difference.
TEST(CrystalMatch, CountsWhatAveragingTakesAway) {
  auto chain = crystal_of({Point{6, 0, 0}, Point{0, 4, 0}, Point{0, 0, 5}}, {{kIron, {0, 0, 0}}, {kIron, {0.5, 0, 0}}});
  const auto half = crystal_of({Point{3, 0, 0}, Point{0, 4, 0}, Point{0, 0, 5}}, {{kIron, {0, 0, 0}}});
  chain.sites[1].at[0] += 0.03;  // 0.18 A: each is 0.09 A from where it would repeat
  const auto found = compared(chain, half), turned = compared(half, chain), itself = compared(chain, chain);
  ASSERT_TRUE(found && turned && itself);
  EXPECT_NEAR(found->rms, 0.09, 1e-9);
  EXPECT_NEAR(found->largest, 0.09, 1e-9);
  EXPECT_NEAR(found->normalised_rms, 0.09 / std::cbrt(60), 1e-9);
  EXPECT_NEAR(turned->rms, 0.09, 1e-9);
  EXPECT_LT(itself->rms, 1e-9);
}

// By the definition: of a stretch l along one axis, (l^2 - 1) / 2.
TEST(CrystalMatch, TellsTheStrainThatDisplacementsDoNotHave) {
  const auto box = [](double c) {
    return crystal_of({Point{4, 0, 0}, Point{0, 4.5, 0}, Point{0, 0, c}}, {{55, {0, 0, 0}}, {17, {0.5, 0.5, 0.5}}});
  };
  Chance chance(9);
  const auto found = compared(described_anew(box(5.5), kShears[1], true, chance), box(5));
  ASSERT_TRUE(found);
  EXPECT_LT(found->rms, 1e-9);
  EXPECT_NEAR(found->strain, (1.1 * 1.1 - 1) / 2, 1e-9);
  EXPECT_NEAR(compared(box(5), box(5.5))->strain, (1 - 1 / 1.21) / 2, 1e-9);
}

}  // namespace
}  // namespace ae::geometry::geometry_crystal_test
