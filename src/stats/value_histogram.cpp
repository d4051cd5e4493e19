#include "stats/value_histogram.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace ae::stats {
namespace {

constexpr int kDropped = 14;  // bits of the fraction that a bin does not tell apart

// Bits of a float as a number that rises with the value.
std::uint32_t ordered(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value + 0.0f);  // -0 becomes 0
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}
float unordered(std::uint32_t key) { return std::bit_cast<float>((key & 0x80000000u) != 0 ? key & 0x7fffffffu : ~key); }

}  // namespace

ValueHistogram::ValueHistogram() : counts_(std::size_t{1} << (32 - kDropped)) {}

void ValueHistogram::add(std::span<const float> values) {
  if (values.empty()) return;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  smallest_ = size_ == 0 ? *low : std::min(smallest_, *low);
  largest_ = size_ == 0 ? *high : std::max(largest_, *high);
  for (const float value : values) ++counts_[ordered(value) >> kDropped];
  size_ += static_cast<std::int64_t>(values.size());
}

double ValueHistogram::upper_quantile(double tail) const {
  if (size_ == 0) return 0;
  const double allowed = tail * static_cast<double>(size_);
  if (tail >= 1) return smallest_;
  double above = 0;
  for (std::size_t bin = counts_.size(); bin-- > 0;) {
    if (counts_[bin] == 0) continue;
    above += static_cast<double>(counts_[bin]);
    // Were the threshold below this bin, all of it would exceed it.
    if (above > allowed) {
      const float edge = unordered((static_cast<std::uint32_t>(bin + 1) << kDropped) - 1);
      return std::min(edge, largest_);
    }
  }
  return smallest_;
}

void ValueHistogram::descend(const ValueHistogram& high, const ValueHistogram& low,
                             const std::function<void(std::int64_t, std::int64_t)>& visit) {
  for (std::size_t bin = high.counts_.size(); bin-- > 0;) {
    if (high.counts_[bin] != 0 || low.counts_[bin] != 0) visit(high.counts_[bin], low.counts_[bin]);
  }
}

double average_precision(const ValueHistogram& high, const ValueHistogram& low) {
  if (high.size() == 0) return 0;
  double found = 0, false_alarms = 0, sum = 0;
  ValueHistogram::descend(high, low, [&](std::int64_t positives, std::int64_t negatives) {
    found += static_cast<double>(positives);
    false_alarms += static_cast<double>(negatives);
    if (positives > 0) sum += static_cast<double>(positives) * found / (found + false_alarms);
  });
  return sum / static_cast<double>(high.size());
}

}  // namespace ae::stats
