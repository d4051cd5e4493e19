// How an image becomes what the network sees, and where the network's pixels lie in the image: resizing, then tiles.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/fields.hpp"

namespace ae::data {

struct Size {
  std::int64_t height = 0;
  std::int64_t width = 0;
  bool operator==(const Size&) const = default;
};
std::string size_text(Size size);  // "480 x 640" (height x width)

// Pixels [y, y + height) x [x, x + width).
struct Box {
  std::int64_t y = 0;
  std::int64_t x = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  bool operator==(const Box&) const = default;
};

// The config section "/data/resize": at most one of scale, long side, and fixed height and width.
struct ResizeOptions : config::Section {
  double scale = 1;
  std::int64_t long_side = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  void fields(config::Fields& f) override;
  void check(std::vector<config::Problem>& problems) const override;
};

// The config section "/data/tile".
struct TileOptions : config::Section {
  std::int64_t size = 0;
  std::int64_t stride = 0;
  std::int64_t margin = 0;
  void fields(config::Fields& f) override;
  void check(std::vector<config::Problem>& problems) const override;
  std::int64_t step() const { return stride > 0 ? stride : size - 2 * margin; }
};

// A tile and the part of the image it answers for, both in network pixels of the image. The parts of all tiles cover
// every pixel of the image exactly once; inside the image they keep `margin` pixels away from their tile's border.
struct Placement {
  std::int64_t y = 0;
  std::int64_t x = 0;
  Box keep;
};

// All that scoring must know of the images a model was trained on; stored in its checkpoint.
struct Geometry : config::Section {
  std::int64_t channels = 1;
  std::int64_t height = 0;  // of a training sample, in network pixels
  std::int64_t width = 0;
  ResizeOptions resize;
  TileOptions tile;
  void fields(config::Fields& f) override;
  void check(std::vector<config::Problem>& problems) const override;

  // Of the whole image in network pixels, at least 1 x 1.
  Size network_size(Size original) const;
  bool tiled() const { return tile.size > 0; }
  // Of one tile of an image of this network size: the image itself without tiles.
  Size tile_size(Size network) const { return tiled() ? Size{tile.size, tile.size} : network; }
  // Row by row. The first tile begins at pixel 0, the last one ends at the image's end; an image smaller than a tile
  // has one, which reaches beyond it (see copy_tile).
  std::vector<Placement> tiles(Size network) const;
  // The smallest box of original pixels that holds a box of network pixels.
  Box to_original(const Box& box, Size network, Size original) const;
};

}  // namespace ae::data
