// Images, maps and masks as the bytes of PNG and JPEG files.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/images/image.hpp"

namespace ae::apply {

// From the map value `low` (0, darkest) to `high` (1, brightest); beyond, the ends.
struct Scale {
  double low = 0;
  double high = 1;
};

// The colours of heat maps, evenly spaced from low to high: red, green, blue.
std::vector<std::array<std::uint8_t, 3>> heat_colours();

std::string gray16_png(const at::Tensor& map, const Scale& scale);  // [height, width]: 0 to 65535
std::string mask_png(const at::Tensor& mask);                       // [height, width] uint8
std::string image_png(const at::Tensor& image);                     // [1 or 3, height, width] in [0, 1], 8 bits
// The map's colours over the image, the more opaque the hotter. Map and image have the same height and width.
std::string overlay_png(const data::Image& image, const at::Tensor& map, const Scale& scale);

// Small pictures for pages: at most `side` pixels on the long side. JPEG, masks PNG.
std::string image_thumbnail(const data::Image& image, std::int64_t side);
std::string image_thumbnail(const at::Tensor& image, data::Size original, std::int64_t side);
std::string overlay_thumbnail(const data::Image& image, const at::Tensor& map, const Scale& scale, std::int64_t side);
std::string mask_thumbnail(const at::Tensor& mask, std::int64_t side);

}  // namespace ae::apply
