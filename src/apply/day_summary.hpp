// What one run of ae-score did, as JSON for the machines that watch it.
#pragma once

#include <chrono>
#include <string>

#include "apply/flagging.hpp"
#include "apply/score_samples.hpp"
#include "recipe/checkpoint.hpp"

namespace ae::apply {

struct RunTimes {
  std::chrono::system_clock::time_point start, end;
};

// {
//   "samples": "rows", "scored": 569, "flagged": 12 (null without a rule), "bad": {"count": 1, "first": "new.csv:7:3"},
//   "unobserved": 0, "rule": {"option": "--alpha", "value": 0.001} (null), "threshold": 3.1 (null),
//   "drift": {"drifted": false, "p_value": 0.4, "distance": 0.05, "at_or_below_median": 0.52, "columns": [{"column":
//   "speed", "drifted": false, "p_value": 0.2, "distance": 0.06, "observed": 569, "missing": 0, "unseen": 0,
//   "missing_in_training": 0}] (null: the model does not know)}, "model": "3f2a9c01", "model_file": "...",
//   "calibration": 357, "inputs": ["..."], "start": "2026-11-29T05:00:00Z", "end": "...", "seconds": 1.2,
//   "aetools": "0.2.0"
// }
std::string day_summary(const recipe::Checkpoint& checkpoint, const ScoreOptions& options, const std::string& roc,
                        const FlagTotals& totals, const RunTimes& times);

}  // namespace ae::apply
