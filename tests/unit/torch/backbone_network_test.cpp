// The networks whose answers are chains with bonds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>

#include "base/error.hpp"
#include "config/document.hpp"
#include "geometry/covalent.hpp"
#include "model/network.hpp"

namespace ae::model::backbone_network_test {
namespace {

std::vector<Element> coordinates(std::int64_t residues) {
  std::vector<Element> elements;
  for (std::int64_t i = 0; i < residues * 12; ++i) {
    Element element;
    element.name = "c" + std::to_string(i);
    element.affine = true;
    element.center = std::sin(static_cast<double>(i));
    element.spread = i == 5 ? 0 : 1.5 + 0.1 * static_cast<double>(i % 7);  // one that never varies
    elements.push_back(element);
  }
  return elements;
}

std::unique_ptr<Network> network_of(const std::string& type, std::int64_t residues) {
  config::Variant<Family> family(families(), type);
  config::read_text(*family.value(), R"({"hidden": [9], "latent": 4, "activation": "tanh"})", "test", ".");
  torch::manual_seed(3);
  auto network = family->build({coordinates(residues), residues * 12, false});
  network->to_double();
  for (const auto& [name, tensor] : network->parameters()) {
    const torch::NoGradGuard no_grad;
    auto weight = tensor;
    weight.normal_();
  }
  return network;
}

geometry::Backbone chain_of(const at::Tensor& prediction, std::int64_t residues) {
  const auto elements = coordinates(residues);
  geometry::Backbone backbone;
  backbone.residues.resize(static_cast<std::size_t>(residues));
  std::size_t e = 0;
  for (auto& residue : backbone.residues) {
    for (auto& atom : residue.atoms)
      for (auto& axis : atom) {
        const double spread = elements[e].spread > 0 ? elements[e].spread : 1;
        axis = elements[e].center + spread * prediction[static_cast<std::int64_t>(e)].item<double>();
        ++e;
      }
    residue.observed = {true, true, true, true};
    residue.follows = &residue != &backbone.residues.front();
  }
  return backbone;
}

TEST(BackboneNetwork, AnswersChainsWhoseBondsAreWithinTwoStandardDeviations) {
  for (const std::int64_t residues : {1, 2, 5}) {
    const auto network = network_of("backbone", residues);
    const auto predictions = network->decode(3 * torch::randn({20, 4}, torch::kFloat64)).detach();
    double largest = 0, smallest = 0;
    for (std::int64_t i = 0; i < predictions.size(0); ++i) {
      const auto deviations = geometry::bond_deviations(chain_of(predictions[i], residues));
      EXPECT_EQ(std::ssize(deviations), 4 * residues - 1);
      for (const auto& deviation : deviations) {
        EXPECT_LE(std::abs(deviation.z), 2.001);
        largest = std::max(largest, deviation.z);
        smallest = std::min(smallest, deviation.z);
      }
    }
    EXPECT_GT(largest, 1);  // lengths are the network's to choose
    EXPECT_LT(smallest, -1);
  }
}

TEST(BackboneNetwork, DerivativesAreThoseOfDifferences) {
  for (const auto* type : {"backbone", "backbone_variational"}) {
    const auto network = network_of(type, 3);
    const auto latent = torch::randn({2, 4}, torch::kFloat64);
    const auto weights = torch::randn({2, 36}, torch::kFloat64);
    const auto loss = [&] { return (network->decode(latent) * weights).sum(); };
    loss().backward();
    for (const auto& [name, tensor] : network->parameters()) {
      if (!tensor.grad().defined()) continue;  // of the encoder
      auto flat = tensor.detach().view({-1});
      for (const std::int64_t at : {std::int64_t{0}, flat.numel() / 2}) {
        constexpr double kStep = 1e-5;
        const double value = flat[at].item<double>();
        flat[at] = value + kStep;
        const double above = loss().item<double>();
        flat[at] = value - kStep;
        const double below = loss().item<double>();
        flat[at] = value;
        const double slope = tensor.grad().view({-1})[at].item<double>();
        EXPECT_NEAR(slope, (above - below) / (2 * kStep), 1e-5 * (1 + std::abs(slope))) << name;
      }
    }
  }
}

TEST(BackboneNetwork, RefusesWhatAreNoCoordinates) {
  config::Variant<Family> family(families(), "backbone");
  config::read_text(*family.value(), R"({"hidden": [], "latent": 1})", "test", ".");
  auto elements = coordinates(2);
  elements.pop_back();
  const auto refused = [&](const Interface& interface) {
    try {
      family->build(interface);
    } catch (const UsageError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(refused({elements, 23, false}), testing::HasSubstr("12 numeric columns"));
  elements = coordinates(2);
  EXPECT_THAT(refused({elements, 48, false}), testing::HasSubstr("terms of one output"));
  elements[7].codes = 3;
  EXPECT_THAT(refused({elements, 24, false}), testing::HasSubstr("12 numeric columns"));
}

}  // namespace
}  // namespace ae::model::backbone_network_test
