// The makers of the heads in this room's other files, for the registry, and what those files share.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "model/dtypes.hpp"
#include "score/head.hpp"

namespace ae::score {

std::unique_ptr<Head> make_normalized();
std::unique_ptr<Head> make_mahalanobis();
std::unique_ptr<Head> make_masked();
std::unique_ptr<Head> make_neighbours();
std::unique_ptr<Head> make_prototypes();
std::unique_ptr<Head> make_fusion();

// --- Arrays of a head's state ---
using model::to_array;
// The array `name` as a tensor. InputError unless it is there with this type and shape; -1 stands for any size.
at::Tensor from_arrays(const Arrays& arrays, const std::string& name, data::Dtype dtype,
                       const std::vector<std::int64_t>& shape);

}  // namespace ae::score
