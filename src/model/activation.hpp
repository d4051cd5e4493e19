// Non-linearities that the families share.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <string>

#include "config/fields.hpp"

namespace ae::model {

std::span<const config::Choice> activations();  // relu, leaky_relu, elu, gelu, silu, tanh
at::Tensor activate(const std::string& name, const at::Tensor& x);

}  // namespace ae::model
