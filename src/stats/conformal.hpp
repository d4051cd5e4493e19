// Split-conformal p-values, their extreme-value tail, false discovery rate control, and whether a calibration still
// holds.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace ae::stats {

// The generalised Pareto distribution of exceedances y >= 0 over a threshold (Pickands 1975):
// P(Y > y) = (1 + shape y / scale)^(-1 / shape), exp(-y / scale) for shape 0.
struct GeneralizedPareto {
  double shape = 0;
  double scale = 1;
  double exceeds(double y) const;  // P(Y > y); 1 for y <= 0
};

// By probability-weighted moments (Hosking and Wallis 1987): a_r = E[Y (1 - F(Y))^r], shape = 2 - a0 / (a0 - 2 a1),
// scale = 2 a0 a1 / (a0 - 2 a1). A negative shape, which would promise that nothing beyond some score is ever normal,
// is set to 0, one above 0.5 to 0.5 (then scale = mean (1 - shape)). `excesses`: >= 0, any order, at least two.
GeneralizedPareto fit_pareto(std::vector<double> excesses);

// p(s) = (1 + #{calibration scores >= s}) / (n + 1): under exchangeability with the calibration rows P(p <= a) <= a
// (Vovk, Gammerman, Shafer 2005; Bates et al. 2023 for outlier detection).
class ConformalCalibration {
 public:
  ConformalCalibration() = default;
  explicit ConformalCalibration(std::vector<double> scores);  // honest normal scores, any order, finite
  double p_value(double score) const { return p_value_of_rank(below(score)); }  // 1 when empty
  std::size_t below(double score) const;  // how many calibration scores are smaller
  double p_value_of_rank(std::size_t below) const;
  double smallest() const;  // 1 / (n + 1): alphas below can never be reached
  std::size_t size() const { return sorted_.size(); }
  const std::vector<double>& sorted() const { return sorted_; }

  // Beyond the reach of counting: peaks over threshold. The upper twentieth of the calibration scores (at least
  // kFewestExceedances, of at least twice as many scores) gives a generalised Pareto tail of their logarithms, since
  // the tails of scores are closer to powers than to exponentials. It takes over from the conformal p-value, and never
  // above it, where fewer than ten calibration scores are as large. Rests on a model, where p_value() is a guarantee.
  bool has_tail() const { return tail_.has_value(); }
  double tail_p_value(double score) const;
  std::size_t exceedances() const { return exceedances_; }
  const GeneralizedPareto& tail() const { return *tail_; }
  static constexpr std::size_t kFewestExceedances = 30;

 private:
  std::vector<double> sorted_;
  std::optional<GeneralizedPareto> tail_;
  double tail_from_ = 0;  // the threshold, a logarithm
  std::size_t exceedances_ = 0;
};

// Whether the rows of a stream still score as the calibration rows did, at constant memory: one counter per place among
// the calibration scores. Only the lower half is looked at, since anomalies are expected above:
//   bulk:  two-sample Kolmogorov-Smirnov test between the stream's and the calibration's scores that lie at or below
//   the
//          calibration's median;
//   share: at most half of the stream may be anomalous, so at least a quarter of it must lie there (binomial test).
// p = twice the smaller of both.
class DriftMonitor {
 public:
  explicit DriftMonitor(const ConformalCalibration& calibration);  // which must outlive this
  void add(double score) { add(score, calibration_.below(score)); }
  void add(double score, std::size_t below);  // calibration scores
  std::int64_t rows() const { return rows_; }
  double distance() const;    // Kolmogorov-Smirnov statistic of the bulk; 0 with nothing to compare
  double bulk_share() const;  // of the rows, at or below the calibration's median
  double p_value() const;     // 1 with fewer than 2 calibration scores or no rows

 private:
  const ConformalCalibration& calibration_;
  const std::vector<double>& sorted_;
  std::size_t half_ = 0;             // calibration scores at or below the median
  std::vector<std::int64_t> count_;  // [2 i]: between scores i - 1 and i; [2 i + 1]: equal to score i
  std::int64_t rows_ = 0;
};

// P(D >= d) of the two-sample Kolmogorov-Smirnov statistic, by Kolmogorov's limit with Stephens' (1970) correction.
double kolmogorov_smirnov_p_value(double distance, double n, double m);
// P(X <= x) for X ~ binomial(n, p).
double binomial_cdf(std::int64_t x, std::int64_t n, double p);

// Benjamini-Hochberg: the largest p-value cut t with t <= q * #{p <= t} / n; rows with p <= t are discoveries. -1 when
// none.
double benjamini_hochberg_cut(const std::vector<double>& p_values, double q);
// The same from how often each p-value occurs.
double benjamini_hochberg_cut_of_counts(const std::map<double, std::int64_t>& counts, double q);

}  // namespace ae::stats
