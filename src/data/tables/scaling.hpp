// From a numeric cell's value to the network's unit-free value and back, fitted per column on training rows only.
#pragma once

#include <cmath>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "config/fields.hpp"

namespace ae::data {

std::span<const config::Choice> scaling_methods();  // standard, robust, quantile, none

// The value z with P(Z <= z) = p for a standard normal Z, 0 < p < 1, to double accuracy; -+infinity at 0 and 1.
// Wichura (1988), Algorithm AS 241 (PPND16), Applied Statistics 37(3), 477-484.
double normal_quantile(double p);

// standard: (x - mean) / standard deviation (n in the denominator).
// robust:   (x - median) / (interquartile range / 1.349), falling back to standard when the range is 0.
// quantile: normal score of x's mid-rank among at most 1,000 stored training quantiles, piecewise linear between them
//           and continued linearly outside the training range (slope of the standard scaling), so that far stays far.
// none:     x.
// A constant training column (all values within 1e-12 relative of each other, or none at all) scales to 0, and any
// other value (beyond 1e-6 relative rounding) to -+constant_alarm(): a bounded alarm instead of a division by zero.
// "none" leaves constant columns alone too, so that prepared data (0/1 for bce) stays as it is; only a column without
// any training value is constant 0.
// Scaled values are clamped to +-1e6 so that float32 arithmetic stays finite; within that range scaling is strictly
// increasing and unscale is its inverse up to rounding.
class Scaler {
 public:
  Scaler() = default;
  // `method`: a name from scaling_methods(). `values`: the observed training values, all finite, any order, any
  // magnitude; may be empty.
  static Scaler fit(std::string_view method, std::vector<double> values);
  double scale(double value) const {
    const double linear = (value - center_) / spread_;
    if (linear_ && std::abs(linear) < kLargestScaled) [[likely]]
      return linear;
    return scale_otherwise(value);
  }
  double unscale(double scaled) const;  // the inverse, finite for finite input; for a constant column the constant
  bool constant() const { return constant_; }
  double center() const { return center_; }
  double spread() const { return spread_; }
  // Of "quantile", unless constant, else none: values, increasing, and what they scale to; between them scaling is
  // linear, outside of them with slope 1 / spread().
  std::span<const double> knots() const { return knots_; }
  std::span<const double> scores() const { return scores_; }
  nlohmann::ordered_json to_json() const;
  // InputError `/knots: ...` (pointer relative to `json`) on anything malformed, non-finite or not increasing.
  static Scaler from_json(const nlohmann::ordered_json& json);

  static double constant_alarm() { return 5.0; }
  static constexpr double kLargestScaled = 1e6;
  static constexpr double kConstantTolerance = 1e-6;  // relative: what else is the constant itself

 private:
  double scale_otherwise(double value) const;
  static Scaler fit_any(std::string_view method, std::vector<double> values);
  void fit_standard(std::span<const double> values);
  bool fit_robust(std::vector<double>& values);  // false when the interquartile range is 0
  void fit_quantile(std::vector<double>& values);

  std::string method_ = "none";
  double center_ = 0;
  double spread_ = 1;
  bool constant_ = false;
  bool linear_ = true;          // neither constant nor by quantiles
  std::vector<double> knots_;   // quantile: increasing values ...
  std::vector<double> scores_;  // ... and their normal scores
};

}  // namespace ae::data
