// ROC statistics of error maps against masks, over any number of pixels in constant memory.
//
// Maps are looked at twice. A survey counts how often the leading 16 bits of a value (sign, exponent, 7 bits of
// fraction) occur; then each of these slices is divided into as many bins as its share of the pixels asks for, down to
// single float values. So bins are fine where pixels are, whatever the range or shape of the values, and maps that are
// constant up to their last bits still count exactly. Pixels in one bin are treated as ties.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "evaluate/evaluation.hpp"
#include "evaluate/pixel_maps.hpp"

namespace ae::evaluate {

// One image's map and what is known of its pixels. defect.empty(): no pixel is a defect.
struct ImagePixels {
  std::span<const float> values;  // finite
  std::span<const std::uint8_t> defect;
  std::span<const float> weight;  // of each pixel: 1 / size of its defect region, 0 outside; empty like `defect`
  std::int64_t regions = 0;
};

// Connected components of a mask; pixels touch by edge or corner.
struct DefectRegions {
  std::int64_t count = 0;
  std::vector<float> weight;  // of each pixel: 1 / size of its region, 0 outside
};
DefectRegions find_defect_regions(const DefectMask& mask);

class PixelSurvey {
 public:
  static constexpr std::size_t slices = 1 << 16;
  PixelSurvey() : normal_(slices), defect_(slices) {}
  void add(const ImagePixels& image);
  const std::vector<std::int64_t>& normal() const { return normal_; }
  const std::vector<std::int64_t>& defect() const { return defect_; }

 private:
  std::vector<std::int64_t> normal_;
  std::vector<std::int64_t> defect_;
};

class PixelBins {
 public:
  // About `wanted` bins, at least one for each slice that occurs.
  explicit PixelBins(const PixelSurvey& survey, std::size_t wanted = 1 << 16);
  std::size_t size() const { return size_; }
  // Rises with the value. Only for values that the survey has seen.
  std::uint32_t of(float value) const;

 private:
  struct Slice {
    std::uint32_t first = 0;  // its first bin
    std::uint32_t shift = 16;
  };
  std::vector<Slice> slices_;
  std::size_t size_ = 0;
};

// What was counted in each bin. All statistics are sums over images, so counts of parts can be added.
struct PixelCounts {
  PixelCounts() = default;
  explicit PixelCounts(std::size_t bins) : normal(bins), defect(bins), region(bins) {}
  void add(const PixelBins& bins, const ImagePixels& image);
  void add(const PixelCounts& other);

  std::vector<double> normal;  // pixels; doubles hold whole numbers up to 2^53 exactly
  std::vector<double> defect;
  std::vector<double> region;  // sum over pixels of 1 / size of their region
  std::int64_t images = 0;
  std::int64_t regions = 0;
};

// nullopt without defect pixels or without normal ones.
std::optional<PixelRates> pixel_rates(const PixelCounts& counts);

// Intervals from resampled images: in each resample an image counts Poisson(1) times (the bootstrap for streams:
// Chamandy et al. 2012), on about 2,000 bins joined from `counts`' own. Memory does not grow with the images.
class PixelBootstrap {
 public:
  PixelBootstrap(const PixelBins& bins, const PixelCounts& all, std::int64_t resamples, std::uint64_t seed);
  void add(const ImagePixels& image);
  // nullopt when fewer than two images have defects, or two have none, or resamples is 0.
  std::optional<PixelIntervals> intervals(double confidence) const;

 private:
  const PixelBins& bins_;
  std::vector<std::uint32_t> joined_;  // bin -> joined bin
  std::size_t width_ = 0;              // joined bins
  PixelCounts own_;                    // all images in joined bins
  PixelCounts image_;                  // scratch
  std::vector<PixelCounts> resamples_;
  PixelRates exact_;
  std::uint64_t seed_;
  std::uint64_t images_ = 0;
  std::int64_t defective_ = 0;
};

}  // namespace ae::evaluate
