// ae-score on images: one CSV line per image, and on request its map, mask, regions and reconstruction as files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apply/regions.hpp"
#include "base/files.hpp"
#include "base/reporter.hpp"
#include "base/world.hpp"
#include "data/images/geometry.hpp"
#include "recipe/checkpoint.hpp"

namespace ae::apply {

enum class Unreadable { report, ignore, stop };

// What a page of scored images shows of one.
struct ScoredImage {
  std::string id;
  std::string label;
  double score = 0;
  double p_value = 1;
  data::Size size;              // of the original
  std::vector<Region> regions;  // highest peak first
  // JPEG or PNG files, at most 320 pixels on the long side; "" when not asked for.
  std::string input;
  std::string reconstruction;
  std::string heat;
  std::string mask;
  std::string truth;
};

// The writer of such a page: it belongs to a room that this one must not know.
class ImagePage {
 public:
  struct Setting {
    std::optional<double> threshold;  // of the score, where it does not depend on the batch
    std::string threshold_rule;
    double heat_low = 0;  // map values of the ends of heat_colours()
    double heat_high = 1;
    double pixel_threshold = 0;
    std::string kind;  // of the map
  };
  virtual ~ImagePage() = default;
  virtual void begin(const Setting& setting) = 0;
  virtual bool wants_pictures(double score) const = 0;
  virtual void add(const ScoredImage& image) = 0;
};

struct ScoreImagesOptions {
  std::vector<std::string> inputs;  // folders, patterns, lists, images, stacks
  // At most one of these decides which images are flagged.
  std::optional<double> threshold;  // score >= threshold
  std::optional<double> alpha;      // p_value <= alpha
  std::optional<double> fdr;        // Benjamini-Hochberg over all images
  // What happens to an image that cannot be read. All are named; `stop` ends at the first one by InputError.
  Unreadable unreadable = Unreadable::report;

  // Empty = not wanted. Files are named after the id without its extension.
  std::filesystem::path maps;             // folder: ID.npy, ID.png, ID_overlay.png
  std::filesystem::path masks;            // folder: ID_mask.png
  std::filesystem::path reconstructions;  // folder: ID.png
  std::filesystem::path regions;          // CSV
  std::filesystem::path truth;            // folder of known masks, which the page shows; see evaluate::find_mask_file
  bool overwrite = false;                 // write into folders that hold something, over files that exist

  double pixel_alpha = 0.01;              // share of held-out good pixels above the pixel threshold
  std::optional<double> pixel_threshold;  // instead
  // A region's peak must be above what this share of held-out good images reach; by default 0.05, and 1 (any peak will
  // do) with a pixel threshold of the user's.
  std::optional<double> region_alpha;
  std::int64_t minimum_area = 1;  // original pixels
  std::int64_t opening = 1;       // side of a square, original pixels
  ImagePage* page = nullptr;      // told of every image
  World world;                    // of several processes, each scores its share of the images (see ScoreOptions)
};

struct ScoreImagesTotals {
  std::int64_t images = 0;  // scored
  std::int64_t flagged = 0;
  std::int64_t regions = 0;
  std::int64_t unreadable = 0;
};

// Columns: id,score,p_value[,flag][,label]. Regions: id,region,x,y,width,height,area,peak,mean,centroid_x,centroid_y.
// Memory does not grow with the images but for their names. Maps, masks, regions and reconstructions are in original
// pixels. UsageError, before anything is written, when outputs exist, names collide, or a pixel threshold is needed and
// the model holds no held-out images to find it. InputError when no image can be read.
ScoreImagesTotals score_images(const recipe::Checkpoint& checkpoint, const ScoreImagesOptions& options, Output& output,
                               Reporter& reporter);

}  // namespace ae::apply
