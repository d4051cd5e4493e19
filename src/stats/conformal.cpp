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

double benjamini_hochberg_cut(const std::vector<double>& p_values, double q) {
  std::map<double, std::int64_t> counts;
  for (const double p_value : p_values) ++counts[p_value];
  return benjamini_hochberg_cut_of_counts(counts, q);
}

double benjamini_hochberg_cut_of_counts(const std::map<double, std::int64_t>& counts, double q) {
  double all = 0;
  for (const auto& [p_value, count] : counts) all += static_cast<double>(count);
  double cut = -1;
  double so_far = 0;
  for (const auto& [p_value, count] : counts) {
    so_far += static_cast<double>(count);
    if (p_value <= q * so_far / all) cut = p_value;
  }
  return cut;
}

}  // namespace ae::stats
