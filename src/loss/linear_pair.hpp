// Pairs whose optimum are the principal components: a linear network by mean squared error.
#pragma once

#include <string>

#include "loss/autoencoder.hpp"
#include "model/principal_components.hpp"

namespace ae::loss {

// What keeps the pair from being one network that is linear both ways, of numbers by mean squared error alone, as
// "/pointer: what was found; what to set instead"; "" when nothing does.
std::string not_linear(const Autoencoder& autoencoder, const TermList& terms);

// What such a pair can reconstruct: the subspace that its decoder spans, in float64, by an orthonormal basis.
model::Basis decoder_basis(const Autoencoder& autoencoder);

// What such a pair reconstructs, from its weights in float64; cells that are not observed count as 0, as to the
// network.
at::Tensor linear_answer(const Autoencoder& autoencoder, const model::Batch& batch);

// Gives such a pair the weights that project on a basis: encoder axes^T (x - center), decoder axes z + center.
void project_on(const Autoencoder& autoencoder, const model::Basis& basis);

}  // namespace ae::loss
