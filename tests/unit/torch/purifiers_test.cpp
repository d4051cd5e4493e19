#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "apply/latent_descent.hpp"
#include "base/error.hpp"
#include "config/document.hpp"
#include "data/images/geometry.hpp"
#include "loss/autoencoder.hpp"
#include "model/network.hpp"
#include "support/errors.hpp"

namespace ae::apply::purifiers_test {
namespace {

loss::Autoencoder pair_of(const std::string& type, const std::string& settings, std::int64_t channels = 1,
                          std::int64_t side = 8) {
  config::Variant<model::Family> family(model::families(), type);
  config::read_text(*family.value(), settings, "test", ".");
  static loss::TermList terms{loss::terms()}, variational_terms{loss::terms()};
  static const bool filled = [] {
    terms.append().select("mse");
    variational_terms.append().select("mse");
    variational_terms.append().select("kl");
    return true;
  }();
  EXPECT_TRUE(filled);
  data::Geometry geometry;
  geometry.channels = channels;
  geometry.height = geometry.width = side;
  return {*family, family->variational() ? variational_terms : terms, model::image_domain(geometry), false, 1};
}

at::Tensor random_images(std::int64_t count, std::int64_t channels = 1, std::int64_t height = 8,
                         std::int64_t width = 8) {
  torch::manual_seed(5);
  return torch::rand({count, channels, height, width});
}

at::Tensor errors(const at::Tensor& made, const at::Tensor& images) {
  return (made - images).square().flatten(1).sum(1);
}

at::Tensor reconstructed(const loss::Autoencoder& pair, const at::Tensor& images) {
  return pair.expected({images, torch::ones_like(images)});
}

// A linear decoder's images are a plane: its directions [pixels, latent] and the point [pixels] of code 0.
struct Plane {
  at::Tensor directions, origin;
};
Plane plane_of(const loss::Autoencoder& pair, std::int64_t latent) {
  const torch::NoGradGuard no_grad;
  const auto made = pair.network().decode(torch::cat({torch::zeros({1, latent}), torch::eye(latent)})).flatten(1);
  return {(made.narrow(0, 1, latent) - made.narrow(0, 0, 1)).t().to(at::kDouble), made[0].to(at::kDouble)};
}
at::Tensor projector(const Plane& plane) { return plane.directions.matmul(at::linalg_pinv(plane.directions)); }

TEST(LatentDescent, OfALinearDecoderIsTheProjectionOnItsPlane) {
  const auto pair = pair_of("dense_images", R"({"hidden": [], "latent": 4})");
  const auto images = random_images(5);
  const auto plane = plane_of(pair, 4);
  const auto step = images.flatten(1).to(at::kDouble) - plane.origin;
  const auto expected = plane.origin + step.matmul(projector(plane));
  const auto least = errors(expected, images.flatten(1).to(at::kDouble));
  const auto first = errors(reconstructed(pair, images), images);
  EXPECT_GT(((first - least) / least).min().item<double>(), 0.05);  // which the encoder does not find
  const auto found = LatentDescent(pair, "m", 60, 1).nearest(images);
  EXPECT_LT((found.flatten(1).to(at::kDouble) - expected).abs().max().item<double>(), 1e-4);
}

TEST(LatentDescent, UnrolledHasTheGradientOfThatProjection) {
  // In one dimension the second step is Newton's.
  const auto pair = pair_of("dense_images", R"({"hidden": [], "latent": 1})");
  const auto images = random_images(4);
  const auto weights = torch::randn_like(images);
  const auto gradient_of = [&](std::int64_t steps, std::int64_t starts) {
    const auto x = images.clone().requires_grad_(true);
    const LatentDescent descent(pair, "m", steps, starts);
    const auto made = descent.unrolled(x);
    EXPECT_LT((made - descent.nearest(images)).abs().max().item<double>(), 1e-6);
    return torch::autograd::grad({(made * weights).sum()}, {x}).front().flatten(1).to(at::kDouble);
  };
  const auto expected = weights.flatten(1).to(at::kDouble).matmul(projector(plane_of(pair, 1)));
  const auto scale = expected.abs().max();
  EXPECT_LT(((gradient_of(10, 1) - expected).abs().max() / scale).item<double>(), 2e-3);
  EXPECT_LT(((gradient_of(10, 3) - expected).abs().max() / scale).item<double>(), 2e-3);
  // One step is not.
  EXPECT_GT(((gradient_of(1, 1) - expected).abs().max() / scale).item<double>(), 0.1);
}

TEST(LatentDescent, OfACodeThatIsTheBestHasTheGradientOfTheReconstruction) {
  // An encoder and a decoder that undo each other: image -> 2 image - 1 -> image.
  const auto pair = pair_of("dense_images", R"({"hidden": [], "latent": 64})");
  {
    const torch::NoGradGuard no_grad;
    for (const auto& [name, parameter] : pair.network().parameters()) {
      const bool output = name.find("output") != std::string::npos;
      const auto value =
          parameter.dim() == 1 ? torch::full({64}, output ? 0.5F : 0.F) : (output ? 0.5F : 1.F) * torch::eye(64);
      at::Tensor(parameter).copy_(value);
    }
  }
  const auto images = random_images(3);
  EXPECT_LT(errors(reconstructed(pair, images), images).max().item<double>(), 1e-10);
  const auto x = images.clone().requires_grad_(true);
  const auto weights = torch::randn_like(x);
  const auto made = LatentDescent(pair, "m", 10, 1).unrolled(x);
  const auto gradient = torch::autograd::grad({(made * weights).sum()}, {x}).front();
  EXPECT_LT((gradient - weights).abs().max().item<double>(), 1e-4);
}

TEST(LatentDescent, OfEveryFamilyWithoutSkipsIsNearerThanTheReconstruction) {
  for (const auto& [type, settings] : {std::pair{"dense_images", R"({"hidden": [12], "latent": 4, "norm": "batch"})"},
                                       {"conv", R"({"levels": 2, "width": 4, "code": 2})"},
                                       {"conv", R"({"levels": 2, "width": 4, "code": 2, "members": 3})"},
                                       {"conv_variational", R"({"levels": 2, "width": 4, "code": 2})"}}) {
    SCOPED_TRACE(std::string(type) + settings);
    const auto pair = pair_of(type, settings, 2);
    const auto images = random_images(70, 2);  // of more than one piece
    const auto before = errors(reconstructed(pair, images), images);
    const auto of = [&](std::int64_t steps, std::int64_t starts) {
      return errors(LatentDescent(pair, "m", steps, starts).nearest(images), images);
    };
    const auto some = of(5, 1), more = of(30, 1), starts = of(30, 4);
    EXPECT_TRUE((some <= before + 1e-4).all().item<bool>());
    EXPECT_TRUE((more <= some + 1e-4).all().item<bool>());
    EXPECT_TRUE((starts <= more + 1e-4).all().item<bool>());
    EXPECT_LT(more.sum().item<double>(), 0.97 * before.sum().item<double>());
    const auto together = LatentDescent(pair, "m", 7, 2).nearest(images);
    const auto alone = LatentDescent(pair, "m", 7, 2).nearest(images.narrow(0, 66, 1));
    EXPECT_TRUE(torch::equal(together[66], alone[0]));
    const auto x = images.narrow(0, 0, 3).clone().requires_grad_(true);
    const auto gradient =
        torch::autograd::grad({LatentDescent(pair, "m", 12, 2).unrolled(x).square().sum()}, {x}).front();
    EXPECT_TRUE(gradient.isfinite().all().item<bool>());
    EXPECT_GT(gradient.abs().sum().item<double>(), 0);
  }
}

TEST(LatentDescent, OfASizeThatLevelsDoNotDivideIsShapedLikeTheImage) {
  const auto pair = pair_of("conv", R"({"levels": 2, "width": 4, "code": 2})");
  const auto images = random_images(2, 1, 7, 10);
  EXPECT_EQ(LatentDescent(pair, "m", 3, 1).nearest(images).sizes(), images.sizes());
}

TEST(LatentDescent, RefusesADecoderThatIsGivenMoreThanTheCode) {
  const auto pair = pair_of("unet", R"({"levels": 2, "width": 4, "code": 2})");
  EXPECT_EQ(test::error_of<UsageError>([&] { LatentDescent(pair, "m", 3, 1); }),
            "--purifier latent: m: its decoder is given more than the code (skip connections), so that no code stands "
            "for an image; take a model of another family, such as \"conv\"");
}

}  // namespace
}  // namespace ae::apply::purifiers_test
