// C-index, area, R2, Kaplan-Meier and log-rank against R's survival 3.5 (fit_reference.R) and slow references.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "core/fit_samples.hpp"
#include "fit/concordance.hpp"
#include "fit/folds.hpp"
#include "fit/penalty_choice.hpp"
#include "fit/survival_curves.hpp"

namespace ae::fit::figures_test {
namespace {

using test::kSampleRows;
using test::sample_columns;
using test::sample_survival;

SurvivalRows rows_of(const Outcome& outcome) { return {outcome.times, outcome.events}; }

std::vector<double> cox_predictions() {
  const auto columns = sample_columns();
  const Eigen::VectorXd predictors =
      Fitter(columns, sample_survival(), Ties::efron).fit(0).predictors(columns.values).col(0);
  return {predictors.begin(), predictors.end()};
}

TEST(Concordance, IsThatOfSurvivalWithItsStandardError) {
  const auto survival = sample_survival();
  auto predictions = cox_predictions();
  const auto figure = concordance(rows_of(survival), predictions);
  EXPECT_NEAR(figure.value, 0.7726550079491, 1e-9);
  EXPECT_NEAR(figure.standard_error(), 0.0404332217165, 1e-9);
  for (double& p : predictions) p = std::nearbyint(p);  // many ties
  const auto rounded = concordance(rows_of(survival), predictions);
  EXPECT_NEAR(rounded.value, 0.7674880763116, 1e-9);
  EXPECT_NEAR(rounded.standard_error(), 0.0378709880352, 1e-9);
}

// Over all pairs, by the definition; weights differ from 1 to give the influence by a difference.
double slow_concordance(const SurvivalRows& rows, const std::vector<double>& predictions,
                        const std::vector<std::int32_t>& groups, const std::vector<double>& weights) {
  double right = 0, all = 0;
  for (std::size_t i = 0; i < predictions.size(); ++i) {
    for (std::size_t j = 0; j < predictions.size(); ++j) {
      const bool earlier = rows.times[i] < rows.times[j] || (rows.times[i] == rows.times[j] && rows.events[j] == 0);
      if (i == j || rows.events[i] == 0 || !earlier || groups[i] != groups[j]) continue;
      const double weight = weights[i] * weights[j];
      all += weight;
      right += weight * (predictions[i] > predictions[j] ? 1 : predictions[i] == predictions[j] ? 0.5 : 0);
    }
  }
  return right / all;
}

TEST(Concordance, OfGroupsPairsOnlyTheirOwnRows) {
  const auto survival = sample_survival();
  auto predictions = cox_predictions();
  for (double& p : predictions) p = std::nearbyint(2 * p);
  std::vector<std::int32_t> groups;
  for (int i = 0; i < kSampleRows; ++i) groups.push_back((i * 7) % 4);
  std::vector<double> weights(predictions.size(), 1);
  const auto figure = concordance(rows_of(survival), predictions, groups);
  EXPECT_NEAR(figure.value, slow_concordance(rows_of(survival), predictions, groups, weights), 1e-12);
  for (const std::size_t row : {0u, 17u, 59u}) {
    constexpr double kStep = 1e-6;
    auto up = weights, down = weights;
    up[row] += kStep;
    down[row] -= kStep;
    const double slope = (slow_concordance(rows_of(survival), predictions, groups, up) -
                          slow_concordance(rows_of(survival), predictions, groups, down)) /
                         (2 * kStep);
    EXPECT_NEAR(figure.influence[row], slope, 1e-9);
  }
}

TEST(AreaUnderRoc, CountsPairsOfPositivesAndNegatives) {
  const std::vector<std::uint8_t> positive = {1, 0, 1, 0, 0};
  const std::vector<double> predictions = {0.9, 0.9, 0.4, 0.1, 0.5};
  // Pairs: .9 against .9 (half), .1, .5; .4 against .9 (no), .1, .5 (no).
  EXPECT_DOUBLE_EQ(area_under_roc(positive, predictions).value, 3.5 / 6);
}

TEST(RSquared, IsOneMinusTheRatioOfSquares) {
  const std::vector<double> values = {1, 2, 3, 6}, predictions = {1.5, 2, 2, 5};
  const auto figure = r_squared(values, predictions);
  EXPECT_DOUBLE_EQ(figure.value, 1 - (0.25 + 1 + 1) / (4 + 1 + 0 + 9));
  double sum = 0;
  for (const double influence : figure.influence) sum += influence;
  EXPECT_NEAR(sum, 0, 1e-15);  // a ratio does not change when all weights grow alike
}

TEST(SurvivalCurve, IsThatOfSurvfit) {
  const auto survival = sample_survival();
  const auto curve = survival_curve(rows_of(survival), 0.95);
  const std::map<double, std::array<double, 3>> expected = {{5, {0.7666666666667, 0.6667806059786, 0.881516007676}},
                                                            {10, {0.5186500000000, 0.3976089360939, 0.676538674263}},
                                                            {20, {0.1852321428571, 0.0952346175407, 0.360278096699}},
                                                            {30, {0.0926160714286, 0.0283323227462, 0.302754446351}}};
  for (const auto& [time, values] : expected) {
    const auto at = std::upper_bound(curve.times.begin(), curve.times.end(), time) - curve.times.begin() - 1;
    const auto i = static_cast<std::size_t>(at);
    EXPECT_NEAR(curve.survival[i], values[0], 1e-10);
    EXPECT_NEAR(curve.intervals[i].low, values[1], 1e-9);
    EXPECT_NEAR(curve.intervals[i].high, values[2], 1e-9);
  }
}

TEST(LogRank, IsThatOfSurvdiff) {
  const auto survival = sample_survival();
  const auto x = sample_columns().values;
  std::vector<std::int32_t> groups;
  for (Eigen::Index i = 0; i < kSampleRows; ++i) groups.push_back((x(i, 0) > 0) + (x(i, 0) > 1));
  const auto test = log_rank(rows_of(survival), groups, 4);  // the fourth has no rows
  EXPECT_NEAR(test.chi_squared, 13.4458334365059, 1e-9);
  EXPECT_EQ(test.degrees, 2);
  EXPECT_NEAR(test.p_value, 0.0012030242091, 1e-12);
  EXPECT_NEAR(test.expected[0], 27.4757994254183, 1e-9);
  EXPECT_NEAR(test.expected[2], 4.2353699942277, 1e-9);
  EXPECT_EQ(test.expected[3], 0);
}

TEST(ChiSquaredTail, IsThatOfPublishedTables) {
  EXPECT_NEAR(chi_squared_tail(3.841, 1), 0.05, 1e-4);
  EXPECT_NEAR(chi_squared_tail(5.991, 2), 0.05, 1e-4);
  EXPECT_NEAR(chi_squared_tail(7.815, 3), 0.05, 1e-4);
  EXPECT_NEAR(chi_squared_tail(23.209, 10), 0.01, 1e-5);
}

TEST(StratifiedFolds, SpreadEventsAndRowsEvenly) {
  const auto survival = sample_survival();
  const auto folds = stratified_folds(survival, 7, 3);
  std::map<std::int32_t, int> rows, events;
  for (std::size_t i = 0; i < folds.size(); ++i) {
    ++rows[folds[i]];
    events[folds[i]] += survival.events[i];
  }
  ASSERT_EQ(rows.size(), 7u);
  for (std::int32_t fold = 0; fold < 7; ++fold) {
    EXPECT_TRUE(rows[fold] == 8 || rows[fold] == 9);
    EXPECT_EQ(events[fold], 6);
    EXPECT_EQ(rows_in(folds, fold).size() + rows_outside(folds, fold).size(), folds.size());
  }
  EXPECT_EQ(folds, stratified_folds(survival, 7, 3));
  EXPECT_NE(folds, stratified_folds(survival, 7, 4));
}

// A slow reference: the error of a fresh model at every penalty and fold, in the plain definition.
TEST(ChoosePenalty, TakesTheLeastHeldOutError) {
  const auto columns = sample_columns();
  const auto outcome = test::sample_numbers();
  const auto choice = choose_penalty(columns, outcome, Ties::efron, {}, 11);
  const auto folds = stratified_folds(outcome, 5, 11);
  double least = std::numeric_limits<double>::infinity(), best = 0;
  for (std::size_t p = 0; p < choice.penalties.size(); ++p) {
    double sum = 0;
    for (std::int32_t fold = 0; fold < 5; ++fold) {
      const auto train = rows_outside(folds, fold), held_out = rows_in(folds, fold);
      const auto model = Fitter(columns.subset(train), outcome.subset(train), Ties::efron).fit(choice.penalties[p]);
      double squares = 0;
      for (const auto row : held_out) {
        double predicted = model.intercepts[0];
        for (Eigen::Index c = 0; c < 4; ++c)
          predicted += model.standardised(c, 0) * (columns.values(row, c) - model.means[c]) / model.deviations[c];
        squares += std::pow(predicted - outcome.values[static_cast<std::size_t>(row)], 2);
      }
      sum += squares / static_cast<double>(held_out.size()) / 5;
    }
    EXPECT_NEAR(choice.errors[p], sum, 1e-9 * sum);
    if (sum < least) {
      least = sum;
      best = choice.penalties[p];
    }
  }
  EXPECT_EQ(choice.penalty, best);
  PenaltyOptions cautious;
  cautious.one_standard_error = true;
  EXPECT_GT(choose_penalty(columns, outcome, Ties::efron, cautious, 11).penalty, best);
}

}  // namespace
}  // namespace ae::fit::figures_test
