// Terms of backbones against what geometry/ says of the same chains in plain numbers. Gradients: loss_test.cpp.
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "geometry/clashes.hpp"
#include "geometry/covalent.hpp"
#include "geometry/torsions.hpp"
#include "loss/composition.hpp"
#include "support/errors.hpp"
#include "support/helix.hpp"

namespace ae::loss::backbone_loss_test {
namespace {

using geometry::Backbone;
using geometry::helix;
using geometry::kDegrees;

std::vector<model::Element> coordinates(std::size_t residues) {
  std::vector<model::Element> elements;
  for (std::size_t i = 0; i < residues * 12; ++i) {
    elements.push_back({"x" + std::to_string(i), 0, false});
    elements.back().affine = true;
    elements.back().center = 0.5 * static_cast<double>(i % 7);
    elements.back().spread = 2 + static_cast<double>(i % 5);
  }
  return elements;
}

// In the unit of the network, [1, 12 residues] in double precision.
at::Tensor scaled(const Backbone& backbone) {
  const auto elements = coordinates(backbone.residues.size());
  std::vector<double> values;
  for (const auto& residue : backbone.residues)
    for (const auto& atom : residue.atoms)
      for (const auto value : atom) {
        const auto& element = elements[values.size()];
        values.push_back((value - element.center) / element.spread);
      }
  return torch::tensor(values, torch::kFloat64).unsqueeze(0);
}

double loss(const std::string& type, const Backbone& prediction, const Backbone& target,
            const std::vector<std::size_t>& missing = {}) {
  TermList list{terms()};
  list.append().select(type);
  const Composition composition(list, coordinates(target.residues.size()), false);
  model::Batch batch{scaled(target),
                     torch::ones({1, static_cast<std::int64_t>(target.residues.size() * 12)}, torch::kFloat64)};
  for (const auto element : missing) batch.observed[0][static_cast<std::int64_t>(element)] = 0;
  model::Output output;
  output.prediction = scaled(prediction);
  return composition.evaluate(output, batch).samples.item<double>();
}
double loss(const std::string& type, const Backbone& chain) { return loss(type, chain, chain); }

Backbone shaken(Backbone backbone, double size, std::uint64_t seed) {
  torch::manual_seed(seed);
  const auto noise = torch::randn({static_cast<std::int64_t>(backbone.residues.size()), 4, 3}, torch::kFloat64) * size;
  for (std::size_t i = 0; i < backbone.residues.size(); ++i)
    for (std::size_t a = 0; a < 4; ++a)
      for (std::size_t axis = 0; axis < 3; ++axis)
        backbone.residues[i].atoms[a][axis] +=
            noise[static_cast<std::int64_t>(i)][static_cast<std::int64_t>(a)][static_cast<std::int64_t>(axis)]
                .item<double>();
  return backbone;
}

Backbone moved(Backbone backbone, double mirror = 1) {
  for (auto& residue : backbone.residues)
    for (auto& [x, y, z] : residue.atoms) {
      const double turned = 0.6 * x - 0.8 * y;
      y = 0.8 * x + 0.6 * y + 3;
      x = turned - 11;
      z = mirror * z + 7;
    }
  return backbone;
}

double mean_squared(const std::vector<geometry::Deviation>& deviations) {
  double sum = 0;
  for (const auto& deviation : deviations) {
    const double z = std::abs(deviation.z);
    sum += z <= 3 ? z * z : 6 * z - 9;
  }
  return sum / static_cast<double>(deviations.size());
}

TEST(BackboneLoss, OfAnIdealHelixIsNothing) {
  for (const auto* type : {"bond", "angle", "planarity", "clash", "geometry", "torsion", "kabsch_mse"})
    EXPECT_NEAR(loss(type, helix(12)), 0, 1e-9) << type;
}

TEST(BackboneLoss, IsTheMeanOfWhatTheDeviationsSay) {
  for (const double size : {0.02, 0.3}) {  // few beyond three standard deviations, and most
    const auto chain = shaken(helix(12), size, 3);
    EXPECT_NEAR(loss("bond", chain), mean_squared(bond_deviations(chain)), 1e-7);
    EXPECT_NEAR(loss("angle", chain), mean_squared(angle_deviations(chain)), 1e-7);
    double planarity = 0;
    const auto torsions = geometry::torsions(chain);
    for (std::size_t i = 1; i < torsions.size(); ++i) planarity += std::pow(std::sin(*torsions[i].omega), 2);
    planarity /= 11 * std::pow(std::sin(5.8 / kDegrees), 2);
    EXPECT_NEAR(loss("planarity", chain), planarity, 1e-7);
    EXPECT_NEAR(loss("geometry", chain),
                loss("bond", chain) + loss("angle", chain) + loss("planarity", chain) + loss("clash", chain), 1e-9);
  }
}

TEST(BackboneLoss, OfClashesIsTheSquareOfOverlaps) {
  const auto chain = shaken(helix(9), 1.2, 5);
  double sum = 0;
  int overlaps = 0;
  for (std::size_t i = 0; i < 9; ++i)
    for (std::size_t j = i + 2; j < 9; ++j)
      for (std::size_t a = 0; a < 4; ++a)
        for (std::size_t b = 0; b < 4; ++b) {
          const double overlap = geometry::kRadii[a] + geometry::kRadii[b] - geometry::kClashOverlap -
                                 geometry::distance(chain.residues[i].atoms[a], chain.residues[j].atoms[b]);
          if (overlap <= 0) continue;
          ++overlaps;
          sum += std::pow(overlap / geometry::kClashOverlap, 2);
        }
  EXPECT_EQ(overlaps, geometry::clashes(chain));
  EXPECT_GT(overlaps, 5);
  EXPECT_NEAR(loss("clash", chain), sum / 9, 1e-9);
}

TEST(BackboneLoss, DoesNotChangeWhenAChainIsTurnedAndMoved) {
  const auto target = helix(10), chain = shaken(target, 0.2, 8);
  for (const auto* type : {"bond", "angle", "planarity", "clash", "geometry", "torsion", "kabsch_mse"})
    EXPECT_NEAR(loss(type, moved(chain), target), loss(type, chain, target), 1e-8) << type;
  EXPECT_NEAR(loss("kabsch_mse", moved(target), target), 0, 1e-12);
}

TEST(BackboneLoss, TellsAMirrorImageByTorsionsAndSuperposition) {
  const auto chain = helix(10);
  EXPECT_NEAR(loss("geometry", moved(chain, -1)), 0, 1e-9);
  EXPECT_GT(loss("torsion", moved(chain, -1), chain), 0.5);
  EXPECT_GT(loss("kabsch_mse", moved(chain, -1), chain), 0.5);
  double expected = 0;  // 1 - cos(2 phi) and so on; omega is its own mirror image
  for (const double torsion : {-57.0, -47.0, 180.0}) expected += (1 - std::cos(2 * torsion / kDegrees)) / 3;
  EXPECT_NEAR(loss("torsion", moved(chain, -1), chain), expected, 1e-6);
}

TEST(BackboneLoss, DoesNotCountWhatIsMissing) {
  const auto target = helix(6);
  auto chain = target;
  chain.residues[2].atoms[3] = {100, 100, 100};  // O
  EXPECT_GT(loss("bond", chain, target), 100);
  const std::size_t x = (2 * 4 + 3) * 3;
  for (const auto* type : {"geometry", "torsion", "kabsch_mse"})
    EXPECT_NEAR(loss(type, chain, target, {x + 1}), 0, 1e-9) << type;  // an atom without its y is none
}

TEST(BackboneLoss, NeedsWholeResidues) {
  TermList list{terms()};
  list.append().select("bond");
  auto elements = coordinates(2);
  elements.pop_back();
  EXPECT_EQ(test::error_of<UsageError>([&] { Composition(list, elements, false); }),
            "/loss/terms/0: bond judges elements by 12 that belong together, found 23; choose others by /columns");
}

}  // namespace
}  // namespace ae::loss::backbone_loss_test
