// What the file of an image says of itself before it is decoded, and what decoding alone would not tell.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace ae::data {

inline constexpr std::uint64_t kMostPixelsOfAnImage = 1ull << 28;

enum class Alpha {
  apart,       // colours are as they are, also where nothing of them is seen
  multiplied,  // decoded colours are as seen before black
  perhaps,     // apart; but zero everywhere means that there is none (32-bit BMP)
};

struct ImageHeader {
  int orientation = 1;                 // of Exif, 1 to 8: how rows and columns must be turned to be upright
  std::uint64_t tiff_orientation = 0;  // where a TIFF file says so, two bytes in its own byte order; 0: nowhere
  Alpha alpha = Alpha::apart;
  std::int64_t further = 0;  // pages, frames or pictures behind the first; thumbnails do not count
  // What decoding hides: it makes 8 bits of fewer, and colours of gray with alpha, or leaves that alpha out.
  int few_bits = 0;  // of a gray pixel or an index of colours, where they are fewer than 8; else 0
  bool gray_with_alpha = false;
};

// Of a PNG, JPEG, BMP or TIFF file. InputError for another file, one that ends too early, and a size that is not to be
// trusted with memory.
ImageHeader read_image_header(const std::vector<std::uint8_t>& bytes, const std::string& name);

// "NAME: WHAT; the image is damaged: replace it or leave it out"
InputError damaged_image(const std::string& name, const std::string& what);

}  // namespace ae::data
