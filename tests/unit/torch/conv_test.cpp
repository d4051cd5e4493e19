#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <set>

#include "base/error.hpp"
#include "config/document.hpp"
#include "data/images/geometry.hpp"
#include "loss/autoencoder.hpp"
#include "model/network.hpp"
#include "recipe/synthetic_defects.hpp"
#include "recipe/tensor_io.hpp"

namespace ae::model::conv_test {
namespace {

Domain domain_of(std::int64_t channels, std::int64_t height, std::int64_t width) {
  data::Geometry geometry;
  geometry.channels = channels;
  geometry.height = height;
  geometry.width = width;
  return image_domain(geometry);
}

Batch random_images(std::int64_t samples, std::int64_t channels, std::int64_t height, std::int64_t width) {
  torch::manual_seed(static_cast<std::uint64_t>(samples + height + width));
  auto values = torch::rand({samples, channels, height, width});
  return {values, torch::ones_like(values)};
}

std::unique_ptr<Network> network_of(const std::string& type, const std::string& settings, const Interface& interface) {
  config::Variant<Family> family(families(), type);
  config::read_text(*family.value(), settings, "test", ".");
  torch::manual_seed(3);
  auto network = family->build(interface);
  EXPECT_LE(family->weights(interface), static_cast<double>(network->parameter_count()));
  EXPECT_GE(family->weights(interface), 0.7 * static_cast<double>(network->parameter_count()));
  return network;
}

class EveryImageFamily : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Network> build(const std::string& settings, bool observed_matters = false,
                                 std::int64_t channels = 1) const {
    return network_of(GetParam(), settings, {domain_of(channels, 16, 16), channels, observed_matters});
  }
};

TEST_P(EveryImageFamily, PredictsAnySizeWithEverySetting) {
  for (const auto* settings :
       {R"({"width": 4, "code": 3})", R"({"width": 4, "code": 3, "padding": "replicate", "norm": "group"})",
        R"({"width": 4, "code": 3, "padding": "reflect", "upsample": "transposed", "norm": "batch"})"}) {
    for (const bool observed_matters : {false, true}) {
      auto network = build(settings, observed_matters, 3);
      for (const auto& [height, width] : {std::pair{16, 16}, {24, 8}, {17, 30}, {1, 1}, {28, 28}}) {
        const auto output = network->forward(random_images(2, 3, height, width));
        EXPECT_EQ(output.prediction.sizes(), (torch::IntArrayRef{2, 3, height, width}));
        EXPECT_EQ(output.code.latent.size(1), 3);
        EXPECT_EQ(output.code.mean.defined(), network->variational());
        const auto decoded = network->decode(output.code.latent);
        EXPECT_GE(decoded.size(2), height);
        EXPECT_GE(decoded.size(3), width);
      }
    }
  }
}

TEST_P(EveryImageFamily, GradientAgreesWithFiniteDifferencesInFloat64) {
  auto network = build(R"({"levels": 2, "width": 2, "code": 2, "activation": "tanh", "norm": "group"})");
  network->to_double();
  network->set_training(false);
  auto batch = random_images(2, 1, 8, 12);
  batch = {batch.values.to(torch::kFloat64), batch.observed.to(torch::kFloat64)};
  const auto loss = [&] {
    const auto output = network->forward(batch);
    auto value = (output.prediction - batch.values).square().mean();
    if (network->variational()) value = value + output.code.log_variance.square().mean();
    return value;
  };
  loss().backward();
  constexpr double kStep = 1e-6;
  for (auto& [name, parameter] : network->parameters()) {
    ASSERT_TRUE(parameter.grad().defined()) << name;
    const torch::NoGradGuard no_grad;
    auto weight = parameter;
    std::vector<std::int64_t> where(static_cast<std::size_t>(weight.dim()), 0);
    for (std::size_t d = 0; d < where.size(); ++d) where[d] = weight.size(static_cast<std::int64_t>(d)) / 2;
    auto element = weight;
    auto gradient = weight.grad();
    for (const auto i : where) {
      element = element.select(0, i);
      gradient = gradient.select(0, i);
    }
    const double kept = element.item<double>();
    element.fill_(kept + kStep);
    const double up = loss().item<double>();
    element.fill_(kept - kStep);
    const double down = loss().item<double>();
    element.fill_(kept);
    EXPECT_NEAR(gradient.item<double>(), (up - down) / (2 * kStep), 1e-7) << name;
  }
}

TEST_P(EveryImageFamily, SavedWeightsGiveTheSamePrediction) {
  auto first = build(R"({"width": 4, "norm": "batch"})");
  for (int i = 0; i < 3; ++i) first->forward(random_images(4, 1, 16, 16));  // moves the running means
  first->set_training(false);
  recipe::Arrays arrays;
  recipe::save_tensors("", first->state(), arrays);
  auto second = build(R"({"width": 4, "norm": "batch"})");
  recipe::restore_tensors("", second->state(), arrays, "test");
  second->set_training(false);
  const auto batch = random_images(3, 1, 16, 16);
  EXPECT_TRUE(torch::equal(first->forward(batch).prediction, second->forward(batch).prediction));
}

TEST_P(EveryImageFamily, DoesNotSeeHiddenPixels) {
  auto network = build(R"({"width": 4})", true);
  network->set_training(false);
  auto batch = random_images(2, 1, 16, 16);
  batch.observed.slice(3, 4, 8).zero_();
  const auto changed = torch::where(batch.observed > 0, batch.values, torch::full_like(batch.values, 0.9));
  EXPECT_TRUE(torch::equal(network->forward(batch).prediction, network->forward({changed, batch.observed}).prediction));
}

TEST_P(EveryImageFamily, ASampleDoesNotDependOnItsBatch) {
  config::Variant<Family> family(families(), GetParam());
  loss::TermList terms{loss::terms()};
  terms.append().select("mse");
  if (family->variational()) terms.append().select("kl");
  const loss::Autoencoder pair(*family, terms, domain_of(1, 16, 16), false, 1);
  const auto batch = random_images(5, 1, 16, 16);
  const auto together = pair.reconstruct(batch).expected;
  const auto alone = pair.reconstruct({batch.values.narrow(0, 3, 1), batch.observed.narrow(0, 3, 1)}).expected;
  EXPECT_TRUE(torch::equal(together[3], alone[0]));
}

// A fully convolutional network sees only so far: away from the borders, tiles give the map of the whole image.
TEST_P(EveryImageFamily, TilesGiveTheMapOfTheWholeImageInsideTheMargin) {
  auto network = build(R"({"levels": 2, "width": 4, "code": 4})");
  network->set_training(false);
  const torch::NoGradGuard no_grad;
  data::Geometry geometry;
  geometry.tile.size = geometry.height = geometry.width = 64;
  geometry.tile.stride = 16;
  geometry.tile.margin = 24;
  const auto batch = random_images(1, 1, 128, 112);
  const auto whole = network->forward(batch).prediction;
  auto stitched = torch::full_like(whole, 1e9);
  for (const auto& tile : geometry.tiles({128, 112})) {
    const auto cut = [&](const torch::Tensor& all) { return all.narrow(2, tile.y, 64).narrow(3, tile.x, 64); };
    const auto answer = network->forward({cut(batch.values), cut(batch.observed)}).prediction;
    const auto& keep = tile.keep;
    stitched.narrow(2, keep.y, keep.height)
        .narrow(3, keep.x, keep.width)
        .copy_(answer.narrow(2, keep.y - tile.y, keep.height).narrow(3, keep.x - tile.x, keep.width));
  }
  EXPECT_LT((stitched - whole).abs().max().item<double>(), 1e-4);
}

std::vector<std::string> image_families() {
  std::vector<std::string> names;
  for (const auto& entry : families()) {
    if (const auto family = entry.make(); family->reads_grids() && family->reads_any_size())
      names.emplace_back(entry.name);
  }
  return names;
}
INSTANTIATE_TEST_SUITE_P(Registry, EveryImageFamily, testing::ValuesIn(image_families()),
                         [](const auto& name) { return name.param; });

TEST(Conv, TheReferenceHasTheWeightsOfItsLayers) {
  const auto network = network_of("conv", "{}", {domain_of(1, 64, 64), 1, false});
  const auto layer = [](int kernel, int in, int out) { return kernel * kernel * in * out + out; };
  EXPECT_EQ(network->parameter_count(), layer(4, 1, 16) + layer(4, 16, 32) + layer(4, 32, 64) + layer(1, 64, 8) +
                                            layer(3, 8, 64) + layer(3, 64, 32) + layer(3, 32, 16) + layer(3, 16, 1));
  // Multiplications and additions of the same layers at their resolutions.
  const double expected = 2.0 * (1024 * 16 * 16 + 256 * 16 * 16 * 32 + 64 * 16 * 32 * 64 + 64 * 64 * 8 +
                                 64 * 9 * 8 * 64 + 256 * 9 * 64 * 32 + 1024 * 9 * 32 * 16 + 4096 * 9 * 16);
  EXPECT_DOUBLE_EQ(network->operations(domain_of(1, 64, 64)), expected);
}

// The same weights over the same numbers in a row: all of the first channel, then all of the next.
TEST(DenseImages, IsTheDenseNetworkOfTheirPixels) {
  for (const auto* settings :
       {R"({"hidden": [9], "latent": 3})", R"({"hidden": [9, 5], "latent": 3, "norm": "batch"})"}) {
    for (const bool observed_matters : {false, true}) {
      const auto images = network_of("dense_images", settings, {domain_of(2, 4, 5), 2, observed_matters});
      const auto rows = network_of("dense", settings, {Domain(std::vector<Element>(40)), 40, observed_matters});
      auto batch = random_images(6, 2, 4, 5);
      batch.observed[1][0][2].zero_();
      batch.observed[5][1].zero_();
      for (const bool training : {true, false}) {
        const torch::NoGradGuard no_grad;
        images->set_training(training);
        rows->set_training(training);
        const auto output = images->forward(batch);
        const auto expected = rows->forward({(batch.values * 2 - 1).reshape({6, 40}), batch.observed.reshape({6, 40})});
        EXPECT_LT((output.prediction.flatten(1) - expected.prediction).abs().max().item<double>(), 1e-6);
        EXPECT_LT((output.code.latent - expected.code.latent).abs().max().item<double>(), 1e-6);
      }
      EXPECT_EQ(images->decode(images->encode(batch).latent).sizes(), batch.values.sizes());
    }
  }
}

TEST(DenseImages, BeginsEachPixelAtTheOutputOfItsChannel) {
  const auto network = network_of("dense_images", R"({"hidden": [4], "latent": 2})", {domain_of(2, 3, 3), 2, false});
  network->begin_outputs(torch::tensor({0.25F, -0.5F}));
  for (auto& [name, parameter] : network->parameters()) {
    if (name.find("output") == std::string::npos || parameter.dim() != 1) continue;
    EXPECT_TRUE(torch::equal(parameter.detach(), torch::tensor({0.25F, -0.5F}).repeat_interleave(9)));
  }
}

TEST(DenseImages, ASampleDoesNotDependOnItsBatch) {
  config::Variant<Family> family(families(), "dense_images");
  loss::TermList terms{loss::terms()};
  terms.append().select("mse");
  const loss::Autoencoder pair(*family, terms, domain_of(1, 16, 16), false, 1);
  const auto batch = random_images(300, 1, 16, 16);
  const auto together = pair.reconstruct(batch).expected;
  const auto alone = pair.reconstruct({batch.values.narrow(0, 3, 1), batch.observed.narrow(0, 3, 1)}).expected;
  EXPECT_TRUE(torch::equal(together[3], alone[0]));
}

TEST(Conv, AFamilyForTablesRefusesImages) {
  config::Variant<Family> family(families(), "dense");
  loss::TermList terms{loss::terms()};
  terms.append().select("mse");
  EXPECT_THROW(loss::Autoencoder(*family, terms, domain_of(1, 16, 16), false, 1), UsageError);
}

// --- synthetic defects -----------------------------------------------------------------------------------------------

class Defects : public testing::TestWithParam<int> {};

TEST_P(Defects, AreDeterministicAndTheMaskIsWhatChanged) {
  const int channels = GetParam();
  torch::manual_seed(1);
  const auto image = torch::rand({channels, 48, 64});
  const auto other = torch::rand({channels, 48, 64});
  const recipe::SyntheticDefects defects;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed), again(seed);
    const auto sample = defects.draw(image, other, random);
    const auto twin = defects.draw(image, other, again);
    EXPECT_TRUE(torch::equal(sample.image, twin.image));
    EXPECT_TRUE(torch::equal(sample.mask, twin.mask));
    const auto changed = (sample.image != image).any(0).to(torch::kUInt8);
    EXPECT_TRUE(torch::equal(changed, sample.mask));
    EXPECT_GT(sample.mask.sum().item<std::int64_t>(), 0);
    EXPECT_LT(sample.mask.to(torch::kFloat32).mean().item<double>(), 0.35);
    EXPECT_GE(sample.image.min().item<double>(), 0);
    EXPECT_LE(sample.image.max().item<double>(), 1);
  }
}
INSTANTIATE_TEST_SUITE_P(Channels, Defects, testing::Values(1, 3));

