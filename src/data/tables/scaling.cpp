#include "data/tables/scaling.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/text.hpp"

namespace ae::data {

namespace {

constexpr double kConstantFitTolerance = 1e-12;  // rounding of one and the same value in double arithmetic
constexpr std::size_t kMostKnots = 1000;
constexpr double kIqrOfNormal = 1.349;  // interquartile range of a standard normal variable

constexpr std::array<config::Choice, 4> kMethods{{
    {"standard", "subtract the mean and divide by the standard deviation"},
    {"robust", "subtract the median and divide by the interquartile range / 1.349"},
    {"quantile", "normal score of the value's rank among the training values, with linear tails"},
    {"none", "leave the numbers as they are"},
}};

template <std::size_t N>
double polynomial(const std::array<double, N>& coefficients, double x) {
  double sum = 0;
  for (std::size_t i = N; i-- > 0;) sum = sum * x + coefficients[i];
  return sum;
}

// A difference of two finite doubles over a third, also when the difference itself overflows.
double difference_over(double a, double b, double divisor) {
  const double difference = a - b;
  if (std::isfinite(difference)) [[likely]]
    return difference / divisor;
  return (a * 0.5 - b * 0.5) / (divisor * 0.5);
}

// (x - a) / (b - a) for a <= x <= b, a < b.
double fraction(double x, double a, double b) {
  const double width = b - a;
  if (std::isfinite(width)) [[likely]]
    return (x - a) / width;
  return (x * 0.5 - a * 0.5) / (b * 0.5 - a * 0.5);
}

double finite(double value) {
  constexpr double largest = std::numeric_limits<double>::max();
  return std::clamp(value, -largest, largest);
}

bool is_constant(double smallest, double largest) {
  const double magnitude = std::max(std::abs(smallest), std::abs(largest));
  return largest * 0.5 - smallest * 0.5 <= 0.5 * kConstantFitTolerance * magnitude;
}

// Linear interpolation between order statistics (type 7 of Hyndman and Fan 1996, NumPy's default). Reorders `values`.
double sample_quantile(std::vector<double>& values, double p) {
  const double position = p * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::ptrdiff_t>(position);
  std::nth_element(values.begin(), values.begin() + below, values.end());
  const double low = values[static_cast<std::size_t>(below)];
  const double share = position - static_cast<double>(below);
  if (share == 0) return low;
  return std::lerp(low, *std::min_element(values.begin() + below + 1, values.end()), share);
}

[[noreturn]] void malformed(std::string_view pointer, std::string_view message) {
  throw InputError(std::string(pointer) + ": " + std::string(message));
}

const nlohmann::ordered_json& member(const nlohmann::ordered_json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end()) malformed(std::string("/") + name, "missing key");
  return *found;
}

double finite_number(const nlohmann::ordered_json& json, const std::string& pointer) {
  if (!json.is_number()) malformed(pointer, "found " + std::string(json.type_name()) + ", expected a number");
  const double value = json.get<double>();
  if (!std::isfinite(value)) malformed(pointer, "expected a finite number");
  return value;
}

std::vector<double> increasing_numbers(const nlohmann::ordered_json& json, const std::string& pointer) {
  if (!json.is_array()) malformed(pointer, "found " + std::string(json.type_name()) + ", expected an array of numbers");
  if (json.size() > kMostKnots) {
    malformed(pointer, "found " + std::to_string(json.size()) + " numbers, expected at most 1000");
  }
  std::vector<double> numbers;
  for (const auto& item : json) {
    const std::string item_pointer = pointer + "/" + std::to_string(numbers.size());
    const double value = finite_number(item, item_pointer);
    if (!numbers.empty() && value <= numbers.back()) malformed(item_pointer, "not larger than the number before it");
    numbers.push_back(value);
  }
  return numbers;
}

}  // namespace

std::span<const config::Choice> scaling_methods() { return kMethods; }

