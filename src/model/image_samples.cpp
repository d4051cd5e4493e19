#include "model/image_samples.hpp"

#include <torch/types.h>

#include <algorithm>
#include <cmath>

namespace ae::model {

ImageSamples::ImageSamples(const data::Geometry& geometry, const data::AugmentOptions& augment)
    : geometry_(geometry), augment_(augment) {}

void ImageSamples::add(const data::ImageView& image, std::shared_ptr<const void> owner, data::Size original) {
  for (const auto& placement : geometry_.tiles(image.size())) {
    tiles_.push_back({images_.size(), placement.y, placement.x});
  }
  images_.push_back({image, original, std::move(owner)});
}

Batch ImageSamples::of_tiles(const std::vector<Tile>& tiles) const {
  const auto count = static_cast<std::int64_t>(tiles.size());
  Batch batch;
  batch.values = torch::empty({count, geometry_.channels, geometry_.height, geometry_.width});
  batch.observed = torch::empty_like(batch.values);
  const std::int64_t stride = batch.values.numel() / std::max<std::int64_t>(count, 1);
  float* values = batch.values.data_ptr<float>();
  float* observed = batch.observed.data_ptr<float>();
  for (const Tile& tile : tiles) {
    data::copy_tile(images_[tile.image].pixels, tile.y, tile.x, {geometry_.height, geometry_.width}, values, observed);
    values += stride;
    observed += stride;
  }
  return batch;
}

Batch ImageSamples::range(std::int64_t begin, std::int64_t end) const {
  return of_tiles({tiles_.begin() + begin, tiles_.begin() + end});
}

// dy and dx in [0, 1): where between -shift and +shift.
ImageSamples::Tile ImageSamples::shifted(const Tile& tile, double dy, double dx) const {
  const data::ImageView& image = images_[tile.image].pixels;
  const auto moved = [&](std::int64_t begin, double share, std::int64_t length, std::int64_t size) {
    const auto by = static_cast<std::int64_t>(share * static_cast<double>(2 * augment_.shift + 1)) - augment_.shift;
    return std::clamp<std::int64_t>(begin + by, 0, std::max<std::int64_t>(length - size, 0));
  };
  return {tile.image, moved(tile.y, dy, image.height, geometry_.height),
          moved(tile.x, dx, image.width, geometry_.width)};
}

Batch ImageSamples::batch(const std::vector<std::int64_t>& indices) const {
  std::vector<Tile> tiles;
  for (const auto i : indices) tiles.push_back(tiles_.at(static_cast<std::size_t>(i)));
  if (!augment_.any()) return of_tiles(tiles);

  constexpr std::int64_t kDraws = 5;
  const auto draws = torch::rand({static_cast<std::int64_t>(tiles.size()), kDraws}, torch::kFloat64);
  const double* draw = draws.data_ptr<double>();
  if (augment_.shift > 0) {
    for (std::size_t i = 0; i < tiles.size(); ++i) {
      tiles[i] = shifted(tiles[i], draw[i * kDraws], draw[i * kDraws + 1]);
    }
  }
  Batch batch = of_tiles(tiles);
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    const double* own = draw + i * kDraws;
    std::vector<std::int64_t> mirrored;
    if (augment_.flip_vertical && own[2] < 0.5) mirrored.push_back(1);
    if (augment_.flip_horizontal && own[3] < 0.5) mirrored.push_back(2);
    const auto quarters = augment_.rotate ? static_cast<std::int64_t>(4 * own[4]) : 0;
    if (mirrored.empty() && quarters == 0) continue;
    for (auto* tensor : {&batch.values, &batch.observed}) {
      auto sample = tensor->select(0, static_cast<std::int64_t>(i));
      sample.copy_(torch::rot90(torch::flip(sample, mirrored), quarters, {1, 2}));
    }
  }
  return batch;
}

}  // namespace ae::model
