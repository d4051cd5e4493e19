// The element types that checkpoints hold, as LibTorch and as safetensors name them.
#pragma once

#include <ATen/core/Tensor.h>

#include "data/safetensors.hpp"

namespace ae::model {

// std::logic_error for a type that checkpoints do not hold.
data::Dtype dtype_of(const at::Tensor& tensor);
at::ScalarType scalar_type_of(data::Dtype dtype);

}  // namespace ae::model
