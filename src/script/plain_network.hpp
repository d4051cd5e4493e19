// What the network of a table computes in use, as plain matrices in float64: nothing of training is left, batch
// normalisation is part of the matrices, tied weights are copies.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/network.hpp"

namespace ae::script {

// y = activation(norm(x W + b)).
struct PlainLayer {
  at::Tensor weight;  // [members, in, out]
  at::Tensor bias;    // [members, 1, out]
  at::Tensor scale;   // of layer normalisation [members, 1, out], and the next; else undefined
  at::Tensor shift;
  std::string activation;  // "" = none
};

// The code of factor analysis: see model/factors.cpp.
struct PlainFactors {
  std::vector<std::int64_t> element_of_input;
  at::Tensor loadings;   // [members, inputs, factors]
  at::Tensor center;     // [members, 1, inputs]
  at::Tensor precision;  // [members, 1, inputs]
};

struct PlainNetwork {
  std::int64_t members = 1;
  std::int64_t latent = 0;
  model::StemPlan stem;  // embeddings [members, codes, size], float64
  // From the inputs to the code (of variational networks its mean), by layers or else by factors.
  std::vector<PlainLayer> encoder;
  std::optional<PlainFactors> factors;
  // From the code to the outputs; `beside`, which layers of factor analysis may have, is added to them.
  std::vector<PlainLayer> decoder;
  std::optional<PlainLayer> beside;
};

// Nothing when the network is neither dense nor factor analysis.
std::optional<PlainNetwork> plain_network(const model::Network& network);

}  // namespace ae::script
