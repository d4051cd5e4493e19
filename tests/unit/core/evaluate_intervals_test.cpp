#include "evaluate/intervals.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace ae::evaluate::intervals_test {
namespace {

TEST(NormalQuantile, AgreesWithTables) {
  EXPECT_NEAR(two_sided_normal_quantile(0.95), 1.959963984540054, 1e-14);
  EXPECT_NEAR(two_sided_normal_quantile(0.99), 2.5758293035489004, 1e-14);
  EXPECT_NEAR(two_sided_normal_quantile(0.6826894921370859), 1.0, 1e-14);
  EXPECT_NEAR(two_sided_normal_p_value(-1.959963984540054), 0.05, 1e-14);
}

// Newcombe 1998, Statistics in Medicine 17:857-872, Table I, method 3.
TEST(WilsonInterval, AgreesWithNewcombe) {
  const struct {
    int successes, trials;
    double low, high;
  } published[] = {{81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0, 0.1611}, {1, 29, 0.0061, 0.1718}};
  for (const auto& row : published) {
    const Interval interval = wilson_interval(row.successes, row.trials, 0.95);
    EXPECT_NEAR(interval.low, row.low, 5e-5) << row.successes << "/" << row.trials;
    EXPECT_NEAR(interval.high, row.high, 5e-5) << row.successes << "/" << row.trials;
  }
}

TEST(WilsonInterval, EndsExactlyAtOneWhenEveryTrialSucceeds) {
  EXPECT_EQ(wilson_interval(20, 20, 0.95).high, 1.0);
  EXPECT_NEAR(wilson_interval(20, 20, 0.95).low, 1 - 0.1611, 5e-5);
  EXPECT_EQ(wilson_interval(0, 0, 0.95).high, 1.0);
  EXPECT_EQ(wilson_interval(0, 0, 0.95).low, 0.0);
}

TEST(PercentileInterval, InterpolatesBetweenOrderStatistics) {
  const std::vector<double> values = {0, 1, 2, 3, 10};  // numpy.percentile: 10 % -> 0.4, 90 % -> 7.2
  const Interval interval = percentile_interval(values, 0.8);
  EXPECT_NEAR(interval.low, 0.4, 1e-12);
  EXPECT_NEAR(interval.high, 7.2, 1e-12);
  const std::vector<double> one = {5};
  EXPECT_EQ(percentile_interval(one, 0.95).low, 5);
  EXPECT_EQ(percentile_interval(one, 0.95).high, 5);
}

}  // namespace
}  // namespace ae::evaluate::intervals_test
