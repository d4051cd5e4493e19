// One image, in the numbers its file holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "data/images/geometry.hpp"

namespace ae::data {

enum class PixelType { u8, u16, f32 };
std::size_t bytes_per_pixel(PixelType type);  // of one channel

// Planar pixels [channels, height, width] in the machine's byte order; three channels are red, green, blue.
struct Image {
  std::int64_t channels = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  PixelType type = PixelType::u8;
  std::vector<std::uint8_t> bytes;

  Size size() const { return {height, width}; }
};

// An image whose pixels lie elsewhere, in an Image or in a mapped file, and stay there while it is used.
struct ImageView {
  std::int64_t channels = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  PixelType type = PixelType::u8;
  const std::uint8_t* bytes = nullptr;  // as Image's, without any alignment

  ImageView() = default;
  ImageView(std::int64_t channels, Size size, PixelType type, const std::uint8_t* bytes)
      : channels(channels), height(size.height), width(size.width), type(type), bytes(bytes) {}
  ImageView(const Image& image) : ImageView(image.channels, image.size(), image.type, image.bytes.data()) {}

  Size size() const { return {height, width}; }
  std::size_t byte_count() const { return static_cast<std::size_t>(channels * height * width) * bytes_per_pixel(type); }
};

// [channels, height, width] in network units, in [0, 1]: whole numbers divided by their type's maximum, f32 as it is.
std::vector<float> to_floats(const ImageView& image);

// Copies the tile of `tile` pixels whose first one is (y, x) as floats to values [channels, tile.height, tile.width].
// `observed`, of the same shape, becomes 1; where the tile reaches beyond the image the nearest pixel is repeated and
// `observed` becomes 0.
void copy_tile(const ImageView& image, std::int64_t y, std::int64_t x, Size tile, float* values, float* observed);

// Names of channels: gray; red, green, blue; else channel_0, channel_1, ...
std::vector<std::string> channel_names(std::int64_t channels);

}  // namespace ae::data
