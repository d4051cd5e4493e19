// Do codes tell of the outcome what controls leave open? A score test of what is predicted of held-out rows.
//
// Pre-validation (Tibshirani and Efron 2002): each row is given the codes' part of the linear predictor of a model that
// has not seen it, fitted beside the controls in the other folds. As one more covariate s beside the controls in a
// model of all rows, its score at the coefficient 0 is
//
//   T = sum over rows of s * (observed - expected by the controls alone)
//
// with martingale residuals for Cox, of classes the sum over all classes. Codes that tell something have T > 0. Since
// every row is learned from in other folds the terms are not independent, and the usual variance of a score is too
// small (Hoefling and Tibshirani 2008), where codes tell nothing by half. The variance here has two parts, as that of
// the held-out figures: the sum of squares of what each row contributes, and a jackknife of groups of rows that are not
// learned from.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <span>
#include <vector>

#include "fit/likelihoods.hpp"
#include "fit/linear_model.hpp"
#include "fit/outcome.hpp"

namespace ae::fit {

struct IncrementTest {
  double score = 0;           // T
  double standard_error = 0;  // of T
  double z = 0;               // T / standard_error; 0 where both are 0, as codes without a coefficient leave them
  double p_value = 1;         // P(Z >= z) of a standard normal Z: one-sided
};

// The outcome by the controls alone, in all rows. RunError as Fitter::fit().
class ControlsAlone {
 public:
  ControlsAlone(const Columns& controls, const Outcome& outcome, Ties ties);

  // Observed - expected, [rows, outputs of the model]: 0/1 - probability of classes, events - expected events of cox
  // (martingale residuals, which go with the treatment of ties), value - mean of ridge. Columns sum to 0.
  const Eigen::MatrixXd& residuals() const { return residuals_; }
  // The part of T of some rows; `predictors`: s of these rows, [rows, outputs].
  double score(std::span<const std::int64_t> rows, const Eigen::MatrixXd& predictors) const;
  // What each row contributes to T, and adds to its error: s less its regression on the controls (weighted by the
  // variance of the outcome, for cox by the expected events), times the residual, summed over outputs. T is the sum.
  std::vector<double> contributions(const Eigen::MatrixXd& predictors) const;

 private:
  Eigen::MatrixXd design_;     // [rows, 1 + controls]
  Eigen::MatrixXd residuals_;  // [rows, outputs]
  Eigen::MatrixXd weights_;    // [rows, outputs]: variances of the outcome; of ridge up to a factor
};

// `predictors`: s of all rows; `without`: T of predictors by models that learned from all rows but those of a group,
// one a group, at least two.
IncrementTest test_increment(const ControlsAlone& controls, const Eigen::MatrixXd& predictors,
                             std::vector<double> without);

}  // namespace ae::fit