double normal_quantile(double p) {
  static constexpr std::array<double, 8> a{3.3871328727963666080e0,  1.3314166789178437745e+2, 1.9715909503065514427e+3,
                                           1.3731693765509461125e+4, 4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                           3.3430575583588128105e+4, 2.5090809287301226727e+3};
  static constexpr std::array<double, 8> b{1.0,
                                           4.2313330701600911252e+1,
                                           6.8718700749205790830e+2,
                                           5.3941960214247511077e+3,
                                           2.1213794301586595867e+4,
                                           3.9307895800092710610e+4,
                                           2.8729085735721942674e+4,
                                           5.2264952788528545610e+3};
  static constexpr std::array<double, 8> c{
      1.42343711074968357734e0, 4.63033784615654529590e0,  5.76949722146069140550e0,  3.64784832476320460504e0,
      1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4};
  static constexpr std::array<double, 8> d{1.0,
                                           2.05319162663775882187e0,
                                           1.67638483018380384940e0,
                                           6.89767334985100004550e-1,
                                           1.48103976427480074590e-1,
                                           1.51986665636164571966e-2,
                                           5.47593808499534494600e-4,
                                           1.05075007164441684324e-9};
  static constexpr std::array<double, 8> e{
      6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,  2.96560571828504891230e-1,
      2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7};
  static constexpr std::array<double, 8> f{1.0,
                                           5.99832206555887937690e-1,
                                           1.36929880922735805310e-1,
                                           1.48753612908506148525e-2,
                                           7.86869131145613259100e-4,
                                           1.84631831751005468180e-5,
                                           1.42151175831644588870e-7,
                                           2.04426310338993978564e-15};
  const double q = p - 0.5;
  if (std::abs(q) <= 0.425) {
    const double r = 0.180625 - q * q;
    return q * polynomial(a, r) / polynomial(b, r);
  }
  const double tail = q < 0 ? p : 1.0 - p;
  if (tail <= 0) return q < 0 ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
  const double r = std::sqrt(-std::log(tail));
  const double z =
      r <= 5 ? polynomial(c, r - 1.6) / polynomial(d, r - 1.6) : polynomial(e, r - 5) / polynomial(f, r - 5);
  return q < 0 ? -z : z;
}

Scaler Scaler::fit(std::string_view method, std::vector<double> values) {
  Scaler scaler = fit_any(method, std::move(values));
  scaler.linear_ = !scaler.constant_ && scaler.knots_.empty();
  return scaler;
}

Scaler Scaler::fit_any(std::string_view method, std::vector<double> values) {
  Scaler scaler;
  scaler.method_ = method;
  if (values.empty()) {
    scaler.constant_ = true;
    return scaler;
  }
  if (method == "none") return scaler;
  const auto [smallest, largest] = std::minmax_element(values.begin(), values.end());
  if (is_constant(*smallest, *largest)) {
    scaler.constant_ = true;
    scaler.center_ = std::lerp(*smallest, *largest, 0.5);
    return scaler;
  }
  if (method == "robust" && scaler.fit_robust(values)) return scaler;
  scaler.fit_standard(values);
  // Where every value lies within the smallest normal number of the others, no finite slope can tell them apart.
  if (!std::isnormal(scaler.spread_)) {
    scaler.constant_ = true;
    scaler.spread_ = 1;
  } else if (method == "quantile") {
    scaler.fit_quantile(values);
  }
  return scaler;
}

// Two passes over values divided by a power of two: neither the sum of 1e300s overflows nor the square of 1e-300
// vanishes, and the correction by the summed deviations removes the first pass's rounding (Chan, Golub, LeVeque 1983).
void Scaler::fit_standard(std::span<const double> values) {
  double magnitude = 0;
  for (const double value : values) magnitude = std::max(magnitude, std::abs(value));
  const int exponent = std::clamp(std::ilogb(magnitude), -1000, 1000);  // so that 2^-exponent is a normal number
  const double shrink = std::ldexp(1.0, -exponent);
  const double count = static_cast<double>(values.size());
  double sum = 0;
  for (const double value : values) sum += value * shrink;
  const double mean = sum / count;
  double deviations = 0;
  double squares = 0;
  for (const double value : values) {
    const double deviation = value * shrink - mean;
    deviations += deviation;
    squares += deviation * deviation;
  }
  const double correction = deviations / count;
  center_ = finite(std::scalbn(mean + correction, exponent));
  spread_ = finite(std::scalbn(std::sqrt(std::max(0.0, squares / count - correction * correction)), exponent));
}

bool Scaler::fit_robust(std::vector<double>& values) {
  const double lower = sample_quantile(values, 0.25);
  const double upper = sample_quantile(values, 0.75);
  if (is_constant(lower, upper)) return false;
  const double spread = finite(upper / kIqrOfNormal - lower / kIqrOfNormal);
  if (!std::isnormal(spread)) return false;
  center_ = sample_quantile(values, 0.5);
  spread_ = spread;
  return true;
}

