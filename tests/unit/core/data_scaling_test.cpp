#include "data/tables/scaling.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/random.hpp"
#include "support/errors.hpp"

namespace ae::data::scaling_test {
namespace {

using Json = nlohmann::ordered_json;

std::vector<double> normal_sample(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<double> values(count);
  for (double& value : values) value = normal_quantile(random.uniform() * 0.999998 + 1e-6);
  return values;
}

TEST(NormalQuantile, EqualsPublishedValues) {
  // To 40 digits by root finding on erfc (mpmath), as in any printed table of the normal distribution.
  EXPECT_DOUBLE_EQ(normal_quantile(0.5), 0.0);
  EXPECT_NEAR(normal_quantile(0.75), 0.67448975019608171, 1e-15);
  EXPECT_NEAR(normal_quantile(0.95), 1.6448536269514722, 2e-15);
  EXPECT_NEAR(normal_quantile(0.975), 1.9599639845400545, 2e-15);
  EXPECT_NEAR(normal_quantile(0.99), 2.3263478740408408, 3e-15);
  EXPECT_NEAR(normal_quantile(0.999), 3.0902323061678132, 3e-15);
  EXPECT_NEAR(normal_quantile(1e-10), -6.3613409024040557, 7e-15);
  EXPECT_NEAR(normal_quantile(1e-20), -9.2623400897984076, 1e-14);
  EXPECT_NEAR(normal_quantile(1e-300), -37.047096299361199, 4e-14);
}

TEST(NormalQuantile, InvertsTheErrorFunctionEverywhere) {
  for (double p = 1e-300; p < 0.5; p *= 1.7) {
    const double z = normal_quantile(p);
    const double back = 0.5 * std::erfc(-z / std::sqrt(2.0));
    // d log P / dz is about |z| in the tail, so a relative error of z shows up |z|^2 times as large.
    EXPECT_NEAR(back / p, 1.0, 1e-15 * (2 + z * z)) << "p = " << p;
  }
}

TEST(NormalQuantile, IsSymmetricAndInfiniteAtTheEnds) {
  for (const double p : {0.25, 0.125, 0.0625, 0.03125, 0x1p-20}) EXPECT_EQ(normal_quantile(p), -normal_quantile(1 - p));
  EXPECT_EQ(normal_quantile(0), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(normal_quantile(1), std::numeric_limits<double>::infinity());
}

TEST(Scaler, StandardSubtractsTheMeanAndDividesByThePopulationDeviation) {
  const auto scaler = Scaler::fit("standard", {2, 4, 4, 4, 5, 5, 7, 9});  // mean 5, deviation 2
  EXPECT_DOUBLE_EQ(scaler.center(), 5);
  EXPECT_DOUBLE_EQ(scaler.spread(), 2);
  EXPECT_DOUBLE_EQ(scaler.scale(9), 2);
  EXPECT_DOUBLE_EQ(scaler.unscale(-1.5), 2);
}

TEST(Scaler, StandardKeepsItsDigitsFarFromZero) {
  const auto scaler =
      Scaler::fit("standard", {1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16});  // a classic of variance formulas
  EXPECT_DOUBLE_EQ(scaler.center(), 1e9 + 10);
  EXPECT_DOUBLE_EQ(scaler.spread(), std::sqrt(22.5));
}

TEST(Scaler, RobustUsesMedianAndInterquartileRange) {
  const auto scaler = Scaler::fit("robust", {1, 2, 3, 4, 1000});  // quartiles 2 and 4 (type 7)
  EXPECT_DOUBLE_EQ(scaler.center(), 3);
  EXPECT_DOUBLE_EQ(scaler.spread(), 2 / 1.349);
  const auto even = Scaler::fit("robust", {4, 1, 3, 2});  // numpy.quantile: 1.75, 2.5, 3.25
  EXPECT_DOUBLE_EQ(even.center(), 2.5);
  EXPECT_DOUBLE_EQ(even.spread(), 1.5 / 1.349);
}

TEST(Scaler, RobustFallsBackToStandardWhenTheMiddleIsOneValue) {
  const auto scaler = Scaler::fit("robust", {0, 0, 0, 0, 0, 0, 0, 8});
  EXPECT_DOUBLE_EQ(scaler.center(), 1);
  EXPECT_DOUBLE_EQ(scaler.spread(), std::sqrt(7.0));
  EXPECT_FALSE(scaler.constant());
}

TEST(Scaler, QuantileGivesNormalScoresOfMidRanks) {
  const auto scaler = Scaler::fit("quantile", {30, 10, 20, 20});  // mid-ranks .5, 2, 3.5 of 4
  EXPECT_DOUBLE_EQ(scaler.scale(10), normal_quantile(0.125));
  EXPECT_DOUBLE_EQ(scaler.scale(20), 0);
  EXPECT_DOUBLE_EQ(scaler.scale(30), normal_quantile(0.875));
  EXPECT_DOUBLE_EQ(scaler.scale(15), 0.5 * normal_quantile(0.125));
}

TEST(Scaler, QuantileContinuesLinearlyOutsideWithTheStandardSlope) {
  const auto scaler = Scaler::fit("quantile", {10, 20, 20, 30});
  const double deviation = std::sqrt(50.0);
  EXPECT_DOUBLE_EQ(scaler.scale(30 + 3 * deviation), normal_quantile(0.875) + 3);
  EXPECT_DOUBLE_EQ(scaler.scale(10 - 40 * deviation), normal_quantile(0.125) - 40);
  EXPECT_NEAR(scaler.scale(std::nextafter(30, 31)), scaler.scale(30), 1e-14);
}

TEST(Scaler, QuantileMakesASkewedColumnNormalWithAtMostAThousandKnots) {
  auto values = normal_sample(20000, 5);
  for (double& value : values) value = std::exp(3 * value);
  const auto scaler = Scaler::fit("quantile", values);
  EXPECT_LE(scaler.to_json()["knots"].size(), 1000u);
  EXPECT_GE(scaler.to_json()["knots"].size(), 900u);
  double sum = 0, squares = 0;
  for (const double value : values) {
    sum += scaler.scale(value);
    squares += scaler.scale(value) * scaler.scale(value);
  }
  EXPECT_NEAR(sum / 20000, 0, 0.01);
  EXPECT_NEAR(squares / 20000, 1, 0.02);
  EXPECT_EQ(scaler.to_json()["knots"].front(), *std::ranges::min_element(values));
  EXPECT_EQ(scaler.to_json()["knots"].back(), *std::ranges::max_element(values));
}

TEST(Scaler, QuantileInvertsExactlyOnItsKnots) {
  const auto scaler = Scaler::fit("quantile", normal_sample(5000, 6));
  const auto knots = scaler.to_json()["knots"].get<std::vector<double>>();
  ASSERT_EQ(knots.size(), 1000u);
  for (const double knot : knots) EXPECT_EQ(scaler.unscale(scaler.scale(knot)), knot);
}

TEST(Scaler, NoneLeavesNumbersAsTheyAre) {
  const auto scaler = Scaler::fit("none", {7, 7, 7});
  for (const double value : {-3.25, 0.0, 7.0, 0.1, 1e5}) {
    EXPECT_EQ(scaler.scale(value), value);
    EXPECT_EQ(scaler.unscale(value), value);
  }
}

class EveryScaling : public testing::TestWithParam<std::string> {};

std::vector<std::vector<double>> awkward_columns() {
  auto gauss = normal_sample(3000, 1);
  auto far = gauss, wide = gauss, tiny = gauss, heavy = gauss;
  for (double& value : far) value = 1e9 + value;
  for (double& value : wide) value *= 1e300;
  for (double& value : tiny) value *= 1e-300;
  for (double& value : heavy) value = value * value * value * value * value;
  std::vector<double> counts;
  for (const double value : gauss) counts.push_back(std::floor(std::abs(value) * 3));
  return {gauss,
          far,
          wide,
          tiny,
          heavy,
          counts,
          {0, 1},
          {-1.7e308, 1.7e308},
          {-1.7e308, -1.7e308, 0, 1.7e308, 1.7e308},
          {1, 1 + 1e-9},
          {0, 0, 0, 1e-305}};
}

TEST_P(EveryScaling, IncreasesStrictlyAndUnscalesToTheSameValue) {
  if (GetParam() == "none") GTEST_SKIP() << "none clamps at a million; its own test covers it";
  for (const auto& column : awkward_columns()) {
    const auto scaler = Scaler::fit(GetParam(), column);
    const auto [least, most] = std::ranges::minmax(column);
    ASSERT_FALSE(scaler.constant()) << least;
    double before = -std::numeric_limits<double>::infinity();
    for (int i = -200; i <= 1200; ++i) {
      const double value = std::lerp(least, most, i / 1000.0);
      if (!std::isfinite(value)) continue;
      const double scaled = scaler.scale(value);
      ASSERT_TRUE(std::isfinite(scaled)) << value;
      EXPECT_GT(scaled, before) << value << " in [" << least << ", " << most << "]";
      before = scaled;
      const double tolerance = 1e-9 * std::max(std::abs(value), scaler.spread());
      EXPECT_NEAR(scaler.unscale(scaled), value, tolerance) << "[" << least << ", " << most << "]";
    }
  }
}

TEST_P(EveryScaling, NeverLeavesTheBoundsOrBecomesInfinite) {
  const double largest = std::numeric_limits<double>::max();
  for (const auto& column : awkward_columns()) {
    const auto scaler = Scaler::fit(GetParam(), column);
    for (const double value : {-largest, -1e300, -1.0, -5e-324, 0.0, 5e-324, 1.0, 1e300, largest}) {
      EXPECT_LE(std::abs(scaler.scale(value)), 1e6) << value;
      EXPECT_TRUE(std::isfinite(scaler.unscale(value))) << value;
    }
    EXPECT_TRUE(std::isfinite(scaler.unscale(1e6)) && std::isfinite(scaler.unscale(-1e6)));
  }
}

TEST_P(EveryScaling, DoesNotDependOnTheOrderOfTheTrainingValues) {
  auto values = normal_sample(501, 3);
  std::ranges::sort(values);
  const auto sorted = Scaler::fit(GetParam(), values);
  shuffle(std::span(values), Random(9));
  const auto shuffled = Scaler::fit(GetParam(), values);
  for (const double value : values) EXPECT_NEAR(shuffled.scale(value), sorted.scale(value), 1e-12);
}

TEST_P(EveryScaling, SurvivesJsonToTheLastBit) {
  for (auto column : awkward_columns()) {
    column.push_back(0.1);
    const auto scaler = Scaler::fit(GetParam(), column);
    const auto text = scaler.to_json().dump();
    const auto back = Scaler::from_json(Json::parse(text));
    EXPECT_EQ(back.to_json().dump(), text);
    for (const double value : column) EXPECT_EQ(back.scale(value), scaler.scale(value));
  }
}

TEST_P(EveryScaling, AnEmptyColumnIsConstantZero) {
  const auto scaler = Scaler::fit(GetParam(), {});
  EXPECT_TRUE(scaler.constant());
  EXPECT_EQ(scaler.scale(0), 0);
  EXPECT_EQ(scaler.scale(1e-9), 5);
  EXPECT_EQ(scaler.unscale(3), 0);
  EXPECT_EQ(Scaler::from_json(scaler.to_json()).scale(-7), -5);
}

INSTANTIATE_TEST_SUITE_P(Methods, EveryScaling, testing::ValuesIn([] {
                           std::vector<std::string> names;
                           for (const auto& method : scaling_methods()) names.emplace_back(method.name);
                           return names;
                         }()),
                         [](const auto& test) { return test.param; });

TEST(Scaler, AConstantColumnRaisesABoundedAlarmWhenItChanges) {
  for (const char* method : {"standard", "robust", "quantile"}) {
    const auto scaler = Scaler::fit(method, {40, 40, 40});
    EXPECT_TRUE(scaler.constant());
    EXPECT_EQ(scaler.center(), 40);
    EXPECT_EQ(scaler.scale(40), 0);
    EXPECT_EQ(scaler.scale(40 * (1 + 5e-7)), 0);
    EXPECT_EQ(scaler.scale(40 * (1 + 2e-6)), 5);
    EXPECT_EQ(scaler.scale(39), -5);
    EXPECT_EQ(scaler.scale(-1e300), -5);
    EXPECT_EQ(scaler.unscale(5), 40);
  }
}

TEST(Scaler, ValuesThatDifferOnlyByRoundingAreConstant) {
  const double third = 0.1 + 0.2;
  const auto scaler = Scaler::fit("standard", {0.3, third, 0.3});
  ASSERT_NE(third, 0.3);
  EXPECT_TRUE(scaler.constant());
  EXPECT_EQ(scaler.scale(third), 0);
  EXPECT_TRUE(Scaler::fit("quantile", {1e300, 1e300 * (1 + 1e-15)}).constant());
  EXPECT_TRUE(Scaler::fit("standard", {0, 5e-324}).constant());
  EXPECT_FALSE(Scaler::fit("standard", {1.6e9, 1.6e9 + 1}).constant()) << "seconds since 1970 do differ";
}

TEST(Scaler, ClampsToAMillion) {
  const auto scaler = Scaler::fit("standard", {-1, 1});
  EXPECT_EQ(scaler.scale(1e7), 1e6);
  EXPECT_EQ(scaler.scale(-1e308), -1e6);
  EXPECT_EQ(Scaler::fit("none", {1, 2}).scale(2e6), 1e6);
}

struct Hostile {
  const char* json;
  const char* message;
};

class HostileScaler : public testing::TestWithParam<Hostile> {};

TEST_P(HostileScaler, IsRefusedWithItsPlace) {
  const auto errors = test::errors_of<InputError>([] { Scaler::from_json(Json::parse(GetParam().json)); });
  EXPECT_EQ(errors, std::vector<std::string>{GetParam().message}) << GetParam().json;
}

#define STANDARD R"("method":"standard","constant":false,"center":0,)"
#define QUANTILE R"({"method":"quantile","constant":false,"center":0,"spread":1,)"
INSTANTIATE_TEST_SUITE_P(
    Json, HostileScaler,
    testing::Values(
        Hostile{"[]", ": found array, expected a scaler object"}, Hostile{"{}", "/method: missing key"},
        Hostile{R"({"method":"standard","constant":false,"center":0})", "/spread: missing key"},
        Hostile{"{" STANDARD R"("spread":0})", "/spread: expected a number above 0"},
        Hostile{"{" STANDARD R"("spread":-1})", "/spread: expected a number above 0"},
        Hostile{"{" STANDARD R"("spread":1e-320})", "/spread: expected a number above 0"},
        Hostile{"{" STANDARD R"("spread":"1"})", "/spread: found string, expected a number"},
        Hostile{"{" STANDARD R"("spread":1,"extra":1})", ": unknown key \"extra\""},
        Hostile{"{" STANDARD R"("spread":1,"knots":[1,2],"scores":[1,2]})", "/knots: only for method \"quantile\""},
        Hostile{R"({"method":"minmax","constant":false,"center":0,"spread":1})",
                "/method: unknown scaling method \"minmax\""},
        Hostile{R"({"method":"none","constant":0,"center":0,"spread":1})", "/constant: expected true or false"},
        Hostile{R"({"method":"none","constant":false,"center":null,"spread":1})",
                "/center: found null, expected a number"},
        Hostile{QUANTILE R"("knots":[1],"scores":[1]})", "/knots: expected at least two numbers"},
        Hostile{QUANTILE R"("knots":[],"scores":[]})", "/knots: expected at least two numbers"},
        Hostile{QUANTILE R"("knots":[1,2],"scores":[1]})", "/scores: expected as many numbers as in /knots"},
        Hostile{QUANTILE R"("knots":[1,1],"scores":[1,2]})", "/knots/1: not larger than the number before it"},
        Hostile{QUANTILE R"("knots":[1,2],"scores":[1,0]})", "/scores/1: not larger than the number before it"},
        Hostile{QUANTILE R"("knots":[1,"x"],"scores":[1,2]})", "/knots/1: found string, expected a number"},
        Hostile{QUANTILE R"("knots":7,"scores":[1,2]})", "/knots: found number, expected an array of numbers"}));

TEST(Scaler, RefusesNumbersThatJsonTextCannotHold) {
  auto json = Scaler::fit("standard", {1, 2}).to_json();
  json["center"] = std::numeric_limits<double>::infinity();
  EXPECT_THROW(Scaler::from_json(json), InputError);
  auto many = Scaler::fit("quantile", {1, 2}).to_json();
  many["knots"] = std::vector<double>(1001);
  EXPECT_THROW(Scaler::from_json(many), InputError);
}

}  // namespace
}  // namespace ae::data::scaling_test