// Two grays in, two grays out: inverted, of the same image or pasted from one like it.
TEST(DefectGrays, OpaqueOnesBringNoGrayThatTheImagesLack) {
  const auto cells = [](std::int64_t seed) {
    torch::manual_seed(seed);
    return torch::where(torch::rand({1, 12, 12}) < 0.5, 0.2, 0.7).repeat_interleave(4, 1).repeat_interleave(4, 2);
  };
  const auto image = cells(1).to(torch::kFloat32), other = cells(2).to(torch::kFloat32);
  const auto new_grays = [&](double translucent) {
    recipe::SyntheticDefects defects;
    defects.translucent = translucent;
    std::int64_t pixels = 0;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
      Random random(seed);
      const auto made = defects.draw(image, other, random).image;
      pixels += torch::logical_and((made - 0.2).abs() > 1e-5, (made - 0.7).abs() > 1e-5).sum().item<std::int64_t>();
    }
    return pixels;
  };
  EXPECT_EQ(new_grays(0), 0);
  EXPECT_GT(new_grays(1), 1000);
}

// A blank image has no other gray, and inverting it or pasting it into itself changes nothing: eight tries of a third
// each leave about one in 400 unchanged, more where a faint gray is translucent.
TEST(DefectGrays, AreMadeUpForABlankImage) {
  const auto image = torch::full({1, 32, 32}, 0.5);
  const recipe::SyntheticDefects defects;
  std::int64_t shown = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Random random(seed);
    shown += defects.draw(image, image, random).mask.sum().item<std::int64_t>() > 0 ? 1 : 0;
  }
  EXPECT_GE(shown, 95);
}

