// Which samples are flagged, and telling so: one rule for every kind of data. A kind feeds scores; here they get
// p-values and flags, become lines of CSV, and are watched for a calibration that holds no longer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apply/cells.hpp"
#include "base/files.hpp"
#include "base/reporter.hpp"
#include "stats/conformal.hpp"

namespace ae::apply {

// Rarer than once in a thousand batches that do score as the calibration samples.
inline constexpr double kDriftAlarm = 1e-3;

struct FlagOptions {
  // At most one of these decides which samples are flagged.
  std::optional<double> threshold;  // score >= threshold
  std::optional<double> alpha;      // p_value <= alpha; below 1 / (n + 1) by the extreme-value tail instead
  std::optional<double> fdr;        // Benjamini-Hochberg over all samples
  bool watch_drift = false;         // the caller asks for FlagTotals::drifted: warn in any case
  // Which lines are written, and how. Those that are not are counted all the same.
  bool flagged_only = false;
  std::optional<std::int64_t> top = {};  // only the strangest so many, strangest first
  LineFormat format = LineFormat::csv;
  bool any() const { return threshold || alpha || fdr; }
  bool all_lines() const { return !flagged_only && !top; }
};

// The threshold that ae-roc chose: "/chosen/threshold" of its summary. InputError when the file is not such a summary.
// It holds for the model whose digest is `digest` ("/model"); for another one it is a UsageError, or with `force` a
// warning, as it is when the summary does not say.
double threshold_of_summary(const std::filesystem::path& summary, const std::string& digest, bool force,
                            Reporter& reporter);

// Whether new samples score as the calibration ones did (see stats::DriftMonitor).
struct Drift {
  double p_value = 1;
  double distance = 0;
  double bulk_share = 0;
};

// Whether one column's values are those of training (see stats::ShiftMonitor).
struct ColumnDrift {
  std::string column;
  double p_value = 1;
  double distance = 0;
  std::int64_t observed = 0;
  std::int64_t missing = 0;
  std::int64_t unseen = 0;
  double missing_in_training = 0;                 // a share
  std::vector<std::pair<double, double>> shares;  // of the values, in training and here; see ShiftMonitor::shares()
  bool drifted = false;                           // p-value times the number of columns is below that of the alarm
};

struct FlagTotals {
  std::int64_t scored = 0;
  std::int64_t flagged = 0;
  bool drifted = false;  // p < 0.001
  Drift drift = {};
  std::vector<ColumnDrift> columns = {};  // the smallest p-value first; empty when the model does not know its columns
  std::int64_t unobserved = 0;            // had no observed element
  std::optional<double> threshold = {};   // see Flagging::score_threshold(); of `fdr` the smallest flagged score
  std::int64_t bad = 0;                   // could not be read, and have no score
  std::string first_bad = {};             // where the first of them is
  std::int64_t unseen = 0;                // may hold samples, and were not looked at, or only in part
};

// "569 rows scored, 212 flagged, 3 could not be read (the first: new.csv:7:3)"
std::string totals_text(const FlagTotals& totals, std::string_view noun, const FlagOptions& options);

struct ScoredSample {
  std::string_view id;
  double score = 0;  // finite: what a score that is not means, the kind must say
  std::string_view label;
  std::string_view rest;  // the kind's own columns, as Cells::written()
  bool observed = true;   // something of it was; else its score says nothing
};

// Columns: id,score,p_value[,tail_p_value][,flag][,label], the kind's own, and model: its digest. tail_p_value is there
// when `alpha` is below what counting calibration scores can reach, and they are enough for a tail: the flag then goes
// by it. p_value is 1 for every sample when there are no calibration scores (warned). Memory does not grow with the
// samples: under `fdr`, which needs all of them, the lines wait in a temporary file.
class Flagging {
 public:
  // `noun`: what the samples are, in the plural, for messages ("rows"). `model` names the model there, `digest` in the
  // lines. The calibration must outlive this.
  Flagging(const FlagOptions& options, const stats::ConformalCalibration& calibration, std::string model,
           std::string digest, std::string noun, Output& output, Reporter& reporter);
  ~Flagging();
  Flagging(const Flagging&) = delete;
  Flagging& operator=(const Flagging&) = delete;

  // Writes the header, with these columns of the kind's own, and tells what the calibration is good for.
  void begin(bool labels, const std::vector<std::string>& columns = {});
  // Returns the p-value.
  double add(const ScoredSample& sample);
  // A sample that could not be read: a line without a score, where all lines are written. `score` says nothing.
  void add_bad(const ScoredSample& sample);
  std::int64_t scored() const { return totals_.scored; }
  // Hands on the lines so far: before the input makes us wait.
  void flush();
  // After the last sample: writes lines that waited, and warns of unobserved samples and of drift.
  FlagTotals finish();

  // Whether a sample that add() gave this p-value is flagged; nothing without a rule, and while that depends on samples
  // to come (`fdr`).
  std::optional<bool> flagged(double score, double p_value) const;

  bool decides_at_the_end() const { return options_.fdr.has_value(); }

  // For pictures of scores: where flags begin, and by what. Nothing when that depends on all samples together or cannot
  // be reached. Without a rule, as for an `alpha` of 0.01.
  std::optional<double> score_threshold() const;
  std::string threshold_rule() const;

 private:
  class Spool;
  class Strangest;
  struct Line {
    std::string_view before, after;  // the flag
    std::optional<bool> flag;        // none: it cannot be told
    double score = 0;
  };
  void write(const Line& line);
  void write_after(const ScoredSample& sample);
  double shown_alpha() const { return options_.alpha.value_or(0.01); }
  void tell_calibration();
  void flag_spooled();
  void judge_drift();
  std::optional<double> first_beyond_tail(double alpha) const;

  const FlagOptions options_;
  const stats::ConformalCalibration& calibration_;
  const std::string model_, digest_, noun_;
  Output& output_;
  Reporter& reporter_;
  const bool by_tail_;  // flags go by the extreme-value tail
  stats::DriftMonitor drift_;
  std::unique_ptr<Spool> spool_;
  std::map<double, std::int64_t> p_values_;  // of spooled lines; at most one more entry than calibration scores
  std::unique_ptr<Strangest> strangest_;
  Cells before_, flag_, label_, end_;  // of a line: what stands before the flag, and so on
  std::string text_, after_;           // lines not handed on yet; what follows a flag
  FlagTotals totals_;
  std::optional<double> cut_;  // of p-values, under `fdr`: known at the end
  bool labels_ = false;
};

}  // namespace ae::apply
