#include "stats/conformal.hpp"

#include <algorithm>

namespace ae::stats {

ConformalCalibration::ConformalCalibration(std::vector<double> scores) : sorted_(std::move(scores)) {
  std::sort(sorted_.begin(), sorted_.end());
}

double ConformalCalibration::p_value(double score) const {
  const auto at_least = sorted_.end() - std::lower_bound(sorted_.begin(), sorted_.end(), score);
  return static_cast<double>(1 + at_least) / static_cast<double>(sorted_.size() + 1);
}

double ConformalCalibration::smallest() const { return 1.0 / static_cast<double>(sorted_.size() + 1); }

double benjamini_hochberg_cut(std::vector<double> p_values, double q) {
  std::sort(p_values.begin(), p_values.end());
  const double n = static_cast<double>(p_values.size());
  for (std::size_t k = p_values.size(); k > 0; --k) {
    if (p_values[k - 1] <= q * static_cast<double>(k) / n) return p_values[k - 1];
  }
  return -1;
}

}  // namespace ae::stats
