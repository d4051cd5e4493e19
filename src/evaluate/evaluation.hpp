// How good is a score, and where to cut? Plain results: everything a table, a plot or a page shows of an evaluation.
//
// Higher score = more anomalous; a row is flagged when score >= threshold; "positive" = anomaly.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ae::evaluate {

struct Interval {
  double low = 0;
  double high = 0;
};

struct Estimate {
  double value = 0;
  double standard_error = 0;
  Interval interval;  // at the evaluation's confidence
};

// What a threshold does to the labelled rows. Ratios whose denominator is 0: see each.
struct Confusion {
  std::int64_t tp = 0;  // anomalies flagged
  std::int64_t fp = 0;  // normal rows flagged
  std::int64_t tn = 0;
  std::int64_t fn = 0;

  double tpr() const;                // recall, sensitivity: tp / (tp + fn)
  double fpr() const;                // fp / (fp + tn)
  double specificity() const;        // 1 - fpr
  double precision() const;          // tp / (tp + fp); NaN when nothing is flagged
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
  std::string model;      // of the scores: first 8 hex digits of its file's SHA-256; "" when they do not say
  std::int64_t rows = 0;  // labelled rows = anomalies + normals
  std::int64_t anomalies = 0;
  std::int64_t normals = 0;
  std::int64_t unlabeled = 0;  // rows left out because they have no label
  std::int64_t unscored = 0;   // because they have a label and no score
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

// One of the tests between all pairs of several scores.
struct PairTest {
  std::size_t first = 0;  // of the evaluations
  std::size_t second = 0;
  Comparison comparison;
  double adjusted_p_value = 1;  // Holm 1979, over all pairs; NaN when the p-value is
};

// How well the values of error maps separate defect pixels from normal ones, over all pixels of all images.
struct PixelRates {
  std::int64_t images = 0;
  std::int64_t normal_pixels = 0;
  std::int64_t defect_pixels = 0;
  std::int64_t regions = 0;      // connected components (8 neighbours) of the masks
  double auroc = 0;              // of pixels
  double average_precision = 0;  // of pixels
  // Area under the per-region overlap (the mean over regions of the share of a region's pixels at or above a threshold)
  // against the FPR of pixels, for FPR from 0 to 0.3 and to 0.05, divided by that limit (Bergmann et al. 2021).
  double aupro_30 = 0;
  double aupro_05 = 0;
};

// Central intervals of the same from resamples of whole images; all pixels of an image stay together.
struct PixelIntervals {
  std::int64_t resamples = 0;
  Interval auroc;
  Interval average_precision;
  Interval aupro_30;
  Interval aupro_05;
};

// Regions found in images against the boxes that were drawn around their defects.
struct BoxRates {
  struct OfType {
    std::string type;  // "" = boxes without a type
    std::int64_t boxes = 0;
    std::int64_t hit = 0;
  };
  std::int64_t boxes = 0;
  std::int64_t hit = 0;   // boxes that at least one region matches
  Interval hit_interval;  // Wilson
  std::vector<OfType> types;
  std::int64_t defective_images = 0;
  std::int64_t normal_images = 0;
  std::int64_t regions = 0;
  std::int64_t false_on_defective = 0;  // regions that match no box
  std::int64_t false_on_normal = 0;
  std::int64_t normal_images_with_regions = 0;

  double hit_rate() const;         // 0 without boxes
  double false_per_image() const;  // over all images; 0 without images, as the next two
  double false_per_defective() const;
  double false_per_normal() const;
};

// Some of the rows: the anomalies of one type and all normal rows, or the rows of one group.
struct Part {
  std::string name;
  std::int64_t anomalies = 0;
  std::int64_t normals = 0;
  Confusion counts;               // at the threshold chosen for all rows
  std::optional<Estimate> auroc;  // without a value when a class is empty, as the next
  std::optional<double> auprc;
  std::optional<PixelRates> pixels;
  std::optional<BoxRates> boxes;
};

// What else labels, maps, boxes and a manifest tell.
struct Details {
  std::vector<Part> types;   // with two or more kinds of anomaly
  std::string group_column;  // "" = no groups were asked for
  std::vector<Part> groups;
  std::optional<PixelRates> pixels;
  std::optional<PixelIntervals> pixel_intervals;
  std::optional<BoxRates> boxes;
  std::string box_rule;  // which region matches a box, as the user wrote it
};

// All that one run of ae-roc found out.
struct Assessment {
  std::vector<Evaluation> evaluations;  // one, or several of the same rows
  std::vector<PairTest> tests;  // of every pair: the first with each other one, the second with each after it ...
  Details details = {};         // of the first
};

}  // namespace ae::evaluate
