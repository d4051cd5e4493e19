#include "fit/linear_model.hpp"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"

namespace ae::fit {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

// Deviations below this part of the column's size are rounding.
constexpr double kConstant = 1e-12;
// Singular values below this part of the largest one are rounding.
constexpr double kRank = 1e-10;

// A missing cell is the mean of its column.
MatrixXd filled(const MatrixXd& centred) { return centred.array().isNaN().select(0, centred); }

bool has_intercept(Family family) { return family != Family::cox; }

}  // namespace

Columns Columns::subset(std::span<const std::int64_t> rows) const {
  Columns result{names, controls, MatrixXd(static_cast<Index>(rows.size()), values.cols())};
  for (Index i = 0; i < result.values.rows(); ++i) result.values.row(i) = values.row(rows[static_cast<std::size_t>(i)]);
  return result;
}

Columns Columns::only(bool wanted) const {
  Columns result;
  std::vector<Index> kept;
  for (std::size_t c = 0; c < names.size(); ++c) {
    if (controls[c] != wanted) continue;
    kept.push_back(static_cast<Index>(c));
    result.names.push_back(names[c]);
    result.controls.push_back(wanted);
  }
  result.values = values(Eigen::all, kept);
  return result;
}

void Columns::append(const Columns& more) {
  names.insert(names.end(), more.names.begin(), more.names.end());
  controls.insert(controls.end(), more.controls.begin(), more.controls.end());
  const Index before = values.cols();
  values.conservativeResize(Eigen::NoChange, before + more.values.cols());
  values.rightCols(more.values.cols()) = more.values;
}

bool Columns::has_controls() const { return std::find(controls.begin(), controls.end(), true) != controls.end(); }

MatrixXd LinearModel::coefficients() const {
  MatrixXd result = standardised;
  for (Index c = 0; c < result.rows(); ++c) {
    if (deviations[c] > 0)
      result.row(c) /= deviations[c];
    else
      result.row(c).setZero();
  }
  return result;
}

MatrixXd LinearModel::predictors(const MatrixXd& values) const {
  MatrixXd result = filled(values.rowwise() - means.transpose()) * coefficients();
  result.rowwise() += intercepts.transpose();
  return result;
}

MatrixXd LinearModel::predictors_of_codes(const MatrixXd& values) const {
  MatrixXd of_codes = coefficients();
  for (Index c = 0; c < of_codes.rows(); ++c)
    if (controls[static_cast<std::size_t>(c)]) of_codes.row(c).setZero();
  return filled(values.rowwise() - means.transpose()) * of_codes;
}

MatrixXd LinearModel::answers(const MatrixXd& values) const {
  MatrixXd result = predictors(values);
  if (family != Family::logistic) return result;
  if (result.cols() == 1) return (1 + (-result.array()).exp()).inverse();
  result.colwise() -= VectorXd(result.rowwise().maxCoeff());
  result = result.array().exp();
  result.array().colwise() /= result.rowwise().sum().array().eval();
  return result;
}

Fitter::Fitter(const Columns& columns, const Outcome& outcome, Ties ties) {
  shape_.family = outcome.family;
  shape_.columns = columns.names;
  shape_.controls = columns.controls;
  shape_.class_names = outcome.class_names;
  if (outcome.family == Family::logistic) outputs_ = static_cast<Index>(outcome.class_names.size()) - 1;
  standardise(columns);
  reduce();
  function_ = likelihood(design_, outcome, ties);
  at_ = VectorXd::Zero(function_->parameters());
}

void Fitter::standardise(const Columns& columns) {
  const MatrixXd& x = columns.values;
  shape_.means.resize(x.cols());
  shape_.deviations.resize(x.cols());
  for (Index c = 0; c < x.cols(); ++c) {
    const auto observed = x.col(c).array().isNaN().select(0, x.col(c).array());
    const double count = static_cast<double>(x.rows() - x.col(c).array().isNaN().count());
    const double mean = count > 0 ? observed.sum() / count : 0;
    const double deviation =
        std::sqrt(x.col(c).array().isNaN().select(0, (x.col(c).array() - mean).square()).sum() / std::max(count, 1.0));
    shape_.means[c] = mean;
    shape_.deviations[c] = deviation > kConstant * observed.abs().maxCoeff() ? deviation : 0;
    if (shape_.deviations[c] > 0) used_.push_back(c);
  }
  const auto is_control = [&](Index c) { return bool{columns.controls[static_cast<std::size_t>(c)]}; };
  const auto penalised = std::stable_partition(used_.begin(), used_.end(), is_control);
  controls_ = penalised - used_.begin();
  design_.resize(x.rows(), static_cast<Index>(used_.size()));
  for (Index j = 0; j < design_.cols(); ++j) {
    const Index c = used_[static_cast<std::size_t>(j)];
    design_.col(j) = filled((x.col(c).array() - shape_.means[c]) / shape_.deviations[c]);
  }
}

