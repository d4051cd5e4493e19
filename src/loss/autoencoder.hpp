// The pair every question is asked of: a model and its loss.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "loss/composition.hpp"
#include "model/network.hpp"

namespace ae::loss {

// elements shaped like the batch: weighted loss per element, 0 where not observed
// expected shaped like the batch: the reconstruction, in network units
// latent   [samples, latent], or [samples, channels, height, width]
struct Reconstruction {
  at::Tensor elements;
  at::Tensor expected;
  at::Tensor latent;
};

class Autoencoder {
 public:
  // Builds composition and network for this domain; weights are drawn from `seed`. The terms must outlive the pair.
  // `observed_matters`: cells can be missing or masked (see model::Interface). UsageError when the family or a term is
  // made for another kind of data.
  Autoencoder(const model::Family& family, const TermList& terms, const model::Domain& domain, bool observed_matters,
              std::uint64_t seed);

  model::Network& network() const { return *network_; }
  const Composition& loss() const { return loss_; }
  const model::Domain& domain() const { return loss_.domain(); }
  const std::vector<model::Element>& elements() const { return domain().elements; }

  // Says that member folds[i] of the network has not learned from training sample i, but from all others.
  void cross_fit(std::vector<std::int64_t> folds) { folds_ = std::move(folds); }
  bool cross_fitted() const { return !folds_.empty(); }
  const std::vector<std::int64_t>& folds() const { return folds_; }

  // Evaluation mode, no gradients. A sample's answer does not depend on the other samples of the batch (at least one).
  // With `first_training` >= 0 and a cross-fitted pair the samples are training samples first_training, first_training
  // + 1, ... (samples beyond the last one may follow), each answered by the member that has not learned from it.
  Reconstruction reconstruct(const model::Batch& batch, std::int64_t first_training = -1) const {
    return reconstruct(batch, batch, first_training);
  }
  // The same of a target from what is seen of it: `seen` may hide elements, the loss is that of the target's.
  Reconstruction reconstruct(const model::Batch& seen, const model::Batch& target, std::int64_t first_training) const;

 private:
  Composition loss_;
  std::unique_ptr<model::Network> network_;
  std::vector<std::int64_t> folds_;
};

}  // namespace ae::loss
