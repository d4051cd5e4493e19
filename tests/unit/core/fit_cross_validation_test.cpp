// Held-out figures and their standard errors against slow references, and against the spread over made-up samples.
#include "fit/cross_validation.hpp"

#include <gtest/gtest.h>

#include <Eigen/Cholesky>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/random.hpp"
#include "core/fit_samples.hpp"

namespace ae::fit::cross_validation_test {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

CrossValidationOptions with_penalty(double penalty, std::int32_t repeats, int threads = 1) {
  CrossValidationOptions options;
  options.penalty.fixed = penalty;
  options.repeats = repeats;
  options.threads = threads;
  return options;
}

CrossValidation evaluated(const Columns& columns, const Outcome& outcome, const CrossValidationOptions& options,
                          const Columns* against = nullptr) {
  SilentReporter silent;
  const SameColumns codes(columns), other(against != nullptr ? *against : columns);
  return cross_validate(codes, against != nullptr ? &other : nullptr, outcome, options, silent);
}

// Ridge regression by the normal equations.
VectorXd ridge_answers(const MatrixXd& x, const VectorXd& y, const MatrixXd& at, double penalty) {
  const Eigen::RowVectorXd means = x.colwise().mean();
  MatrixXd z = x.rowwise() - means;
  const Eigen::RowVectorXd deviations = (z.colwise().squaredNorm() / static_cast<double>(x.rows())).cwiseSqrt();
  z.array().rowwise() /= deviations.array();
  const MatrixXd gram =
      z.transpose() * z / static_cast<double>(x.rows()) + penalty * MatrixXd::Identity(x.cols(), x.cols());
  const VectorXd beta =
      gram.ldlt().solve(z.transpose() * (y.array() - y.mean()).matrix() / static_cast<double>(x.rows()));
  MatrixXd there = at.rowwise() - means;
  there.array().rowwise() /= deviations.array();
  return (there * beta).array() + y.mean();
}

// R2 of held-out rows when the rows of `left_out` (none: -1) are learned from in no fold.
double slow_r2(const MatrixXd& x, const VectorXd& y, const FoldOfRow& folds, const FoldOfRow& groups,
               std::int32_t left_out, double penalty) {
  double errors = 0;
  for (std::int32_t fold = 0; fold < 5; ++fold) {
    std::vector<Index> training, held_out;
    for (Index i = 0; i < x.rows(); ++i) {
      const auto row = static_cast<std::size_t>(i);
      if (folds[row] == fold) held_out.push_back(i);
      if (folds[row] != fold && groups[row] != left_out) training.push_back(i);
    }
    const VectorXd answers = ridge_answers(x(training, Eigen::all), y(training), x(held_out, Eigen::all), penalty);
    errors += (answers - y(held_out)).squaredNorm();
  }
  return 1 - errors / (y.array() - y.mean()).square().sum();
}

TEST(CrossValidate, ErrorCountsRowsThatAreLearnedFrom) {
  const auto columns = test::sample_columns();
  const auto outcome = test::sample_numbers();
  const auto options = with_penalty(0.2, 2);
  const auto result = evaluated(columns, outcome, options);
  const VectorXd y = Eigen::Map<const VectorXd>(outcome.values.data(), test::kSampleRows);
  const auto groups = stratified_folds(outcome, kTrainingGroups, stream_key(0, "training groups"));
  double value = 0;
  std::vector<double> without(kTrainingGroups, 0);
  for (const auto& folds : result.folds) {
    value += slow_r2(columns.values, y, folds, groups, -1, 0.2) / 2;
    for (std::int32_t g = 0; g < kTrainingGroups; ++g)
      without[static_cast<std::size_t>(g)] += slow_r2(columns.values, y, folds, groups, g, 0.2) / 2;
  }
  const auto& figure = result.sets.front().figure;
  EXPECT_NEAR(figure.value, value, 1e-9);
  ASSERT_EQ(figure.training.size(), without.size());
  const double mean = std::accumulate(without.begin(), without.end(), 0.0) / kTrainingGroups;
  double squares = 0, held_out = 0;
  for (std::size_t g = 0; g < without.size(); ++g) {
    EXPECT_NEAR(figure.training[g], (mean - without[g]) * std::sqrt(19.0 / 20), 1e-9);
    squares += (mean - without[g]) * (mean - without[g]) * 19 / 20;
  }
  for (const double influence : figure.influence) held_out += influence * influence;
  EXPECT_NEAR(figure.standard_error(), std::sqrt(held_out + squares), 1e-9);
}

TEST(CrossValidate, GivesTheSameOnAnyNumberOfThreads) {
  auto columns = test::sample_columns();
  columns.controls[1] = true;
  CrossValidationOptions options;
  options.repeats = 2;
  options.threads = 1;
  const auto one = evaluated(columns, test::sample_survival(), options, &columns);
  options.threads = 4;
  const auto four = evaluated(columns, test::sample_survival(), options, &columns);
  ASSERT_EQ(one.sets.size(), 5u);
  ASSERT_EQ(four.sets.size(), 5u);
  for (std::size_t s = 0; s < one.sets.size(); ++s) {
    EXPECT_EQ(one.sets[s].name, four.sets[s].name);
    EXPECT_EQ(one.sets[s].answers, four.sets[s].answers);
    EXPECT_EQ(one.sets[s].penalties, four.sets[s].penalties);
    EXPECT_EQ(one.sets[s].risk_groups, four.sets[s].risk_groups);
    EXPECT_EQ(one.sets[s].figure.influence, four.sets[s].figure.influence);
    EXPECT_EQ(one.sets[s].figure.training, four.sets[s].figure.training);
  }
}

TEST(CrossValidate, SameCodesDifferByNothing) {
  const auto columns = test::sample_columns();
  const auto result = evaluated(columns, test::sample_survival(), with_penalty(0.1, 1), &columns);
  const auto* against = result.find("against");
  ASSERT_NE(against, nullptr);
  EXPECT_EQ(result.find("both"), nullptr);
  const auto nothing = difference(result.sets.front().figure, against->figure, 0.95);
  EXPECT_EQ(nothing.estimate.value, 0);
  EXPECT_EQ(nothing.estimate.standard_error, 0);
}

// Where columns tell nothing, the figure's variance is twice that of the held-out rows alone, because each row has a
// part in it twice.
TEST(CrossValidate, ErrorsAreTheSpreadOverSamples) {
  constexpr int kSamples = 150;
  double sum = 0, squares = 0, variances = 0, of_held_out = 0;
  for (int sample = 0; sample < kSamples; ++sample) {
    constexpr Index rows = 80;
    std::vector<float> noise(4 * rows);
    fill_normal(stream_key(static_cast<std::uint64_t>(sample), "noise"), noise);
    Columns columns{{"a", "b", "c", "d"}, {false, false, false, false}, MatrixXd(rows, 4)};
    Outcome outcome{Family::logistic};
    outcome.class_names = {"no", "yes"};
    for (Index i = 0; i < rows; ++i) {
      for (Index c = 0; c < 4; ++c) columns.values(i, c) = noise[static_cast<std::size_t>(4 * i + c)];
      outcome.classes.push_back(static_cast<std::int32_t>(i % 2));
    }
    const auto figure = evaluated(columns, outcome, with_penalty(0.1, 2, 2)).sets.front().figure;
    sum += figure.value;
    squares += figure.value * figure.value;
    variances += std::pow(figure.standard_error(), 2);
    for (const double influence : figure.influence) of_held_out += influence * influence;
  }
  const double spread = squares / kSamples - std::pow(sum / kSamples, 2);
  EXPECT_NEAR(variances / kSamples / spread, 1.1, 0.35);
  EXPECT_LT(of_held_out / kSamples / spread, 0.75);
}

}  // namespace
}  // namespace ae::fit::cross_validation_test
