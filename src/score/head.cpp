#include "score/head.hpp"

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "score/maps.hpp"

namespace ae::score {
namespace {

// The reconstruction loss itself: the weighted mean over the observed elements.
class LossHead final : public Head {
 public:
  at::Tensor shares(const model::Batch& batch, const loss::Reconstruction& reconstruction) const override {
    const auto observed = batch.observed.flatten(1).sum(1, true).clamp_min(1).to(torch::kFloat64);
    return reconstruction.elements.flatten(1).to(torch::kFloat64) / observed;
  }
};

constexpr std::array<config::Entry<Head>, 2> kHeads{{
    {"loss", "The reconstruction loss of a row: the weighted mean over its observed cells; of images, \"map\".",
     [] { return std::unique_ptr<Head>(std::make_unique<LossHead>()); }},
    {"map", "The error map of an image: its most erroneous pixels, against those of held-out good images.", make_map},
}};

constexpr std::int64_t kRowsAtOnce = 1024;
constexpr std::int64_t kPixelsAtOnce = 1 << 20;

std::int64_t samples_at_once(const model::Domain& domain) {
  if (!domain.images()) return kRowsAtOnce;
  return std::clamp<std::int64_t>(kPixelsAtOnce / (domain.grid[0] * domain.grid[1]), 1, kRowsAtOnce);
}

}  // namespace

std::span<const config::Entry<Head>> heads() { return kHeads; }

double make_sum_exact(double* shares, std::int64_t count) {
  double magnitude = 0;
  for (std::int64_t j = 0; j < count; ++j) magnitude += std::abs(shares[j]);
  if (magnitude == 0 || !std::isfinite(magnitude)) return magnitude;
  const double quantum = std::ldexp(1.0, std::max(std::ilogb(magnitude) - 51, -1074));
  double sum = 0;
  for (std::int64_t j = 0; j < count; ++j) {
    shares[j] = std::nearbyint(shares[j] / quantum) * quantum;
    sum += shares[j];
  }
  return sum;
}

Scored score(const loss::Autoencoder& autoencoder, const Head& head, const model::Batch& batch) {
  const auto reconstruction = autoencoder.reconstruct(batch);
  Scored scored;
  scored.shares = head.shares(batch, reconstruction).contiguous();
  scored.expected = reconstruction.expected.flatten(1).to(torch::kFloat64).contiguous();
  const std::int64_t elements = scored.shares.size(1);
  scored.scores.resize(static_cast<std::size_t>(batch.samples()));
  for (std::int64_t i = 0; i < batch.samples(); ++i) {
    scored.scores[static_cast<std::size_t>(i)] =
        make_sum_exact(scored.shares.data_ptr<double>() + i * elements, elements);
  }
  return scored;
}

std::vector<double> scores_of(const loss::Autoencoder& autoencoder, const Head& head, const model::Samples& samples) {
  std::vector<double> all;
  all.reserve(static_cast<std::size_t>(samples.size()));
  const std::int64_t at_once = samples_at_once(autoencoder.domain());
  for (std::int64_t begin = 0; begin < samples.size(); begin += at_once) {
    const auto scored = score(autoencoder, head, samples.range(begin, std::min(begin + at_once, samples.size())));
    all.insert(all.end(), scored.scores.begin(), scored.scores.end());
  }
  return all;
}

}  // namespace ae::score
