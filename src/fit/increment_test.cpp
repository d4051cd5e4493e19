#include "fit/increment_test.hpp"

#include <Eigen/QR>
#include <cmath>
#include <numbers>

#include "fit/concordance.hpp"
#include "fit/cox.hpp"

namespace ae::fit {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

// Ones, and the controls as the model has standardised them.
MatrixXd design_of(const LinearModel& model, const MatrixXd& values) {
  MatrixXd design(values.rows(), values.cols() + 1);
  design.col(0).setOnes();
  for (Index c = 0; c < values.cols(); ++c) {
    const double deviation = model.deviations[c] > 0 ? model.deviations[c] : 1;
    const VectorXd standardised = (values.col(c).array() - model.means[c]) / deviation;
    design.col(c + 1) = standardised.array().isNaN().select(0, standardised);
  }
  return design;
}

// 1 for the class of a row; of two classes the second alone.
MatrixXd indicators(const Outcome& outcome, Index outputs) {
  MatrixXd result = MatrixXd::Zero(static_cast<Index>(outcome.size()), outputs);
  for (Index i = 0; i < result.rows(); ++i) {
    const Index output = outcome.classes[static_cast<std::size_t>(i)] - (outputs == 1 ? 1 : 0);
    if (output >= 0) result(i, output) = 1;
  }
  return result;
}

}  // namespace

ControlsAlone::ControlsAlone(const Columns& controls, const Outcome& outcome, Ties ties) {
  const auto model = Fitter(controls, outcome, ties).fit(kControlPenalty);
  design_ = design_of(model, controls.values);
  const MatrixXd answers = model.answers(controls.values);
  switch (outcome.family) {
    case Family::cox:
      weights_ = CoxLikelihood(MatrixXd(answers.rows(), 0), outcome, ties).expected_events(answers.col(0));
      residuals_ = Eigen::Map<const Eigen::Vector<std::uint8_t, Eigen::Dynamic>>(outcome.events.data(), answers.rows())
                       .cast<double>() -
                   weights_;
      break;
    case Family::logistic:
      weights_ = answers.array() * (1 - answers.array());
      residuals_ = indicators(outcome, answers.cols()) - answers;
      break;
    case Family::ridge:
      weights_ = MatrixXd::Ones(answers.rows(), 1);
      residuals_ = Eigen::Map<const VectorXd>(outcome.values.data(), answers.rows()) - answers;
      break;
  }
}

double ControlsAlone::score(std::span<const std::int64_t> rows, const MatrixXd& predictors) const {
  double sum = 0;
  for (Index i = 0; i < predictors.rows(); ++i)
    sum += predictors.row(i).dot(residuals_.row(rows[static_cast<std::size_t>(i)]));
  return sum;
}

std::vector<double> ControlsAlone::contributions(const MatrixXd& predictors) const {
  VectorXd sums = VectorXd::Zero(predictors.rows());
  for (Index output = 0; output < predictors.cols(); ++output) {
    const VectorXd roots = weights_.col(output).cwiseMax(0).cwiseSqrt();
    const MatrixXd weighted = roots.asDiagonal() * design_;
    const VectorXd regression =
        weighted.colPivHouseholderQr().solve(VectorXd(roots.cwiseProduct(predictors.col(output))));
    sums += (predictors.col(output) - design_ * regression).cwiseProduct(residuals_.col(output));
  }
  return {sums.data(), sums.data() + sums.size()};
}

IncrementTest test_increment(const ControlsAlone& controls, const MatrixXd& predictors, std::vector<double> without) {
  IncrementTest test;
  Figure figure{0, controls.contributions(predictors), std::move(without)};
  jackknife(figure.training);
  test.score = predictors.cwiseProduct(controls.residuals()).sum();
  test.standard_error = figure.standard_error();
  if (test.standard_error > 0) test.z = test.score / test.standard_error;
  test.p_value = test.standard_error > 0 ? std::erfc(test.z / std::numbers::sqrt2) / 2 : 1;
  return test;
}

}  // namespace ae::fit
