// NumPy's array files as rows: NPY versions 1 to 3 and one array of an NPZ archive.
// Format: numpy.org/doc/stable/reference/generated/numpy.lib.format.html
//
// - A 2-D array [rows, columns] or a 1-D one (a single column); columns are named f0, f1, ...
// - float16/32/64, int8..64, uint8..64 and bool of either byte order; NaN is a missing cell. Structured, text, complex
//   and object arrays are refused; a pickle is never executed.
// - C order is streamed and may be larger than memory; Fortran order is loaded whole.
// - text() is the shortest decimal text that reads back to the same element.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/image.hpp"
#include "data/rows.hpp"
#include "data/source.hpp"

namespace ae::data {

std::unique_ptr<RowSource> open_npy(std::unique_ptr<ByteSource> source);

// `array`: the member's name with or without ".npy"; "" = the only member, or the only 2-D one.
std::unique_ptr<RowSource> open_npz(std::unique_ptr<RandomAccess> file, const std::string& array = "");

// A stack of images [images, height, width] or [images, height, width, channels] in C order. Types: u1 and u2 (pixels
// divided by 255 and 65535), b1 (0 and 1), f2, f4 and f8 (finite numbers, as they are).
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
NpyStack open_npy_stack(std::shared_ptr<RandomAccess> file);
// `array` as for open_npz; "" = the only member, or the only one of 3 or 4 dimensions.
NpyStack read_npz_stack(std::unique_ptr<RandomAccess> file, const std::string& array = "");

// What stands before the elements of a 2-D C-order array [rows, columns] of little-endian float32 (4 bytes) or float64
// (8 bytes) in a version 1 file.
enum class NpyFloat { f4, f8 };
std::string npy_header(NpyFloat type, std::int64_t rows, std::int64_t columns);

// The whole file; values.size() = rows * columns, row-major.
std::string to_npy(std::span<const float> values, std::int64_t rows, std::int64_t columns);
std::string to_npy(std::span<const double> values, std::int64_t rows, std::int64_t columns);

}  // namespace ae::data
