// Receiver operating characteristic and precision-recall statistics of scores with labels.
//
// Higher score = more anomalous; a row is flagged when score >= threshold. Counts stay integers until the last
// division, so areas, variances and thresholds do not depend on summation order.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "evaluate/evaluation.hpp"

namespace ae::evaluate {

// The scores of the two classes, sorted. 8 bytes a row.
class LabeledScores {
 public:
  // Finite scores in any order; std::invalid_argument when a class is empty or a score is not finite,
  // std::length_error beyond 2^31 rows of a class.
  LabeledScores(std::vector<double> anomalies, std::vector<double> normals);

  std::span<const double> anomalies() const { return anomalies_; }  // highest first
  std::span<const double> normals() const { return normals_; }      // highest first
  std::int64_t anomaly_count() const { return static_cast<std::int64_t>(anomalies_.size()); }
  std::int64_t normal_count() const { return static_cast<std::int64_t>(normals_.size()); }

  // visit(score, anomalies, normals) for each distinct score, highest first, with how many rows of a class have it.
  template <typename Visit>
  void for_each_score(Visit&& visit) const {
    std::size_t a = 0;
    std::size_t n = 0;
    while (a < anomalies_.size() || n < normals_.size()) {
      const double score =
          n == normals_.size() || (a < anomalies_.size() && anomalies_[a] > normals_[n]) ? anomalies_[a] : normals_[n];
      const std::size_t first_a = a;
      const std::size_t first_n = n;
      while (a < anomalies_.size() && anomalies_[a] == score) ++a;
      while (n < normals_.size() && normals_[n] == score) ++n;
      visit(score, static_cast<std::int64_t>(a - first_a), static_cast<std::int64_t>(n - first_n));
    }
  }

  // visit(threshold, confusion) for each point of the curve: +infinity first, then each distinct score, falling.
  template <typename Visit>
  void for_each_threshold(Visit&& visit) const {
    Confusion counts{0, 0, normal_count(), anomaly_count()};
    visit(std::numeric_limits<double>::infinity(), counts);
    for_each_score([&](double score, std::int64_t anomalies, std::int64_t normals) {
      counts.tp += anomalies;
      counts.fn -= anomalies;
      counts.fp += normals;
      counts.tn -= normals;
      visit(score, counts);
    });
  }

 private:
  std::vector<double> anomalies_;
  std::vector<double> normals_;
};

// Mann-Whitney estimate of P(anomaly's score > normal row's score), ties count half; DeLong's standard error (DeLong et
// al. 1988, with the placements found by sorting as in Sun and Xu 2014) and normal interval, clipped to [0, 1]. Two
// corners: perfect separation has variance 0 and the interval [1, 1]; with one row in a class the variance is not
// defined, the standard error is NaN and the interval [0, 1].
Estimate auroc(const LabeledScores& scores, double confidence);

// Scores of the same rows from several sources: scores[s][i] and scores[t][i] belong to one row. Finite; as many rows
// for each source, at least one of each class, at least two sources. DeLong's test for every pair; with one row in a
// class its standard error and p-value are NaN and its interval is [-1, 1].
std::vector<PairTest> compare_auroc(const std::vector<std::vector<double>>& anomalies,
                                    const std::vector<std::vector<double>>& normals, double confidence);

// Holm's step-down p-values, each in the place of its own: that any true null hypothesis gets one of at most alpha has
// a chance of at most alpha. NaNs stay, and do not count.
std::vector<double> holm_adjusted(const std::vector<double>& p_values);

// Area under the trapezoids for FPR in [0, max_fpr]; 0 < max_fpr <= 1. Raw, and standardised as
// (1 + (raw - least) / (max_fpr - least)) / 2 with least = max_fpr^2 / 2 (McClish 1989).
PartialAuroc partial_auroc(const LabeledScores& scores, double max_fpr);

// Sum over distinct scores of (recall gained) * precision: rows of equal score enter together, nothing is interpolated.
double average_precision(const LabeledScores& scores);

struct BootstrapOptions {
  std::int64_t resamples = 2000;  // 0: no interval
  std::uint64_t seed = 0;
  double confidence = 0.95;
  int threads = 0;  // 0: by the size of the work; the result does not depend on it
  // Draws (rows times resamples) beyond which fewer resamples are taken, though never fewer than 200.
  std::int64_t work_limit = 2'000'000'000;
};
struct BootstrapEstimate {
  Estimate estimate;
  std::int64_t resamples = 0;  // really taken
};
// Average precision with the percentile interval of a stratified bootstrap: each resample draws as many anomalies from
// the anomalies, and normal rows from the normal rows, as there are. Looks at the stop signals.
BootstrapEstimate bootstrap_average_precision(
    const LabeledScores& scores, const BootstrapOptions& options,
    const std::function<void(std::int64_t done, std::int64_t total)>& progress = {});

// How to choose a threshold from labels. Equally good thresholds: the highest wins, so that fewer rows are flagged.
struct ThresholdRule {
  enum class Kind {
    youden,  // largest TPR - FPR
    f1,      // largest F1
    fpr,     // largest TPR among thresholds with FPR <= limit
    tpr,     // highest threshold with TPR >= limit
    cost,    // smallest false_alarm_cost * FP + miss_cost * FN
  };
  Kind kind = Kind::youden;
  double limit = 0;
  double false_alarm_cost = 1;
  double miss_cost = 1;
  std::string text = "youden";

  // "youden", "f1", "fpr=X" (0 <= X < 1), "tpr=X" (0 < X <= 1), "cost=FP:FN" (not negative, not both 0); else
  // UsageError.
  static ThresholdRule parse(std::string_view text);
};
ChosenThreshold choose_threshold(const LabeledScores& scores, const ThresholdRule& rule, double confidence);

// At most about `limit` points of the curve that draw like the whole of it, always with its ends and `keep`.
// Points are dense in TPR, in FPR and in the logarithm of the number of flagged rows (where precision moves).
std::vector<CurvePoint> drawable_curve(const LabeledScores& scores, std::size_t limit, double keep);

// At most `bins` bins from the lowest to the highest score; logarithmic when all scores are positive and the highest is
// far (50 times) above the median, as reconstruction errors of anomalies are.
Histogram histogram(const LabeledScores& scores, std::size_t bins);

}  // namespace ae::evaluate
