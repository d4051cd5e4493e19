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

#include "base/files.hpp"
#include "base/reporter.hpp"
#include "stats/conformal.hpp"

namespace ae::apply {

struct FlagOptions {
  // At most one of these decides which samples are flagged.
  std::optional<double> threshold;  // score >= threshold
  std::optional<double> alpha;      // p_value <= alpha; below 1 / (n + 1) by the extreme-value tail instead
  std::optional<double> fdr;        // Benjamini-Hochberg over all samples
  bool watch_drift = false;         // the caller asks for FlagTotals::drifted: warn in any case
  bool any() const { return threshold || alpha || fdr; }
};

// The threshold that ae-roc chose: "/chosen/threshold" of its summary. InputError when the file is not such a summary.
double threshold_of_summary(const std::filesystem::path& summary);

struct FlagTotals {
  std::int64_t scored = 0;
  std::int64_t flagged = 0;
  bool drifted = false;  // they do not score as the calibration samples did (see stats::DriftMonitor; p < 0.001)
};

// "569 rows scored, 212 flagged"
std::string totals_text(const FlagTotals& totals, std::string_view noun, const FlagOptions& options);

struct ScoredSample {
  std::string_view id;
  double score = 0;  // finite: what a score that is not means, the kind must say
  std::string_view label;
  std::string_view rest;  // the kind's own columns, each behind a comma
  bool observed = true;   // something of it was; else its score says nothing
};

// Columns: id,score,p_value[,tail_p_value][,flag][,label] and the kind's own. tail_p_value is there when `alpha` is
// below what counting calibration scores can reach, and they are enough for a tail: the flag then goes by it. p_value
// is 1 for every sample when there are no calibration scores (warned). Memory does not grow with the samples: under
// `fdr`, which needs all of them, the lines wait in a temporary file.
class Flagging {
 public:
  // `noun`: what the samples are, in the plural, for messages ("rows"). `model` names the model there. The calibration
  // must outlive this.
  Flagging(const FlagOptions& options, const stats::ConformalCalibration& calibration, std::string model,
           std::string noun, Output& output, Reporter& reporter);
  ~Flagging();
  Flagging(const Flagging&) = delete;
  Flagging& operator=(const Flagging&) = delete;

  // Writes the header, with these columns of the kind's own (",a,b"), and tells what the calibration is good for.
  void begin(bool labels, std::string_view columns = {});
  // Returns the p-value.
  double add(const ScoredSample& sample);
  std::int64_t scored() const { return totals_.scored; }
  // Hands on the lines so far: before the input makes us wait.
  void flush();
  // After the last sample: writes lines that waited, and warns of unobserved samples and of drift.
  FlagTotals finish();

  // For pictures of scores: where flags begin, and by what. Nothing when that depends on all samples together or cannot
  // be reached. Without a rule, as for an `alpha` of 0.01.
  std::optional<double> score_threshold() const;
  std::string threshold_rule() const;

 private:
  class Spool;
  double shown_alpha() const { return options_.alpha.value_or(0.01); }
  void tell_calibration();
  void append_flag(std::string& text, bool flagged);
  void flag_spooled();
  void judge_drift();
  std::optional<double> first_beyond_tail(double alpha) const;

  const FlagOptions options_;
  const stats::ConformalCalibration& calibration_;
  const std::string model_, noun_;
  Output& output_;
  Reporter& reporter_;
  const bool by_tail_;  // flags go by the extreme-value tail
  stats::DriftMonitor drift_;
  std::unique_ptr<Spool> spool_;
  std::map<double, std::int64_t> p_values_;  // of spooled lines; at most one more entry than calibration scores
  std::string text_, after_;                 // lines not handed on yet; what follows a flag
  FlagTotals totals_;
  std::int64_t unobserved_ = 0;
  bool labels_ = false;
};

}  // namespace ae::apply
