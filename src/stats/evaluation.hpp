// How good is a score, and where to cut? Plain results: everything a table, a plot or a page shows of an evaluation.
//
// Higher score = more anomalous; a row is flagged when score >= threshold; "positive" = anomaly.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ae::stats {

struct Interval {
  double low = 0;
  double high = 0;
};

struct Estimate {
  double value = 0;
  double standard_error = 0;
  Interval interval;  // at the evaluation's confidence
};

// What a threshold does to the labelled rows. Ratios whose denominator is 0 are as scikit-learn defines them: see each.
struct Confusion {
  std::int64_t tp = 0;  // anomalies flagged
  std::int64_t fp = 0;  // normal rows flagged
  std::int64_t tn = 0;
  std::int64_t fn = 0;

  double tpr() const;                // recall, sensitivity: tp / (tp + fn)
  double fpr() const;                // fp / (fp + tn)
  double specificity() const;        // 1 - fpr
  double precision() const;          // tp / (tp + fp); 1 when nothing is flagged (the PR curve's first point)
  double f1() const;                 // 2 tp / (2 tp + fp + fn)
  double balanced_accuracy() const;  // (tpr + specificity) / 2
  double mcc() const;                // Matthews correlation; 0 when a margin of the table is 0
  bool operator==(const Confusion&) const = default;
};

// One distinct score as threshold. A curve begins with threshold +infinity (nothing flagged) and ends with the lowest
// score (everything flagged); thresholds fall strictly, so tpr and fpr never fall.
struct CurvePoint {
  double threshold = 0;
  Confusion counts;
};

// Partial area under the ROC curve, FPR from 0 to max_fpr.
struct PartialAuroc {
  double max_fpr = 0;
  double raw = 0;           // between 0 and max_fpr
  double standardized = 0;  // McClish 1989: 0.5 = no skill, 1 = perfect
};

struct ChosenThreshold {
  std::string rule;      // as the user wrote it: "youden", "fpr=0.01", "cost=1:10"
  double threshold = 0;  // finite; just above the highest score when flagging nothing is best
  Confusion counts;
  Interval tpr_interval;  // Wilson 1927
  Interval fpr_interval;
};

// Scores of normal and anomalous rows in common bins: bin b holds edges[b] <= score < edges[b + 1], the last one also
// its right edge. Edges rise strictly; edges.size() == normals.size() + 1 == anomalies.size() + 1.
struct Histogram {
  bool logarithmic = false;  // edges are evenly spaced in log(score); else in score
  std::vector<double> edges;
  std::vector<std::int64_t> normals;
  std::vector<std::int64_t> anomalies;
};

struct Evaluation {
  std::string name;       // the score file as the user named it; "<stdin>" for standard input
  std::string sha256;     // of the file's bytes; "" for standard input
  std::int64_t rows = 0;  // labelled rows = anomalies + normals
  std::int64_t anomalies = 0;
  std::int64_t normals = 0;
  std::int64_t unlabeled = 0;  // rows left out because their label is empty
  double confidence = 0.95;
  Estimate auroc;  // DeLong, clipped to [0, 1]
  Estimate auprc;  // average precision; stratified bootstrap percentiles
  std::int64_t bootstrap_resamples =
      0;  // really used; 0: no interval was asked for and auprc.interval is [value, value]
  std::uint64_t seed = 0;
  std::optional<PartialAuroc> partial;
  ChosenThreshold chosen;
  // For drawing: the whole curve when it is short, else points chosen so that no eye sees the difference; always with
  // the first, the last and the chosen point. Every point's counts are exact.
  std::vector<CurvePoint> curve;
  std::int64_t curve_points_in_all = 0;  // points of the whole curve
  Histogram histogram;
};

// DeLong, DeLong, Clarke-Pearson 1988: two scores of the same rows.
struct Comparison {
  std::int64_t rows = 0;
  Estimate difference;     // AUROC of the first minus AUROC of the second; interval not clipped
  double covariance = 0;   // of the two AUROCs
  double correlation = 0;  // 0 when a variance is 0
  double z = 0;            // difference / standard error; 0 when both are 0, +-infinity when only the error is 0
  double p_value = 1;      // two-sided
};

// All that one run of ae-roc found out.
struct Assessment {
  std::vector<Evaluation> evaluations;   // one, or two of the same rows
  std::optional<Comparison> comparison;  // with two
};

}  // namespace ae::stats
