#include "fit/cox.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ae::fit {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

std::string_view ties_name(Ties ties) { return ties == Ties::efron ? "efron" : "breslow"; }

CoxLikelihood::CoxLikelihood(const MatrixXd& design, const Outcome& outcome, Ties ties)
    : ties_(ties), order_(outcome.size()) {
  std::iota(order_.begin(), order_.end(), 0);
  const auto time = [&](std::int64_t row) { return outcome.times[static_cast<std::size_t>(row)]; };
  const auto event = [&](std::int64_t row) { return outcome.events[static_cast<std::size_t>(row)] != 0; };
  std::stable_sort(order_.begin(), order_.end(), [&](std::int64_t a, std::int64_t b) {
    return time(a) != time(b) ? time(a) > time(b) : event(a) && !event(b);
  });
  for (Index i = 0; i < static_cast<Index>(order_.size()); ++i) {
    const std::int64_t row = order_[static_cast<std::size_t>(i)];
    if (groups_.empty() || groups_.back().time != time(row)) groups_.push_back({time(row), i, i, 0});
    ++groups_.back().end;
    groups_.back().events += event(row);
  }
  design_.resize(design.rows(), design.cols());
  for (Index i = 0; i < design.rows(); ++i) design_.row(i) = design.row(order_[static_cast<std::size_t>(i)]);
}

VectorXd CoxLikelihood::sorted(const VectorXd& by_row) const {
  VectorXd result(by_row.size());
  for (Index i = 0; i < by_row.size(); ++i) result[i] = by_row[order_[static_cast<std::size_t>(i)]];
  return result;
}

// Goes through the times from the last to the first. `predictors` are in sorted order. For each time with events it
// calls visit(group, weights, total, of_events, fraction) once an event, where `weights` are exp(predictor - largest),
// `total` their sum over the rows at risk, `of_events` that over the events at this time, and the risk set of this
// event weighs total - fraction * of_events (Efron: the events of one time leave the risk set one after the other, on
// average; Breslow: fraction 0). Returns the log partial likelihood.
template <typename Visit>
double CoxLikelihood::over_risk_sets(const VectorXd& predictors, Visit&& visit) const {
  const double largest = predictors.size() == 0 ? 0 : predictors.maxCoeff();
  const VectorXd weights = (predictors.array() - largest).exp();
  double total = 0, log_likelihood = 0;
  for (const TimeGroup& group : groups_) {
    total += weights.segment(group.begin, group.end - group.begin).sum();
    const double of_events = weights.segment(group.begin, group.events).sum();
    for (Index event = 0; event < group.events; ++event) {
      const double fraction = ties_ == Ties::efron ? static_cast<double>(event) / static_cast<double>(group.events) : 0;
      const double at_risk = total - fraction * of_events;
      log_likelihood += predictors[group.begin + event] - largest - std::log(at_risk);
      visit(group, weights, at_risk, fraction);
    }
  }
  return log_likelihood;
}

double CoxLikelihood::log_likelihood(const VectorXd& predictors) const {
  return over_risk_sets(sorted(predictors), [](const TimeGroup&, const VectorXd&, double, double) {});
}

CumulativeHazard CoxLikelihood::baseline(const VectorXd& predictors) const {
  const VectorXd in_order = sorted(predictors);
  const double unit = std::exp(-in_order.maxCoeff());
  CumulativeHazard result;
  over_risk_sets(in_order, [&](const TimeGroup& group, const VectorXd&, double at_risk, double) {
    if (result.times.empty() || result.times.back() != group.time) {
      result.times.push_back(group.time);
      result.hazard.push_back(0);
    }
    result.hazard.back() += unit / at_risk;
  });
  std::reverse(result.times.begin(), result.times.end());
  std::reverse(result.hazard.begin(), result.hazard.end());
  std::partial_sum(result.hazard.begin(), result.hazard.end(), result.hazard.begin());
  return result;
}

// Turns exp(predictor - largest), in sorted order, into the events to be expected of a row. `hazard`: of each time the
// sum over its events of 1 / (weight at risk), `withheld` that of fraction / (weight at risk), which the events of that
// time are spared.
void CoxLikelihood::weigh_by_hazard(const std::vector<double>& hazard, const std::vector<double>& withheld,
                                    VectorXd& weights) const {
  double cumulative = 0;
  for (std::size_t g = groups_.size(); g-- > 0;) {
    cumulative += hazard[g];
    const TimeGroup& group = groups_[g];
    weights.segment(group.begin, group.events) *= cumulative - withheld[g];
    weights.segment(group.begin + group.events, group.end - group.begin - group.events) *= cumulative;
  }
}

