// Tensors to and from the arrays that checkpoints hold, of float32, float64, int64 or uint8.
#pragma once

#include <ATen/core/Tensor.h>

#include "data/bytes/safetensors.hpp"

namespace ae::model {

// std::logic_error for a type that checkpoints do not hold.
data::Dtype dtype_of(const at::Tensor& tensor);
at::ScalarType scalar_type_of(data::Dtype dtype);

// Copies.
data::NamedArray to_array(const at::Tensor& tensor);
at::Tensor to_tensor(const data::NamedArray& array);

}  // namespace ae::model
