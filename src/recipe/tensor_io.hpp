// Tensors to and from the arrays of a safetensors file.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "data/bytes/safetensors.hpp"
#include "model/dtypes.hpp"
#include "model/network.hpp"

namespace ae::recipe {

using data::Arrays;

using model::to_array;
using model::to_tensor;

void save_tensors(const std::string& prefix, const model::NamedTensors& tensors, Arrays& arrays);
// Copies arrays "<prefix><name>" into the tensors in place. InputError "FILE: tensor ..." naming what is missing or has
// another shape or type than this model needs.
void restore_tensors(const std::string& prefix, const model::NamedTensors& tensors, const Arrays& arrays,
                     const std::string& file);

}  // namespace ae::recipe
