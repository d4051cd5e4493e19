// Pictures of one number a pixel: error maps and the masks that say where the defects are.
//
// The small ae-roc reads thousands of them, so this needs nothing but libpng: an image library that knows every format
// costs more time to load than a run takes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ae::evaluate {

// Row-major; values.size() = width * height.
struct PixelMap {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::vector<float> values;
};

// An NPY file [height, width] of real numbers, taken to single precision. InputError, with the pixel, for one that is
// not finite.
PixelMap read_pixel_map(const std::filesystem::path& path);

// defect[i] is 1 where the mask is not 0, else 0.
struct DefectMask {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::vector<std::uint8_t> defect;
};

// A PNG of any kind (1 to 16 bits, gray, colour or palette; not 0 = any colour but black, alpha does not count), an
// uncompressed BMP likewise, or an NPY file [height, width] (NaN is refused), told apart by the first bytes. InputError
// for everything else.
DefectMask read_defect_mask(const std::filesystem::path& path);

// The union of several masks of one image. InputError when their sizes differ.
DefectMask read_defect_masks(std::span<const std::filesystem::path> paths);

// The same as read_defect_mask() from a PNG or BMP file's bytes; `name` is for messages.
DefectMask decode_mask(std::string_view bytes, const std::string& name);

}  // namespace ae::evaluate
