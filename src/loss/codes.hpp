// The latent codes of samples, without the decoder's work.
#pragma once

#include "loss/autoencoder.hpp"

namespace ae::loss {

// [samples, members * numbers of a code] float32: of each member the code that decode() takes, flattened (of
// variational networks the mean), member after member. Evaluation mode, no gradients. A sample's code depends neither
// on the other samples of the batch (at least one) nor on the number of threads.
at::Tensor codes(const Autoencoder& autoencoder, const model::Batch& batch);

}  // namespace ae::loss
