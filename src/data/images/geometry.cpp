#include "data/images/geometry.hpp"

#include <algorithm>
#include <cmath>

namespace ae::data {
namespace {

constexpr std::int64_t kMostPixels = 1 << 16;  // along one side

struct Span {
  std::int64_t begin;
  std::int64_t keep_begin;
  std::int64_t keep_end;
};

// Tiles along one side. Neighbours share the overlap at its middle, so that both keep their distance from it.
std::vector<Span> spans(std::int64_t length, std::int64_t size, std::int64_t step) {
  std::vector<std::int64_t> begins{0};
  while (begins.back() + size < length) begins.push_back(std::min(begins.back() + step, length - size));
  std::vector<Span> all;
  for (std::size_t i = 0; i < begins.size(); ++i) {
    const std::int64_t from = i == 0 ? 0 : all.back().keep_end;
    const std::int64_t to = i + 1 == begins.size() ? length : (begins[i + 1] + begins[i] + size) / 2;
    all.push_back({begins[i], from, to});
  }
  return all;
}

std::int64_t scaled(std::int64_t length, double factor) {
  return std::max<std::int64_t>(1, std::llround(static_cast<double>(length) * factor));
}

// [begin, end) of `from` pixels as pixels of `to`, rounded outwards.
std::pair<std::int64_t, std::int64_t> mapped(std::int64_t begin, std::int64_t end, std::int64_t from, std::int64_t to) {
  return {begin * to / from, std::min(to, (end * to + from - 1) / from)};
}

}  // namespace

std::string size_text(Size size) { return std::to_string(size.height) + " x " + std::to_string(size.width); }

void ResizeOptions::fields(config::Fields& f) {
  f.number("scale", scale, {0, 16, true}, "Factor on both sides of an image.");
  f.integer("long_side", long_side, {0, kMostPixels}, "Length of the longer side in pixels, at any shape; 0 for none.");
  f.integer("height", height, {0, kMostPixels}, "Height in pixels, together with a width; 0 for none.");
  f.integer("width", width, {0, kMostPixels}, "Width in pixels, together with a height; 0 for none.");
}

void ResizeOptions::check(std::vector<config::Problem>& problems) const {
  if ((height > 0) != (width > 0)) {
    problems.push_back({height > 0 ? "/width" : "/height", "found 0, expected both \"height\" and \"width\", or none"});
  }
  if ((scale != 1 ? 1 : 0) + (long_side > 0 ? 1 : 0) + (height > 0 || width > 0 ? 1 : 0) > 1) {
    problems.push_back({"",
                        "found several ways to resize, expected one of \"scale\", \"long_side\", or \"height\" "
                        "with \"width\"; remove the others"});
  }
}

void TileOptions::fields(config::Fields& f) {
  f.integer("size", size, {0, kMostPixels},
            "Side in pixels, after resizing, of the squares an image is cut into; 0 takes images whole.");
  f.integer("stride", stride, {0, kMostPixels},
            "Pixels from one tile to the next; 0 for the size without both margins.");
  f.integer(
      "margin", margin, {0, kMostPixels},
      "Pixels along a tile's border whose scores are left to the neighbouring tiles, which see more around them.");
}

void TileOptions::check(std::vector<config::Problem>& problems) const {
  if (size == 0) {
    if (stride > 0 || margin > 0) problems.push_back({"", "found no \"size\", which \"stride\" and \"margin\" need"});
    return;
  }
  if (2 * margin >= size) {
    problems.push_back({"/margin", "found " + std::to_string(margin) + ", which leaves nothing of a tile of " +
                                       std::to_string(size) + " pixels; expected less than half of it"});
  } else if (stride > size - 2 * margin) {
    problems.push_back({"/stride", "found " + std::to_string(stride) +
                                       ", which leaves pixels between the tiles' "
                                       "margins uncovered; expected at most " +
                                       std::to_string(size - 2 * margin)});
  }
}

void Geometry::fields(config::Fields& f) {
  f.integer("channels", channels, {1, 64}, "Channels of an image.");
  f.integer("height", height, {1, kMostPixels}, "Height of a training sample in pixels.");
  f.integer("width", width, {1, kMostPixels}, "Width of a training sample in pixels.");
  f.section("resize", resize, "How images are resized.");
  f.section("tile", tile, "How images are cut into tiles.");
}

void Geometry::check(std::vector<config::Problem>& problems) const {
  if (tiled() && (height != tile.size || width != tile.size)) {
    problems.push_back(
        {"", "samples of " + size_text({height, width}) + " pixels are no tiles of " + std::to_string(tile.size)});
  }
}

Size Geometry::network_size(Size original) const {
  if (resize.height > 0) return {resize.height, resize.width};
  double factor = resize.scale;
  if (resize.long_side > 0) {
    factor = static_cast<double>(resize.long_side) / static_cast<double>(std::max(original.height, original.width));
  }
  return factor == 1 ? original : Size{scaled(original.height, factor), scaled(original.width, factor)};
}

std::vector<Placement> Geometry::tiles(Size network) const {
  if (!tiled()) return {{0, 0, {0, 0, network.height, network.width}}};
  std::vector<Placement> all;
  const auto columns = spans(network.width, tile.size, tile.step());
  for (const Span& row : spans(network.height, tile.size, tile.step())) {
    for (const Span& column : columns) {
      all.push_back(
          {row.begin,
           column.begin,
           {row.keep_begin, column.keep_begin, row.keep_end - row.keep_begin, column.keep_end - column.keep_begin}});
    }
  }
  return all;
}

Box Geometry::to_original(const Box& box, Size network, Size original) const {
  const auto [top, bottom] = mapped(box.y, box.y + box.height, network.height, original.height);
  const auto [left, right] = mapped(box.x, box.x + box.width, network.width, original.width);
  return {top, left, bottom - top, right - left};
}

}  // namespace ae::data
