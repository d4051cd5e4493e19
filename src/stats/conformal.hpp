// Split-conformal p-values and false discovery rate control.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

namespace ae::stats {

// p(s) = (1 + #{calibration scores >= s}) / (n + 1): under exchangeability with the calibration rows P(p <= a) <= a
// (Vovk, Gammerman, Shafer 2005; Bates et al. 2023 for outlier detection).
class ConformalCalibration {
 public:
  ConformalCalibration() = default;
  explicit ConformalCalibration(std::vector<double> scores);  // held-out normal scores, any order, finite
  double p_value(double score) const;                         // 1 when empty
  double smallest() const;                                    // 1 / (n + 1): alphas below can never be reached
  std::size_t size() const { return sorted_.size(); }
  const std::vector<double>& sorted() const { return sorted_; }

 private:
  std::vector<double> sorted_;
};

// Benjamini-Hochberg: the largest p-value cut t with t <= q * #{p <= t} / n; rows with p <= t are discoveries. -1 when
// none.
double benjamini_hochberg_cut(const std::vector<double>& p_values, double q);
// The same from how often each p-value occurs.
double benjamini_hochberg_cut_of_counts(const std::map<double, std::int64_t>& counts, double q);

}  // namespace ae::stats
