// Normal quantiles and intervals for proportions.
#pragma once

#include <cstdint>
#include <span>

#include "evaluate/evaluation.hpp"

namespace ae::evaluate {

// z with P(|Z| <= z) = confidence for a standard normal Z; confidence in (0, 1). 1.959964 for 0.95.
double two_sided_normal_quantile(double confidence);

// P(|Z| >= |z|).
double two_sided_normal_p_value(double z);

// Wilson's score interval (Wilson 1927) for successes / trials; [0, 1] when trials == 0.
Interval wilson_interval(std::int64_t successes, std::int64_t trials, double confidence);

// The exact one-sided lower bound of a probability (Clopper and Pearson 1934): the largest p with P(X >= successes) <=
// 1 - confidence for X ~ binomial(trials, p); it is above the true one with a chance of at most 1 - confidence. 0
// without successes.
double binomial_lower_bound(std::int64_t successes, std::int64_t trials, double confidence);

// The central `confidence` of values in ascending order (not empty), interpolated linearly between order statistics
// (Hyndman and Fan's type 7).
Interval percentile_interval(std::span<const double> ascending, double confidence);

}  // namespace ae::evaluate
