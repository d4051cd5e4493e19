// The score test of held-out predictors against survival, glm and lm of R (fit_reference.R), a slow reference, and the
// spread over made-up samples.
#include "fit/increment_test.hpp"

#include <gtest/gtest.h>

#include <Eigen/Cholesky>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/random.hpp"
#include "core/fit_samples.hpp"
#include "fit/cross_validation.hpp"
#include "fit/summary.hpp"

namespace ae::fit::increment_test {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

Columns last_two_as_controls() {
  Columns controls = test::sample_columns();
  controls.names.erase(controls.names.begin(), controls.names.begin() + 2);
  controls.controls = {true, true};
  controls.values = MatrixXd(controls.values.rightCols(2));
  return controls;
}

MatrixXd first_as_predictor() { return test::sample_columns().values.leftCols(1); }

double sum_of(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

TEST(ControlsAlone, ScoreOfCoxIsThatOfMartingaleResidualsOfCoxph) {
  const struct {
    Ties ties;
    double score, of_square, first, second, last;
  } expected[] = {{Ties::efron, 24.989841076894, -7.504711222627, -0.284204188788, 0.516083405736, 0.740185599902},
                  {Ties::breslow, 24.264059588699, -7.048529894568, -0.279348708374, 0.453341262996, 0.715110186741}};
  const MatrixXd s = first_as_predictor();
  const MatrixXd squares = s.cwiseAbs2();
  for (const auto& e : expected) {
    const ControlsAlone alone(last_two_as_controls(), test::sample_survival(), e.ties);
    EXPECT_NEAR(sum_of(alone.contributions(s)), e.score, 1e-4);
    EXPECT_NEAR(sum_of(alone.contributions(squares)), e.of_square, 1e-4);
    EXPECT_NEAR(alone.residuals()(0, 0), e.first, 1e-5);
    EXPECT_NEAR(alone.residuals()(1, 0), e.second, 1e-5);
    EXPECT_NEAR(alone.residuals()(59, 0), e.last, 1e-5);
  }
}

// What the score is by its definition, of likelihoods that have tests of their own.
TEST(ControlsAlone, ScoreIsTheSlopeOfThePartialLikelihood) {
  const auto controls = last_two_as_controls();
  const auto outcome = test::sample_survival();
  const MatrixXd s = first_as_predictor();
  for (const Ties ties : {Ties::efron, Ties::breslow}) {
    const VectorXd eta = Fitter(controls, outcome, ties).fit(0).predictors(controls.values).col(0);
    constexpr double step = 1e-5;
    const double slope = (cox_log_likelihood(eta + step * s.col(0), outcome, ties) -
                          cox_log_likelihood(eta - step * s.col(0), outcome, ties)) /
                         (2 * step);
    EXPECT_NEAR(ControlsAlone(controls, outcome, ties).residuals().col(0).dot(s.col(0)), slope, 1e-4);
  }
}

TEST(ControlsAlone, ErrorOfTwoClassesIsThatOfRaosTest) {
  const ControlsAlone alone(last_two_as_controls(), test::sample_classes(2), Ties::efron);
  const auto contributions = alone.contributions(first_as_predictor());
  const double score = sum_of(contributions);
  double information = 0;
  for (Index i = 0; i < test::kSampleRows; ++i) {
    const double residual = alone.residuals()(i, 0),
                 expected = std::abs(residual);  // 1 - p of the second class, -p else
    information += std::pow(contributions[static_cast<std::size_t>(i)] / residual, 2) * expected * (1 - expected);
  }
  EXPECT_NEAR(score, 6.38795155694, 1e-4);
  EXPECT_NEAR(score * score / information, 3.12350348103, 1e-4);
}

TEST(ControlsAlone, ScoreOfNumbersIsTheCoefficientTimesWhatControlsLeaveOfThePredictor) {
  const ControlsAlone alone(last_two_as_controls(), test::sample_numbers(), Ties::efron);
  EXPECT_NEAR(sum_of(alone.contributions(first_as_predictor())), 0.782488124529 * 53.942158855370, 1e-3);
}

TEST(ControlsAlone, ScoreOfSeveralClassesIsTheSlopeOfTheLikelihood) {
  const auto controls = last_two_as_controls();
  const auto outcome = test::sample_classes(3);
  const MatrixXd eta = Fitter(controls, outcome, Ties::efron).fit(kControlPenalty).predictors(controls.values);
  MatrixXd s = test::sample_columns().values.leftCols(3);
  const auto log_likelihood = [&](double step) {
    double sum = 0;
    for (Index i = 0; i < eta.rows(); ++i) {
      const VectorXd of_row = eta.row(i) + step * s.row(i);
      sum += of_row[outcome.classes[static_cast<std::size_t>(i)]] - std::log(of_row.array().exp().sum());
    }
    return sum;
  };
  const ControlsAlone alone(controls, outcome, Ties::efron);
  EXPECT_NEAR(sum_of(alone.contributions(s)), (log_likelihood(1e-5) - log_likelihood(-1e-5)) / 2e-5, 1e-4);
  EXPECT_NEAR(alone.residuals().cwiseAbs().rowwise().sum().minCoeff(),
              2 * alone.residuals().cwiseMax(0).rowwise().sum().minCoeff(), 1e-12);
}

TEST(TestIncrement, HasBothPartsOfTheVarianceAndTheUpperTail) {
  const ControlsAlone alone(last_two_as_controls(), test::sample_numbers(), Ties::efron);
  const MatrixXd s = first_as_predictor();
  const auto test = test_increment(alone, s, {3, 5, 7});
  double squares = 8 * 2.0 / 3;  // squared deviations of 3, 5, 7
  for (const double one : alone.contributions(s)) squares += one * one;
  EXPECT_NEAR(test.standard_error, std::sqrt(squares), 1e-9);
  EXPECT_NEAR(test.z, sum_of(alone.contributions(s)) / std::sqrt(squares), 1e-4);
  EXPECT_NEAR(test.p_value, 1 - 0.5 * (1 + std::erf(test.z / std::sqrt(2.0))), 1e-9);
  EXPECT_GT(test_increment(alone, -s, {3, 5, 7}).p_value, 0.5);
  EXPECT_EQ(test_increment(alone, 0 * s, {0, 0, 0}).p_value, 1);
}

TEST(Increment, NeedsTheTestAndARisingFigureAndSaysWhereTheyPart) {
  const auto increment = [](double value, double low, double high, double p) {
    Increment result{"both", "controls", {{}, {value, 0, {low, high}}}};
    result.test = IncrementTest{1, 1, 1, p};
    return result;
  };
  const auto clear = increment(.03, .01, .05, .001), uncertain = increment(.01, -.01, .03, .025);
  EXPECT_EQ(clear.words(), "increment, p = 0.0010");
  EXPECT_EQ(uncertain.verdict(), "increment");
  EXPECT_NE(uncertain.note().find("uncertain"), std::string::npos);
  EXPECT_EQ(increment(.01, -.01, .03, .026).words(), "no increment, p = 0.0260");
  EXPECT_EQ(increment(-.01, -.03, .01, .001).verdict(), "no increment");
  EXPECT_NE(increment(-.01, -.03, .01, .001).note().find("do not gain"), std::string::npos);
  EXPECT_EQ(increment(.03, .01, .05, .03).verdict(), "no increment");
  EXPECT_NE(increment(.03, .01, .05, .03).note().find("does not bear it out"), std::string::npos);
}

CrossValidationOptions with_penalty(double penalty, std::int32_t repeats) {
  CrossValidationOptions options;
  options.penalty.fixed = penalty;
  options.repeats = repeats;
  options.threads = 2;
  return options;
}

CrossValidation evaluated(const Columns& columns, const Outcome& outcome, const CrossValidationOptions& options) {
  SilentReporter silent;
  return cross_validate(SameColumns(columns), nullptr, outcome, options, silent);
}

// Ridge regression by the normal equations: the codes' part of what is predicted at other rows.
VectorXd codes_part(const MatrixXd& x, const VectorXd& y, const MatrixXd& at, const VectorXd& penalties, Index codes) {
  const Eigen::RowVectorXd means = x.colwise().mean();
  MatrixXd z = x.rowwise() - means;
  const double rows = static_cast<double>(x.rows());
  const Eigen::RowVectorXd deviations = (z.colwise().squaredNorm() / rows).cwiseSqrt();
  z.array().rowwise() /= deviations.array();
  const MatrixXd gram = z.transpose() * z / rows + MatrixXd(penalties.asDiagonal());
  const VectorXd beta = gram.ldlt().solve(z.transpose() * (y.array() - y.mean()).matrix() / rows);
  MatrixXd there = at.rowwise() - means;
  there.array().rowwise() /= deviations.array();
  return there.leftCols(codes) * beta.head(codes);
}

TEST(CrossValidate, TestsTheCodesPartOfHeldOutPredictors) {
  auto columns = test::sample_columns();
  columns.controls = {false, false, false, true};
  const auto outcome = test::sample_numbers();
  const auto result = evaluated(columns, outcome, with_penalty(0.2, 2));
  ASSERT_TRUE(result.increment);
  const MatrixXd& x = columns.values;
  const VectorXd y = Eigen::Map<const VectorXd>(outcome.values.data(), test::kSampleRows);
  const Eigen::Vector4d penalties(0.2, 0.2, 0.2, kControlPenalty);
  const auto groups = stratified_folds(outcome, kTrainingGroups, stream_key(0, "training groups"));
  const auto predictors = [&](std::int32_t left_out) {
    VectorXd mean = VectorXd::Zero(test::kSampleRows);
    for (const auto& folds : result.folds) {
      for (std::int32_t fold = 0; fold < 5; ++fold) {
        std::vector<Index> training, held_out;
        for (Index i = 0; i < x.rows(); ++i) {
          const auto row = static_cast<std::size_t>(i);
          if (folds[row] == fold) held_out.push_back(i);
          if (folds[row] != fold && groups[row] != left_out) training.push_back(i);
        }
        mean(held_out) += codes_part(x(training, Eigen::all), y(training), x(held_out, Eigen::all), penalties, 3) / 2;
      }
    }
    return mean;
  };
  MatrixXd design(x.rows(), 2);
  design << VectorXd::Ones(x.rows()), x.col(3);
  const auto less_regression = [&](const VectorXd& v) -> VectorXd {
    return v - design * (design.transpose() * design).ldlt().solve(design.transpose() * v);
  };
  const VectorXd residuals = less_regression(y), s = predictors(-1);
  double squares = less_regression(s).cwiseProduct(residuals).squaredNorm();
  VectorXd without(kTrainingGroups);
  for (std::int32_t group = 0; group < kTrainingGroups; ++group) without[group] = predictors(group).dot(residuals);
  squares += (without.array() - without.mean()).square().sum() * (kTrainingGroups - 1) / kTrainingGroups;
  EXPECT_NEAR(result.increment->score, s.dot(residuals), 1e-4);
  EXPECT_NEAR(result.increment->standard_error, std::sqrt(squares), 1e-4);
}

TEST(CrossValidate, WithoutControlsThereIsNoTest) {
  EXPECT_FALSE(evaluated(test::sample_columns(), test::sample_numbers(), with_penalty(0.2, 1)).increment);
}

// Codes that tell nothing, beside a control that tells something and that the first of them goes with. A test that took
// the rows' terms for independent would have half of the variance.
TEST(CrossValidate, WhereCodesTellNothingTheScoreSpreadsAsItsErrorSays) {
  constexpr int kSamples = 100;
  double sum = 0, squares = 0, variances = 0;
  int found = 0;
  for (int sample = 0; sample < kSamples; ++sample) {
    constexpr Index rows = 80;
    std::vector<float> noise(7 * rows);
    fill_normal(stream_key(static_cast<std::uint64_t>(sample), "noise"), noise);
    Columns columns{{"a", "b", "c", "d", "age"}, {false, false, false, false, true}, MatrixXd(rows, 5)};
    Outcome outcome{Family::cox};
    for (Index i = 0; i < rows; ++i) {
      const float* of_row = &noise[static_cast<std::size_t>(7 * i)];
      for (Index c = 0; c < 5; ++c) columns.values(i, c) = of_row[c];
      columns.values(i, 0) += columns.values(i, 4);
      outcome.times.push_back(std::exp(of_row[5] - columns.values(i, 4)));
      outcome.events.push_back(of_row[6] > -0.5);
    }
    const auto test = *evaluated(columns, outcome, with_penalty(0.1, 1)).increment;
    sum += test.score;
    squares += test.score * test.score;
    variances += test.standard_error * test.standard_error;
    found += test.p_value <= 0.025;
  }
  const double spread = squares / kSamples - std::pow(sum / kSamples, 2);
  EXPECT_NEAR(variances / kSamples / spread, 1.1, 0.35);
  EXPECT_LE(found, 6);  // 2.5 are to be expected; more than 6 have a chance of 1.3 %
}

}  // namespace
}  // namespace ae::fit::increment_test
