// Non-linearities that the families share.
//
// Adding one: a line in activation.cpp's table.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>

#include "config/fields.hpp"

namespace ae::model {

std::span<const config::Choice> activations();  // relu, leaky_relu, elu, gelu, silu, tanh
at::Tensor activate(const std::string& name, const at::Tensor& x);

// The same of plain arrays: value[i] = f(x[i]) and slope[i] = f'(x[i]) for i < count.
using ActivationKernel = void (*)(const float* x, float* value, float* slope, std::int64_t count);
ActivationKernel activation_kernel(const std::string& name);

}  // namespace ae::model
