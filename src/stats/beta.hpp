// The beta distribution, by which shares are told from counts.
#pragma once

namespace ae::stats {

// P(B <= x) for B ~ beta(a, b): the regularised incomplete beta function I_x(a, b), by its continued fraction
// (Abramowitz and Stegun, 26.5.8). a, b > 0; to about 13 digits.
double beta_cdf(double x, double a, double b);

}  // namespace ae::stats
