#include "train/corruption.hpp"

#include <torch/torch.h>

#include <array>
#include <limits>

#include "train/synthetic_defects.hpp"

namespace ae::train {
namespace {

constexpr config::NumberRange kRate{0, 1};

// Hides observed cells, each with the same probability; the loss still asks for them.
class Mask final : public Corruption {
 public:
  double rate = 0.2;
  bool varied = false;
  std::int64_t cell = 1;
  void fields(config::Fields& f) override {
    f.number("rate", rate, kRate, "Probability that an observed cell is hidden from the network.");
    f.boolean("varied", varied, "Draw each row's own probability uniformly between 0 and twice the rate (at most 1).");
    f.integer("cell", cell, {1, 4096}, "Side, in pixels, of the squares hidden from images; 1 for tables.");
  }
  model::Batch apply(const model::Batch& batch, const model::Domain& domain) const override {
    auto shape = batch.observed.sizes().vec();
    if (domain.images()) {
      shape[1] = 1;  // all channels of a pixel together
      for (const std::size_t side : {2, 3}) shape[side] = (shape[side] + cell - 1) / cell;
    }
    std::vector<std::int64_t> per_sample(shape.size(), 1);
    per_sample[0] = batch.samples();
    auto probability = torch::full(per_sample, rate, batch.observed.options());
    if (varied) probability = (torch::rand(per_sample, batch.observed.options()) * (2 * rate)).clamp_max(1);
    auto kept = torch::rand(shape, batch.observed.options()) >= probability;
    if (domain.images() && cell > 1) {
      kept = kept.repeat_interleave(cell, 2).repeat_interleave(cell, 3);
      kept = kept.narrow(2, 0, batch.observed.size(2)).narrow(3, 0, batch.observed.size(3));
    }
    return {batch.values, batch.observed * kept};
  }
  std::string complaint(const model::Domain& domain) const override {
    if (domain.images() || cell == 1) return "";
    return "\"cell\" is the size of hidden squares of images; table cells are hidden one by one: leave it out";
  }
  double mask_rate() const override { return rate; }
};

// Adds normal noise to numeric cells.
class Gaussian final : public Corruption {
 public:
  double sigma = 0.1;
  void fields(config::Fields& f) override {
    f.number(
        "sigma", sigma, {0, std::numeric_limits<double>::infinity()},
        "Standard deviation of the noise added to numeric cells, in scaled units, or to pixels, which lie in [0, 1].");
  }
  model::Batch apply(const model::Batch& batch, const model::Domain& domain) const override {
    std::vector<float> numeric;
    for (const auto& element : domain.elements) numeric.push_back(element.categorical() ? 0.0f : 1.0f);
    std::vector<std::int64_t> per_element(static_cast<std::size_t>(batch.values.dim()), 1);
    per_element[1] = static_cast<std::int64_t>(numeric.size());
    const auto scale = torch::tensor(numeric).to(batch.values.scalar_type()).view(per_element) * sigma;
    return {batch.values + torch::randn_like(batch.values) * scale * batch.observed, batch.observed};
  }
};

// Replaces observed cells by the same column's cell of another row of the batch, where that is observed.
class Swap final : public Corruption {
 public:
  double rate = 0.1;
  void fields(config::Fields& f) override {
    f.number("rate", rate, kRate, "Probability that a cell is replaced by the same column's cell of another row.");
  }
  model::Batch apply(const model::Batch& batch, const model::Domain&) const override {
    const auto other = torch::randint(batch.samples(), batch.values.sizes(), torch::kInt64);
    const auto usable = batch.observed.gather(0, other) * batch.observed;
    const auto chosen = (torch::rand_like(batch.observed) < rate).logical_and(usable > 0);
    return {torch::where(chosen, batch.values.gather(0, other), batch.values), batch.observed};
  }
};

template <typename T>
std::unique_ptr<Corruption> make() {
  return std::make_unique<T>();
}

constexpr std::array<config::Entry<Corruption>, 4> kCorruptions{{
    {"mask", "Hides cells from the network (masked-cell training).", make<Mask>},
    {"gaussian", "Adds normal noise to numeric cells.", make<Gaussian>},
    {"swap", "Replaces cells (or pixels) by those of another row (or image) at the same place.", make<Swap>},
    {"synthetic", "Paints made-up defects on images, to be removed: blobs, scratches, patches of other images.",
     make_synthetic},
}};

}  // namespace

std::span<const config::Entry<Corruption>> corruptions() { return kCorruptions; }

}  // namespace ae::train
