// Masks as BMP files.
#pragma once

#include <string>
#include <string_view>

#include "evaluate/pixel_maps.hpp"

namespace ae::evaluate {

inline constexpr std::string_view kBmpMagic = "BM";

// An uncompressed BMP of 1, 4, 8, 16, 24 or 32 bits a pixel; any colour but black is a defect, alpha does not count.
// InputError for everything else; `name` is for messages.
DefectMask decode_bmp_mask(std::string_view bytes, const std::string& name);

}  // namespace ae::evaluate
