// ae-score on tables: one CSV line per row with score, p-value, flag and explanation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apply/table_stream.hpp"
#include "base/files.hpp"
#include "base/reporter.hpp"
#include "base/world.hpp"
#include "recipe/checkpoint.hpp"

namespace ae::apply {

struct ScoreOptions {
  StreamOptions stream;
  // At most one of these decides which rows are flagged.
  std::optional<double> threshold;  // score >= threshold
  std::optional<double> alpha;      // p_value <= alpha; below 1 / (n + 1) by the extreme-value tail instead
  std::optional<double> fdr;        // Benjamini-Hochberg over all rows
  std::int64_t explain = 0;         // columns to explain per row
  bool watch_drift = false;         // the caller asks for ScoreTotals::drifted: warn in any case
  // Row numbers to leave out or to keep (sorted); empty path = all.
  std::filesystem::path exclude_rows;
  std::filesystem::path only_rows;
  // Of several processes, each scores its share of the rows, in the order of ranks; their outputs one after another,
  // without the headers of the later ones, are what one process would write. `fdr` needs one process.
  World world;
};

struct ScoreTotals {
  std::int64_t rows = 0;
  std::int64_t flagged = 0;
  bool drifted = false;  // the rows do not score as the calibration rows did (see stats::DriftMonitor; p < 0.001)
};

// The threshold that ae-roc chose: "/chosen/threshold" of its summary. InputError when the file is not such a summary.
double threshold_of_summary(const std::filesystem::path& summary);

// Columns: id,score,p_value[,tail_p_value][,flag][,label][,topN_column,topN_share,topN_observed,topN_expected ...].
// tail_p_value is there when `alpha` is below what counting calibration rows can reach: the flag then goes by it.
// p_value is 1 for every row when the checkpoint has no calibration rows (warned).
ScoreTotals score_table(const recipe::Checkpoint& checkpoint, const ScoreOptions& options, Output& output,
                        Reporter& reporter);

}  // namespace ae::apply
