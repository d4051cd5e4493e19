// Kaplan-Meier curves and the log-rank test.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "evaluate/evaluation.hpp"
#include "fit/concordance.hpp"

namespace ae::fit {

// The survival after each distinct time (Kaplan and Meier 1958).
struct SurvivalCurve {
  std::vector<double> times;  // rising; of events and of censoring
  std::vector<std::int64_t> at_risk, events, censored;
  std::vector<double> survival;
  std::vector<evaluate::Interval> intervals;  // by Greenwood's variance on the log scale, at most 1; {0, 0} at 0
};
SurvivalCurve survival_curve(const SurvivalRows& rows, double confidence);

// The log-rank test (Mantel 1966) that groups have the same survival: chi-squared with one degree less than there
// are groups with rows. `groups`: one number a row, in [0, count).
struct LogRank {
  std::vector<std::int64_t> rows, observed;  // of each group: rows, events
  std::vector<double> expected;
  double chi_squared = 0;
  int degrees = 0;
  double p_value = 1;
};
LogRank log_rank(const SurvivalRows& rows, std::span<const std::int32_t> groups, std::int32_t count);

// P(X > x) for X chi-squared with `degrees` >= 1.
double chi_squared_tail(double x, int degrees);

}  // namespace ae::fit
