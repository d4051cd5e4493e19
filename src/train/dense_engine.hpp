// Training steps of dense networks without LibTorch: matrix products by BLAS, everything between them in fused loops
// over memory that is laid out once, one pass of the optimiser over all weights.
//
// The network's tensors stay the owners of the weights: they become views of the buffer that the engine trains.
// Compared with autograd a step has the same loss and gradient up to rounding, but draws of its own for corruption,
// dropout and codes. Members are trained side by side by as many threads as there are; within one, everything happens
// on one thread, so that no result depends on how many there are.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "loss/autoencoder.hpp"
#include "recipe/config.hpp"
#include "train/objective.hpp"
#include "train/process_group.hpp"

namespace ae::train {

class DenseEngine {
 public:
  // What keeps this engine from training the pair, as "/pointer: reason"; empty when nothing does.
  static std::vector<std::string> complaints(const loss::Autoencoder& autoencoder,
                                             const recipe::TrainingOptions& options);

  // For a pair without complaints. Everything referred to must outlive the engine. Uses as many threads as
  // model::threads_in_use() says now.
  DenseEngine(loss::Autoencoder& autoencoder, const model::Samples& training, const model::Samples& held_out,
              const recipe::TrainingOptions& options, Group& group = Group::alone());
  ~DenseEngine();
  DenseEngine(const DenseEngine&) = delete;
  DenseEngine& operator=(const DenseEngine&) = delete;

  // As of Objective.
  std::vector<double> step(const std::vector<std::int64_t>& samples, const StepContext& context);
  std::vector<double> validate();
  void save_optimizer(recipe::Arrays& arrays) const;
  void restore_optimizer(const recipe::Arrays& arrays);

  // Of the last step, before clipping: views, named and shaped as the network's parameters.
  model::NamedTensors gradients() const;

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace ae::train
