// From the scores of one run to all that is reported of them, and its machine-readable and plain-text forms.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/reporter.hpp"
#include "evaluate/evaluation.hpp"
#include "evaluate/roc.hpp"

namespace ae::evaluate {

struct EvaluationOptions {
  ThresholdRule rule;
  std::optional<double> partial_max_fpr;  // partial AUROC up to this false positive rate
  BootstrapOptions bootstrap;             // its confidence is that of every interval
};

// Everything but the name, the hash and the unlabelled rows, which the caller knows. Warns of an interval that is not
// defined, of fewer resamples than asked for, and of a threshold that flags nothing.
Evaluation evaluate(const LabeledScores& scores, const EvaluationOptions& options, std::string_view name,
                    Reporter& reporter);

// roc.csv: threshold,tpr,fpr,precision,recall,tp,fp,tn,fn; one line per point of the whole curve, the first threshold
// is inf and its precision an empty cell. Handed to `write` in pieces of some kilobytes.
void write_curve_csv(const LabeledScores& scores, const std::function<void(std::string_view)>& write);

struct RunFacts {
  std::string version;
  std::vector<std::string> arguments;
  std::vector<std::string> warnings = {};  // of the whole run
};

// summary.json. Of the first evaluation at the top level: /auroc/value, /auroc/interval/0, /auprc/...,
// /chosen/threshold, /confusion/tp, /metrics/..., and /model that gave the scores; with two files the second's the same
// under /second, and /comparison; with two or more all of them under /evaluations, and the tests of all pairs under
// /comparisons. /remarks say what is to be known of the figures, as the table does; /warnings are those of the run.
// What details are there: /types and /groups (lists of parts with /name, /auroc/value, ...), /pixels/auroc,
// /pixels/aupro_30, ..., /boxes/hit_rate, ... A number that is not defined is null. Numbers read back to the same
// value.
std::string summary_json(const Assessment& assessment, const RunFacts& facts);

// The details in short lines for the facts of a page: name, value. At most the first 20 types and groups.
std::vector<std::pair<std::string, std::string>> detail_facts(const Details& details);

// What a reader of these figures must know to read them right, a sentence each: a score that points the other way, a
// threshold chosen on these labels ...
std::vector<std::string> remarks(const Assessment& assessment);

// What people read; lines of at most about 130 characters. Of one or two evaluations all figures; of more a table with
// a line for each, and one for each test.
std::string summary_table(const Assessment& assessment);

}  // namespace ae::evaluate
