#include "fit/likelihoods.hpp"

#include <cmath>

#include "fit/cox.hpp"

namespace ae::fit {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

MatrixXd with_intercept(const MatrixXd& design) {
  MatrixXd result(design.rows(), design.cols() + 1);
  result << VectorXd::Ones(design.rows()), design;
  return result;
}

class LogisticLikelihood final : public SmoothFunction {
 public:
  LogisticLikelihood(const MatrixXd& design, const Outcome& outcome)
      : design_(with_intercept(design)),
        contrasts_(class_contrasts(static_cast<Index>(outcome.class_names.size()))),
        classes_(outcome.classes) {}

  Index parameters() const override { return design_.cols() * contrasts_.cols(); }

  double evaluate(const VectorXd& at, VectorXd* gradient, MatrixXd* hessian) const override {
    const Eigen::Map<const MatrixXd> coefficients(at.data(), design_.cols(), contrasts_.cols());
    MatrixXd probabilities = design_ * coefficients * contrasts_.transpose();  // linear predictors so far
    const VectorXd largest = probabilities.rowwise().maxCoeff();
    probabilities.colwise() -= largest;
    double log_likelihood = 0;
    for (Index i = 0; i < design_.rows(); ++i) log_likelihood += probabilities(i, class_of(i));
    probabilities = probabilities.array().exp();
    const VectorXd sums = probabilities.rowwise().sum();
    log_likelihood -= sums.array().log().sum();
    probabilities.array().colwise() /= sums.array();
    const double rows = static_cast<double>(design_.rows());
    if (hessian != nullptr) *hessian = second_derivatives(probabilities) / rows;
    if (gradient != nullptr) {
      for (Index i = 0; i < design_.rows(); ++i) probabilities(i, class_of(i)) -= 1;
      const MatrixXd slopes = design_.transpose() * (probabilities * contrasts_) / rows;
      *gradient = Eigen::Map<const VectorXd>(slopes.data(), slopes.size());
    }
    return -log_likelihood / rows;
  }

 private:
  Index class_of(Index row) const { return classes_[static_cast<std::size_t>(row)]; }

  // Times the number of rows. The covariance of the contrasts under each row's probabilities weighs the row.
  MatrixXd second_derivatives(const MatrixXd& probabilities) const {
    const Index columns = design_.cols(), contrasts = contrasts_.cols();
    const MatrixXd means = probabilities * contrasts_;
    MatrixXd result(parameters(), parameters());
    for (Index a = 0; a < contrasts; ++a) {
      for (Index b = 0; b <= a; ++b) {
        const VectorXd weights =
            probabilities * contrasts_.col(a).cwiseProduct(contrasts_.col(b)) - means.col(a).cwiseProduct(means.col(b));
        const MatrixXd block = design_.transpose() * weights.asDiagonal() * design_;
        result.block(a * columns, b * columns, columns, columns) = block;
        result.block(b * columns, a * columns, columns, columns) = block;
      }
    }
    return result;
  }

  MatrixXd design_;
  MatrixXd contrasts_;
  std::vector<std::int32_t> classes_;
};

class SquaredError final : public SmoothFunction {
 public:
  SquaredError(const MatrixXd& design, const Outcome& outcome)
      : design_(with_intercept(design)), values_(outcome.values.size()) {
    for (Index i = 0; i < values_.size(); ++i) values_[i] = outcome.values[static_cast<std::size_t>(i)];
    hessian_ = design_.transpose() * design_ / static_cast<double>(design_.rows());
  }

  Index parameters() const override { return design_.cols(); }

  double evaluate(const VectorXd& at, VectorXd* gradient, MatrixXd* hessian) const override {
    const double rows = static_cast<double>(design_.rows());
    const VectorXd residuals = design_ * at - values_;
    if (gradient != nullptr) *gradient = design_.transpose() * residuals / rows;
    if (hessian != nullptr) *hessian = hessian_;
    return residuals.squaredNorm() / (2 * rows);
  }

 private:
  MatrixXd design_;
  VectorXd values_;
  MatrixXd hessian_;
};

}  // namespace

MatrixXd class_contrasts(Index classes) {
  if (classes == 2) return MatrixXd{{0.0}, {1.0}};
  MatrixXd result = MatrixXd::Zero(classes, classes - 1);
  for (Index c = 0; c + 1 < classes; ++c) {
    const double n = static_cast<double>(c + 1);
    result.col(c).head(c + 1).setConstant(-1 / std::sqrt(n * (n + 1)));
    result(c + 1, c) = n / std::sqrt(n * (n + 1));
  }
  return result;
}

std::unique_ptr<SmoothFunction> likelihood(const MatrixXd& design, const Outcome& outcome, Ties ties) {
  switch (outcome.family) {
    case Family::cox:
      return std::make_unique<CoxLikelihood>(design, outcome, ties);
    case Family::logistic:
      return std::make_unique<LogisticLikelihood>(design, outcome);
    case Family::ridge:
      return std::make_unique<SquaredError>(design, outcome);
  }
  return nullptr;
}

}  // namespace ae::fit
