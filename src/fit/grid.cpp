#include "fit/grid.hpp"

#include <algorithm>
#include <cmath>

namespace ae::fit {

using Eigen::Index;

std::optional<Index> Axis::bin(double value) const {
  double from_low = value - low;
  // Before anything is rounded, so that images of one value are in one bin.
  if (periodic) from_low -= (high - low) * std::floor(from_low / (high - low));
  const double at = from_low / (high - low);
  if (!(at >= 0 && at <= 1)) return std::nullopt;
  return std::min(static_cast<Index>(at * static_cast<double>(bins)), bins - 1);
}

double Axis::difference(double a, double b) const {
  const double period = high - low;
  return periodic ? std::remainder(a - b, period) : a - b;
}

void add_evenly(Eigen::VectorXd& bins, const Axis& axis, double low, double high, double mass) {
  const auto count = static_cast<double>(axis.bins);
  const double length = high - low;
  double from = (low - axis.low) / axis.width();  // in bins
  if (axis.periodic) {
    // Whole periods give to all bins alike, however many there are.
    const double periods = length / (axis.high - axis.low);
    if (!(periods < 1e12)) {
      bins.array() += mass / count;
      return;
    }
    if (periods >= 1) {
      const double whole = std::floor(periods);
      bins.array() += mass * (whole / periods) / count;
      mass *= 1 - whole / periods;
      high = low + (periods - whole) * (axis.high - axis.low);
    }
    from = std::fmod(from, count);
    if (from < 0) from += count;
  }
  const double until = from + (high - low) / axis.width();
  constexpr double kRounding = 1e-9;  // of a bin
  double first = std::floor(from + kRounding), last = std::max(first, std::ceil(until - kRounding) - 1);
  const bool within_one = first == last;
  if (!axis.periodic) {
    first = std::max(first, 0.0);
    last = std::min(last, count - 1);
  }
  for (double b = first; b <= last; ++b) {
    const double share = within_one ? 1 : std::max(0.0, std::min(until, b + 1) - std::max(from, b)) / (until - from);
    bins[static_cast<Index>(b) % axis.bins] += mass * share;
  }
}

Index Grid::bins() const {
  Index count = 1;
  for (const auto& axis : axes) count *= axis.bins;
  return count;
}

double Grid::cell() const {
  double size = 1;
  for (const auto& axis : axes) size *= axis.width();
  return size;
}

std::pair<Index, Index> Grid::place(Index bin) const {
  if (axes.size() == 1) return {bin, 0};
  return {bin / axes[1].bins, bin % axes[1].bins};
}

std::vector<Index> Grid::neighbours(Index bin) const {
  std::vector<Index> found;
  Index step = bins();
  Index rest = bin;
  for (const auto& axis : axes) {
    step /= axis.bins;
    const Index at = rest / step;
    rest %= step;
    for (const Index side : {at - 1, at + 1}) {
      const bool inside = side >= 0 && side < axis.bins;
      if (!inside && !axis.periodic) continue;
      const Index other = bin + ((side + axis.bins) % axis.bins - at) * step;
      if (other != bin) found.push_back(other);
    }
  }
  return found;
}

}  // namespace ae::fit