void Scaler::fit_quantile(std::vector<double>& values) {
  std::sort(values.begin(), values.end());
  const std::size_t count = values.size();
  const std::size_t wanted = std::min(count, kMostKnots);
  for (std::size_t k = 0; k < wanted; ++k) {
    // Evenly spaced ranks, the first and the last included.
    const std::size_t rank = k * (count - 1) / (wanted - 1);
    const double value = values[rank];
    if (!knots_.empty() && value == knots_.back()) continue;
    const auto [first, last] = std::equal_range(values.begin(), values.end(), value);
    const double mid_rank = 0.5 * static_cast<double>((first - values.begin()) + (last - values.begin()));
    knots_.push_back(value);
    scores_.push_back(normal_quantile(mid_rank / static_cast<double>(count)));
  }
}

double Scaler::scale_otherwise(double value) const {
  if (constant_) {
    if (std::abs(value - center_) <= kConstantTolerance * std::abs(center_)) return 0;
    return value > center_ ? constant_alarm() : -constant_alarm();
  }
  double scaled;
  if (knots_.empty()) {
    scaled = difference_over(value, center_, spread_);
  } else if (value <= knots_.front()) {
    scaled = scores_.front() + difference_over(value, knots_.front(), spread_);
  } else if (value >= knots_.back()) {
    scaled = scores_.back() + difference_over(value, knots_.back(), spread_);
  } else {
    const auto above = static_cast<std::size_t>(std::upper_bound(knots_.begin(), knots_.end(), value) - knots_.begin());
    const double share = fraction(value, knots_[above - 1], knots_[above]);
    scaled = std::lerp(scores_[above - 1], scores_[above], share);
  }
  return std::clamp(scaled, -kLargestScaled, kLargestScaled);
}

double Scaler::unscale(double scaled) const {
  if (constant_) return center_;
  if (knots_.empty()) return finite(center_ + scaled * spread_);
  if (scaled <= scores_.front()) return finite(knots_.front() + (scaled - scores_.front()) * spread_);
  if (scaled >= scores_.back()) return finite(knots_.back() + (scaled - scores_.back()) * spread_);
  const auto above =
      static_cast<std::size_t>(std::upper_bound(scores_.begin(), scores_.end(), scaled) - scores_.begin());
  return std::lerp(knots_[above - 1], knots_[above], fraction(scaled, scores_[above - 1], scores_[above]));
}

nlohmann::ordered_json Scaler::to_json() const {
  nlohmann::ordered_json json{{"method", method_}, {"constant", constant_}, {"center", center_}, {"spread", spread_}};
  if (!knots_.empty()) {
    json["knots"] = knots_;
    json["scores"] = scores_;
  }
  return json;
}

Scaler Scaler::from_json(const nlohmann::ordered_json& json) {
  if (!json.is_object()) malformed("", "found " + std::string(json.type_name()) + ", expected a scaler object");
  Scaler scaler;
  for (const auto& [key, value] : json.items()) {
    const std::string pointer = "/" + key;
    if (key == "method") {
      if (!value.is_string()) malformed(pointer, "expected the name of a scaling method");
      scaler.method_ = value.get<std::string>();
    } else if (key == "constant") {
      if (!value.is_boolean()) malformed(pointer, "expected true or false");
      scaler.constant_ = value.get<bool>();
    } else if (key == "center") {
      scaler.center_ = finite_number(value, pointer);
    } else if (key == "spread") {
      scaler.spread_ = finite_number(value, pointer);
    } else if (key == "knots") {
      scaler.knots_ = increasing_numbers(value, pointer);
    } else if (key == "scores") {
      scaler.scores_ = increasing_numbers(value, pointer);
    } else {
      malformed("", "unknown key " + ae::quoted(key));
    }
  }
  for (const char* required : {"method", "constant", "center", "spread"}) member(json, required);
  if (std::ranges::none_of(kMethods, [&](const auto& known) { return known.name == scaler.method_; })) {
    malformed("/method", "unknown scaling method " + ae::quoted(scaler.method_));
  }
  if (!(scaler.spread_ > 0) || !std::isnormal(scaler.spread_)) malformed("/spread", "expected a number above 0");
  if (scaler.knots_.size() != scaler.scores_.size()) malformed("/scores", "expected as many numbers as in /knots");
  const bool by_quantiles = scaler.method_ == "quantile" && !scaler.constant_;
  if (by_quantiles && scaler.knots_.size() < 2) malformed("/knots", "expected at least two numbers");
  if (!by_quantiles && !scaler.knots_.empty()) malformed("/knots", "only for method \"quantile\"");
  scaler.linear_ = !scaler.constant_ && scaler.knots_.empty();
  return scaler;
}

}  // namespace ae::data
