// Bounds how far one step of training may go.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace ae::train {

// Scales the gradients of each of several members ([members, ...] each; one: of all) so that their norm is at most
// `largest`. Parameters without a gradient are left alone.
void clip_gradients(const std::vector<at::Tensor>& parameters, std::int64_t members, double largest);

}  // namespace ae::train
