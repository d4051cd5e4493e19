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
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/reporter.hpp"
#include "base/signals.hpp"
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
  // What the loop hands out; rank 0 alone does.
  struct Outlets {
    std::string state_file;   // where the resumable state is kept while training
    std::string fingerprint;  // config and data of the run; a state with another one is refused
    // Called with every state, and when training diverged: writes down how it went so far.
    std::function<void(const std::vector<EpochRecord>& history)> record;
    // Makes the best weights so far usable (writes the model): at the end, with `finished`, since nothing better will
    // follow, when it may take its time; and with states on the way, where it must look for stop signals, by which it
    // is also told that it takes too long.
    std::function<void(const recipe::Arrays& best_weights, const std::vector<EpochRecord>& history, bool finished)>
        publish;
  };

  Loop(Objective& objective, const recipe::TrainingOptions& options, Outlets outlets, Reporter& reporter,
       Group& group = Group::alone());

  // Continues from the state file; of a group, called by rank 0 alone. InputError when it is damaged, UsageError when
  // it belongs to another run or has trained for more epochs than there are to be.
  void resume();
  // The same from such a state, of a run with this fingerprint.
  void resume(const data::Safetensors& state, const std::string& fingerprint);
  // The state now, for resume().
  data::Safetensors state() const;
  // How many epochs a state's run was to have, or `otherwise` when it does not say.
  static std::int64_t planned_epochs(const data::Safetensors& state, std::int64_t otherwise);
  // The first of the epochs trained (0-based) whose learning rate would be another one in a run of as many epochs as
  // there are to be now; nothing when all would be the same, and so the weights.
  std::optional<std::int64_t> first_other_rate() const;

  // Trains to the end; publishes. Interrupted after saving when a stop signal arrives, also while the model is made;
  // RunError when the loss is no longer a number (the last good model stays published).
  void run();

  const std::vector<EpochRecord>& history() const { return history_; }

 private:
  std::vector<std::int64_t> order_of_epoch() const;
  void run_epoch();
  void finish_epoch();
  bool stops_early() const;
  bool due_by_time() const;
  double learning_rate(std::int64_t epoch) const;  // from the epochs before it
  void restore(const data::Safetensors& state, const std::string& fingerprint);
  void take_over_state();
  void write_state();
  void save_state();  // and the model, when that costs little
  // Saves what there is and throws Interrupted.
  [[noreturn]] void stop(int signal);
  // Has the model of the best weights so far made, unless that takes longer than this.
  void publish_on_the_way(double seconds, TimeLimit::Signals signals);
  // Sums the losses over the group. Returns the stop signal that some process got (0: none) and whether to save.
  std::pair<int, bool> agree(std::vector<double>& losses);
  void publish_best();  // at the end
  [[noreturn]] void diverged(const std::string& what);
  bool weights_are_finite() const;
  double elapsed() const;

  Objective& objective_;
  const recipe::TrainingOptions& options_;
  Outlets outlets_;
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
  // Models on the way
  std::size_t published_ = 0;  // epochs that the last one knew of
  double publishing_ = 0;      // seconds spent on them in this sitting
  double next_cost_ = 0;       // seconds that the next one is expected to take
};

}  // namespace ae::train
