#include "stats/value_histogram.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "evaluate/roc.hpp"

namespace ae::stats::value_histogram_test {
namespace {

std::vector<float> normal_values(std::size_t count, double mean, double deviation, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> draw(static_cast<float>(mean), static_cast<float>(deviation));
  std::vector<float> values(count);
  for (float& value : values) value = draw(generator);
  return values;
}

TEST(ValueHistogram, QuantilesAreThoseOfTheSortedValuesAtAnyScale) {
  for (const double scale : {1e-9, 1.0, 1e12}) {
    auto values = normal_values(20000, 0.5 * scale, scale, 3);
    ValueHistogram histogram;
    // In pieces: it is a stream.
    histogram.add(std::span(values).first(7000));
    histogram.add(std::span(values).subspan(7000));
    std::sort(values.begin(), values.end(), std::greater<>());
    for (const double tail : {0.001, 0.01, 0.3, 0.5, 0.9}) {
      const double exact = values[static_cast<std::size_t>(tail * 20000)];
      const double quantile = histogram.upper_quantile(tail);
      EXPECT_NEAR(quantile, exact, std::abs(exact) / 512 + 1e-3 * scale) << tail;
      const auto above = std::count_if(values.begin(), values.end(), [&](float value) { return value > quantile; });
      EXPECT_LE(above, tail * 20000);
    }
    EXPECT_EQ(histogram.upper_quantile(0), values.front());
    EXPECT_EQ(histogram.upper_quantile(1), values.back());
  }
}

TEST(ValueHistogram, OfEqualValuesHasThatValueAsEveryQuantile) {
  ValueHistogram histogram;
  histogram.add(std::vector<float>(100, 0.0f));
  for (const double tail : {0.0, 0.5, 1.0}) EXPECT_EQ(histogram.upper_quantile(tail), 0.0);
  EXPECT_EQ(ValueHistogram().upper_quantile(0.5), 0.0);
}

TEST(ValueHistogram, AveragePrecisionIsThatOfTheValuesThemselves) {
  const auto defects = normal_values(3000, 1.0, 1.0, 5);
  const auto good = normal_values(30000, 0.0, 1.0, 6);
  ValueHistogram high, low;
  high.add(defects);
  low.add(good);
  const evaluate::LabeledScores exact({defects.begin(), defects.end()}, {good.begin(), good.end()});
  EXPECT_NEAR(average_precision(high, low), average_precision(exact), 2e-3);
}

TEST(ValueHistogram, PerfectSeparationHasPrecisionOne) {
  ValueHistogram high, low;
  high.add(std::vector<float>{2.0f, 3.0f});
  low.add(std::vector<float>{-1.0f, 1.0f});
  EXPECT_EQ(average_precision(high, low), 1.0);
  EXPECT_EQ(average_precision(low, high), (1.0 / 3 + 2.0 / 4) / 2);
}

}  // namespace
}  // namespace ae::stats::value_histogram_test
