// Defect regions found in images against boxes drawn around the defects.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "evaluate/evaluation.hpp"

namespace ae::evaluate {

// In pixels, right and bottom edges excluded.
struct Box {
  double left = 0;
  double top = 0;
  double right = 0;
  double bottom = 0;
  std::string type;  // "" = none given
};

struct FoundRegion {
  Box box;
  double centre_x = 0;  // centroid; the box's centre when none is given
  double centre_y = 0;
};

// When a region matches a box; any of the conditions is enough.
struct BoxRule {
  bool centre = true;    // the region's centroid is inside the box
  bool overlap = false;  // they share any area
  double iou = 0.5;      // intersection over union is at least this; above 1: not a condition
  std::string text = "centre,iou=0.5";

  // Comma-separated "centre", "overlap", "iou=X" (0 < X <= 1); else UsageError.
  static BoxRule parse(std::string_view text);
  bool matches(const FoundRegion& region, const Box& box) const;
};

using BoxesOfImage = std::map<std::string, std::vector<Box>, std::less<>>;
using RegionsOfImage = std::map<std::string, std::vector<FoundRegion>, std::less<>>;

// A table with the columns x1, y1, x2, y2 or x, y, width, height, and optionally type. With `id_column` rows are
// collected by that column, else all under "". InputError, with the place, for everything that is wrong.
BoxesOfImage read_boxes(const std::filesystem::path& path, const std::string& id_column);

// What ae-score --regions writes: id, x, y, width, height and optionally centroid_x, centroid_y (pixel centres are at
// whole numbers).
RegionsOfImage read_regions(const std::filesystem::path& path);

// Adds up images; interval and order of types are settled by rates().
class BoxCounts {
 public:
  void add(const std::vector<Box>& boxes, const std::vector<FoundRegion>& regions, bool defective, const BoxRule& rule);
  BoxRates rates(double confidence) const;

 private:
  BoxRates rates_;
  std::map<std::string, BoxRates::OfType> types_;
};

}  // namespace ae::evaluate
