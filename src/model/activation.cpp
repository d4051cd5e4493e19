#include "model/activation.hpp"

#include <torch/types.h>

#include <array>

#include "base/vector_math.hpp"

namespace ae::model {
namespace {

// Of one number: what a table entry's kernel does with each.
struct Point {
  float value;
  float slope;
};

// Comparisons are such that NaN stays NaN.
AE_INLINE Point relu(float x) { return {x <= 0 ? 0.0f : x, x <= 0 ? 0.0f : 1.0f}; }
AE_INLINE Point leaky_relu(float x) {
  const float slope = x > 0 ? 1.0f : 0.01f;
  return {x * slope, slope};
}
AE_INLINE Point elu(float x) {
  const float below = vector_expm1(x > 0 ? 0 : x);
  return {x > 0 ? x : below, x > 0 ? 1.0f : below + 1};
}
AE_INLINE Point gelu(float x) {
  const Normal normal = normal_distribution(x);
  return {x * normal.below, normal.below + x * normal.density};
}
AE_INLINE Point silu(float x) {
  const float share = vector_logistic(x);
  return {x * share, share * (1 + x * (1 - share))};
}
AE_INLINE Point hyperbolic_tangent(float x) {
  const float value = vector_tanh(x);
  return {value, 1 - value * value};
}

template <bool kBias, bool kSlope, typename Function>
AE_INLINE void apply(const Function& function, const float* __restrict__ bias, std::int64_t rows, std::int64_t columns,
                     float* __restrict__ values, float* __restrict__ slope) {
  for (std::int64_t i = 0; i < rows; ++i, values += columns) {
    for (std::int64_t j = 0; j < columns; ++j) {
      const Point point = function(kBias ? values[j] + bias[j] : values[j]);
      values[j] = point.value;
      if (kSlope) slope[j] = point.slope;
    }
    if (kSlope) slope += columns;
  }
}

#define AE_ACTIVATION_KERNEL(function)                                                                            \
  AE_VECTORISED void function##_kernel(const float* bias, std::int64_t rows, std::int64_t columns, float* values, \
                                       float* slope) {                                                            \
    const auto point = [](float x) { return function(x); };                                                       \
    if (bias == nullptr) {                                                                                        \
      slope == nullptr ? apply<false, false>(point, bias, 1, rows * columns, values, slope)                       \
                       : apply<false, true>(point, bias, 1, rows * columns, values, slope);                       \
    } else {                                                                                                      \
      slope == nullptr ? apply<true, false>(point, bias, rows, columns, values, slope)                            \
                       : apply<true, true>(point, bias, rows, columns, values, slope);                            \
    }                                                                                                             \
  }
AE_ACTIVATION_KERNEL(relu)
AE_ACTIVATION_KERNEL(leaky_relu)
AE_ACTIVATION_KERNEL(elu)
AE_ACTIVATION_KERNEL(gelu)
AE_ACTIVATION_KERNEL(silu)
AE_ACTIVATION_KERNEL(hyperbolic_tangent)
#undef AE_ACTIVATION_KERNEL

struct Activation {
  config::Choice choice;
  at::Tensor (*of_tensor)(const at::Tensor&);
  const char* script;
  ActivationKernel kernel;
};
constexpr std::array<Activation, 6> kActivations{{
    {{"relu", "max(0, x)"}, [](const at::Tensor& x) { return torch::relu(x); }, "torch.relu(x)", relu_kernel},
    {{"leaky_relu", "x, or 0.01 x below zero"},
     [](const at::Tensor& x) { return torch::leaky_relu(x, 0.01); },
     "torch.leaky_relu(x, 0.01)",
     leaky_relu_kernel},
    {{"elu", "x, or exp(x) - 1 below zero"},
     [](const at::Tensor& x) { return torch::elu(x); },
     "torch.elu(x)",
     elu_kernel},
    {{"gelu", "x times the normal distribution function of x"},
     [](const at::Tensor& x) { return torch::gelu(x); },
     "torch.gelu(x)",
     gelu_kernel},
    {{"silu", "x times the logistic function of x"},
     [](const at::Tensor& x) { return torch::silu(x); },
     "torch.silu(x)",
     silu_kernel},
    {{"tanh", "hyperbolic tangent"},
     [](const at::Tensor& x) { return torch::tanh(x); },
     "torch.tanh(x)",
     hyperbolic_tangent_kernel},
}};
constexpr auto kChoices = [] {
  std::array<config::Choice, kActivations.size()> choices{};
  for (std::size_t i = 0; i < choices.size(); ++i) choices[i] = kActivations[i].choice;
  return choices;
}();

const Activation& find(const std::string& name) {
  for (const auto& activation : kActivations) {
    if (activation.choice.name == name) return activation;
  }
  throw std::logic_error("unknown activation " + name);
}

}  // namespace

std::span<const config::Choice> activations() { return kChoices; }
at::Tensor activate(const std::string& name, const at::Tensor& x) { return find(name).of_tensor(x); }
std::string activation_script(const std::string& name) { return find(name).script; }
ActivationKernel activation_kernel(const std::string& name) { return find(name).kernel; }

}  // namespace ae::model
