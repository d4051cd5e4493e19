#include "evaluate/intervals.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "stats/beta.hpp"

namespace ae::evaluate {

double two_sided_normal_p_value(double z) { return std::erfc(std::abs(z) / std::numbers::sqrt2); }

double two_sided_normal_quantile(double confidence) {
  // Bisection down to neighbouring doubles: erfc falls strictly, and beyond 40 it is below every double.
  double low = 0;
  double high = 40;
  for (;;) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return middle;
    (two_sided_normal_p_value(middle) > 1 - confidence ? low : high) = middle;
  }
}

Interval wilson_interval(std::int64_t successes, std::int64_t trials, double confidence) {
  if (trials == 0) return {0, 1};
  const double n = static_cast<double>(trials);
  const double p = static_cast<double>(successes) / n;
  const double z = two_sided_normal_quantile(confidence);
  const double center = (p + z * z / (2 * n)) / (1 + z * z / n);
  const double half_width = z / (1 + z * z / n) * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  // At the ends the formula gives 0 and 1 up to rounding only.
  return {successes == 0 ? 0.0 : std::max(0.0, center - half_width),
          successes == trials ? 1.0 : std::min(1.0, center + half_width)};
}

double binomial_lower_bound(std::int64_t successes, std::int64_t trials, double confidence) {
  if (successes <= 0) return 0;
  const auto a = static_cast<double>(successes), b = static_cast<double>(trials - successes + 1);
  // P(X >= successes) is the beta distribution's, and rises with p.
  double low = 0, high = 1;
  for (;;) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return low;
    (stats::beta_cdf(middle, a, b) <= 1 - confidence ? low : high) = middle;
  }
}

namespace {

double quantile(std::span<const double> ascending, double fraction) {
  const double position = fraction * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, ascending.size() - 1);
  return ascending[below] + (position - static_cast<double>(below)) * (ascending[above] - ascending[below]);
}

}  // namespace

Interval percentile_interval(std::span<const double> ascending, double confidence) {
  return {quantile(ascending, (1 - confidence) / 2), quantile(ascending, (1 + confidence) / 2)};
}

}  // namespace ae::evaluate
