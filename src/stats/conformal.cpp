#include "stats/conformal.hpp"

#include <algorithm>
#include <cmath>

namespace ae::stats {
namespace {

constexpr double kLargestShape = 0.5;  // the variance, on which the estimate's own spread rests, exists below
constexpr double kTailShare = 0.05;    // of the calibration scores
constexpr double kCounted = 10;        // calibration scores that make counting good enough

}  // namespace

double GeneralizedPareto::exceeds(double y) const {
  if (y <= 0) return 1;
  if (shape == 0) return std::exp(-y / scale);
  return std::exp(-std::log1p(shape * y / scale) / shape);
}

GeneralizedPareto fit_pareto(std::vector<double> excesses) {
  std::sort(excesses.begin(), excesses.end());
  const auto n = static_cast<double>(excesses.size());
  double a0 = 0, a1 = 0;
  for (std::size_t i = 0; i < excesses.size(); ++i) {
    a0 += excesses[i] / n;
    a1 += excesses[i] / n * (n - 1 - static_cast<double>(i)) / (n - 1);
  }
  if (!(a0 > 0)) return {0, 1e-300};  // all at the threshold: nothing is known to lie beyond
  const double shape = 2 - a0 / (a0 - 2 * a1);
  if (!(shape > 0)) return {0, a0};
  if (shape > kLargestShape) return {kLargestShape, a0 * (1 - kLargestShape)};
  return {shape, 2 * a0 * a1 / (a0 - 2 * a1)};
}

ConformalCalibration::ConformalCalibration(std::vector<double> scores) : sorted_(std::move(scores)) {
  std::sort(sorted_.begin(), sorted_.end());
  const auto share = std::ceil(kTailShare * static_cast<double>(sorted_.size()));
  const auto count = std::max(kFewestExceedances, static_cast<std::size_t>(share));
  if (sorted_.size() < 2 * count || !(sorted_[sorted_.size() - 1 - count] > 0)) return;
  exceedances_ = count;
  tail_from_ = std::log(sorted_[sorted_.size() - 1 - count]);
  std::vector<double> excesses;
  for (std::size_t i = sorted_.size() - count; i < sorted_.size(); ++i) {
    excesses.push_back(std::log(sorted_[i]) - tail_from_);
  }
  tail_ = fit_pareto(std::move(excesses));
}

double ConformalCalibration::tail_p_value(double score) const {
  const double counted = p_value(score);
  const auto size = static_cast<double>(sorted_.size());
  if (!tail_ || counted * (size + 1) > kCounted) return counted;
  const double over = static_cast<double>(exceedances_) / (size + 1);
  return std::min(counted, over * tail_->exceeds(std::log(score) - tail_from_));
}

DriftMonitor::DriftMonitor(const ConformalCalibration& calibration)
    : calibration_(calibration), sorted_(calibration.sorted()), count_(2 * sorted_.size() + 1, 0) {
  if (sorted_.empty()) return;
  const double median = sorted_[(sorted_.size() - 1) / 2];
  half_ = static_cast<std::size_t>(std::upper_bound(sorted_.begin(), sorted_.end(), median) - sorted_.begin());
}

void DriftMonitor::add(double score, std::size_t below) {
  ++count_[2 * below + (below < sorted_.size() && sorted_[below] == score ? 1 : 0)];
  ++rows_;
}

double DriftMonitor::bulk_share() const {
  std::int64_t below = 0;
  for (std::size_t i = 0; i < 2 * half_; ++i) below += count_[i];
  return rows_ > 0 ? static_cast<double>(below) / static_cast<double>(rows_) : 0;
}

double DriftMonitor::distance() const {
  const double below = std::round(bulk_share() * static_cast<double>(rows_));
  if (below == 0) return 0;
  double largest = 0, seen = 0;
  const auto compare = [&](std::size_t calibration_at_most) {
    largest = std::max(largest,
                       std::abs(seen / below - static_cast<double>(calibration_at_most) / static_cast<double>(half_)));
  };
  for (std::size_t i = 0; i < half_;) {
    std::size_t next = i;  // equal scores are one jump; rows equal to them are counted at the first
    while (next < half_ && sorted_[next] == sorted_[i]) ++next;
    seen += static_cast<double>(count_[2 * i]);
    compare(i);
    seen += static_cast<double>(count_[2 * i + 1]);
    compare(next);
    i = next;
  }
  return largest;
}

double DriftMonitor::p_value() const {
  if (sorted_.size() < 2 || rows_ == 0) return 1;
  const double below = std::round(bulk_share() * static_cast<double>(rows_));
  const double bulk = below > 0 ? kolmogorov_smirnov_p_value(distance(), below, static_cast<double>(half_)) : 1;
  const double share = binomial_cdf(static_cast<std::int64_t>(below), rows_, 0.25);
  return std::min(1.0, 2 * std::min(bulk, share));
}

double kolmogorov_smirnov_p_value(double distance, double n, double m) {
  const double root = std::sqrt(n * m / (n + m));
  const double lambda = (root + 0.12 + 0.11 / root) * distance;
  if (lambda < 0.2) return 1;  // 1 to within 1e-12
  double sum = 0;
  for (int k = 1; k <= 100; ++k) {
    const double term = std::exp(-2.0 * k * k * lambda * lambda);
    sum += k % 2 == 1 ? term : -term;
    if (term < 1e-17) break;
  }
  return std::clamp(2 * sum, 0.0, 1.0);
}

double binomial_cdf(std::int64_t x, std::int64_t n, double p) {
  if (x >= n) return 1;
  const auto size = static_cast<double>(n);
  double sum = 0;
  for (std::int64_t i = 0; i <= x; ++i) {
    const auto k = static_cast<double>(i);
    sum += std::exp(std::lgamma(size + 1) - std::lgamma(k + 1) - std::lgamma(size - k + 1) + k * std::log(p) +
                    (size - k) * std::log1p(-p));
  }
  return std::min(sum, 1.0);
}

// std::lower_bound, without branches that no processor can foresee.
std::size_t ConformalCalibration::below(double score) const {
  const double* from = sorted_.data();
  std::size_t left = sorted_.size();
  while (left > 1) {
    const std::size_t half = left / 2;
    from += half * static_cast<std::size_t>(from[half - 1] < score);
    left -= half;
  }
  return static_cast<std::size_t>(from - sorted_.data()) + (left == 1 && *from < score ? 1 : 0);
}

double ConformalCalibration::p_value_of_rank(std::size_t below) const {
  const std::size_t at_least = sorted_.size() - below;
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
