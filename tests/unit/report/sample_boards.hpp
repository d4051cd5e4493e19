// Made-up inspections of circuit boards: pictures with tracks, now and then a defect, its heat map and mask.
#pragma once

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "report/gallery.hpp"

namespace ae::report {

using Colour = std::array<std::uint8_t, 3>;

// An 8-bit RGB PNG file of the colours at (x, y).
inline std::string png_of(int width, int height, const std::function<Colour(int, int)>& colour) {
  const auto word = [](std::uint32_t value) {
    return std::string{static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
                       static_cast<char>(value)};
  };
  const auto chunk = [&](const std::string& kind, const std::string& body) {
    const std::string all = kind + body;
    const auto sum = crc32(0, reinterpret_cast<const Bytef*>(all.data()), static_cast<uInt>(all.size()));
    return word(static_cast<std::uint32_t>(body.size())) + all + word(static_cast<std::uint32_t>(sum));
  };
  std::string raw;
  for (int y = 0; y < height; ++y) {
    raw += '\0';
    for (int x = 0; x < width; ++x)
      for (const std::uint8_t channel : colour(x, y)) raw += static_cast<char>(channel);
  }
  uLongf size = compressBound(static_cast<uLong>(raw.size()));
  std::string packed(size, '\0');
  compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(raw.data()),
           static_cast<uLong>(raw.size()));
  packed.resize(size);
  const std::string header = word(static_cast<std::uint32_t>(width)) + word(static_cast<std::uint32_t>(height));
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", header + std::string("\x08\x02\0\0\0", 5)) + chunk("IDAT", packed) +
         chunk("IEND", "");
}

// Black, violet, orange, pale yellow.
inline Colour heat_colour(double share) {
  constexpr std::array<std::array<double, 3>, 5> stops = {
      {{4, 4, 12}, {80, 18, 110}, {186, 54, 85}, {249, 142, 9}, {252, 255, 164}}};
  const double at = std::clamp(share, 0.0, 1.0) * (stops.size() - 1);
  const auto left = std::min<std::size_t>(static_cast<std::size_t>(at), stops.size() - 2);
  Colour colour;
  for (std::size_t i = 0; i < 3; ++i)
    colour[i] = static_cast<std::uint8_t>(stops[left][i] +
                                          (at - static_cast<double>(left)) * (stops[left + 1][i] - stops[left][i]));
  return colour;
}

inline HeatScale sample_heat_scale() {
  HeatScale scale{0, 0.06, {}};
  for (int i = 0; i <= 16; ++i) scale.colours.push_back(heat_colour(i / 16.0));
  return scale;
}

// Board number `i` of 128 x 128 pixels; every third has a defect.
inline GalleryItem sample_board(int i) {
  constexpr int side = 128;
  Random random(stream_key(3, "board", static_cast<std::uint64_t>(i)));
  const int pitch = 14 + static_cast<int>(random.below(10));
  const int phase = static_cast<int>(random.below(20));
  const int bend = 30 + static_cast<int>(random.below(60));
  const bool defective = i % 3 == 0;
  const bool open = random.uniform() < 0.5;
  const double centre_x = 20 + 88 * random.uniform();
  const double centre_y = 20 + 88 * random.uniform();
  const double radius = 4 + 5 * random.uniform();
  const double strength = defective ? 0.25 + 0.75 * random.uniform() : 0.06 * random.uniform();
  const auto track = [=](int x, int y) {
    const int across = x > bend ? y + std::min(x - bend, 24) : y;
    return (across + phase) % pitch < pitch / 3;
  };
  const auto inside = [=](int x, int y) {
    const double angle = std::atan2(y - centre_y, x - centre_x);
    return std::hypot(x - centre_x, y - centre_y) < radius * (1 + 0.25 * std::sin(3 * angle + i));
  };
  const auto gray = [](double value) {
    const auto level = static_cast<std::uint8_t>(std::clamp(value, 0.0, 255.0));
    return Colour{level, level, level};
  };
  const auto error = [=](int x, int y) {
    const bool edge = track(x, y) != track(x + 1, y) || track(x, y) != track(x, y + 1);
    const double distance = std::hypot(x - centre_x, y - centre_y);
    return (defective ? strength * std::exp(-std::pow(distance / radius, 2)) : 0) + (edge ? 0.11 : 0.03) +
           0.015 * std::sin(x * 0.7 + y * 0.9 + i);
  };
  GalleryItem item;
  item.label = !defective ? "good" : open ? "open" : "copper";
  item.id = "test/" + item.label + "/board_" + std::to_string(1000 + i) + ".png";
  item.score = 0.008 + 0.04 * strength + 0.006 * random.uniform();
  item.p_value = defective ? 1.0 / (1 + 400 * strength) : 0.05 + 0.9 * random.uniform();
  item.width = item.height = side;
  item.input = png_of(side, side, [&](int x, int y) {
    const bool on = defective && inside(x, y) ? !open : track(x, y);
    return gray(on ? 215 : 38 + 4 * std::sin(x * 0.3 + y * 0.2));
  });
  item.reconstruction = png_of(side, side, [&](int x, int y) {
    double sum = 0;
    for (int dx = -1; dx <= 1; ++dx)
      for (int dy = -1; dy <= 1; ++dy) sum += track(x + dx, y + dy) ? 208 : 44;
    return gray(sum / 9);
  });
  item.heat = png_of(side, side, [&](int x, int y) { return heat_colour(error(x, y)); });
  const auto found = [&](int x, int y) { return error(x, y) > 0.35; };
  item.mask = png_of(side, side, [&](int x, int y) { return gray(found(x, y) ? 255 : 0); });
  item.truth = png_of(side, side, [&](int x, int y) { return gray(defective && inside(x, y) ? 255 : 0); });
  GalleryRegion region{side, side, 0, 0, 0, 0};
  int right = 0, bottom = 0;
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x) {
      if (!found(x, y)) continue;
      region.x = std::min(region.x, 1.0 * x);
      region.y = std::min(region.y, 1.0 * y);
      right = std::max(right, x + 1);
      bottom = std::max(bottom, y + 1);
      region.peak = std::max(region.peak, 0.06 * error(x, y));
      ++region.area;
    }
  }
  region.width = right - region.x;
  region.height = bottom - region.y;
  if (region.area > 0) item.regions.push_back(region);
  return item;
}

}  // namespace ae::report