TEST(SyntheticCorruption, LeavesTheAskedShareCleanAndTheTargetAlone) {
  config::Variant<recipe::Corruption> corruption(recipe::corruptions(), "synthetic");
  config::read_text(*corruption.value(), R"({"clean": 0.3})", "test", ".");
  const auto batch = random_images(800, 1, 24, 24);
  const auto kept = batch.values.clone();
  torch::manual_seed(5);
  const auto first = corruption->apply(batch, domain_of(1, 24, 24));
  torch::manual_seed(5);
  const auto second = corruption->apply(batch, domain_of(1, 24, 24));
  EXPECT_TRUE(torch::equal(first.values, second.values));
  EXPECT_TRUE(torch::equal(batch.values, kept));
  EXPECT_TRUE(torch::equal(first.observed, batch.observed));
  const auto clean = (first.values == batch.values).flatten(1).all(1).to(torch::kFloat32).mean().item<double>();
  EXPECT_NEAR(clean, 0.3, 0.06);
  EXPECT_NE(corruption->complaint(std::vector<Element>(3)), "");
  EXPECT_EQ(corruption->complaint(domain_of(1, 24, 24)), "");
}

TEST(SyntheticCorruption, DoesNotPaintWhereNothingIsObserved) {
  config::Variant<recipe::Corruption> corruption(recipe::corruptions(), "synthetic");
  auto batch = random_images(100, 1, 24, 24);
  batch.observed.slice(2, 12, 24).zero_();
  const auto corrupted = corruption->apply(batch, domain_of(1, 24, 24));
  EXPECT_TRUE(torch::equal(corrupted.values.slice(2, 12, 24), batch.values.slice(2, 12, 24)));
}

