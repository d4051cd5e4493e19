// The objective of every autoencoder here: the loss of reconstructing the clean target from a corrupted input.
#pragma once

#include <memory>

#include "loss/autoencoder.hpp"
#include "model/threads.hpp"
#include "recipe/config.hpp"
#include "train/adversary.hpp"
#include "train/dense_engine.hpp"
#include "train/gradient_exchange.hpp"
#include "train/objective.hpp"
#include "train/process_group.hpp"

namespace ae::train {

// The share of samples that the pair as it is reconstructs worst, ascending; of equal losses the earlier ones. Fewer
// than all. The processes of a group share the work.
std::vector<std::int64_t> highest_losses(const loss::Autoencoder& autoencoder, const model::Samples& samples,
                                         double share, Group& group = Group::alone());

// Whether options.engine makes the dense engine train the pair. UsageError when it must but cannot.
bool uses_dense_engine(const loss::Autoencoder& autoencoder, const recipe::TrainingOptions& options);

class ReconstructionObjective final : public Objective {
 public:
  static constexpr const char* kOfAdversary = "adversary.";

  // Everything referred to must outlive the objective. `held_out` may be empty. `weights`: see sample_weights(). With
  // an adversary, whose part comes last, autograd does the steps; of a single network only. Errors: see
  // uses_dense_engine().
  ReconstructionObjective(loss::Autoencoder& autoencoder, const model::Samples& training,
                          const model::Samples& held_out, const recipe::TrainingOptions& options,
                          Group& group = Group::alone(), std::span<const double> weights = {},
                          const Adversary* adversary = nullptr);
  ~ReconstructionObjective() override;

  std::vector<std::string> part_names() const override;
  std::int64_t training_samples() const override { return training_.size(); }
  std::span<const double> sample_weights() const override { return weights_; }
  std::int64_t smallest_batch() const override { return autoencoder_.network().uses_batch_statistics() ? 2 : 1; }
  std::vector<std::int64_t> distrusted() override {
    return highest_losses(autoencoder_, training_, options_.trim, group_);
  }
  std::vector<double> step(const std::vector<std::int64_t>& samples, const StepContext& context) override;
  bool has_validation() const override { return held_out_.size() > 0; }
  std::vector<double> validate() override;
  model::NamedTensors weights() const override;  // those of the adversary begin with kOfAdversary
  model::NamedTensors model_weights() const override { return autoencoder_.network().state(); }
  void save_state(recipe::Arrays& arrays) const override;
  void restore_state(const recipe::Arrays& arrays) override;

 private:
  model::Batch corrupted(model::Batch batch) const;
  // Weight of each element's loss, shaped like the batch; undefined = 1 everywhere.
  at::Tensor emphasis(const model::Batch& input, const model::Batch& target) const;
  bool side_by_side() const;
  void add_adversary_to(model::NamedTensors& tensors) const;  // what of it is trained
  // `share`: of the batch's samples, those that are given.
  std::vector<double> backward(const loss::Autoencoder& autoencoder, const model::Batch& input,
                               const model::Batch& target, double epoch, double share) const;
  std::vector<double> backward_against(const model::Batch& input, const model::Batch& target,
                                       const StepContext& context, std::int64_t first, double share) const;
  // Of the network as it is: the loss [samples] with the adversary's, and all losses as means.
  struct Losses {
    at::Tensor samples;
    std::vector<double> means;
  };
  Losses losses_against(const Adversary::Round& round, const model::Batch& input, const model::Batch& target,
                        double epoch) const;
  std::vector<double> backward_side_by_side(const model::Batch& input, const model::Batch& target, double epoch,
                                            double share);

  loss::Autoencoder& autoencoder_;
  const model::Samples& training_;
  const model::Samples& held_out_;
  const recipe::TrainingOptions& options_;
  Group& group_;
  std::span<const double> weights_;
  const Adversary* adversary_;
  std::unique_ptr<DenseEngine> dense_;            // does the steps; null: autograd does,
  std::unique_ptr<recipe::Optimizer> optimizer_;  // with this
  std::vector<at::Tensor> parameters_;
  std::unique_ptr<model::Crew> crew_;  // for members side by side
  class Buckets;
  std::unique_ptr<Buckets> buckets_;  // of a group
};

}  // namespace ae::train
