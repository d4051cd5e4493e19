#include "recipe/corruption.hpp"

#include <torch/types.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/random.hpp"
#include "recipe/synthetic_defects.hpp"

namespace ae::recipe {
namespace {

constexpr config::NumberRange kRate{0, 1};

// Makes numbers of `array`, one for each cell, 0 with the same probability, or, `varied`, with one of their row's own.
void blank(const Cells& cells, float* array, double rate, bool varied, std::uint64_t key) {
  const std::span draws(cells.scratch, static_cast<std::size_t>(cells.size()));
  const std::span rates(cells.scratch + cells.size(), static_cast<std::size_t>(cells.samples));
  fill_uniform(key, draws);
  if (varied) fill_uniform(mix64(key), rates);
  for (std::int64_t i = 0; i < cells.samples; ++i) {
    const float probability = static_cast<float>(rate) * (varied ? 2 * rates[static_cast<std::size_t>(i)] : 1.0f);
    const float* draw = cells.scratch + i * cells.elements;
    float* own = array + i * cells.elements;
    for (std::int64_t e = 0; e < cells.elements; ++e) own[e] = draw[e] >= probability ? own[e] : 0.0f;
  }
}

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
    if (domain.gridded()) {
      shape[1] = 1;  // all channels of a pixel together
      for (const std::size_t side : {2, 3}) shape[side] = (shape[side] + cell - 1) / cell;
    }
    std::vector<std::int64_t> per_sample(shape.size(), 1);
    per_sample[0] = batch.samples();
    auto probability = torch::full(per_sample, rate, batch.observed.options());
    if (varied) probability = (torch::rand(per_sample, batch.observed.options()) * (2 * rate)).clamp_max(1);
    auto kept = torch::rand(shape, batch.observed.options()) >= probability;
    if (domain.gridded() && cell > 1) {
      kept = kept.repeat_interleave(cell, 2).repeat_interleave(cell, 3);
      kept = kept.narrow(2, 0, batch.observed.size(2)).narrow(3, 0, batch.observed.size(3));
    }
    return {batch.values, batch.observed * kept};
  }
  bool fused() const override { return true; }
  void corrupt(const Cells& cells, std::uint64_t key) const override {
    blank(cells, cells.observed, rate, varied, key);
  }
  std::string complaint(const model::Domain& domain) const override {
    if (domain.gridded() || cell == 1) return "";
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
  bool fused() const override { return true; }
  void corrupt(const Cells& cells, std::uint64_t key) const override {
    fill_normal(key, {cells.scratch, static_cast<std::size_t>(cells.size())});
    for (std::int64_t i = 0, at = 0; i < cells.samples; ++i) {
      for (std::int64_t e = 0; e < cells.elements; ++e, ++at) {
        if ((*cells.categorical)[static_cast<std::size_t>(e)]) continue;
        cells.values[at] += cells.scratch[at] * static_cast<float>(sigma) * cells.observed[at];
      }
    }
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
  bool fused() const override { return true; }
  void corrupt(const Cells& cells, std::uint64_t key) const override {
    const auto size = static_cast<std::size_t>(cells.size());
    float* draws = cells.scratch;
    float* others = draws + size;
    float* before = others + size;
    fill_uniform(key, {draws, size});
    fill_uniform(mix64(key), {others, size});
    std::copy(cells.values, cells.values + size, before);
    for (std::size_t at = 0; at < size; ++at) {
      if (draws[at] >= static_cast<float>(rate) || cells.observed[at] == 0) continue;
      const auto row =
          std::min(static_cast<std::int64_t>(others[at] * static_cast<float>(cells.samples)), cells.samples - 1);
      const auto from = static_cast<std::size_t>(row * cells.elements) + at % static_cast<std::size_t>(cells.elements);
      if (cells.observed[from] != 0) cells.values[at] = before[from];
    }
  }
};

// Sets counts to 0, each with the same probability: molecules that were not caught look so.
class Drop final : public Corruption {
 public:
  double rate = 0.2;
  bool varied = false;
  void fields(config::Fields& f) override {
    f.number("rate", rate, kRate, "Probability that a count above 0 is shown to the network as 0.");
    f.boolean("varied", varied, "Draw each cell's own probability uniformly between 0 and twice the rate (at most 1).");
  }
  model::Batch apply(const model::Batch& batch, const model::Domain&) const override {
    auto probability = torch::full({batch.samples(), 1}, rate, batch.values.options());
    if (varied) probability = (torch::rand({batch.samples(), 1}, batch.values.options()) * (2 * rate)).clamp_max(1);
    return {batch.values * (torch::rand_like(batch.values) >= probability), batch.observed};
  }
  bool fused() const override { return true; }
  void corrupt(const Cells& cells, std::uint64_t key) const override { blank(cells, cells.values, rate, varied, key); }
  std::string complaint(const model::Domain& domain) const override {
    const auto counts = [](const model::Element& element) { return element.counts; };
    if (std::all_of(domain.elements.begin(), domain.elements.end(), counts)) return "";
    return "\"drop\" loses molecules of counts (/data/type \"counts\", with log1p); use \"mask\" for other data";
  }
};

// Changes every pixel by the same size, up or down, as attacks by the largest change of a pixel do. They agree in
// neighbours more than chance does, which white noise does not teach a network to take off.
class Signs final : public Corruption {
 public:
  double size = 0.3;
  double smooth = 0.8;
  void fields(config::Fields& f) override {
    f.number("size", size, {0, 1}, "Change of each pixel, up or down; pixels stay in [0, 1].");
    f.number(
        "smooth", smooth, {0, 100},
        "How far neighbours go the same way: the sign is that of white noise and so many times the same blurred by "
        "a Gaussian of one pixel, both of variance 1.");
  }
  model::Batch apply(const model::Batch& batch, const model::Domain&) const override {
    auto noise = torch::randn_like(batch.values);
    if (smooth > 0) noise = noise + smooth * blurred_noise(batch.values);
    return {(batch.values + size * noise.sign() * batch.observed).clamp(0, 1), batch.observed};
  }
  std::string complaint(const model::Domain& domain) const override {
    if (domain.gridded()) return "";
    return "\"signs\" changes the pixels of images; use \"gaussian\" for other data";
  }

 private:
  // Of the size of `images`. It is drawn with a margin, so that its variance is the same up to the border.
  static at::Tensor blurred_noise(const at::Tensor& images) {
    constexpr std::int64_t kReach = 3;
    auto kernel = torch::exp(-torch::arange(-kReach, kReach + 1, images.options()).square() / 2);
    kernel = kernel / kernel.norm();
    const auto planes =
        torch::randn({images.size(0) * images.size(1), 1, images.size(2) + 2 * kReach, images.size(3) + 2 * kReach},
                     images.options());
    return at::conv2d(at::conv2d(planes, kernel.view({1, 1, 1, -1})), kernel.view({1, 1, -1, 1})).view(images.sizes());
  }
};

template <typename T>
std::unique_ptr<Corruption> make_corruption() {
  return std::make_unique<T>();
}

constexpr std::array<config::Entry<Corruption>, 6> kCorruptions{{
    {"mask", "Hides cells from the network (masked-cell training).", make_corruption<Mask>},
    {"gaussian", "Adds normal noise to numeric cells.", make_corruption<Gaussian>},
    {"drop", "Shows counts as 0, as if their molecules had not been caught.", make_corruption<Drop>},
    {"swap", "Replaces cells (or pixels) by those of another row (or image) at the same place.", make_corruption<Swap>},
    {"signs", "Changes each pixel of images by the same size, up or down, as attacks do.", make_corruption<Signs>},
    {"synthetic", "Paints made-up defects on images, to be removed: blobs, scratches, patches of other images.",
     make_synthetic},
}};

}  // namespace

void Corruption::corrupt(const Cells&, std::uint64_t) const { throw std::logic_error("not a fused corruption"); }

std::span<const config::Entry<Corruption>> corruptions() { return kCorruptions; }

}  // namespace ae::recipe
