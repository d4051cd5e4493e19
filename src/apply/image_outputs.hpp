// What ae-score writes of images beside their scores: maps, masks, reconstructions, regions and a page.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apply/flagging.hpp"
#include "apply/named_files.hpp"
#include "apply/pictures.hpp"
#include "apply/regions.hpp"
#include "apply/score_images.hpp"
#include "evaluate/truth_files.hpp"
#include "report/gallery.hpp"
#include "score/maps.hpp"

namespace ae::apply {

struct AnsweredImage {
  const std::string& id;
  const std::string& label;
  data::Size size;                             // in original pixels
  const std::optional<data::Image>& original;  // there when wants_original()
  const at::Tensor& reconstruction;            // [channels, height, width], in network pixels
  const at::Tensor& map;                       // [height, width], likewise
  double score = 0;
  double p_value = 1;
};

// An image has regions when it is flagged, and then at least one; without a rule for flags, as RegionRule says. The
// page goes by its own threshold, which is that of the rule when there is one.
class ImageOutputs {
 public:
  // Everything given must outlive this. UsageError when a pixel threshold is needed and the head knows none.
  ImageOutputs(const ImageOptions& options, const ScoreOptions& asked, const score::MapHead& head,
               const std::string& model, const Flagging& flagging, Reporter& reporter);

  bool wants_original() const { return !options_.maps.empty() || page_; }
  // UsageError when two of these images would be written to one file, or what is written is one of `inputs`, the files
  // that hold them, or a known mask; InputError when there are known masks, but none of an image that may have defects.
  // Warns of masks that are of no image.
  void check(const std::vector<NamedImage>& images, std::vector<std::filesystem::path> inputs) const;
  void write(const AnsweredImage& image);
  std::int64_t regions() const { return found_; }
  // After the last image, and when it is known which ones are flagged: publishes regions and page.
  void finish();

 private:
  bool writes_by_name() const {
    return !options_.maps.empty() || !options_.masks.empty() || !options_.reconstructions.empty();
  }
  bool wants_regions() const { return !options_.masks.empty() || !options_.regions.empty() || page_; }
  // What stands behind the stem in the names of an image's files.
  static constexpr const char *kMap = ".npy", *kGrayMap = ".png", *kOverlay = "_overlay.png", *kMask = "_mask.png",
                              *kReconstruction = ".png";
  // An image of which all images together decide whether it is flagged, with its regions if it is.
  struct Waiting {
    std::string id;
    double score = 0;
    double p_value = 1;
    data::Size size;
    std::vector<Region> regions;
  };
  void check_truth(const std::vector<NamedImage>& images) const;
  void check_apart(const std::vector<NamedImage>& images, std::vector<std::filesystem::path> inputs) const;
  void decide_rule(const std::string& model);
  Regions regions_of(const at::Tensor& map, std::optional<bool> flagged) const;
  void decide(const Waiting& waiting);
  std::filesystem::path mask_path(const std::string& id) const { return named(options_.masks, id, kMask); }
  static std::filesystem::path named(const std::filesystem::path& folder, const std::string& id, const char* ending);
  void open_files();
  void begin_page(const std::string& model, const Flagging& flagging);
  void write_regions(const std::string& id, const std::vector<Region>& regions);  // and counts them
  void show(const AnsweredImage& image, const at::Tensor& map, const Regions& found);
  std::string truth_of(const AnsweredImage& image);

  const ImageOptions& options_;
  const ScoreOptions& asked_;
  const score::MapHead& head_;
  const Flagging& flagging_;
  Reporter& reporter_;
  RegionRule rule_;
  Scale colours_;  // of overlays
  Scale levels_;   // of 16-bit gray
  std::unique_ptr<Output> regions_file_, page_;
  std::unique_ptr<report::GalleryWriter> gallery_;  // writes the page
  std::vector<Waiting> waiting_;
  std::optional<evaluate::TruthFiles> truth_;
  std::int64_t found_ = 0;  // regions
};

}  // namespace ae::apply
