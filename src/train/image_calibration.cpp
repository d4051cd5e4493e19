#include "train/image_calibration.hpp"

#include <torch/torch.h>

#include <algorithm>

#include "base/random.hpp"

namespace ae::train {
namespace {

constexpr std::string_view kDefects = "synthetic_defects";

// One tile of the image, or all of it, with synthetic defects.
score::SyntheticImage damage(const at::Tensor& image, const Corruption& corruption, const model::Domain& domain,
                             std::uint64_t key) {
  constexpr int kTries = 16;  // corruption leaves some images clean
  torch::manual_seed(key);
  Random random(key);
  score::SyntheticImage damaged;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    damaged.image = image.clone();
    const auto height = std::min(domain.grid[0], image.size(1)), width = std::min(domain.grid[1], image.size(2));
    const auto y = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(image.size(1) - height + 1)));
    const auto x = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(image.size(2) - width + 1)));
    auto tile = damaged.image.narrow(1, y, height).narrow(2, x, width);
    const auto values = tile.unsqueeze(0).contiguous();
    tile.copy_(corruption.apply({values, torch::ones_like(values)}, domain).values.squeeze(0));
    damaged.mask = ((damaged.image - image).abs().amax(0) > 1e-3).to(torch::kFloat32);
    if (damaged.mask.max().item<float>() > 0) break;
  }
  return damaged;
}

}  // namespace

std::vector<double> calibrate_map_head(score::MapHead& head, const loss::Autoencoder& autoencoder,
                                       const data::Geometry& geometry, const model::ImageSamples& held_out,
                                       std::int64_t most, const CorruptionList& corruption, std::uint64_t seed,
                                       Reporter& reporter) {
  const torch::NoGradGuard no_grad;
  config::Variant<Corruption> defaults(corruptions(), kDefects);
  const Corruption* defects = &*defaults;
  for (const auto& item : corruption) {
    if (item.type() == kDefects) defects = &*item;
  }
  const std::int64_t count = std::min(most, held_out.images());
  const auto chosen = [&, count](std::int64_t i) { return i * held_out.images() / count; };
  score::GoodImages images;
  images.count = count;
  images.load = [&](std::int64_t i) { return score::to_tensor(held_out.image(chosen(i))); };
  images.original = [&](std::int64_t i) { return held_out.original(chosen(i)); };
  images.damaged = [&](const at::Tensor& image, std::int64_t i) {
    return damage(image, *defects, autoencoder.domain(),
                  stream_key(seed, "defects to choose a map by", static_cast<std::uint64_t>(chosen(i))));
  };
  const score::Reconstructor reconstruct(autoencoder, geometry);
  return head.calibrate(reconstruct, images, reporter);
}

}  // namespace ae::train
