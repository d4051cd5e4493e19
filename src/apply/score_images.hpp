// ae-score on images: one CSV line per image, and on request its map, mask, regions and reconstruction as files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apply/image_batches.hpp"
#include "apply/score_samples.hpp"
#include "base/files.hpp"
#include "base/reporter.hpp"
#include "recipe/checkpoint.hpp"

namespace ae::apply {

struct ImageOptions {
  Unreadable unreadable = Unreadable::report;

  // Empty = not wanted. Files are named after the id without its extension.
  std::filesystem::path maps;             // folder: ID.npy, ID.png, ID_overlay.png
  std::filesystem::path masks;            // folder: ID_mask.png
  std::filesystem::path reconstructions;  // folder: ID.png
  std::filesystem::path regions;          // CSV
  std::filesystem::path truth;            // of known masks, which the page shows; see evaluate::TruthFiles

  double pixel_alpha = 0.01;              // share of held-out good pixels above the pixel threshold
  std::optional<double> pixel_threshold;  // instead
  // A region's peak must be above what this share of held-out good images reach; by default 0.05, and 1 (any peak will
  // do) with a pixel threshold of the user's.
  std::optional<double> region_alpha;
  std::int64_t minimum_area = 1;  // original pixels
  std::int64_t opening = 1;       // side of a square, original pixels
};

struct ImageTotals {
  FlagTotals flags;
  std::int64_t regions = 0;
  std::int64_t unreadable = 0;
};

// Columns: those of Flagging; the page shows all images, and outputs are overwritten, as `options` says. Regions:
// id,region,x,y,width,height,area,peak,mean,centroid_x,centroid_y. Memory does not grow with the images but for their
// names. Maps, masks, regions and reconstructions are in original pixels. UsageError, before anything is written, when
// outputs exist or would be written over an image or a known mask, names collide, or a pixel threshold is needed and
// the model holds no held-out images to find it. InputError when no image can be read.
ImageTotals score_images(const recipe::Checkpoint& checkpoint, const ScoreOptions& options, const ImageOptions& details,
                         Output& output, Reporter& reporter);

}  // namespace ae::apply