// Two numbers of variance 1 with correlation r have the same sign with probability 1/2 + asin(r) / pi (Sheppard). Of
// neighbours r follows from the blur's kernel, far away it is 0.
TEST(SignsCorruption, ChangesEachPixelByTheSizeAndNeighboursAlike) {
  config::Variant<recipe::Corruption> corruption(recipe::corruptions(), "signs");
  config::read_text(*corruption.value(), R"({"size": 0.25, "smooth": 1.5})", "test", ".");
  auto batch = Batch{torch::full({300, 2, 20, 24}, 0.5), torch::ones({300, 2, 20, 24})};
  batch.observed.slice(3, 0, 2).zero_();
  torch::manual_seed(7);
  const auto change = corruption->apply(batch, domain_of(2, 20, 24)).values - batch.values;
  EXPECT_EQ(change.slice(3, 0, 2).abs().max().item<float>(), 0);
  const auto seen = change.slice(3, 2);
  EXPECT_NEAR(seen.abs().min().item<float>(), 0.25, 1e-6);
  EXPECT_NEAR(seen.abs().max().item<float>(), 0.25, 1e-6);
  EXPECT_NEAR(seen.mean().item<float>(), 0, 0.005);

  double power = 0, beside = 0;
  const auto weight = [](int i) { return std::exp(-i * i / 2.0); };
  for (int i = -3; i <= 3; ++i) power += weight(i) * weight(i);
  for (int i = -3; i < 3; ++i) beside += weight(i) * weight(i + 1);
  const auto alike = [&](std::int64_t dimension, std::int64_t lag) {
    const auto inside = seen.slice(2, 3, 17).slice(3, 1, 19);
    const auto length = inside.size(dimension) - lag;
    return (inside.narrow(dimension, 0, length) * inside.narrow(dimension, lag, length) > 0)
        .to(torch::kFloat64)
        .mean()
        .item<double>();
  };
  const double r = 1.5 * 1.5 * beside / power / (1 + 1.5 * 1.5);
  const double expected = 0.5 + std::asin(r) / 3.14159265358979;
  EXPECT_NEAR(alike(2, 1), expected, 0.01);
  EXPECT_NEAR(alike(3, 1), expected, 0.01);
  EXPECT_NEAR(alike(3, 9), 0.5, 0.01);

  const auto dark = Batch{torch::full({4, 1, 8, 8}, 0.1), torch::ones({4, 1, 8, 8})};
  const auto clipped = corruption->apply(dark, domain_of(1, 8, 8)).values;
  EXPECT_EQ(clipped.min().item<float>(), 0);
  EXPECT_NEAR(clipped.max().item<float>(), 0.35, 1e-6);
  EXPECT_NE(corruption->complaint(std::vector<Element>(3)), "");
  EXPECT_EQ(corruption->complaint(domain_of(1, 8, 8)), "");
}

}  // namespace
}  // namespace ae::model::conv_test
