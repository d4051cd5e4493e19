// How the ROC plot and page put numbers into words. Internal to the room.
#pragma once

#include <string>
#include <string_view>

#include "evaluate/evaluation.hpp"

namespace ae::report {

// The parts one after another.
template <typename... Parts>
std::string joined(const Parts&... parts) {
  std::string result;
  (result.append(std::string_view(parts)), ...);
  return result;
}

// `value` to `digits` significant digits, without trailing zeros.
std::string rounded_text(double value, int digits);

// Index of the curve point with the chosen threshold's counts, or the nearest to them.
std::size_t chosen_point(const evaluate::Evaluation& evaluation);

}  // namespace ae::report
