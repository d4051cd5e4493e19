#include "fit/grid.hpp"

#include <algorithm>
#include <cmath>

namespace ae::fit {

using Eigen::Index;

std::optional<Index> Axis::bin(double value) const {
  double at = (value - low) / (high - low);
  if (periodic) at -= std::floor(at);
  if (!(at >= 0 && at <= 1)) return std::nullopt;
  return std::min(static_cast<Index>(at * static_cast<double>(bins)), bins - 1);
}

double Axis::difference(double a, double b) const {
  const double period = high - low;
  return periodic ? std::remainder(a - b, period) : a - b;
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
