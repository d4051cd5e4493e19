#include "recipe/tensor_io.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include "base/error.hpp"
#include "base/text.hpp"

namespace ae::recipe {

void save_tensors(const std::string& prefix, const model::NamedTensors& tensors, Arrays& arrays) {
  for (const auto& [name, tensor] : tensors) arrays[prefix + name] = to_array(tensor);
}

void restore_tensors(const std::string& prefix, const model::NamedTensors& tensors, const Arrays& arrays,
                     const std::string& file) {
  const torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : tensors) {
    const auto found = arrays.find(prefix + name);
    if (found == arrays.end()) {
      throw InputError(file + ": tensor " + ae::quoted(prefix + name) +
                       " is missing; the file is not a whole checkpoint of this model");
    }
    const auto expected_shape = tensor.sizes().vec();
    if (found->second.shape != expected_shape || found->second.dtype != model::dtype_of(tensor)) {
      throw InputError(file + ": tensor " + ae::quoted(prefix + name) + " is " +
                       std::string(data::dtype_name(found->second.dtype)) + " " +
                       data::shape_text(found->second.shape) + "; this model needs " +
                       std::string(data::dtype_name(model::dtype_of(tensor))) + " " + data::shape_text(expected_shape));
    }
    auto target = tensor;
    target.copy_(to_tensor(found->second));
  }
}

}  // namespace ae::recipe
