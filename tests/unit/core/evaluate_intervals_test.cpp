#include "evaluate/intervals.hpp"

#include <gtest/gtest.h>

#include <cmath>
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

// scipy.stats.beta.ppf(1 - confidence, successes, trials - successes + 1), of SciPy 1.10.
TEST(BinomialLowerBound, AgreesWithSciPy) {
  const struct {
    std::int64_t successes, trials;
    double confidence, low;
  } known[] = {{1, 1, 0.95, 0.050000000000000044},     {7, 10, 0.95, 0.3933757838945877},
               {99, 100, 0.999, 0.9113731112960425},   {1000, 1000, 0.999, 0.9931160484209338},
               {993, 1000, 0.999, 0.9804974089976279}, {51234, 100000, 0.999, 0.5074497031962815},
               {3, 1000, 0.9, 0.0011025606995322085},  {99990, 100000, 0.99, 0.9997985634157721}};
  for (const auto& row : known)
    EXPECT_NEAR(binomial_lower_bound(row.successes, row.trials, row.confidence), row.low, 1e-11)
        << row.successes << "/" << row.trials;
  EXPECT_EQ(binomial_lower_bound(0, 10, 0.95), 0);
}

// As a share of p is right to be below with a chance of at least the confidence: by adding up the binomial.
TEST(BinomialLowerBound, IsRarelyAboveTheTruth) {
  for (const double p : {0.5, 0.9, 0.99}) {
    constexpr std::int64_t kTrials = 500;
    double above = 0;
    for (std::int64_t k = 0; k <= kTrials; ++k)
      if (binomial_lower_bound(k, kTrials, 0.95) > p)
        above += std::exp(std::lgamma(kTrials + 1.0) - std::lgamma(k + 1.0) - std::lgamma(kTrials - k + 1.0) +
                          static_cast<double>(k) * std::log(p) + static_cast<double>(kTrials - k) * std::log1p(-p));
    EXPECT_LE(above, 0.05) << p;
    EXPECT_GT(above, 0) << p;
  }
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
