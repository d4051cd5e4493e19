#include "report/training.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "report/well_formed.hpp"

namespace ae::report::training_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The points of the curve of this class, in pixels.
std::vector<std::pair<double, double>> points_of(const std::string& svg, const std::string& name) {
  // Not a regular expression: std::regex takes stack by the length of what it matches.
  const std::string opening = "<path class=\"curve " + name + "\" d=\"";
  std::vector<std::pair<double, double>> points;
  auto at = svg.find(opening);
  if (at == std::string::npos) return points;
  at += opening.size();
  std::istringstream path(svg.substr(at, svg.find('"', at) - at));
  char command = 0;
  double x = 0, y = 0;
  while (path >> command >> x >> y) {
    EXPECT_TRUE(command == 'M' || command == 'L') << command;
    points.emplace_back(x, y);
  }
  return points;
}

TEST(TrainingSvg, DrawsBothLossesToOneScale) {
  const std::string svg = training_svg({{4, 3, 2}, {4.5, 3.5, 3.6}, 2});
  EXPECT_EQ(test::XmlCheck::problem(svg), "");
  const auto training = points_of(svg, "first"), held_out = points_of(svg, "second");
  ASSERT_EQ(training.size(), 3u);
  ASSERT_EQ(held_out.size(), 3u);
  const double unit = training[1].second - training[0].second;  // pixels, downwards, of a loss of 1
  EXPECT_GT(unit, 0);
  EXPECT_NEAR(training[2].second - training[1].second, unit, 0.02);
  EXPECT_NEAR(held_out[0].second, training[0].second - unit / 2, 0.02);
  EXPECT_NEAR(held_out[2].second, training[1].second - 0.6 * unit, 0.02);
  EXPECT_EQ(training[1].first, held_out[1].first);
  EXPECT_NEAR(training[1].first, (training[0].first + training[2].first) / 2, 0.02);
  EXPECT_THAT(svg, HasSubstr("epoch 2</text>"));
  EXPECT_THAT(svg, Not(HasSubstr("logarithmic")));
}

TEST(TrainingSvg, ALongFallIsDrawnByLogarithms) {
  const std::string svg = training_svg({{100, 10, 1}, {}, 3});
  EXPECT_THAT(svg, HasSubstr("loss (logarithmic)"));
  const auto points = points_of(svg, "first");
  ASSERT_EQ(points.size(), 3u);
  EXPECT_NEAR(points[1].second, (points[0].second + points[2].second) / 2, 0.02);
  EXPECT_THAT(svg, Not(HasSubstr("held out")));
}

TEST(TrainingSvg, LossesBelowZeroHaveALinearAxis) {
  const auto points = points_of(training_svg({{100, 0, -100}, {}, 3}), "first");
  ASSERT_EQ(points.size(), 3u);
  EXPECT_NEAR(points[1].second, (points[0].second + points[2].second) / 2, 0.02);
}

TEST(TrainingSvg, EveryEpochCountIsDrawnWithinThePicture) {
  for (const std::size_t epochs : {1u, 2u, 3u, 7u, 999u, 1001u, 12345u}) {
    TrainingCurve curve;
    for (std::size_t e = 0; e < epochs; ++e) curve.training.push_back(1 + std::exp(-0.01 * double(e)));
    if (epochs > 600) curve.training[600] = 9;  // an outlier that thinning must keep
    const std::string svg = training_svg(curve);
    EXPECT_EQ(test::XmlCheck::problem(svg), "") << epochs;
    EXPECT_THAT(svg, Not(HasSubstr("nan"))) << epochs;
    EXPECT_LT(svg.size(), 60'000u) << epochs;
    EXPECT_EQ(svg.find("<circle class=\"point-first\"") != std::string::npos, epochs == 1) << epochs;
    if (epochs == 1) continue;
    const auto points = points_of(svg, "first");
    EXPECT_GE(points.size(), 2u) << epochs;
    double highest = 1e9;
    for (std::size_t i = 0; i < points.size(); ++i) {
      EXPECT_GE(points[i].first, 84);
      EXPECT_LE(points[i].first, 690);
      EXPECT_GE(points[i].second, 44);
      EXPECT_LE(points[i].second, 320);
      EXPECT_GE(points[i].first, points[i == 0 ? 0 : i - 1].first);
      highest = std::min(highest, points[i].second);
    }
    if (epochs <= 600) continue;
    EXPECT_LT(highest, points.front().second - 100) << epochs;
  }
}

TEST(TrainingSvg, ConstantLossesAndNoEpochs) {
  for (const double loss : {0.0, 1.0, -3.0, 1e-300}) {
    const std::string svg = training_svg({{loss, loss}, {}, 1});
    EXPECT_EQ(test::XmlCheck::problem(svg), "") << loss;
    EXPECT_THAT(svg, Not(HasSubstr("nan"))) << loss;
    EXPECT_EQ(points_of(svg, "first").size(), 2u) << loss;
  }
  EXPECT_EQ(training_svg({}), "");
}

}  // namespace
}  // namespace ae::report::training_test
