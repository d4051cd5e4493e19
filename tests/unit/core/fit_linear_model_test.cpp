// Coefficients against survival 3.5, glmnet 4.1, glm and lm of R 4.2 (fit_reference.R).
#include "fit/linear_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "core/fit_samples.hpp"

namespace ae::fit::linear_model_test {
namespace {

using test::sample_classes;
using test::sample_columns;
using test::sample_numbers;
using test::sample_survival;
using test::wide_columns;
using testing::HasSubstr;

void expect_near(const Eigen::VectorXd& found, const std::vector<double>& expected, double tolerance) {
  ASSERT_EQ(found.size(), static_cast<Eigen::Index>(expected.size()));
  for (Eigen::Index i = 0; i < found.size(); ++i)
    EXPECT_NEAR(found[i], expected[static_cast<std::size_t>(i)], tolerance) << "entry " << i;
}

LinearModel fitted(const Columns& columns, const Outcome& outcome, double penalty, Ties ties = Ties::efron) {
  return Fitter(columns, outcome, ties).fit(penalty);
}

Eigen::VectorXd errors_in_own_units(const LinearModel& model) {
  return model.standard_errors->col(0).cwiseQuotient(model.deviations);
}

TEST(LinearModel, CoxWithEfronTiesIsThatOfCoxph) {
  const auto model = fitted(sample_columns(), sample_survival(), 0);
  expect_near(model.coefficients().col(0), {1.2414919127278, 0.1579126236727, -0.4157354217526, 0.0398915243676}, 1e-9);
  expect_near(errors_in_own_units(model), {0.2545068345740, 0.1194164348617, 0.1019960768654, 0.0584089032891}, 1e-9);
}

TEST(LinearModel, CoxWithBreslowTiesIsThatOfCoxph) {
  const auto model = fitted(sample_columns(), sample_survival(), 0, Ties::breslow);
  expect_near(model.coefficients().col(0), {1.1810643979990, 0.1502874345853, -0.4004519851189, 0.0365126439412}, 1e-9);
  expect_near(errors_in_own_units(model), {0.2498180809922, 0.1181574538870, 0.1004158839242, 0.0582519078459}, 1e-9);
}

TEST(LinearModel, PenalisedCoxIsThatOfGlmnet) {
  const auto model = fitted(sample_columns(), sample_survival(), 0.1, Ties::breslow);
  expect_near(model.coefficients().col(0), {0.8312823741417, 0.1051901771667, -0.2743125147568, 0.0329406227659}, 1e-7);
}

// Back to an intercept where all columns are 0.
double intercept_at_zero(const LinearModel& model, Eigen::Index output) {
  return model.intercepts[output] - model.means.dot(model.coefficients().col(output));
}

TEST(LinearModel, TwoClassesAreThoseOfGlmAndGlmnet) {
  const auto free = fitted(sample_columns(), sample_classes(2), 0);
  EXPECT_NEAR(intercept_at_zero(free, 0), 0.3272816720907, 1e-9);
  expect_near(free.coefficients().col(0), {0.6070218088154, -0.6651811493373, -0.0477546026314, -0.0381051674706},
              1e-9);
  expect_near(errors_in_own_units(free), {0.326996758968, 0.236480190983, 0.137270731587, 0.105073665816}, 1e-9);
  const auto model = fitted(sample_columns(), sample_classes(2), 0.1);
  EXPECT_NEAR(intercept_at_zero(model, 0), 0.2896915612030, 1e-7);
  expect_near(model.coefficients().col(0), {0.3639395604876, -0.4020246220673, -0.0314628912387, -0.0406993677666},
              1e-7);
}

TEST(LinearModel, ThreeClassesAreThoseOfGlmnet) {
  const auto model = fitted(sample_columns(), sample_classes(3), 0.1);
  const std::vector<std::vector<double>> expected = {
      {-0.00706171747768, -0.31874601109637, 0.00462106632486, 0.00364738847947},
      {-0.29288168571341, 0.59439378605495, 0.05874979675119, 0.00416311601583},
      {0.29994340319108, -0.27564777495858, -0.06337086307605, -0.00781050449530}};
  const std::vector<double> intercepts = {0.10847760555000, -0.11090879227957, 0.00243118672957};
  for (Eigen::Index k = 0; k < 3; ++k) {
    expect_near(model.coefficients().col(k), expected[static_cast<std::size_t>(k)], 1e-6);
    EXPECT_NEAR(intercept_at_zero(model, k), intercepts[static_cast<std::size_t>(k)], 1e-6);
  }
}

TEST(LinearModel, RidgeIsThatOfLmAndGlmnet) {
  const auto free = fitted(sample_columns(), sample_numbers(), 0);
  EXPECT_NEAR(intercept_at_zero(free, 0), 2.0320042127033, 1e-10);
  expect_near(free.coefficients().col(0), {0.7823797292509, -0.1253620473519, -0.0268482984127, -0.5231814624284},
              1e-10);
  expect_near(errors_in_own_units(free), {0.1132674726029, 0.0733996089867, 0.0491188646940, 0.0396022711989}, 1e-10);
  // There lambda was 0.1 times the standard deviation of the outcome.
  const auto model = fitted(sample_columns(), sample_numbers(), 0.1);
  EXPECT_NEAR(intercept_at_zero(model, 0), 2.0298442572889, 1e-7);
  expect_near(model.coefficients().col(0), {0.7113085749912, -0.1295857958593, -0.0224029942689, -0.4754101526836},
              1e-7);
}

TEST(LinearModel, MoreColumnsThanRowsAreFittedAsByGlmnet) {
  const auto pick = [](const LinearModel& model) {
    const Eigen::VectorXd all = model.coefficients().col(0);
    return Eigen::VectorXd{{all[0], all[1], all[34], all[69]}};
  };
  expect_near(pick(fitted(wide_columns(), sample_classes(2), 0.1)),
              {0.0157894058049, 0.1026199157600, 0.0130239530781, -0.1086126781050}, 1e-6);
  expect_near(pick(fitted(wide_columns(), sample_survival(), 0.1, Ties::breslow)),
              {0.0348916409436, -0.2926858807406, 0.0944146933847, -0.0756132253187}, 1e-6);
}

// At the minimum the gradient vanishes, computed here by differences of the likelihood itself.
TEST(LinearModel, ControlsAreNotPenalised) {
  auto columns = sample_columns();
  columns.controls[2] = true;
  const auto shrunk = fitted(columns, sample_survival(), 1e6);
  Columns alone = sample_columns();
  alone.names = {"x3"};
  alone.controls = {false};
  alone.values = Eigen::MatrixXd(columns.values.col(2));
  const auto free = fitted(alone, sample_survival(), 0);
  EXPECT_NEAR(shrunk.coefficients()(2, 0), free.coefficients()(0, 0), 1e-5);
  EXPECT_LT(std::abs(shrunk.standardised(0, 0)), 1e-6);
}

TEST(LinearModel, AConstantColumnHasNoCoefficientAndChangesNothing) {
  auto columns = sample_columns();
  columns.names.push_back("constant");
  columns.controls.push_back(false);
  columns.values.conservativeResize(Eigen::NoChange, 5);
  columns.values.col(4).setConstant(0.1);
  const auto with = fitted(columns, sample_survival(), 0), without = fitted(sample_columns(), sample_survival(), 0);
  EXPECT_EQ(with.coefficients()(4, 0), 0);
  EXPECT_EQ(with.coefficients().topRows(4), without.coefficients());
}

TEST(LinearModel, WhatIsNotDeterminedIsRefused) {
  auto twice = sample_columns();
  twice.values.col(1) = 3 * twice.values.col(0);
  try {
    fitted(twice, sample_survival(), 0);
    FAIL();
  } catch (const RunError& error) {
    EXPECT_THAT(error.what(), HasSubstr("linear combinations"));
  }
  EXPECT_THROW(fitted(wide_columns(), sample_survival(), 0), RunError);
  auto parted = sample_columns();
  for (Eigen::Index i = 0; i < parted.rows(); ++i)
    parted.values(i, 0) = sample_classes(2).classes[static_cast<std::size_t>(i)] + 0.001 * test::sample_noise(i);
  EXPECT_THROW(fitted(parted, sample_classes(2), 0), RunError);
  EXPECT_NO_THROW(fitted(parted, sample_classes(2), 1e-4));
}

TEST(BaselineHazard, IsThatOfBasehaz) {
  const std::vector<double> last = {57.9527731953752, 49.4139560341132};
  const std::vector<double> first = {0.0135937422088, 0.0133845071796};
  for (const Ties ties : {Ties::efron, Ties::breslow}) {
    const auto model = fitted(sample_columns(), sample_survival(), 0, ties);
    const auto hazard = baseline_hazard(model.predictors(sample_columns().values).col(0), sample_survival(), ties);
    const std::size_t which = ties == Ties::efron ? 0 : 1;
    EXPECT_EQ(hazard.times.size(), 18u);
    EXPECT_EQ(hazard.times.front(), 1);
    EXPECT_EQ(hazard.times.back(), 58);
    EXPECT_NEAR(hazard.hazard.front(), first[which], 1e-9);
    EXPECT_NEAR(hazard.hazard.back(), last[which], 1e-6);
  }
}

TEST(CoxLogLikelihood, IsThatOfCoxph) {
  const std::vector<double> at_zero = {-134.095984070, -135.492111306}, at_maximum = {-115.999600271, -118.602960440};
  for (const Ties ties : {Ties::efron, Ties::breslow}) {
    const std::size_t which = ties == Ties::efron ? 0 : 1;
    const auto survival = sample_survival();
    EXPECT_NEAR(cox_log_likelihood(Eigen::VectorXd::Zero(test::kSampleRows), survival, ties), at_zero[which], 1e-8);
    const auto model = fitted(sample_columns(), survival, 0, ties);
    EXPECT_NEAR(cox_log_likelihood(model.predictors(sample_columns().values).col(0), survival, ties), at_maximum[which],
                1e-8);
  }
}

// The derivatives of all families against differences, at a point that is no minimum.
TEST(Likelihood, DerivativesAreDifferences) {
  const auto design = sample_columns().values;
  for (const auto& outcome : {sample_survival(), sample_classes(2), sample_classes(3), sample_numbers()}) {
    for (const Ties ties : {Ties::efron, Ties::breslow}) {
      const auto function = likelihood(design, outcome, ties);
      Eigen::VectorXd at(function->parameters());
      for (Eigen::Index i = 0; i < at.size(); ++i) at[i] = 0.1 * std::cos(static_cast<double>(i));
      Eigen::VectorXd gradient;
      Eigen::MatrixXd hessian(at.size(), at.size());
      function->evaluate(at, &gradient, &hessian);
      constexpr double kStep = 1e-5;
      for (Eigen::Index i = 0; i < at.size(); ++i) {
        Eigen::VectorXd up = at, down = at, up_gradient, down_gradient;
        up[i] += kStep;
        down[i] -= kStep;
        const double high = function->evaluate(up, &up_gradient, nullptr);
        const double low = function->evaluate(down, &down_gradient, nullptr);
        EXPECT_NEAR(gradient[i], (high - low) / (2 * kStep), 1e-8);
        EXPECT_LT((hessian.col(i) - (up_gradient - down_gradient) / (2 * kStep)).cwiseAbs().maxCoeff(), 1e-8);
      }
    }
  }
}

// Two pairs of times that differ by rounding: .3 and .1 + .2.
TEST(Tied, MergesTimesThatDifferByRounding) {
  Outcome outcome{Family::cox};
  outcome.times = tied({.3, .1 + .2, .5, .7, .2, .9, .4, .8});
  outcome.events = {1, 1, 1, 0, 1, 1, 1, 1};
  Columns columns{{"of"}, {false}, Eigen::MatrixXd{{1.}, {0.}, {0.}, {1.}, {1.}, {0.}, {1.}, {0.}}};
  EXPECT_NEAR(fitted(columns, outcome, 0).coefficients()(0, 0), 0.840785689468, 1e-9);
  outcome.times = {.3, .1 + .2, .5, .7, .2, .9, .4, .8};
  EXPECT_NEAR(fitted(columns, outcome, 0).coefficients()(0, 0), 0.914945696843, 1e-9);
}

TEST(ClassContrasts, AreOrthonormalAndSumToZero) {
  for (Eigen::Index classes = 3; classes < 7; ++classes) {
    const Eigen::MatrixXd c = class_contrasts(classes);
    EXPECT_TRUE((c.transpose() * c).isIdentity(1e-12));
    EXPECT_LT(c.colwise().sum().cwiseAbs().maxCoeff(), 1e-12);
  }
}

}  // namespace
}  // namespace ae::fit::linear_model_test
