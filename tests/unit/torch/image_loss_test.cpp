// The loss terms that look at the surroundings of a pixel, against their definitions computed window by window.
#include <gtest/gtest.h>
#include <torch/script.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <filesystem>

#include "base/error.hpp"
#include "config/document.hpp"
#include "loss/composition.hpp"
#include "support/errors.hpp"

namespace ae::loss::image_loss_test {
namespace {

using model::Batch;

const torch::TensorOptions kDouble = torch::TensorOptions().dtype(torch::kFloat64);

model::Domain gray(std::int64_t height, std::int64_t width) { return {{{"gray", 0, false, true}}, {height, width}}; }

// Loss per element of one term, of images [samples, 1, height, width].
at::Tensor elements_of(const std::string& type, const std::string& settings, const at::Tensor& prediction,
                       const Batch& target) {
  TermList list{terms()};
  config::read_text(list.append().select(type), settings, "test", ".");
  const Composition composition(list, gray(target.values.size(2), target.values.size(3)), false);
  model::Output output;
  output.prediction = prediction;
  return composition.evaluate(output, target).elements;
}

Batch random_images(std::int64_t samples, std::int64_t height, std::int64_t width, double observed) {
  auto values = torch::rand({samples, 1, height, width}, kDouble);
  return {values, (torch::rand_like(values) < observed).to(torch::kFloat64)};
}

struct Factors {
  double luminance;
  double structure;
};

// Equations 6 and 13 of Wang et al. 2004 around one pixel, over the observed pixels of the window.
Factors slow_factors(const at::Tensor& x, const at::Tensor& y, const at::Tensor& observed, std::int64_t row,
                     std::int64_t column, std::int64_t radius, double sigma, double c1, double c2) {
  double weight = 0, mean_x = 0, mean_y = 0;
  const auto visit = [&](auto&& add) {
    for (std::int64_t i = std::max<std::int64_t>(0, row - radius); i <= std::min(x.size(0) - 1, row + radius); ++i) {
      for (std::int64_t j = std::max<std::int64_t>(0, column - radius); j <= std::min(x.size(1) - 1, column + radius);
           ++j) {
        const auto distance = static_cast<double>((i - row) * (i - row) + (j - column) * (j - column));
        add(std::exp(-distance / (2 * sigma * sigma)) * observed[i][j].item<double>(), x[i][j].item<double>(),
            y[i][j].item<double>());
      }
    }
  };
  visit([&](double w, double a, double b) {
    weight += w;
    mean_x += w * a;
    mean_y += w * b;
  });
  if (weight == 0) return {1, 1};
  mean_x /= weight;
  mean_y /= weight;
  double xx = 0, yy = 0, xy = 0;
  visit([&](double w, double a, double b) {
    xx += w * (a - mean_x) * (a - mean_x) / weight;
    yy += w * (b - mean_y) * (b - mean_y) / weight;
    xy += w * (a - mean_x) * (b - mean_y) / weight;
  });
  return {(2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1), (2 * xy + c2) / (xx + yy + c2)};
}

TEST(ImageLoss, SsimIsThatOfEveryWindowComputedDirectly) {
  torch::manual_seed(1);
  const auto target = random_images(2, 9, 13, 0.8);
  const auto prediction = torch::rand_like(target.values);
  const auto loss = elements_of("ssim", R"({"window": 7, "sigma": 1.2, "c1": 2e-4, "c2": 5e-4})", prediction, target);
  for (std::int64_t s = 0; s < 2; ++s) {
    for (std::int64_t i = 0; i < 9; ++i) {
      for (std::int64_t j = 0; j < 13; ++j) {
        if (target.observed[s][0][i][j].item<double>() == 0) continue;
        const auto f =
            slow_factors(target.values[s][0], prediction[s][0], target.observed[s][0], i, j, 3, 1.2, 2e-4, 5e-4);
        EXPECT_NEAR(loss[s][0][i][j].item<double>(), 1 - f.luminance * f.structure, 1e-10) << i << ' ' << j;
      }
    }
  }
}

TEST(ImageLoss, SsimOfConstantImagesIsTheLuminanceRatio) {
  const Batch target{torch::full({1, 1, 8, 8}, 0.25, kDouble), torch::ones({1, 1, 8, 8}, kDouble)};
  const auto loss = elements_of("ssim", R"({"c1": 0.01})", torch::full({1, 1, 8, 8}, 0.75, kDouble), target);
  const double expected = 1 - (2 * 0.25 * 0.75 + 0.01) / (0.25 * 0.25 + 0.75 * 0.75 + 0.01);
  EXPECT_LT((loss - expected).abs().max().item<double>(), 1e-12);
}

TEST(ImageLoss, MultiScaleSsimIsTheProductOverWindowsComputedDirectly) {
  torch::manual_seed(2);
  const auto target = random_images(1, 12, 10, 0.9);
  const auto prediction = 0.5 * target.values + 0.5 * torch::rand_like(target.values);
  const auto loss =
      elements_of("ms_ssim", R"({"scales": 3, "sigma": 0.5, "c1": 1e-4, "c2": 9e-4})", prediction, target);
  for (std::int64_t i = 0; i < 12; ++i) {
    for (std::int64_t j = 0; j < 10; ++j) {
      if (target.observed[0][0][i][j].item<double>() == 0) continue;
      double product = 1;
      for (const auto& [sigma, radius] : {std::pair{0.5, 2}, {1.0, 3}, {2.0, 6}}) {
        const auto f =
            slow_factors(target.values[0][0], prediction[0][0], target.observed[0][0], i, j, radius, sigma, 1e-4, 9e-4);
        product *= std::cbrt(std::max(f.structure, 1e-3));
        if (sigma == 2.0) product *= f.luminance;
      }
      EXPECT_NEAR(loss[0][0][i][j].item<double>(), 1 - product, 1e-9) << i << ' ' << j;
    }
  }
}

TEST(ImageLoss, GradientComparesDifferencesToTheRightAndBelow) {
  const auto target = torch::tensor({{0.0, 1.0, 3.0}, {2.0, 2.0, 2.0}}, kDouble).view({1, 1, 2, 3});
  const auto prediction = torch::tensor({{0.0, 0.5, 3.0}, {2.0, 4.0, 2.0}}, kDouble).view({1, 1, 2, 3});
  // Differences of the errors {0 -.5 0; 0 2 0}: right {-.5 .5; 2 -2}, below {0 2.5 0}.
  const Batch all{target, torch::ones_like(target)};
  const auto loss = elements_of("gradient", "{}", prediction, all).view({2, 3});
  EXPECT_TRUE(torch::allclose(loss, torch::tensor({{0.25, 1.5, 0.0}, {2.0, 2.0, 0.0}}, kDouble))) << loss;
  const auto squared = elements_of("gradient", R"({"norm": "l2"})", prediction, all).view({2, 3});
  EXPECT_TRUE(torch::allclose(squared, torch::tensor({{0.125, 3.25, 0.0}, {4.0, 4.0, 0.0}}, kDouble))) << squared;
  // Without the middle of the first row only differences of observed pixels are left.
  auto observed = torch::ones_like(target);
  observed[0][0][0][1] = 0;
  const auto masked = elements_of("gradient", "{}", prediction, {target, observed}).view({2, 3});
  EXPECT_TRUE(torch::allclose(masked, torch::tensor({{0.0, 0.0, 0.0}, {2.0, 2.0, 0.0}}, kDouble))) << masked;
}

std::string save_backbone(const std::string& name, const std::string& code) {
  const auto path = (std::filesystem::path(testing::TempDir()) / name).string();
  torch::jit::Module module("backbone");
  module.define(code);
  module.save(path);
  return path;
}

TEST(ImageLoss, FeatureLossIsTheSquaredDistanceOfFeaturesWhereTheyAre) {
  torch::manual_seed(3);
  const auto path = save_backbone("aetools_pool.pt", "def forward(self, x):\n  return torch.avg_pool2d(x, [2, 2])\n");
  const auto target = random_images(2, 4, 6, 1);
  const auto prediction = torch::rand_like(target.values);
  const auto loss = elements_of("feature", R"({"path": ")" + path + "\"}", prediction, target);
  for (std::int64_t s = 0; s < 2; ++s) {
    for (std::int64_t i = 0; i < 4; ++i) {
      for (std::int64_t j = 0; j < 6; ++j) {
        double difference = 0;
        for (const auto& [di, dj] : {std::pair{0, 0}, {0, 1}, {1, 0}, {1, 1}}) {
          const auto row = i / 2 * 2 + di, column = j / 2 * 2 + dj;
          difference += (prediction - target.values)[s][0][row][column].item<double>() / 4;
        }
        EXPECT_NEAR(loss[s][0][i][j].item<double>(), difference * difference, 1e-12);
      }
    }
  }
}

TEST(ImageLoss, FeatureLossTellsAFileThatIsNoTorchScript) {
  const auto complaint_of = [](const std::string& path) {
    TermList list{terms()};
    config::read_text(list.append().select("feature"), R"({"path": ")" + path + "\"}", "test", ".");
    return list[0]->complaint({});
  };
  EXPECT_NE(complaint_of("/nowhere/net.pt").find("no such file"), std::string::npos);
  EXPECT_NE(complaint_of("/proc/self/cmdline").find("no"), std::string::npos);
  EXPECT_EQ(complaint_of(save_backbone("aetools_identity.pt", "def forward(self, x):\n  return x\n")), "");
}

