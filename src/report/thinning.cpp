#include <algorithm>
#include <cmath>

#include "report/roc.hpp"

namespace ae::report {

std::vector<std::size_t> thinned(const std::vector<evaluate::CurvePoint>& curve, std::size_t limit,
                                 const std::vector<std::size_t>& keep) {
  std::vector<std::size_t> kept;
  if (curve.size() <= limit) {
    for (std::size_t i = 0; i < curve.size(); ++i) kept.push_back(i);
    return kept;
  }
  // TPR, FPR and the logarithm of the flagged rows never fall along the curve, so neither does their sum, the distance
  // gone, from 0 to 3. The first point of each of equal stretches is kept.
  const auto& end = curve.back().counts;
  const double log_rows = std::log1p(static_cast<double>(end.tp + end.fp));
  const auto distance = [&](const evaluate::Confusion& c) {
    return c.tpr() + c.fpr() + std::log1p(static_cast<double>(c.tp + c.fp)) / log_rows;
  };
  const double stretches = static_cast<double>(limit - 4 - keep.size());
  double last_stretch = -1;
  for (std::size_t i = 0; i < curve.size(); ++i) {
    const double stretch = std::floor(distance(curve[i].counts) / 3 * stretches);
    if (stretch > last_stretch) kept.push_back(i);
    last_stretch = std::max(stretch, last_stretch);
  }
  kept.push_back(curve.size() - 1);
  kept.insert(kept.end(), keep.begin(), keep.end());
  std::sort(kept.begin(), kept.end());
  kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
  return kept;
}

}  // namespace ae::report
