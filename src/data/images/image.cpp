#include "data/images/image.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace ae::data {
namespace {

template <typename T>
float to_float(const std::uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  if constexpr (std::is_floating_point_v<T>) return value;
  return static_cast<float>(value) / static_cast<float>(std::numeric_limits<T>::max());
}

template <typename T>
void copy_row(const std::uint8_t* row, std::int64_t x, std::int64_t width, std::int64_t count, float* values) {
  for (std::int64_t i = 0; i < count; ++i) {
    const auto column = std::min(x + i, width - 1);
    values[i] = to_float<T>(row + static_cast<std::size_t>(column) * sizeof(T));
  }
}

}  // namespace

std::size_t bytes_per_pixel(PixelType type) {
  switch (type) {
    case PixelType::u8:
      return 1;
    case PixelType::u16:
      return 2;
    case PixelType::f32:
      break;
  }
  return 4;
}

std::vector<float> to_floats(const ImageView& image) {
  std::vector<float> values(static_cast<std::size_t>(image.channels * image.height * image.width));
  std::vector<float> observed(values.size());
  copy_tile(image, 0, 0, image.size(), values.data(), observed.data());
  return values;
}

void copy_tile(const ImageView& image, std::int64_t y, std::int64_t x, Size tile, float* values, float* observed) {
  const auto row_bytes = static_cast<std::size_t>(image.width) * bytes_per_pixel(image.type);
  const std::int64_t inside = std::clamp<std::int64_t>(image.width - x, 0, tile.width);
  for (std::int64_t c = 0; c < image.channels; ++c) {
    for (std::int64_t i = 0; i < tile.height; ++i) {
      const auto row = c * image.height + std::min(y + i, image.height - 1);
      const std::uint8_t* bytes = image.bytes + static_cast<std::size_t>(row) * row_bytes;
      switch (image.type) {
        case PixelType::u8:
          copy_row<std::uint8_t>(bytes, x, image.width, tile.width, values);
          break;
        case PixelType::u16:
          copy_row<std::uint16_t>(bytes, x, image.width, tile.width, values);
          break;
        case PixelType::f32:
          copy_row<float>(bytes, x, image.width, tile.width, values);
          break;
      }
      const std::int64_t seen = y + i < image.height ? inside : 0;
      std::fill(observed, observed + seen, 1.0f);
      std::fill(observed + seen, observed + tile.width, 0.0f);
      values += tile.width;
      observed += tile.width;
    }
  }
}

std::vector<std::string> channel_names(std::int64_t channels) {
  if (channels == 1) return {"gray"};
  if (channels == 3) return {"red", "green", "blue"};
  std::vector<std::string> names;
  for (std::int64_t c = 0; c < channels; ++c) names.push_back("channel_" + std::to_string(c));
  return names;
}

}  // namespace ae::data
