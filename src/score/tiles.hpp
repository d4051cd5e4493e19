// The samples that an image is cut into for its network.
#pragma once

#include <ATen/core/Tensor.h>

#include "data/images/geometry.hpp"

namespace ae::score {

// Copies the tile whose first pixel is (at.y, at.x) of image [channels, height, width] into values and observed
// [channels, size.height, size.width]; beyond the image the nearest pixel is repeated and not observed.
void cut_tile(const at::Tensor& image, const data::Placement& at, data::Size size, const at::Tensor& values,
              const at::Tensor& observed);

}  // namespace ae::score
