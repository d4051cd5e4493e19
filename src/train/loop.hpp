// The training loop: data order, learning rate, validation, early stop, resumable states, signals and progress, for any
// objective.
//
// Every random number is a function of (seed, epoch, step), so a run that was interrupted anywhere and continued
// from its last saved state ends with the same bytes as one that never stopped.
//
// Of a group of processes, all run the loop; rank 0 alone saves, publishes and reports. All begin with its state, and
// what they decide by is the same for all: losses summed over the group, its clock, the stop signals of everyone.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/reporter.hpp"
#include "recipe/config.hpp"
#include "train/objective.hpp"
#include "train/process_group.hpp"

namespace ae::train {

struct EpochRecord {
  double learning_rate = 0;
  double seconds = 0;              // since the start of training, over all sittings
  std::vector<double> training;    // total, parts...
  std::vector<double> validation;  // the same; empty without held-out rows
  // What early stopping and the plateau schedule look at.
  double judged() const { return validation.empty() ? training.front() : validation.front(); }
};

// `epoch,train_loss,validation_loss,seconds,learning_rate,train_PART...,validation_PART...`; epochs count from 1.
std::string metrics_csv(const std::vector<std::string>& part_names, const std::vector<EpochRecord>& history);

// The best epoch so far (0-based): lowest held-out loss; without held-out rows the last one. -1 when there is none.
std::int64_t best_epoch(const std::vector<EpochRecord>& history);

class Loop {
 public:
  // Called with the best weights so far when the state is saved and at the end: makes them usable (writes the model).
  // `finished`: nothing better will follow, so it may take its time.
  using Publish =
      std::function<void(const recipe::Arrays& best_weights, const std::vector<EpochRecord>& history, bool finished)>;

  // `state_file`: where the resumable state is kept while training. `fingerprint`: config and data of the run; a state
  // with another one is refused.
  Loop(Objective& objective, const recipe::TrainingOptions& options, std::string state_file, std::string fingerprint,
       Publish publish, Reporter& reporter, Group& group = Group::alone());

  // Continues from the state file; of a group, called by rank 0 alone. InputError when it is damaged, UsageError when
  // it belongs to another run.
  void resume();

  // Trains to the end; publishes. Interrupted after saving when a stop signal arrives; RunError when the loss
  // is no longer a number (the last good model stays published).
  void run();

  const std::vector<EpochRecord>& history() const { return history_; }

 private:
  void run_epoch();
  void finish_epoch();
  bool stops_early() const;
  bool due_by_time() const;
  data::Safetensors state() const;
  void restore(const data::Safetensors& state);
  void take_over_state();
  void save_state();
  // Sums the losses over the group. Returns the stop signal that some process got (0: none) and whether to save.
  std::pair<int, bool> agree(std::vector<double>& losses);
  void publish(bool finished);
  [[noreturn]] void diverged(const std::string& what);
  bool weights_are_finite() const;
  double elapsed() const;

  Objective& objective_;
  const recipe::TrainingOptions& options_;
  std::string state_file_;
  std::string fingerprint_;
  Publish publish_;
  Reporter& reporter_;
  Group& group_;

  std::int64_t epoch_ = 0;              // the one running, 0-based
  std::int64_t step_ = 0;               // next step in it
  std::vector<std::int64_t> left_out_;  // training samples this epoch does without, ascending
  std::vector<double> sums_;            // of losses times samples, this epoch
  std::int64_t summed_ = 0;             // samples in sums_
  std::vector<EpochRecord> history_;
  recipe::Arrays best_;        // weights of best_epoch(history_), unprefixed
  double seconds_before_ = 0;  // of earlier sittings
  std::chrono::steady_clock::time_point started_;
  std::chrono::steady_clock::time_point saved_;
};

}  // namespace ae::train
