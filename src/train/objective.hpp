// What the training loop needs of anything that can be trained: one step, a held-out loss, and its state.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "recipe/tensor_io.hpp"

namespace ae::train {

struct StepContext {
  std::uint64_t key = 0;  // all randomness of the step follows from it
  double epoch = 0;       // fractional
  double learning_rate = 0;
};

// Losses: the total first, then its parts in the order of part_names(); means over samples.
//
// distrusted() and validate() may end with Interrupted when a stop signal arrives; they change nothing that a step
// depends on, so the loop asks again when it continues. A step is short, and is not interrupted.
//
// Of an objective that several processes train together (see Group), all call the same functions at the same time, with
// the same arguments; then none of them is interrupted.
class Objective {
 public:
  virtual ~Objective() = default;
  virtual std::vector<std::string> part_names() const = 0;
  virtual std::int64_t training_samples() const = 0;
  virtual std::int64_t smallest_batch() const { return 1; }
  // How often each training sample is to come in an epoch, in proportion; empty: once.
  virtual std::span<const double> sample_weights() const { return {}; }
  // Training samples, ascending, that the coming epoch should leave out, by the weights as they are now.
  virtual std::vector<std::int64_t> distrusted() { return {}; }
  // Returns this process's share of the losses: those of the batch are the sums over the processes.
  virtual std::vector<double> step(const std::vector<std::int64_t>& samples, const StepContext& context) = 0;
  virtual bool has_validation() const = 0;
  virtual std::vector<double> validate() = 0;  // the same numbers whenever the weights are the same

  virtual model::NamedTensors weights() const = 0;  // all that a finished run consists of
  // Those of them that another model's take the place of.
  virtual model::NamedTensors model_weights() const { return weights(); }
  // Whatever else the next step depends on: optimisers, pools of earlier samples.
  virtual void save_state(recipe::Arrays& arrays) const = 0;
  virtual void restore_state(const recipe::Arrays& arrays) = 0;
};

}  // namespace ae::train