class IdenticalImages : public testing::TestWithParam<std::string> {};

TEST_P(IdenticalImages, HaveNoLoss) {
  torch::manual_seed(4);
  const auto target = random_images(3, 16, 16, 0.7);
  EXPECT_LT(elements_of(GetParam(), "{}", target.values, target).max().item<double>(), 1e-12);
  const Batch single{target.values.to(torch::kFloat32), target.observed.to(torch::kFloat32)};
  const auto loss = elements_of(GetParam(), "{}", single.values, single);
  EXPECT_LT(loss.max().item<double>(), 1e-5);
  EXPECT_GE(loss.min().item<double>(), 0);
}

// The sweep over all terms changes the target's hidden pixels; here the reconstruction's.
TEST_P(IdenticalImages, StayTheSameWhenHiddenPixelsOfTheReconstructionChange) {
  torch::manual_seed(5);
  const auto target = random_images(3, 16, 16, 0.7);
  const auto prediction = torch::rand_like(target.values);
  const auto changed = torch::where(target.observed > 0, prediction, torch::rand_like(prediction));
  EXPECT_TRUE(
      torch::equal(elements_of(GetParam(), "{}", prediction, target), elements_of(GetParam(), "{}", changed, target)));
}

INSTANTIATE_TEST_SUITE_P(Terms, IdenticalImages, testing::Values("ssim", "ms_ssim", "gradient"),
                         [](const auto& name) { return name.param; });

TEST(ImageLoss, IsRefusedForTables) {
  TermList list{terms()};
  list.append().select("ssim");
  EXPECT_EQ(test::error_of<UsageError>([&] {
              Composition(list, std::vector<model::Element>{{"x", 0, false}}, false);
            }),
            "/loss/terms/0: ssim judges images, the data are a table; use mse, l1 or huber");
}

}  // namespace
}  // namespace ae::loss::image_loss_test
