// NumPy's arrays as stacks of images.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/bytes/source.hpp"
#include "data/images/image.hpp"

namespace ae::data {

// A stack of images [images, height, width] or [images, height, width, channels] in C order. Types: u1 and u2 (pixels
// divided by 255 and 65535), b1 (0 and 1), f2, f4 and f8 (numbers in [0, 1], as they are).
struct NpyStack {
  std::int64_t images = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t channels = 1;
  PixelType type = PixelType::u8;
  // [images, height, width, channels] in the machine's byte order: `bytes`, or what lies in `file` from `offset` on.
  std::vector<std::uint8_t> bytes;
  std::shared_ptr<RandomAccess> file;
  std::uint64_t offset = 0;

  std::size_t image_bytes() const {
    return static_cast<std::size_t>(height * width * channels) * bytes_per_pixel(type);
  }
  void read(std::int64_t image, std::uint8_t* to) const;  // image_bytes() of them; InputError
};
NpyStack read_npy_stack(std::unique_ptr<ByteSource> source);
// Leaves pixels in the file that are there as they are needed: u1, and u2 and f4 in the machine's byte order.
NpyStack open_npy_stack(const std::shared_ptr<RandomAccess>& file);
// `array` as for open_npz; "" = the only member, or the only one of 3 or 4 dimensions.
NpyStack read_npz_stack(std::unique_ptr<RandomAccess> file, const std::string& array = "");

}  // namespace ae::data
