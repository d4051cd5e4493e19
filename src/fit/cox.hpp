// Cox's partial likelihood. Within this room.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <vector>

#include "fit/likelihoods.hpp"

namespace ae::fit {

class CoxLikelihood final : public SmoothFunction {
 public:
  CoxLikelihood(const Eigen::MatrixXd& design, const Outcome& outcome, Ties ties);
  Eigen::Index parameters() const override { return design_.cols(); }
  double evaluate(const Eigen::VectorXd& at, Eigen::VectorXd* gradient, Eigen::MatrixXd* hessian) const override;

  // The log partial likelihood and the increments of the baseline hazard, for given linear predictors of the rows in
  // the order in which they were given.
  double log_likelihood(const Eigen::VectorXd& predictors) const;
  CumulativeHazard baseline(const Eigen::VectorXd& predictors) const;
  // The events to be expected of each row while it is at risk, in the order in which rows were given. Events minus
  // these are the martingale residuals of survival::coxph, and the derivatives of the log partial likelihood by the
  // rows' predictors.
  Eigen::VectorXd expected_events(const Eigen::VectorXd& predictors) const;

 private:
  // Rows of one time, as a range of the rows in falling order of their times; its events come first.
  struct TimeGroup {
    double time = 0;
    Eigen::Index begin = 0, end = 0;
    Eigen::Index events = 0;
  };
  struct Sums;  // of one evaluation

  template <typename Visit>
  double over_risk_sets(const Eigen::VectorXd& predictors, Visit&& visit) const;
  Eigen::VectorXd sorted(const Eigen::VectorXd& by_row) const;
  void weigh_by_hazard(const std::vector<double>& hazard, const std::vector<double>& withheld,
                       Eigen::VectorXd& weights) const;

  Ties ties_;
  std::vector<std::int64_t> order_;  // rows by falling time
  std::vector<TimeGroup> groups_;
  Eigen::MatrixXd design_;  // in that order
};

}  // namespace ae::fit
