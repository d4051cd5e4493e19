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
std::string activation_script(const std::string& name);  // the same as an expression of TorchScript, of `x`

// The same of plain arrays [rows, columns]: values become f(values + bias) and, unless null, slope = f'(values + bias).
// bias [columns]; null: zeros.
using ActivationKernel = void (*)(const float* bias, std::int64_t rows, std::int64_t columns, float* values,
                                  float* slope);
ActivationKernel activation_kernel(const std::string& name);

}  // namespace ae::model
