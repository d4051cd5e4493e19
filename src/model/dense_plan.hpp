// What a dense network consists of, for an engine that computes it without LibTorch.
//
// Tensors are the network's own: parameters and buffers of Network, stacked over its members.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace ae::model {

// y = x W^T + bias with weight [out, in]; of a tied layer weight is another layer's [in, out]: y = x W + bias.
struct AffinePlan {
  std::int64_t in = 0;
  std::int64_t out = 0;
  bool tied = false;
  at::Tensor weight;
  at::Tensor bias;
};

constexpr double kNormEpsilon = 1e-5;  // added to variances
constexpr double kNormMomentum = 0.1;  // weight of a batch in the running statistics

// Beyond it a log-variance is no longer worth having in float32: codes are drawn with log-variances clamped to it.
constexpr double kLogVarianceLimit = 10;

enum class NormKind { none, batch, layer };
struct NormPlan {
  NormKind kind = NormKind::none;
  at::Tensor scale;
  at::Tensor shift;
  at::Tensor running_mean;  // and the others: of batch normalisation
  at::Tensor running_variance;
  at::Tensor batches;  // int64
};

// affine -> norm -> activation -> dropout
struct LayerPlan {
  AffinePlan affine;
  NormPlan norm;
  std::string activation;  // "" = none
  double dropout = 0;
};

// Inputs in this order: numeric elements, 0 where not observed; categories by embedding or, without embeddings, one-hot
// but for the last code, zeros where not observed; with show_observed what is observed of every element.
struct StemPlan {
  std::vector<std::int64_t> numeric;
  std::vector<std::int64_t> categorical;
  std::vector<std::int64_t> codes;     // of each categorical one
  std::vector<at::Tensor> embeddings;  // [codes, size] of each, or none
  bool show_observed = false;
  std::int64_t inputs = 0;
};

struct DensePlan {
  std::int64_t members = 1;
  std::int64_t elements = 0;  // of a row
  StemPlan stem;
  std::vector<LayerPlan> layers;         // encoder, bottleneck, decoder, output
  std::size_t bottleneck = 0;            // index of the layer that gives the code, or its mean
  std::vector<AffinePlan> log_variance;  // one of a variational network, beside the bottleneck; else none
  at::Tensor constants;                  // undefined when there are none (see Interface)
};

// Factor analysis (see factors.cpp); all tensors of several members stacked.
struct FactorPlan {
  std::int64_t members = 1;
  StemPlan stem;
  std::vector<std::int64_t> element_of_input;  // [inputs]
  at::Tensor loadings;                         // [inputs, factors]
  at::Tensor center;                           // [inputs]
  at::Tensor log_noise;                        // [inputs]
  AffinePlan linear;                           // from the code to the outputs
  std::vector<LayerPlan> layers;               // from the code to what is added to those; or none
};

}  // namespace ae::model
