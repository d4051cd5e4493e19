// Shares of states for machines and for people, and the job that finds them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/reporter.hpp"
#include "evaluate/figure_list.hpp"
#include "fit/state_shares.hpp"

namespace ae::fit {

struct StateJob {
  std::vector<std::string> files;                           // of the biased run
  data::ColvarColumns columns;                              // of them
  std::vector<std::pair<std::string, std::string>> states;  // name, file without bias
  StateShareOptions options;
};

// What a run was told and what it found.
struct StateRun {
  StateShares result;
  StateJob job;
  std::vector<data::ColvarRows> rows, state_rows;  // of each file
  std::string energy_unit;                         // "kJ/mol"; "" = that of kT as given
  std::string made_by;
  std::vector<std::string> command, warnings;
};

StateRun run_states(const StateJob& job, Reporter& reporter);

// state,share,F,se,lo,hi,assigned: F less that of the first state; lo and hi are quantiles of resamples.
std::string states_csv(const StateRun& run);
// bin,lo,hi[,lo_2,hi_2],NAME...,observed,fitted: probabilities of bins in each state, in the run, and by the shares.
std::string state_bins_csv(const StateRun& run);
std::string states_json(const StateRun& run);
std::string states_subject(const StateRun& run);  // what was read, in a line
evaluate::Figures states_figures(const StateRun& run);
std::string states_text(const StateRun& run);

}  // namespace ae::fit
