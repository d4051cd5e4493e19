#include "evaluate/rate_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace ae::evaluate {

namespace {

std::string written(double value, std::chars_format format, int digits) {
  std::array<char, 400> buffer;  // the largest double has 309 digits before the point
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, format, digits).ptr;
  return {buffer.data(), end};
}

// Digits after the point that show two digits of something as small as `rest`.
int digits_for(double rest) {
  constexpr int most = 17;  // what a double below 1 can hold
  return std::min(most, static_cast<int>(std::ceil(-std::log10(rest))) + 1);
}

}  // namespace

std::string rate_text(double value, int digits) {
  if (std::isnan(value)) return "-";
  const double size = std::abs(value);
  const double rounded_away = 0.5 * std::pow(10.0, -digits);
  if (size > 0 && size < rounded_away) return written(value, std::chars_format::general, 2);
  const double rest = 1 - size;
  if (rest > 0 && rest <= rounded_away) return written(value, std::chars_format::fixed, digits_for(rest));
  return written(value, std::chars_format::fixed, digits);
}

std::string difference_text(double value, int digits) { return (value >= 0 ? "+" : "") + rate_text(value, digits); }

std::string percent_text(double share, int digits) {
  if (std::isnan(share)) return "-";
  constexpr double small = 0.001;
  const double rest = std::min(share, 1 - share);
  const bool close_to_an_end = rest > 0 && rest < small;
  return written(100 * share, std::chars_format::fixed,
                 close_to_an_end ? std::max(digits, digits_for(100 * rest)) : digits) +
         "%";
}

}  // namespace ae::evaluate
