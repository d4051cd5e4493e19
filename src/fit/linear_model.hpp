// Linear models of one outcome: columns are standardised, coefficients penalised, and given in the columns' own units.
//
// What is minimised is
//
//   (negative log-likelihood) / n + (penalty / 2) * (sum of squares of the coefficients of standardised columns)
//
// with n training rows, the partial likelihood for Cox, and half the mean squared error for ridge regression; standard
// deviations are over n, not n - 1. Intercepts are not penalised. This is the scale of glmnet with alpha = 0 and
// standardize = TRUE (and ties = breslow for Cox): its lambda is our penalty, but for family = "gaussian", where it is
// our penalty times the standard deviation (over n) of the outcome. On columns standardised beforehand scikit-learn's
// LogisticRegression has C = 1 / (n penalty), its Ridge alpha = n penalty.
#pragma once

#include <Eigen/Core>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fit/likelihoods.hpp"
#include "fit/outcome.hpp"

namespace ae::fit {

struct Columns {
  std::vector<std::string> names;
  std::vector<bool> controls;  // whose coefficients are as good as not penalised: see kControlPenalty
  Eigen::MatrixXd values;      // [rows, columns]; NaN = missing, taken for the mean of the training rows

  Eigen::Index rows() const { return values.rows(); }
  Columns subset(std::span<const std::int64_t> rows) const;
  Columns only(bool controls) const;  // or only the others
  void append(const Columns& more);   // of the same rows
  bool has_controls() const;
};

// The most that controls are penalised: so small that it changes nothing that the data determine, and large enough to
// keep the coefficients finite of controls that part the classes.
inline constexpr double kControlPenalty = 1e-6;

// Outputs are one for cox and ridge; for two classes one, the log odds of the second; for more one a class, with sum 0.
struct LinearModel {
  Family family = Family::ridge;
  double penalty = 0;
  std::vector<std::string> columns;
  std::vector<bool> controls;
  Eigen::VectorXd means, deviations;  // of the training rows; the deviation of a constant column is 0
  Eigen::MatrixXd standardised;       // [columns, outputs]: coefficients of (value - mean) / deviation
  Eigen::VectorXd intercepts;         // [outputs]: at the means; zero for cox
  // [columns, outputs], in standardised units, from the inverse of the observed information; only without a penalty
  std::optional<Eigen::MatrixXd> standard_errors;
  std::vector<std::string> class_names;

  Eigen::MatrixXd coefficients() const;  // [columns, outputs], in units of the columns; 0 for constant columns
  // [rows, outputs]; `values`: [rows, columns] in the order of `columns`. 0 of cox is a row of average columns.
  Eigen::MatrixXd predictors(const Eigen::MatrixXd& values) const;
  // The part of predictors() that columns other than controls have, without intercept: 0 for a row of average columns.
  Eigen::MatrixXd predictors_of_codes(const Eigen::MatrixXd& values) const;
  // What people want to know: of cox and ridge the same, of two classes the probability of the second, [rows, 1], of
  // more the probability of each, [rows, classes].
  Eigen::MatrixXd answers(const Eigen::MatrixXd& values) const;
};

// Fits models of the same rows, one penalty after the other; each fit starts at the one before.
//
// A column that is constant in these rows has the coefficient 0. With more penalised columns than rows the solution is
// sought among combinations of rows, where it lies. RunError when the likelihood has no finite maximum, or more than
// one.
class Fitter {
 public:
  Fitter(const Columns& columns, const Outcome& outcome, Ties ties);
  LinearModel fit(double penalty);

 private:
  void standardise(const Columns& columns);
  void reduce();
  LinearModel shaped(double penalty, const Eigen::VectorXd& penalties) const;
  Eigen::MatrixXd expansion() const;  // [outputs of the model, functions]
  Eigen::MatrixXd standard_errors(const Eigen::MatrixXd& outputs) const;
  [[noreturn]] void refuse(Ending ending, double penalty) const;

  LinearModel shape_;                          // what all fits have in common
  std::vector<Eigen::Index> used_;             // columns that vary: first the controls, then the penalised ones
  Eigen::Index controls_ = 0;                  // how many of them are controls
  std::optional<Eigen::MatrixXd> directions_;  // of the penalised columns, as columns; none: themselves
  Eigen::MatrixXd design_;                     // [rows, used columns or their directions]
  Eigen::Index outputs_ = 1;                   // functions with coefficients of their own
  std::unique_ptr<SmoothFunction> function_;
  Eigen::VectorXd at_;
};

}  // namespace ae::fit
