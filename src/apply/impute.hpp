// ae-impute and ae-purify on samples that can be written back, tables first of all: what the pair says should stand in
// their cells. UsageError for a model without a network, or of data that cannot be written.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/files.hpp"
#include "base/reporter.hpp"
#include "recipe/checkpoint.hpp"

namespace ae::apply {

struct ImputeOptions {
  recipe::StreamOptions stream;
  bool all_cells = false;    // also replace observed feature cells by their reconstruction
  bool integers = false;     // round in columns whose training cells were all whole numbers
  std::int64_t samples = 1;  // reconstructions averaged per row; above 1 each sees the row under other random masks
};

struct ImputeTotals {
  std::int64_t rows = 0;
  std::int64_t filled = 0;    // cells that were missing
  std::int64_t replaced = 0;  // cells that were not
  recipe::BadSamples bad;
};

// Copies the samples, with missing feature cells filled in, with as many decimals as their columns had in training; all
// other bytes stay as they are. Cells of columns that had no value in training stay missing (warned). `marks`, if
// given, gets a table `id,column,value,probability` of what was filled in: the probability of the chosen level, empty
// for numbers. With several samples a level's probability is the mean over them, and there is a column `sd`: of numbers
// the standard deviation of what the cell may be, from that of the reconstructions and from the errors of hidden cells
// in held-out rows, or else in training rows; empty where these are not known, as in models of older versions.
// UsageError when several samples are asked of a model that has nothing random.
ImputeTotals impute(const recipe::Checkpoint& checkpoint, const ImputeOptions& options, Output& output, Output* marks,
                    Reporter& reporter);

struct MaskedEvaluation {
  double rate = 0.1;       // probability that an observed cell is hidden
  std::uint64_t seed = 0;  // which cells are hidden is a function of seed, row number and column
};

// Hides observed cells, imputes them and writes a table
// `column,kind,cells,error,baseline_error,unit,knn_error,low_rank_error`, with several samples also `coverage`, the
// share of hidden numbers in the central 90 % of a normal distribution by these standard deviations, or JSON where the
// output's name ends in
// ".json": of numbers NRMSE = root mean square error / standard deviation of the kept cells, beside that of filling in
// the mean of the kept cells and of guesses from the other rows (fit::completions(); left out of more than a million
// cells, for which they take minutes); of categories the share of wrong levels, beside that of the most frequent kept
// level. The last row, "all", pools the numeric cells of all columns. Rows that cannot be read are left out, with a
// warning; the totals count rows only.
ImputeTotals evaluate_masked(const recipe::Checkpoint& checkpoint, const ImputeOptions& options,
                             const MaskedEvaluation& evaluation, Output& output, Reporter& reporter);

struct PurifyOptions {
  recipe::StreamOptions stream;
  std::int64_t steps = 1;  // projections applied one after another
};

struct PurifyTotals {
  std::int64_t rows = 0;
  recipe::BadSamples bad;
};

// Writes the table with every feature cell replaced by its reconstruction (other columns, and those that had no value
// in training, unchanged) and two more columns, loss_before and loss_after: the row's score as it was, and as it is
// written.
PurifyTotals purify(const recipe::Checkpoint& checkpoint, const PurifyOptions& options, Output& output,
                    Reporter& reporter);

}  // namespace ae::apply
