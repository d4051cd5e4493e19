#include "model/activation.hpp"

#include <torch/torch.h>

#include <array>

namespace ae::model {
namespace {

constexpr std::array<config::Choice, 6> kActivations{{
    {"relu", "max(0, x)"},
    {"leaky_relu", "x, or 0.01 x below zero"},
    {"elu", "x, or exp(x) - 1 below zero"},
    {"gelu", "x times the normal distribution function of x"},
    {"silu", "x times the logistic function of x"},
    {"tanh", "hyperbolic tangent"},
}};

}  // namespace

std::span<const config::Choice> activations() { return kActivations; }

at::Tensor activate(const std::string& name, const at::Tensor& x) {
  if (name == "relu") return torch::relu(x);
  if (name == "leaky_relu") return torch::leaky_relu(x, 0.01);
  if (name == "elu") return torch::elu(x);
  if (name == "gelu") return torch::gelu(x);
  if (name == "silu") return torch::silu(x);
  TORCH_CHECK(name == "tanh", "unknown activation ", name);
  return torch::tanh(x);
}

}  // namespace ae::model
