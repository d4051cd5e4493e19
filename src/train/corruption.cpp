#include "train/corruption.hpp"

#include <torch/torch.h>

#include <array>
#include <limits>

namespace ae::train {
namespace {

constexpr config::NumberRange kRate{0, 1};

// Hides observed cells, each with the same probability; the loss still asks for them.
class Mask final : public Corruption {
 public:
  double rate = 0.2;
  bool varied = false;
  void fields(config::Fields& f) override {
    f.number("rate", rate, kRate, "Probability that an observed cell is hidden from the network.");
    f.boolean("varied", varied, "Draw each row's own probability uniformly between 0 and twice the rate (at most 1).");
  }
  model::Batch apply(const model::Batch& batch, const std::vector<model::Element>&) const override {
    auto probability = torch::full({batch.samples(), 1}, rate, batch.observed.options());
    if (varied) probability = (torch::rand({batch.samples(), 1}, batch.observed.options()) * (2 * rate)).clamp_max(1);
    const auto kept = torch::rand_like(batch.observed) >= probability;
    return {batch.values, batch.observed * kept};
  }
  double mask_rate() const override { return rate; }
};

// Adds normal noise to numeric cells.
class Gaussian final : public Corruption {
 public:
  double sigma = 0.1;
  void fields(config::Fields& f) override {
    f.number("sigma", sigma, {0, std::numeric_limits<double>::infinity()},
             "Standard deviation of the noise added to numeric cells, in scaled units.");
  }
  model::Batch apply(const model::Batch& batch, const std::vector<model::Element>& elements) const override {
    std::vector<float> numeric;
    for (const auto& element : elements) numeric.push_back(element.categorical() ? 0.0f : 1.0f);
    const auto scale = torch::tensor(numeric).to(batch.values.scalar_type()) * sigma;
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
  model::Batch apply(const model::Batch& batch, const std::vector<model::Element>&) const override {
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

constexpr std::array<config::Entry<Corruption>, 3> kCorruptions{{
    {"mask", "Hides cells from the network (masked-cell training).", make<Mask>},
    {"gaussian", "Adds normal noise to numeric cells.", make<Gaussian>},
    {"swap", "Replaces cells by another row's value of the same column.", make<Swap>},
}};

}  // namespace

std::span<const config::Entry<Corruption>> corruptions() { return kCorruptions; }

}  // namespace ae::train
