// A page of scored images: what went in, what came back, where it differs, and how strange that is. One HTML file that
// works offline, sorted by score, with filters by type and a threshold slider over the histogram of scores.
//
// The page is written while images are scored: memory does not grow with their pictures. A gallery is as large as its
// pictures (4/3 bytes a byte), so they should be thumbnails: at most about 320 pixels on the long side.
//
//   GalleryWriter gallery(output, "Board inspection", {.threshold = 0.031});
//   for each image: gallery.add({.id = id, .score = score, ..., .input = thumbnail});
//   gallery.finish();
//   output.commit();
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/files.hpp"

namespace ae::report {

// The colours of the heat maps: evenly spaced from the map value `low` to `high`, at least two.
struct HeatScale {
  double low = 0;
  double high = 1;
  std::vector<std::array<std::uint8_t, 3>> colours;  // red, green, blue
};

struct GalleryOptions {
  std::optional<double> threshold;                         // an image is flagged when score >= threshold; finite
  std::string threshold_rule;                              // how it was found, for people: "99 % of held-out good"
  std::vector<std::string> normal_labels = {"good"};       // of the items' labels; all others are defects
  std::optional<HeatScale> heat_scale;                     // nullopt: no colour bar
  std::string command;                                     // the command line that made it; "" = not shown
  std::vector<std::pair<std::string, std::string>> facts;  // further lines for the run's facts: name, value
  std::int64_t most_pictures = 2000;  // images with pictures; of the later ones only flagged ones get some (as many
                                      // again), the others are counted in the histogram alone
};

// In pixels of the original image.
struct GalleryRegion {
  double x = 0;  // left edge
  double y = 0;  // top edge
  double width = 0;
  double height = 0;
  double area = 0;
  double peak = 0;  // largest map value inside
};

// Pictures are whole PNG or JPEG files, all of the same aspect ratio; "" = there is none. Text may hold any bytes.
struct GalleryItem {
  std::string id;     // "test/copper/00041_00.png"
  std::string label;  // its type: "good", "copper"; "" = unknown
  double score = 0;   // finite
  std::optional<double> p_value;
  std::int64_t width = 0;  // of the original image, in pixels
  std::int64_t height = 0;
  std::vector<GalleryRegion> regions;  // the largest peaks first; the first 100 are drawn
  std::string input;
  std::string reconstruction;
  std::string heat;   // error map in colour
  std::string mask;   // what was found: black and white
  std::string truth;  // what should have been found: black and white
};

class GalleryWriter {
 public:
  // `output` must outlive the writer. std::invalid_argument for a threshold that is not finite.
  GalleryWriter(Output& output, std::string title, GalleryOptions options);

  // Whether pictures of an image with this score would be kept: making thumbnails can be saved when not.
  bool wants_pictures(double score) const;

  // std::invalid_argument for a score that is not finite or pictures that are neither PNG nor JPEG.
  void add(const GalleryItem& item);

  // Writes the rest of the page. Once; nothing may be added afterwards. The caller commits the output.
  void finish();

 private:
  Output& output_;
  std::string title_;
  GalleryOptions options_;
  std::int64_t items_ = 0;
  std::int64_t pictured_ = 0;
  std::array<bool, 5> kept_ = {};  // which kinds of pictures there are
  bool finished_ = false;
};

}  // namespace ae::report
