// The tiles of images: a training set. Pixels stay where they are, in memory or in a mapped file, and in their file's
// numbers (8, 16 or 32 bit) until a batch asks for them.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "data/images/images.hpp"
#include "model/batch.hpp"

namespace ae::model {

class ImageSamples final : public Samples {
 public:
  ImageSamples(const data::Geometry& geometry, const data::AugmentOptions& augment);
  // `image` at its network size, with the geometry's channels; without tiles it must have the geometry's height and
  // width. `owner` keeps its pixels. `original`: its size before resizing.
  void add(const data::ImageView& image, std::shared_ptr<const void> owner, data::Size original);

  std::int64_t size() const override { return static_cast<std::int64_t>(tiles_.size()); }
  // Tile by tile, image after image. Where a tile reaches beyond its image nothing is observed, and the values repeat
  // the image's border.
  Batch batch(const std::vector<std::int64_t>& indices) const override;
  Batch range(std::int64_t begin, std::int64_t end) const override;
  bool has_missing() const override { return false; }

  const data::Geometry& geometry() const { return geometry_; }
  std::int64_t image_count() const { return static_cast<std::int64_t>(images_.size()); }
  const data::ImageView& image(std::int64_t i) const { return images_.at(static_cast<std::size_t>(i)).pixels; }
  data::Size original(std::int64_t i) const { return images_.at(static_cast<std::size_t>(i)).original; }

 private:
  struct Placed {
    data::ImageView pixels;
    data::Size original;
    std::shared_ptr<const void> owner;
  };
  struct Tile {
    std::size_t image;
    std::int64_t y;
    std::int64_t x;
  };
  Batch of_tiles(const std::vector<Tile>& tiles) const;
  Tile shifted(const Tile& tile, double dy, double dx) const;

  data::Geometry geometry_;
  data::AugmentOptions augment_;
  std::vector<Placed> images_;
  std::vector<Tile> tiles_;
};

}  // namespace ae::model
