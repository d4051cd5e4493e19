// Defects as regions of an error map.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace ae::apply {

// In original pixels; the pixel in the upper left corner is (0, 0), its centre too.
struct Region {
  std::int64_t x = 0;  // left edge
  std::int64_t y = 0;  // top edge
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::int64_t area = 0;  // pixels
  double peak = 0;        // largest map value
  double mean = 0;        // of the map
  double centroid_x = 0;  // mean position of its pixels
  double centroid_y = 0;
};

struct RegionRule {
  double threshold = 0;           // pixels above it belong to regions
  double peak = 0;                // a region counts when one of its pixels is above this
  std::int64_t minimum_area = 1;  // and when it has so many pixels
  std::int64_t opening = 1;       // side of the square that must fit into a region around each of its pixels
};

struct Regions {
  at::Tensor mask;              // [height, width] uint8: 255 inside regions, else 0
  std::vector<Region> regions;  // highest peak first, then from the top, then from the left
};

// Connected components (pixels touch by edge or corner) of the thresholded and opened map [height, width] float32 that
// the rule lets count. Mask and regions tell the same.
Regions find_regions(const at::Tensor& map, const RegionRule& rule);

// The one region around the largest value: its connected component of pixels that are not below `threshold`, or of
// those that reach that value when it is lower.
Regions strongest_region(const at::Tensor& map, double threshold);

}  // namespace ae::apply
