#include "report/roc_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace ae::report {

std::string rounded_text(double value, int digits) {
  std::array<char, 64> buffer;
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::general, digits).ptr;
  return {buffer.data(), end};
}

std::size_t chosen_point(const evaluate::Evaluation& evaluation) {
  const auto& curve = evaluation.curve;
  const auto& chosen = evaluation.chosen.counts;
  const auto distance = [&](const evaluate::CurvePoint& point) {
    return std::abs(point.counts.tp - chosen.tp) + std::abs(point.counts.fp - chosen.fp);
  };
  const auto nearest = std::min_element(curve.begin(), curve.end(),
                                        [&](const auto& a, const auto& b) { return distance(a) < distance(b); });
  return static_cast<std::size_t>(nearest - curve.begin());
}

}  // namespace ae::report
