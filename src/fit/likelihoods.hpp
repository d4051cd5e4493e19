// The likelihoods of the three families, as functions of the coefficients.
#pragma once

#include <Eigen/Core>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "fit/newton.hpp"
#include "fit/outcome.hpp"

namespace ae::fit {

// What to do about events at the same time.
enum class Ties {
  efron,    // Efron 1977: the default of survival::coxph
  breslow,  // Breslow 1974: what glmnet does
};
std::string_view ties_name(Ties ties);

// Of classes, by contrasts: the linear predictor of class k is sum_c contrast(k, c) f_c(x), where every f_c has
// an intercept and coefficients of its own. Two classes: f_0 is the log odds of the second one. More: orthonormal
// columns that sum to zero (Helmert's), so that the sum of squares of all f's coefficients is that of the symmetric
// parametrisation, one set of coefficients a class with sum zero, which glmnet and scikit-learn penalise.
Eigen::MatrixXd class_contrasts(Eigen::Index classes);  // [classes, classes - 1]

// The mean over rows of the negative log-likelihood (Cox: the negative log partial likelihood over the number of rows;
// ridge: half the mean squared error). `design`: [rows, columns].
//
// Parameters: of cox one a column; of ridge the intercept, then one a column; of classes the same for each contrast in
// turn.
std::unique_ptr<SmoothFunction> likelihood(const Eigen::MatrixXd& design, const Outcome& outcome, Ties ties);

// The log partial likelihood (not its mean) of rows with these linear predictors.
double cox_log_likelihood(const Eigen::VectorXd& predictors, const Outcome& outcome, Ties ties);

// The cumulative hazard of a row whose linear predictor is 0, after each event time: the estimate that goes with
// the treatment of ties (Breslow 1974; Efron 1977), as survival::basehaz.
struct CumulativeHazard {
  std::vector<double> times;  // rising
  std::vector<double> hazard;
};
CumulativeHazard baseline_hazard(const Eigen::VectorXd& predictors, const Outcome& outcome, Ties ties);

}  // namespace ae::fit