// The coefficients that minimise a function of X b and |b| are combinations of the rows of X: with X = U S V', they are
// V g, and g has the same norm.
void Fitter::reduce() {
  const Index penalised = design_.cols() - controls_;
  if (penalised <= design_.rows()) return;
  const auto x = design_.rightCols(penalised);
  const Eigen::SelfAdjointEigenSolver<MatrixXd> gram(x * x.transpose());
  const VectorXd& squares = gram.eigenvalues();  // rising
  Index rank = 0;
  while (rank < squares.size() && squares[squares.size() - 1 - rank] > kRank * squares[squares.size() - 1]) ++rank;
  const VectorXd singular = squares.tail(rank).cwiseSqrt();
  const MatrixXd left = gram.eigenvectors().rightCols(rank);
  directions_ = x.transpose() * left * singular.cwiseInverse().asDiagonal();
  MatrixXd reduced(design_.rows(), controls_ + rank);
  reduced << design_.leftCols(controls_), left * singular.asDiagonal();
  design_ = std::move(reduced);
}

void Fitter::refuse(Ending ending, double penalty) const {
  std::string why = "the coefficients are not determined: columns are linear combinations of others";
  if (ending == Ending::diverged) {
    why = shape_.family == Family::logistic ? "the coefficients grow without end: the columns part the classes"
                                            : "the coefficients grow without end";
  } else if (directions_) {
    why = "the coefficients are not determined: there are more columns than rows";
  }
  throw RunError("with penalty " + ae::number_text(penalty) + " " + why +
                 "; take a larger --penalty, or fewer columns");
}

LinearModel Fitter::fit(double penalty) {
  throw_if_stopped("fitting");
  const Index intercept = has_intercept(shape_.family) ? 1 : 0;
  const Index block = intercept + design_.cols();  // parameters of one output
  VectorXd penalties = VectorXd::Constant(function_->parameters(), penalty);
  for (Index o = 0; o < outputs_; ++o) {
    penalties.segment(o * block, intercept).setZero();
    penalties.segment(o * block + intercept, controls_).setConstant(std::min(penalty, kControlPenalty));
  }
  // More columns than rows, and no penalty: a fit exists for every outcome.
  if (directions_ && penalty == 0) refuse(Ending::singular, penalty);
  Minimum minimum = minimise(*function_, penalties, at_);
  if (minimum.ending != Ending::converged) {
    at_.setZero();
    minimum = minimise(*function_, penalties, at_);
  }
  if (minimum.ending != Ending::converged) refuse(minimum.ending, penalty);
  at_ = minimum.at;
  return shaped(penalty, penalties);
}

// From the parameters of the outputs' functions to coefficients of columns, and of classes.
LinearModel Fitter::shaped(double penalty, const VectorXd& penalties) const {
  LinearModel model = shape_;
  model.penalty = penalty;
  const Index intercept = has_intercept(shape_.family) ? 1 : 0;
  const Index columns = shape_.means.size();
  const Eigen::Map<const MatrixXd> all(at_.data(), intercept + design_.cols(), outputs_);
  const MatrixXd outputs = expansion();
  model.intercepts = intercept == 1 ? VectorXd(outputs * all.row(0).transpose()) : VectorXd::Zero(outputs_);
  const MatrixXd slopes = all.bottomRows(design_.cols()) * outputs.transpose();
  const MatrixXd penalised = directions_ ? MatrixXd(*directions_ * slopes.bottomRows(slopes.rows() - controls_))
                                         : MatrixXd(slopes.bottomRows(slopes.rows() - controls_));
  model.standardised = MatrixXd::Zero(columns, outputs.rows());
  for (std::size_t j = 0; j < used_.size(); ++j) {
    const auto row = static_cast<Index>(j);
    model.standardised.row(used_[j]) = row < controls_ ? slopes.row(row) : penalised.row(row - controls_);
  }
  if (penalties.isZero()) model.standard_errors = standard_errors(outputs);
  return model;
}

// Classes share the functions of the contrasts; what is one function is one output.
MatrixXd Fitter::expansion() const { return outputs_ == 1 ? MatrixXd::Ones(1, 1) : class_contrasts(outputs_ + 1); }

MatrixXd Fitter::standard_errors(const MatrixXd& outputs) const {
  const Index intercept = has_intercept(shape_.family) ? 1 : 0;
  const Index block = intercept + design_.cols();
  VectorXd gradient;
  MatrixXd hessian(at_.size(), at_.size());
  const double value = function_->evaluate(at_, &gradient, &hessian);
  const double rows = static_cast<double>(design_.rows());
  MatrixXd covariance = hessian.ldlt().solve(MatrixXd::Identity(at_.size(), at_.size())) / rows;
  // Of ridge the unit of the likelihood is the variance of the residuals.
  if (shape_.family == Family::ridge) covariance *= 2 * value * rows / (rows - static_cast<double>(block));
  MatrixXd errors = MatrixXd::Zero(shape_.means.size(), outputs.rows());
  for (std::size_t j = 0; j < used_.size(); ++j) {
    MatrixXd of_column(outputs_, outputs_);
    for (Index a = 0; a < outputs_; ++a)
      for (Index b = 0; b < outputs_; ++b)
        of_column(a, b) =
            covariance(a * block + intercept + static_cast<Index>(j), b * block + intercept + static_cast<Index>(j));
    errors.row(used_[j]) = (outputs * of_column * outputs.transpose()).diagonal().cwiseSqrt();
  }
  return errors;
}

}  // namespace ae::fit
