#include "recipe/good_images.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>

#include "base/random.hpp"
#include "recipe/synthetic_defects.hpp"

namespace ae::recipe {
namespace {

// Pixels of a training sample at a random place of the image, or as much of one as fits.
data::Box place_of(const at::Tensor& image, data::Size sample, Random& random) {
  const auto height = std::min(sample.height, image.size(1)), width = std::min(sample.width, image.size(2));
  const auto y = random.below(static_cast<std::uint64_t>(image.size(1) - height + 1));
  const auto x = random.below(static_cast<std::uint64_t>(image.size(2) - width + 1));
  return {static_cast<std::int64_t>(y), static_cast<std::int64_t>(x), height, width};
}

at::Tensor cut(const at::Tensor& planes, const data::Box& box) {
  return planes.narrow(-2, box.y, box.height).narrow(-1, box.x, box.width);
}

}  // namespace

score::GoodImages good_images(std::shared_ptr<const model::ImageSamples> held_out, const CorruptionList& corruption,
                              std::uint64_t seed, std::int64_t most) {
  static const SyntheticDefects defaults;
  const SyntheticDefects* defects = &defaults;
  for (const auto& item : corruption) {
    if (const auto* own = dynamic_cast<const SyntheticDefects*>(&*item)) defects = own;
  }
  const std::int64_t count = std::min(most, held_out->image_count());
  const auto chosen = [held_out, count](std::int64_t i) { return i * held_out->image_count() / count; };
  score::GoodImages images;
  images.geometry = held_out->geometry();
  images.count = count;
  images.load = [=](std::int64_t i) { return score::to_tensor(held_out->image(chosen(i))); };
  images.original = [=](std::int64_t i) { return held_out->original(chosen(i)); };
  // Defects have the size of a training sample, so they are made in one of the image's many places.
  images.damaged = [=, load = images.load](const at::Tensor& image, std::int64_t i) {
    const torch::NoGradGuard no_grad;
    const auto& geometry = held_out->geometry();
    Random random(stream_key(seed, "defects to choose a map by", static_cast<std::uint64_t>(chosen(i))));
    score::SyntheticImage damaged{image.clone(), torch::zeros({image.size(1), image.size(2)})};
    const auto box = place_of(image, {geometry.height, geometry.width}, random);
    const auto other = load((i + 1) % count);
    const bool same_size = other.sizes() == image.sizes();
    const auto sample = defects->draw(cut(image, box), cut(same_size ? other : image, box), random);
    // The network may have learned to remove exactly such defects, and real ones are often fainter: half of them are
    // at half strength.
    const double strength = random.below(2) == 0 ? 1.0 : 0.5;
    auto place = cut(damaged.image, box);
    place.copy_(place + strength * (sample.image - place));
    cut(damaged.mask, box).copy_(sample.mask);
    return damaged;
  };
  return images;
}

}  // namespace ae::recipe
