// ae-score on samples that a stream brings one by one, rows of tables first of all: one CSV line per sample with score,
// p-value, flag and explanation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "apply/flagging.hpp"
#include "base/files.hpp"
#include "base/reporter.hpp"
#include "base/world.hpp"
#include "recipe/checkpoint.hpp"

namespace ae::apply {

// What is asked of samples of any kind.
struct ScoreOptions {
  std::vector<std::string> inputs;
  int threads = 0;  // as StreamOptions::threads
  FlagOptions flag;
  // Of several processes, each scores its share of the samples, in the order of ranks; their outputs one after another,
  // without the headers of the later ones, are what one process would write. `flag.fdr` needs one process.
  World world;
  // A page to look at, and the command that made it, which it shows; "" = none. Who asks for a page or for `summarised`
  // totals waits for a test of every column.
  std::filesystem::path page;
  std::string command;
  bool overwrite = false;
  bool summarised = false;
  // The files that are written, by their options, among them the page; no input may be one of them. "" = not wanted.
  std::vector<std::pair<std::string, std::string>> outputs;
};

struct SampleOptions {
  std::int64_t explain = 0;  // elements to explain per sample
  bool reasons = false;      // also in words, in a column of its own
  data::Reading reading;     // `keep` and `label`: columns that are passed through
  bool allow_empty = false;  // no samples are no error
  // Sample numbers to leave out or to keep (sorted); empty path = all.
  std::filesystem::path exclude;
  std::filesystem::path only;
};

// Columns: those of Flagging, of its kind the columns kept, then [,topN_column,topN_share,topN_observed,topN_expected
// ...][,reasons]. UsageError for a model whose kind has no stream, or when a kept column has the name of another one.
FlagTotals score_samples(const recipe::Checkpoint& checkpoint, const ScoreOptions& options,
                         const SampleOptions& details, Output& output, Reporter& reporter);

}  // namespace ae::apply
