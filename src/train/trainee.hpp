// What an objective builds of a config and data: it owns its networks, tells how they are trained, and makes a model of
// them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/reporter.hpp"
#include "model/threads.hpp"
#include "train/objective.hpp"

namespace ae::train {

// Of the largest unit of work, by which the number of threads is chosen.
struct Work {
  double operations = 0;  // floating point
  model::Pool pool = model::Pool::blas;
};

// Where a model goes, and what it says of its training.
struct Publication {
  std::filesystem::path model;
  std::string training;   // JSON
  bool finished = false;  // nothing better will follow, so it may take its time
  Reporter& reporter;
};

class Trainee {
 public:
  virtual ~Trainee() = default;
  virtual std::int64_t parameter_count() const = 0;
  virtual Work work() const = 0;
  // What the loop trains; called once, when the threads are chosen. Null: there is nothing to train.
  virtual Objective* begin() = 0;
  // Writes the model that has these weights; called by rank 0 alone. They are those of Objective::weights() at the best
  // epoch so far; what is being trained goes on undisturbed. Looks for stop signals, and for the end of a TimeLimit,
  // all the while: then Interrupted, and the model that was there stays.
  virtual void publish(const recipe::Arrays& best, const Publication& to) = 0;
  // What else is told of a complete run, given the losses of the best epoch; "" for nothing. See Objective.
  virtual std::string ending(const std::filesystem::path& /*model*/, std::span<const double> /*training*/,
                             std::span<const double> /*held_out*/) const {
    return "";
  }
  // Training samples, ascending, that the published model does not count as normal.
  virtual std::vector<std::int64_t> distrusted() const { return {}; }
};

}  // namespace ae::train
