#include "stats/conformal.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.hpp"

namespace ae::stats::conformal_test {
namespace {

TEST(ConformalPValue, CountsCalibrationScoresAtLeastAsHigh) {
  const ConformalCalibration calibration({3, 1, 2, 2});
  EXPECT_DOUBLE_EQ(calibration.p_value(0), 5.0 / 5);
  EXPECT_DOUBLE_EQ(calibration.p_value(2), 4.0 / 5);  // ties count against the row: 2, 2, 3 and itself
  EXPECT_DOUBLE_EQ(calibration.p_value(2.5), 2.0 / 5);
  EXPECT_DOUBLE_EQ(calibration.p_value(9), 1.0 / 5);
  EXPECT_DOUBLE_EQ(calibration.smallest(), 1.0 / 5);
  EXPECT_EQ(calibration.size(), 4u);
}

TEST(ConformalPValue, IsOneWithoutCalibrationScores) {
  EXPECT_EQ(ConformalCalibration().p_value(1e300), 1.0);
  EXPECT_EQ(ConformalCalibration().smallest(), 1.0);
}

// Leave-one-out over an exchangeable sample without ties is exactly uniform on k / (n + 1).
TEST(ConformalPValue, IsUniformOverExchangeableRows) {
  Random random(stream_key(1, "test"));
  std::vector<double> scores(100);
  for (double& score : scores) score = random.uniform();
  std::vector<double> p_values;
  for (std::size_t held_out = 0; held_out < scores.size(); ++held_out) {
    std::vector<double> others = scores;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(held_out));
    p_values.push_back(ConformalCalibration(others).p_value(scores[held_out]));
  }
  std::sort(p_values.begin(), p_values.end());
  for (std::size_t i = 0; i < p_values.size(); ++i) EXPECT_NEAR(p_values[i], (static_cast<double>(i) + 1) / 100, 1e-12);
}

// Benjamini and Hochberg 1995, section 4.1: fifteen p-values, four rejected at q = 0.05.
TEST(BenjaminiHochberg, RejectsFourInTheOriginalExample) {
  std::vector<double> p = {0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
                           0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0};
  EXPECT_EQ(benjamini_hochberg_cut(p, 0.05), 0.0095);
  std::reverse(p.begin(), p.end());
  EXPECT_EQ(benjamini_hochberg_cut(p, 0.05), 0.0095);
}

TEST(BenjaminiHochberg, TakesALargerValueThatMeetsItsOwnBound) {
  // 0.04 > 0.05 * 1/2 alone fails, but 0.05 <= 0.05 * 2/2 carries both.
  EXPECT_EQ(benjamini_hochberg_cut({0.04, 0.05}, 0.05), 0.05);
}

TEST(BenjaminiHochberg, GivesMinusOneWhenNothingIsFound) {
  EXPECT_EQ(benjamini_hochberg_cut({0.5, 0.9}, 0.05), -1);
  EXPECT_EQ(benjamini_hochberg_cut({}, 0.05), -1);
}

// scipy 1.10: scipy.stats.genpareto.sf([.5, 2, 30], .3, scale=1.5)
TEST(GeneralizedPareto, HasScipysTail) {
  const GeneralizedPareto pareto{0.3, 1.5};
  EXPECT_NEAR(pareto.exceeds(0.5), 0.72782067, 1e-8);
  EXPECT_NEAR(pareto.exceeds(2), 0.32576659, 1e-8);
  EXPECT_NEAR(pareto.exceeds(30), 0.00152408, 1e-8);
  EXPECT_NEAR((GeneralizedPareto{0, 2}.exceeds(3)), std::exp(-1.5), 1e-15);
  EXPECT_EQ(pareto.exceeds(-1), 1);
}

TEST(GeneralizedPareto, IsFoundBackFromItsOwnQuantiles) {
  for (const double shape : {0.1, 0.3, 0.45}) {
    std::vector<double> quantiles;
    for (int i = 0; i < 50'000; ++i) {
      quantiles.push_back(1.5 * (std::pow((50'000 - i - 0.5) / 50'000, -shape) - 1) / shape);
    }
    const auto fit = fit_pareto(quantiles);
    EXPECT_NEAR(fit.shape, shape, 0.03);
    EXPECT_NEAR(fit.scale, 1.5, 0.05);
  }
}

// a1 = E[Y (1 - F(Y))] = E[min(Y, Y')] / 2 for two independent draws: the mean over all pairs.
TEST(GeneralizedPareto, FitEqualsTheMomentsOverAllPairs) {
  Random random(stream_key(3, "test"));
  std::vector<double> y(40);
  for (double& value : y) value = 2 * (std::pow(1 - random.uniform(), -0.2) - 1);
  double a0 = 0, pairs = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    a0 += y[i] / 40;
    for (std::size_t j = 0; j < i; ++j) pairs += std::min(y[i], y[j]);
  }
  const double a1 = pairs / (40 * 39 / 2) / 2;
  const auto fit = fit_pareto(y);
  EXPECT_NEAR(fit.shape, 2 - a0 / (a0 - 2 * a1), 1e-12);
  EXPECT_NEAR(fit.scale, 2 * a0 * a1 / (a0 - 2 * a1), 1e-12);
}

TEST(GeneralizedPareto, NeverPromisesAnEndOfTheTail) {
  std::vector<double> uniform;
  for (int i = 0; i < 100; ++i) uniform.push_back(i / 100.0);
  EXPECT_EQ(fit_pareto(uniform).shape, 0);
  EXPECT_GT(fit_pareto(uniform).exceeds(2), 0);
  EXPECT_LT(fit_pareto({0, 0, 0}).exceeds(1), 1e-300);
}

TEST(ExtremeValueTail, ReachesBelowCountingWithTheRightOrderOfMagnitude) {
  double log_ratio = 0;
  constexpr int kTrials = 40;
  for (int trial = 0; trial < kTrials; ++trial) {
    Random random(stream_key(5, "test", static_cast<std::uint64_t>(trial)));
    std::vector<double> scores(1000);
    for (double& score : scores) score = 1 / (1 - random.uniform());  // P(score > s) = 1 / s
    const ConformalCalibration calibration(scores);
    ASSERT_TRUE(calibration.has_tail());
    EXPECT_EQ(calibration.exceedances(), 50u);
    double before = 1;
    for (double score = 0.5; score < 1e7; score *= 1.3) {
      const double p = calibration.tail_p_value(score);
      EXPECT_LE(p, calibration.p_value(score));
      EXPECT_LE(p, before);
      EXPECT_GT(p, 0);
      before = p;
    }
    EXPECT_EQ(calibration.tail_p_value(10), calibration.p_value(10));
    log_ratio += (std::log(calibration.tail_p_value(1e5)) - std::log(1e-5)) / kTrials;
  }
  EXPECT_NEAR(log_ratio, 0, std::log(10.0));
  EXPECT_FALSE(ConformalCalibration(std::vector<double>(59, 1.0)).has_tail());
  EXPECT_FALSE(ConformalCalibration(std::vector<double>(100, 0.0)).has_tail());
}

TEST(KolmogorovSmirnov, HasTheLimitDistribution) {
  // scipy.stats.kstwobign.sf([0.5, 1, 1.5]); with samples this large the finite-sample correction is gone.
  EXPECT_NEAR(kolmogorov_smirnov_p_value(0.5e-5, 2e10, 2e10), 0.9639452436648751, 1e-5);
  EXPECT_NEAR(kolmogorov_smirnov_p_value(1e-5, 2e10, 2e10), 0.26999967167735456, 1e-5);
  EXPECT_NEAR(kolmogorov_smirnov_p_value(1.5e-5, 2e10, 2e10), 0.022217962616525127, 1e-5);
  EXPECT_EQ(kolmogorov_smirnov_p_value(0, 10, 10), 1);
  // scipy.stats.binom.cdf
  EXPECT_NEAR(binomial_cdf(3, 20, 0.25), 0.22515604766431352, 1e-12);
  EXPECT_NEAR(binomial_cdf(90, 391, 0.25), 0.19933949285589816, 1e-12);
}

double brute_force_distance(std::vector<double> a, std::vector<double> b) {
  double largest = 0;
  std::vector<double> places = a;
  places.insert(places.end(), b.begin(), b.end());
  for (const double x : places) {
    const auto share = [x](const std::vector<double>& values) {
      return static_cast<double>(std::count_if(values.begin(), values.end(), [x](double v) { return v <= x; })) /
             static_cast<double>(values.size());
    };
    largest = std::max(largest, std::abs(share(a) - share(b)));
  }
  return largest;
}

TEST(Drift, ComparesTheLowerHalvesExactly) {
  for (int trial = 0; trial < 30; ++trial) {
    Random random(stream_key(9, "test", static_cast<std::uint64_t>(trial)));
    const double grid = trial % 2 == 0 ? 1e9 : 6;  // odd trials: many ties
    std::vector<double> calibration(41 + trial), stream(60);
    for (double& score : calibration) score = std::floor(random.uniform() * grid);
    for (double& score : stream) score = std::floor(random.uniform() * grid * 1.2);
    const ConformalCalibration conformal(calibration);
    DriftMonitor monitor(conformal);
    for (const double score : stream) monitor.add(score);
    const double median = conformal.sorted()[(calibration.size() - 1) / 2];
    const auto above = [median](double score) { return score > median; };
    std::erase_if(calibration, above);
    std::erase_if(stream, above);
    EXPECT_NEAR(monitor.bulk_share(), static_cast<double>(stream.size()) / 60, 1e-12);
    EXPECT_NEAR(monitor.distance(), brute_force_distance(calibration, stream), 1e-12);
  }
}

TEST(Drift, AlarmsRarelyOnExchangeableRowsAndOnAnomaliesAboveButOnAShiftOfTheBulk) {
  int alarms = 0, alarms_with_anomalies = 0;
  for (int trial = 0; trial < 200; ++trial) {
    Random random(stream_key(13, "test", static_cast<std::uint64_t>(trial)));
    std::vector<double> scores(400);
    for (double& score : scores) score = -std::log(1 - random.uniform());
    const ConformalCalibration conformal(scores);
    DriftMonitor same(conformal), anomalous(conformal), shifted(conformal);
    for (int i = 0; i < 800; ++i) {
      const double score = -std::log(1 - random.uniform());
      same.add(score);
      anomalous.add(i % 3 == 0 ? score + 10 : score);
      shifted.add(0.3 + score);
    }
    alarms += same.p_value() < 0.05 ? 1 : 0;
    alarms_with_anomalies += anomalous.p_value() < 0.05 ? 1 : 0;
    EXPECT_LT(shifted.p_value(), 1e-3);
  }
  EXPECT_LE(alarms, 20);
  EXPECT_LE(alarms_with_anomalies, 20);
  const ConformalCalibration nothing;
  DriftMonitor monitor(nothing);
  monitor.add(1);
  EXPECT_EQ(monitor.p_value(), 1);
}

}  // namespace
}  // namespace ae::stats::conformal_test
