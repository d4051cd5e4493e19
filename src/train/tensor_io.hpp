// Tensors to and from the arrays of a safetensors file.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "data/safetensors.hpp"
#include "model/network.hpp"

namespace ae::train {

using data::Arrays;

data::NamedArray to_array(const at::Tensor& tensor);  // float32, float64, int64 or uint8
at::Tensor to_tensor(const data::NamedArray& array);  // a copy

void save_tensors(const std::string& prefix, const model::NamedTensors& tensors, Arrays& arrays);
// Copies arrays "<prefix><name>" into the tensors in place. InputError "FILE: tensor ..." naming what is missing or has
// another shape or type than this model needs.
void restore_tensors(const std::string& prefix, const model::NamedTensors& tensors, const Arrays& arrays,
                     const std::string& file);

}  // namespace ae::train