VectorXd CoxLikelihood::expected_events(const VectorXd& predictors) const {
  VectorXd expected = VectorXd::Zero(predictors.size());
  std::vector<double> hazard(groups_.size(), 0), withheld(groups_.size(), 0);
  over_risk_sets(sorted(predictors),
                 [&](const TimeGroup& group, const VectorXd& weights, double at_risk, double fraction) {
                   const auto g = static_cast<std::size_t>(&group - groups_.data());
                   hazard[g] += 1 / at_risk;
                   withheld[g] += fraction / at_risk;
                   expected = weights;
                 });
  weigh_by_hazard(hazard, withheld, expected);
  VectorXd by_row(expected.size());
  for (Index i = 0; i < expected.size(); ++i) by_row[order_[static_cast<std::size_t>(i)]] = expected[i];
  return by_row;
}

// The sums over risk sets that the derivatives are made of. A row's weight counts in the Hessian once for each event
// while it is at risk, so that the second moments of all risk sets together take one product of matrices.
struct CoxLikelihood::Sums {
  explicit Sums(const MatrixXd& design)
      : design(design), first_moment(VectorXd::Zero(design.cols())), gradient(VectorXd::Zero(design.cols())) {}

  void enter(const TimeGroup& group, const VectorXd& weights) {
    const Index size = group.end - group.begin;
    const auto rows = design.middleRows(group.begin, size);
    first_moment.noalias() += rows.transpose() * weights.segment(group.begin, size);
    of_events.noalias() =
        design.middleRows(group.begin, group.events).transpose() * weights.segment(group.begin, group.events);
  }

  const MatrixXd& design;
  VectorXd first_moment;  // sum of weight * row over the rows at risk
  VectorXd of_events;     // the same over the events at this time
  VectorXd gradient;      // sum over events of (mean over the risk set - the event's row)
};

double CoxLikelihood::evaluate(const VectorXd& at, VectorXd* gradient, MatrixXd* hessian) const {
  const VectorXd predictors = design_ * at;
  const double rows = static_cast<double>(design_.rows());
  if (gradient == nullptr && hessian == nullptr)
    return -over_risk_sets(predictors, [](const TimeGroup&, const VectorXd&, double, double) {}) / rows;

  Sums sums(design_);
  std::size_t entered = 0;  // groups whose rows are at risk
  VectorXd weights_of_rows;
  std::vector<double> hazard(groups_.size(), 0),
      withheld(groups_.size(), 0);  // sums of 1 / at_risk, fraction / at_risk
  Index events = 0;
  for (const TimeGroup& group : groups_) events += group.events;
  MatrixXd means(hessian != nullptr ? events : 0, design_.cols());
  Index event = 0;
  const double log_likelihood =
      over_risk_sets(predictors, [&](const TimeGroup& group, const VectorXd& weights, double at_risk, double fraction) {
        for (; entered < groups_.size() && groups_[entered].time >= group.time; ++entered)
          sums.enter(groups_[entered], weights);
        if (weights_of_rows.size() == 0) weights_of_rows = weights;
        const VectorXd mean = (sums.first_moment - fraction * sums.of_events) / at_risk;
        sums.gradient += mean;
        if (hessian != nullptr) means.row(event++) = mean;
        hazard[entered - 1] += 1 / at_risk;
        withheld[entered - 1] += fraction / at_risk;
      });
  for (const TimeGroup& group : groups_)
    sums.gradient -= design_.middleRows(group.begin, group.events).colwise().sum().transpose();
  if (gradient != nullptr) *gradient = sums.gradient / rows;
  if (hessian != nullptr) {
    if (weights_of_rows.size() == 0) weights_of_rows = VectorXd::Zero(design_.rows());  // no events
    weigh_by_hazard(hazard, withheld, weights_of_rows);
    hessian->noalias() = design_.transpose() * weights_of_rows.asDiagonal() * design_ - means.transpose() * means;
    *hessian /= rows;
  }
  return -log_likelihood / rows;
}

double cox_log_likelihood(const VectorXd& predictors, const Outcome& outcome, Ties ties) {
  return CoxLikelihood(MatrixXd(predictors.size(), 0), outcome, ties).log_likelihood(predictors);
}

CumulativeHazard baseline_hazard(const VectorXd& predictors, const Outcome& outcome, Ties ties) {
  return CoxLikelihood(MatrixXd(predictors.size(), 0), outcome, ties).baseline(predictors);
}

}  // namespace ae::fit
