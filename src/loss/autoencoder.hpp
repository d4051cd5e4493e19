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
// latent   [samples, latent], or [samples, channels, height, width]; of several members their latents or channels side
//          by side: [samples, members * latent], [samples, members * channels, height, width]
struct Reconstruction {
  at::Tensor elements;
  at::Tensor expected;
  at::Tensor latent;
};

// What a pair says of counts, all [samples, elements]: the probability that there is one at all (undefined when no term
// tells), and the expected values, in network units, where there is one and in all.
struct Counts {
  at::Tensor detection;
  at::Tensor conditional;
  at::Tensor expected;
  at::Tensor prediction;  // what Autoencoder::draw() draws from
  at::Tensor sizes;       // [samples, 1]; undefined: all 1
};

class Autoencoder {
 public:
  // Builds composition and network for this domain; weights are drawn from `seed`. The terms must outlive the pair.
  // `observed_matters`: cells can be missing or masked (see model::Interface). UsageError when the family or a term is
  // made for another kind of data.
  Autoencoder(const model::Family& family, const TermList& terms, const model::Domain& domain, bool observed_matters,
              std::uint64_t seed);
  Autoencoder(Autoencoder&&) = default;  // no copies: they would share the weights

  model::Network& network() const { return *network_; }
  bool has_network() const { return has_network_; }  // else it can be asked nothing
  const Composition& loss() const { return loss_; }
  const model::Domain& domain() const { return loss_.domain(); }
  const std::vector<model::Element>& elements() const { return domain().elements; }

  // Several networks in one (see model::Network).
  std::int64_t members() const { return network_->members(); }
  // Member m as a pair of its own, which shares its weights with this one; of a single network, this pair.
  const Autoencoder& member(std::int64_t m) const;

  // Evaluation mode, no gradients. A sample's answer does not depend on the other samples of the batch (at least one).
  // Several members answer together: by the mean of their predictions.
  Reconstruction reconstruct(const model::Batch& batch) const { return reconstruct(batch, batch); }
  // The same of a target from what is seen of it: `seen` may hide elements, the loss is that of the target's.
  Reconstruction reconstruct(const model::Batch& seen, const model::Batch& target) const;
  // Its `expected` alone, without the cost of the loss.
  at::Tensor expected(const model::Batch& batch) const { return loss_.expected(prediction(batch)); }
  // The same with gradients with respect to the batch's values; all samples at once, so that an answer may differ in
  // the last bits from those of expected().
  at::Tensor differentiable_expected(const model::Batch& batch) const;
  // The decoder's outputs [samples, loss().outputs()], of images [samples, outputs, height, width].
  at::Tensor prediction(const model::Batch& batch) const;
  Counts counts(const model::Batch& batch) const;  // likewise
  // Counts of another reading of the same samples, [samples, elements]; undefined where a term gives no distribution.
  at::Tensor draw(const Counts& counts, const CountDraw& what, at::Generator& random) const;

 private:
  Autoencoder(const Composition& loss, std::shared_ptr<model::Network> network);
  model::Output output(const model::Batch& batch) const;

  Composition loss_;
  bool has_network_ = true;
  std::shared_ptr<model::Network> network_;
  std::vector<Autoencoder> members_;  // none of a single network
};

}  // namespace ae::loss
