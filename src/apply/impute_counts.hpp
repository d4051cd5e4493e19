// ae-impute on counts of single cells: how many molecules there are where none were seen.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "apply/impute.hpp"
#include "base/files.hpp"
#include "base/reporter.hpp"
#include "fit/witness.hpp"
#include "recipe/checkpoint.hpp"

namespace ae::apply {

// What stands where no molecule was seen. Most zeros are no losses but small numbers: what there is where there is
// anything, filled in everywhere, doubles the molecules.
enum class Fill {
  expected,     // the expected count: the probability that there is one times what there then is
  conditional,  // what there is, given that there is anything (see loss::Term::conditional())
  gated,        // that, where there is more likely something than not, else 0
};

enum class CountUnit {
  counts,  // of each cell, as read
  norm,    // of a cell of median total
  log1p,   // log(1 + norm)
};

struct CountImputeOptions {
  recipe::StreamOptions stream;
  Fill fill = Fill::expected;
  CountUnit unit = CountUnit::counts;
  bool denoise = false;  // also in place of counts above 0; without, these stay as they are
  // Of Fill::expected without `denoise`: also zeros of genes of which a cell's own counts tell more than other cells
  // do, which otherwise stay 0 (CountsKind::supported()).
  bool all_genes = false;
  bool only_missing = false;  // triplets `row,column,value` of what was filled in, instead of a matrix
  // Something else that was measured in the cells, which is shown them before and after, in `unit`.
  std::optional<fit::WitnessReading> witness;
  Output* witness_output = nullptr;  // a table of its genes, JSON where its name ends in ".json"
  bool names = false;                // in triplets names of cell and gene instead of their numbers, from 0
  // Above 1: so many draws of what another reading of the cell may count, given that there is anything where `fill`
  // says so; their mean is filled in, with their standard deviation, in `unit`, as another column of triplets, or as a
  // matrix of its own in `spread` (0 where nothing was filled in). An evaluation tells how often the truth lies in
  // their central 90 %. A function of seed and cell.
  std::int64_t samples = 1;
  std::uint64_t seed = 0;
  Output* spread = nullptr;
};

// The matrix of the input, with all its genes in its order, as the extension of the output's name says
// (.csv, .tsv, .mtx, .npy, .h5ad; see data::MatrixFormat). Genes that the network does not read stay as they are, with
// a warning. One input only. UsageError when the model was trained on other data, holds no network, or does not tell
// what is asked of it: "expected" of one that takes zeros for missing, "conditional" and "gated" of one without a term
// that tells detections, draws of one without a term that gives a distribution. Cells without a count stay as they are.
ImputeTotals impute_counts(const recipe::Checkpoint& checkpoint, const CountImputeOptions& options, Output& output,
                           Reporter& reporter);

struct CountEvaluation {
  enum class By {
    masked,    // counts above 0 are hidden, each with probability `share`
    thinning,  // so is each molecule: nothing is known but what another draw of the same cell would give
  };
  By by = By::masked;
  double share = 0.1;
  std::uint64_t seed = 0;  // what is hidden is a function of seed, cell and gene
};

// Hides a part of the counts and tells how well the model finds it, as `options.fill` says, beside guesses without a
// network (fit::completions()): a table, or JSON where the output's name ends in ".json". Of genes that the network
// reads. In memory are the counts above 0 of all cells.
//   masked    errors in log(1 + norm), and what is put where there is nothing
//   thinning  the molecules to be expected in the hidden part against those there; that of `options.fill` only expected
// InputError, also, for counts that are no whole numbers, when molecules are hidden.
ImputeTotals evaluate_counts(const recipe::Checkpoint& checkpoint, const CountImputeOptions& options,
                             const CountEvaluation& evaluation, Output& output, Reporter& reporter);

// Whether the model was trained on counts.
bool reads_counts(const recipe::Checkpoint& checkpoint);

}  // namespace ae::apply
