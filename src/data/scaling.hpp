// From a numeric cell's value to the network's unit-free value and back, fitted per column on training rows only.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "config/fields.hpp"

namespace ae::data {

std::span<const config::Choice> scaling_methods();  // standard, robust, quantile, none

// standard: (x - mean) / standard deviation (n in the denominator).
// robust:   (x - median) / (interquartile range / 1.349), falling back to standard when the range is 0.
// quantile: normal score of x's mid-rank among at most 1,000 stored training quantiles, piecewise linear between them
// and
//           continued linearly outside the training range (slope of the standard scaling), so that far stays far.
// none:     x.
// A constant training column scales to 0, and any other value (beyond 1e-6 relative rounding) to -+constant_alarm():
// a bounded alarm instead of a division by zero.
// Scaled values are clamped to +-1e6 so that float32 arithmetic stays finite.
class Scaler {
 public:
  Scaler() = default;
  // `values`: the observed (finite) training values, any order, may be empty (an all-missing column is constant 0).
  static Scaler fit(std::string_view method, std::vector<double> values);
  double scale(double value) const;
  double unscale(double scaled) const;  // the inverse; for a constant column the constant
  bool constant() const { return constant_; }
  double center() const { return center_; }
  double spread() const { return spread_; }
  nlohmann::ordered_json to_json() const;
  static Scaler from_json(const nlohmann::ordered_json& json);  // InputError on anything malformed or non-finite

  static double constant_alarm() { return 5.0; }

 private:
  std::string method_ = "none";
  double center_ = 0;
  double spread_ = 1;
  bool constant_ = false;
  std::vector<double> knots_;   // quantile: increasing values ...
  std::vector<double> scores_;  // ... and their normal scores
};

}  // namespace ae::data
