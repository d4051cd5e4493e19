#include "evaluate/roc.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"
#include "support/errors.hpp"

namespace ae::evaluate::roc_test {
namespace {

using Scores = std::vector<double>;

// Scores on a grid of `levels` values, so that small `levels` make many ties; anomalies are shifted up.
Scores random_scores(Random& random, std::size_t count, std::uint64_t levels, double shift) {
  Scores scores(count);
  for (double& score : scores)
    score = std::floor((random.uniform() + shift) * static_cast<double>(levels)) / static_cast<double>(levels);
  return scores;
}

struct Case {
  Scores anomalies, normals;
};

std::vector<Case> random_cases() {
  Random random(stream_key(7, "cases"));
  std::vector<Case> cases;
  for (const std::uint64_t levels : {2, 5, 40, 1'000'000})
    for (const auto& [m, n] : {std::pair<std::size_t, std::size_t>{2, 2}, {3, 50}, {60, 41}, {150, 7}})
      cases.push_back({random_scores(random, m, levels, 0.3), random_scores(random, n, levels, 0)});
  return cases;
}

double kernel(double anomaly, double normal) { return anomaly > normal ? 1 : anomaly == normal ? 0.5 : 0; }

// The definitions of DeLong et al. 1988, equations 4 to 6, by the double loop.
struct Components {
  double area = 0;
  Scores of_anomalies, of_normals;
  Components(const Scores& anomalies, const Scores& normals)
      : of_anomalies(anomalies.size()), of_normals(normals.size()) {
    const double m = static_cast<double>(anomalies.size());
    const double n = static_cast<double>(normals.size());
    for (std::size_t i = 0; i < anomalies.size(); ++i) {
      for (std::size_t j = 0; j < normals.size(); ++j) {
        const double psi = kernel(anomalies[i], normals[j]);
        area += psi / (m * n);
        of_anomalies[i] += psi / n;
        of_normals[j] += psi / m;
      }
    }
  }
};

double covariance_of(const Scores& x, double x_mean, const Scores& y, double y_mean) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += (x[i] - x_mean) * (y[i] - y_mean);
  return sum / static_cast<double>(x.size() - 1);
}

double slow_covariance(const Components& a, const Components& b) {
  return covariance_of(a.of_anomalies, a.area, b.of_anomalies, b.area) / static_cast<double>(a.of_anomalies.size()) +
         covariance_of(a.of_normals, a.area, b.of_normals, b.area) / static_cast<double>(a.of_normals.size());
}

TEST(Auroc, EqualsMannWhitneyAndDeLongByTheirDefinitions) {
  for (const auto& [anomalies, normals] : random_cases()) {
    const Components slow(anomalies, normals);
    const Estimate fast = auroc(LabeledScores(anomalies, normals), 0.95);
    EXPECT_NEAR(fast.value, slow.area, 1e-12);
    EXPECT_NEAR(fast.standard_error * fast.standard_error, slow_covariance(slow, slow), 1e-12);
    const double half_width = 1.959963984540054 * std::sqrt(std::max(0.0, slow_covariance(slow, slow)));
    EXPECT_NEAR(fast.interval.low, std::max(0.0, slow.area - half_width), 1e-9);
    EXPECT_NEAR(fast.interval.high, std::min(1.0, slow.area + half_width), 1e-9);
  }
}

// Hanley and McNeil 1982, Radiology 143:29-36, Table I: 109 images rated in five categories; area 0.893.
TEST(Auroc, AgreesWithHanleyAndMcNeil) {
  const int normal_counts[] = {33, 6, 6, 11, 2};
  const int abnormal_counts[] = {3, 2, 2, 11, 33};
  Scores normals, anomalies;
  for (int rating = 0; rating < 5; ++rating) {
    normals.insert(normals.end(), static_cast<std::size_t>(normal_counts[rating]), rating + 1);
    anomalies.insert(anomalies.end(), static_cast<std::size_t>(abnormal_counts[rating]), rating + 1);
  }
  const Estimate estimate = auroc(LabeledScores(anomalies, normals), 0.95);
  EXPECT_NEAR(estimate.value, 0.893, 5e-4);
  EXPECT_NEAR(estimate.standard_error, 0.032, 2e-3);  // theirs by a slightly different estimator
}

TEST(Auroc, DoesNotChangeUnderMonotoneTransformsOfTheScore) {
  for (const auto& [anomalies, normals] : random_cases()) {
    const auto transformed = [](Scores scores) {
      for (double& score : scores) score = std::exp(3 * score) - 100;
      return scores;
    };
    const Estimate before = auroc(LabeledScores(anomalies, normals), 0.95);
    const Estimate after = auroc(LabeledScores(transformed(anomalies), transformed(normals)), 0.95);
    EXPECT_EQ(before.value, after.value);
    EXPECT_EQ(before.standard_error, after.standard_error);
  }
}

TEST(Auroc, HasAnIntervalWithoutWidthWhenSeparationIsPerfect) {
  const Estimate perfect = auroc(LabeledScores({5, 6, 7}, {1, 2}), 0.95);
  EXPECT_EQ(perfect.value, 1.0);
  EXPECT_EQ(perfect.standard_error, 0.0);
  EXPECT_EQ(perfect.interval.low, 1.0);
  EXPECT_EQ(perfect.interval.high, 1.0);
}

TEST(Auroc, IsOneHalfWhenAllScoresAreEqual) {
  const Estimate flat = auroc(LabeledScores({1, 1}, {1, 1, 1}), 0.95);
  EXPECT_EQ(flat.value, 0.5);
  EXPECT_EQ(flat.standard_error, 0.0);
}

TEST(Auroc, SaysThatOneRowGivesNoVariance) {
  const Estimate estimate = auroc(LabeledScores({3}, {1, 2, 4}), 0.95);
  EXPECT_DOUBLE_EQ(estimate.value, 2.0 / 3);
  EXPECT_TRUE(std::isnan(estimate.standard_error));
  EXPECT_EQ(estimate.interval.low, 0.0);
  EXPECT_EQ(estimate.interval.high, 1.0);
}

TEST(LabeledScoresTest, RefusesWhatHasNoCurve) {
  EXPECT_THROW(LabeledScores({}, {1}), std::invalid_argument);
  EXPECT_THROW(LabeledScores({1}, {}), std::invalid_argument);
  EXPECT_THROW(LabeledScores({std::nan("")}, {1}), std::invalid_argument);
  EXPECT_THROW(LabeledScores({1}, {std::numeric_limits<double>::infinity()}), std::invalid_argument);
}

TEST(Curve, HasOnePointPerDistinctScoreAndCountsRowsAtLeastAsHigh) {
  for (const Case& rows : random_cases()) {
    const Scores& anomalies = rows.anomalies;
    const Scores& normals = rows.normals;
    Scores distinct = anomalies;
    distinct.insert(distinct.end(), normals.begin(), normals.end());
    std::sort(distinct.begin(), distinct.end(), std::greater<>());
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
    distinct.insert(distinct.begin(), std::numeric_limits<double>::infinity());
    std::size_t point = 0;
    LabeledScores(anomalies, normals).for_each_threshold([&](double threshold, const Confusion& counts) {
      ASSERT_LT(point, distinct.size());
      EXPECT_EQ(threshold, distinct[point++]);
      const auto at_least = [&](const Scores& scores) {
        return std::count_if(scores.begin(), scores.end(), [&](double score) { return score >= threshold; });
      };
      EXPECT_EQ(counts.tp, at_least(anomalies));
      EXPECT_EQ(counts.fp, at_least(normals));
      EXPECT_EQ(counts.tp + counts.fn, static_cast<std::int64_t>(anomalies.size()));
      EXPECT_EQ(counts.fp + counts.tn, static_cast<std::int64_t>(normals.size()));
    });
    EXPECT_EQ(point, distinct.size());
  }
}

TEST(AveragePrecision, AgreesWithHandWorkedExamples) {
  // Ranking + - + -: recall grows by 1/2 at precision 1 and 2/3.
  EXPECT_DOUBLE_EQ(average_precision(LabeledScores({0.8, 0.35}, {0.4, 0.1})), (1.0 + 2.0 / 3) / 2);
  // All equal: one step from recall 0 to 1 at the share of anomalies.
  EXPECT_DOUBLE_EQ(average_precision(LabeledScores({1, 1}, {1, 1, 1})), 2.0 / 5);
  EXPECT_DOUBLE_EQ(average_precision(LabeledScores({2, 3}, {1})), 1.0);
}

TEST(AveragePrecision, EqualsTheSumOverDistinctThresholds) {
  for (const auto& [anomalies, normals] : random_cases()) {
    double sum = 0, last_recall = 0;
    const LabeledScores scores(anomalies, normals);
    scores.for_each_threshold([&](double, const Confusion& counts) {
      if (counts.tpr() > last_recall) sum += (counts.tpr() - last_recall) * counts.precision();
      last_recall = counts.tpr();
    });
    EXPECT_NEAR(average_precision(scores), sum, 1e-13);
  }
}

TEST(PartialAuroc, AgreesWithHandWorkedExamples) {
  // Curve (0,0) (0,.5) (.5,.5) (.5,1) (1,1).
  const LabeledScores scores({0.8, 0.35}, {0.4, 0.1});
  EXPECT_DOUBLE_EQ(partial_auroc(scores, 0.25).raw, 0.125);
  EXPECT_DOUBLE_EQ(partial_auroc(scores, 0.75).raw, 0.25 + 0.25);
  // McClish: least = .25^2 / 2 = 1/32; (1 + (1/8 - 1/32) / (1/4 - 1/32)) / 2 = 5/7.
  EXPECT_DOUBLE_EQ(partial_auroc(scores, 0.25).standardized, 5.0 / 7);
  // A tie is a slope: (0,0) to (1,1), cut at .5.
  EXPECT_DOUBLE_EQ(partial_auroc(LabeledScores({1}, {1}), 0.5).raw, 0.125);
  EXPECT_DOUBLE_EQ(partial_auroc(LabeledScores({1}, {1}), 0.5).standardized, 0.5);
}

TEST(PartialAuroc, IsTheWholeAreaUpToOne) {
  for (const auto& [anomalies, normals] : random_cases()) {
    const LabeledScores scores(anomalies, normals);
    EXPECT_NEAR(partial_auroc(scores, 1).raw, auroc(scores, 0.95).value, 1e-12);
    EXPECT_NEAR(partial_auroc(scores, 1).standardized, auroc(scores, 0.95).value, 1e-12);
  }
}

// Two scores of the same rows.
struct PairedScores {
  std::vector<double> first;
  std::vector<double> second;
};

Comparison compare(const PairedScores& anomalies, const PairedScores& normals, double confidence) {
  const auto tests = compare_auroc({anomalies.first, anomalies.second}, {normals.first, normals.second}, confidence);
  EXPECT_EQ(tests.size(), 1u);
  return tests.front().comparison;
}

TEST(PairedComparison, EqualsDeLongsCovarianceByItsDefinition) {
  Random random(stream_key(11, "paired"));
  for (const std::uint64_t levels : {3, 30, 100'000}) {
    PairedScores anomalies{random_scores(random, 40, levels, 0.4), {}};
    PairedScores normals{random_scores(random, 55, levels, 0), {}};
    for (PairedScores* own : {&anomalies, &normals})  // correlated second score
      for (const double score : own->first) own->second.push_back(score + random_scores(random, 1, levels, 0)[0]);
    const Components x(anomalies.first, normals.first);
    const Components y(anomalies.second, normals.second);
    const Comparison comparison = compare(anomalies, normals, 0.9);
    const double variance = slow_covariance(x, x) + slow_covariance(y, y) - 2 * slow_covariance(x, y);
    EXPECT_EQ(comparison.rows, 95);
    EXPECT_NEAR(comparison.difference.value, x.area - y.area, 1e-12);
    EXPECT_NEAR(comparison.covariance, slow_covariance(x, y), 1e-12);
    EXPECT_NEAR(comparison.correlation,
                slow_covariance(x, y) / std::sqrt(slow_covariance(x, x) * slow_covariance(y, y)), 1e-9);
    EXPECT_NEAR(comparison.difference.standard_error, std::sqrt(variance), 1e-9);
    EXPECT_NEAR(comparison.z, (x.area - y.area) / std::sqrt(variance), 1e-9);
    EXPECT_NEAR(comparison.p_value, std::erfc(std::abs(comparison.z) / std::sqrt(2.0)), 1e-12);
    EXPECT_NEAR(comparison.difference.interval.high,
                comparison.difference.value + 1.6448536269514722 * std::sqrt(variance), 1e-9);
  }
}

TEST(PairedComparison, FindsNoDifferenceBetweenAScoreAndItsMonotoneTransform) {
  const PairedScores anomalies{{3, 1, 4}, {9, 1, 16}};
  const PairedScores normals{{1, 2, 0, 2}, {1, 4, 0, 4}};
  const Comparison comparison = compare(anomalies, normals, 0.95);
  EXPECT_EQ(comparison.difference.value, 0.0);
  EXPECT_EQ(comparison.difference.standard_error, 0.0);
  EXPECT_EQ(comparison.z, 0.0);
  EXPECT_EQ(comparison.p_value, 1.0);
  EXPECT_NEAR(comparison.correlation, 1.0, 1e-12);
}

TEST(PairedComparison, IsAntisymmetric) {
  const PairedScores anomalies{{3, 1, 4, 4}, {2, 2, 1, 8}};
  const PairedScores normals{{1, 2, 0, 2, 3}, {1, 4, 0, 2, 2}};
  const auto swapped = [](const PairedScores& scores) { return PairedScores{scores.second, scores.first}; };
  const Comparison one = compare(anomalies, normals, 0.95);
  const Comparison other = compare(swapped(anomalies), swapped(normals), 0.95);
  EXPECT_EQ(one.difference.value, -other.difference.value);
  EXPECT_EQ(one.p_value, other.p_value);
  EXPECT_EQ(one.difference.interval.low, -other.difference.interval.high);
}

TEST(PairedComparison, IsUndefinedWithOneAnomaly) {
  const auto tests = compare_auroc({{3}, {1}}, {{1, 2}, {2, 0}}, 0.95);
  EXPECT_DOUBLE_EQ(tests[0].comparison.difference.value, 0.5);
  EXPECT_TRUE(std::isnan(tests[0].comparison.p_value));
  EXPECT_TRUE(std::isnan(tests[0].adjusted_p_value));
  EXPECT_EQ(tests[0].comparison.difference.interval.low, -1.0);
}

TEST(PairedComparison, OfSeveralScoresIsThatOfEveryPair) {
  Random random(stream_key(12, "several"));
  std::vector<std::vector<double>> anomalies, normals;
  for (int source = 0; source < 4; ++source) {
    anomalies.push_back(random_scores(random, 30, 20, 0.2 * source));
    normals.push_back(random_scores(random, 50, 20, 0));
  }
  const auto tests = compare_auroc(anomalies, normals, 0.95);
  ASSERT_EQ(tests.size(), 6u);
  std::vector<double> p_values;
  for (const auto& test : tests) {
    EXPECT_LT(test.first, test.second);
    const Comparison alone =
        compare({anomalies[test.first], anomalies[test.second]}, {normals[test.first], normals[test.second]}, 0.95);
    EXPECT_EQ(test.comparison.difference.value, alone.difference.value);
    EXPECT_EQ(test.comparison.p_value, alone.p_value);
    p_values.push_back(alone.p_value);
  }
  const auto adjusted = holm_adjusted(p_values);
  for (std::size_t i = 0; i < tests.size(); ++i) EXPECT_EQ(tests[i].adjusted_p_value, adjusted[i]);
  EXPECT_THROW(compare_auroc({{1}, {1, 2}}, {{1}, {2}}, 0.95), std::invalid_argument);
  EXPECT_THROW(compare_auroc({{1}}, {{1}}, 0.95), std::invalid_argument);
}

TEST(Holm, AgreesWithAHandWorkedExample) {
  const double undefined = std::numeric_limits<double>::quiet_NaN();
  const auto adjusted = holm_adjusted({0.01, 0.04, undefined, 0.03, 0.005, 0.9});
  const double expected[] = {4 * 0.01, 3 * 0.03, undefined, 3 * 0.03, 5 * 0.005, 0.9};
  for (std::size_t i = 0; i < adjusted.size(); ++i) {
    if (i == 2) {
      EXPECT_TRUE(std::isnan(adjusted[i]));
    } else {
      EXPECT_DOUBLE_EQ(adjusted[i], expected[i]) << i;
    }
  }
  EXPECT_EQ(holm_adjusted({0.8, 0.9})[0], 1.0);
}

// Two anomalies and three normal rows: 4 * 27 equally likely resamples, all enumerated.
TEST(Bootstrap, HasTheSpreadOfAllPossibleResamples) {
  const Scores anomalies = {4, 2};
  const Scores normals = {3, 2, 1};
  Scores all;
  for (int a = 0; a < 4; ++a)
    for (int b = 0; b < 27; ++b)
      all.push_back(average_precision(
          LabeledScores({anomalies[a % 2], anomalies[a / 2]}, {normals[b % 3], normals[b / 3 % 3], normals[b / 9]})));
  double mean = 0, squares = 0;
  for (const double value : all) mean += value / 108;
  for (const double value : all) squares += (value - mean) * (value - mean) / 108;
  std::sort(all.begin(), all.end());
  BootstrapOptions options;
  options.resamples = 40'000;
  const auto bootstrap = bootstrap_average_precision(LabeledScores(anomalies, normals), options);
  EXPECT_EQ(bootstrap.resamples, 40'000);
  EXPECT_NEAR(bootstrap.estimate.standard_error, std::sqrt(squares), 0.01 * std::sqrt(squares));
  EXPECT_EQ(bootstrap.estimate.interval.low, all[2]);  // 2.5 % of 108 equal shares lies in the third
  EXPECT_EQ(bootstrap.estimate.interval.high, all[105]);
}

TEST(Bootstrap, DoesNotDependOnTheNumberOfThreadsButOnTheSeed) {
  Random random(stream_key(3, "bootstrap"));
  const LabeledScores scores(random_scores(random, 50, 1000, 0.3), random_scores(random, 300, 1000, 0));
  BootstrapOptions options;
  options.resamples = 501;
  options.threads = 1;
  const auto one = bootstrap_average_precision(scores, options);
  options.threads = 5;
  const auto five = bootstrap_average_precision(scores, options);
  EXPECT_EQ(one.estimate.interval.low, five.estimate.interval.low);
  EXPECT_EQ(one.estimate.interval.high, five.estimate.interval.high);
  EXPECT_EQ(one.estimate.standard_error, five.estimate.standard_error);
  EXPECT_LT(one.estimate.interval.low, one.estimate.value);
  EXPECT_GT(one.estimate.interval.high, one.estimate.value);
  options.seed = 1;
  EXPECT_NE(bootstrap_average_precision(scores, options).estimate.interval.low, one.estimate.interval.low);
}

// Enough rows that they are drawn block by block; the slow reference draws every row by itself.
TEST(Bootstrap, HasTheSpreadOfPlainResamplingOnManyRows) {
  Random random(stream_key(9, "rows"));
  const Scores anomalies = random_scores(random, 9'000, 1'000, 0.4);
  const Scores normals = random_scores(random, 20'000, 1'000, 0);
  Scores plain;
  for (int resample = 0; resample < 300; ++resample) {
    Scores a, n;
    for (std::size_t i = 0; i < anomalies.size(); ++i) a.push_back(anomalies[random.below(anomalies.size())]);
    for (std::size_t i = 0; i < normals.size(); ++i) n.push_back(normals[random.below(normals.size())]);
    plain.push_back(average_precision(LabeledScores(a, n)));
  }
  double mean = 0, squares = 0;
  for (const double value : plain) mean += value / 300;
  for (const double value : plain) squares += (value - mean) * (value - mean) / 299;
  const auto bootstrap = bootstrap_average_precision(LabeledScores(anomalies, normals), {});
  const double error = bootstrap.estimate.standard_error;
  EXPECT_NEAR(error, std::sqrt(squares), 0.15 * error);  // 300 resamples know it to 4 %
  EXPECT_NEAR((bootstrap.estimate.interval.low + bootstrap.estimate.interval.high) / 2, mean, 0.3 * error);
}

TEST(Bootstrap, TakesFewerResamplesWhenTheWorkIsLimited) {
  const LabeledScores scores({1, 2, 3}, {0, 1, 2, 5, 6, 7, 8});
  BootstrapOptions options;
  options.resamples = 2000;
  options.work_limit = 10 * 700;
  EXPECT_EQ(bootstrap_average_precision(scores, options).resamples, 700);
  options.work_limit = 10;
  EXPECT_EQ(bootstrap_average_precision(scores, options).resamples, 200);
  options.resamples = 0;
  const auto none = bootstrap_average_precision(scores, options);
  EXPECT_EQ(none.resamples, 0);
  EXPECT_EQ(none.estimate.interval.low, none.estimate.value);
}

TEST(ConfusionTest, AgreesWithHandWorkedFigures) {
  const Confusion c{6, 1, 3, 2};  // tp fp tn fn
  EXPECT_DOUBLE_EQ(c.tpr(), 0.75);
  EXPECT_DOUBLE_EQ(c.fpr(), 0.25);
  EXPECT_DOUBLE_EQ(c.specificity(), 0.75);
  EXPECT_DOUBLE_EQ(c.precision(), 6.0 / 7);
  EXPECT_DOUBLE_EQ(c.f1(), 0.8);
  EXPECT_DOUBLE_EQ(c.balanced_accuracy(), 0.75);
  EXPECT_NEAR(c.mcc(), 16 / std::sqrt(7.0 * 8 * 4 * 5), 1e-15);
  EXPECT_EQ((Confusion{0, 0, 4, 8}.mcc()), 0.0);
  EXPECT_TRUE(std::isnan(Confusion{0, 0, 4, 8}.precision()));
}

double utility(const ThresholdRule& rule, const Confusion& c) {  // larger is better; -1e9 is not allowed
  switch (rule.kind) {
    case ThresholdRule::Kind::youden:
      return c.tpr() - c.fpr();
    case ThresholdRule::Kind::f1:
      return c.f1();
    case ThresholdRule::Kind::fpr:
      return c.fpr() <= rule.limit ? c.tpr() : -1e9;
    case ThresholdRule::Kind::tpr:
      return c.tpr() >= rule.limit ? 0 : -1e9;
    case ThresholdRule::Kind::cost:
      return -(rule.false_alarm_cost * static_cast<double>(c.fp) + rule.miss_cost * static_cast<double>(c.fn));
  }
  return 0;
}

TEST(ThresholdRuleTest, IsBeatenByNoThresholdAndTiedByNoHigherOne) {
  for (const auto& [anomalies, normals] : random_cases()) {
    const LabeledScores scores(anomalies, normals);
    for (const char* text : {"youden", "f1", "fpr=0", "fpr=0.1", "fpr=0.5", "tpr=0.5", "tpr=0.95", "tpr=1", "cost=1:1",
                             "cost=1:10", "cost=5:0.5", "cost=0:1", "cost=1:0"}) {
      const auto rule = ThresholdRule::parse(text);
      const ChosenThreshold chosen = choose_threshold(scores, rule, 0.95);
      EXPECT_EQ(chosen.rule, text);
      const double reached = utility(rule, chosen.counts);
      EXPECT_GT(reached, -1e8);
      scores.for_each_threshold([&](double threshold, const Confusion& counts) {
        const double other = utility(rule, counts);
        EXPECT_LE(other, reached + 1e-12) << text << " at " << threshold;
        if (counts.tp + counts.fp < chosen.counts.tp + chosen.counts.fp) {
          EXPECT_LT(other, reached - 1e-12) << text << ": a higher threshold is as good";
        }
      });
      // The threshold means what its counts say.
      const auto flagged = [&](const Scores& all) {
        return std::count_if(all.begin(), all.end(), [&](double score) { return score >= chosen.threshold; });
      };
      EXPECT_EQ(flagged(anomalies), chosen.counts.tp) << text;
      EXPECT_EQ(flagged(normals), chosen.counts.fp) << text;
      EXPECT_TRUE(std::isfinite(chosen.threshold));
    }
  }
}

TEST(ThresholdRuleTest, LiesJustAboveTheHighestScoreWhenFlaggingNothingIsBest) {
  const auto chosen = choose_threshold(LabeledScores({1}, {2}), ThresholdRule::parse("fpr=0"), 0.95);
  EXPECT_EQ(chosen.threshold, std::nextafter(2.0, 3.0));
  EXPECT_EQ(chosen.counts, (Confusion{0, 0, 1, 1}));
}

TEST(ThresholdRuleTest, TellsWhatIsWrongWithARule) {
  const std::pair<const char*, const char*> wrong[] = {
      {"", "unknown rule"},           {"yuoden", "did you mean \"youden\"?"},
      {"youden=1", "unknown rule"},   {"fpr", "unknown rule"},
      {"fpr=", "is not a number"},    {"fpr=x", "is not a number"},
      {"fpr=nan", "is not a number"}, {"fpr=1", "below 1"},
      {"fpr=-0.1", "at least 0"},     {"tpr=0", "above 0"},
      {"tpr=1.5", "at most 1"},       {"cost=1", "two costs"},
      {"cost=1:", "is not a number"}, {"cost=-1:2", "negative"},
      {"cost=0:0", "above 0"},        {"cost=1:2:3", "is not a number"},
      {"cost=inf:1", "not a number"},
  };
  for (const auto& [text, expected] : wrong) {
    const std::string error = test::error_of<UsageError>([&text = text] { ThresholdRule::parse(text); });
    EXPECT_NE(error.find(expected), std::string::npos) << text << ": " << error;
  }
}

TEST(DrawableCurve, IsTheWholeCurveWhenShort) {
  const LabeledScores scores({3, 1, 4}, {1, 5, 9});
  const auto points = drawable_curve(scores, 100, 3);
  ASSERT_EQ(points.size(), 6u);
  EXPECT_TRUE(std::isinf(points.front().threshold));
  EXPECT_EQ(points.back().counts, (Confusion{3, 3, 0, 0}));
}

TEST(DrawableCurve, StaysCloseToTheWholeCurveWithFewPoints) {
  Random random(stream_key(5, "curve"));
  const LabeledScores scores(random_scores(random, 3000, 1u << 30, 0.2), random_scores(random, 60'000, 1u << 30, 0));
  const double keep = scores.normals()[31'234];
  const auto points = drawable_curve(scores, 400, keep);
  EXPECT_LE(points.size(), 400u);
  EXPECT_GE(points.size(), 200u);
  EXPECT_TRUE(std::isinf(points.front().threshold));
  EXPECT_EQ(points.back().counts, (Confusion{3000, 60'000, 0, 0}));
  EXPECT_TRUE(std::any_of(points.begin(), points.end(), [&](const auto& p) { return p.threshold == keep; }));
  for (std::size_t i = 1; i < points.size(); ++i) {
    EXPECT_LT(points[i].threshold, points[i - 1].threshold);
    EXPECT_LE(points[i].counts.tpr() - points[i - 1].counts.tpr(), 0.01);
    EXPECT_LE(points[i].counts.fpr() - points[i - 1].counts.fpr(), 0.01);
  }
}

void expect_sound(const Histogram& histogram, const Scores& anomalies, const Scores& normals) {
  ASSERT_EQ(histogram.edges.size(), histogram.normals.size() + 1);
  ASSERT_EQ(histogram.edges.size(), histogram.anomalies.size() + 1);
  for (std::size_t b = 0; b + 1 < histogram.edges.size(); ++b) {
    EXPECT_LT(histogram.edges[b], histogram.edges[b + 1]);
    const bool last = b + 2 == histogram.edges.size();
    const auto inside = [&](const Scores& scores) {
      return std::count_if(scores.begin(), scores.end(), [&](double s) {
        return s >= histogram.edges[b] && (s < histogram.edges[b + 1] || (last && s == histogram.edges[b + 1]));
      });
    };
    EXPECT_EQ(histogram.normals[b], inside(normals));
    EXPECT_EQ(histogram.anomalies[b], inside(anomalies));
  }
}

TEST(HistogramTest, CountsEveryRowOnceInItsBin) {
  for (const auto& [anomalies, normals] : random_cases())
    expect_sound(histogram(LabeledScores(anomalies, normals), 20), anomalies, normals);
}

TEST(HistogramTest, IsLogarithmicForHeavyTailsAndSoundAtTheLimits) {
  const Scores tail = {1000, 2000}, body = {0.5, 1, 1, 2, 3};
  const Histogram heavy = histogram(LabeledScores(tail, body), 10);
  EXPECT_TRUE(heavy.logarithmic);
  expect_sound(heavy, tail, body);
  EXPECT_FALSE(histogram(LabeledScores({3}, {1}), 10).logarithmic);
  const Scores huge = {1.5e308, 0}, low = {-1.5e308};
  expect_sound(histogram(LabeledScores(huge, low), 10), huge, low);
  const Scores same = {7}, neighbour = {std::nextafter(7.0, 8.0)};
  expect_sound(histogram(LabeledScores(same, same), 10), same, same);
  expect_sound(histogram(LabeledScores(neighbour, same), 10), neighbour, same);
}

}  // namespace
}  // namespace ae::evaluate::roc_test
