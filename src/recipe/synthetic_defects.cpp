#include "recipe/synthetic_defects.hpp"

#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace ae::recipe {
namespace {

constexpr float kVisible = 0.02f;  // a smaller change of a pixel in [0, 1] is left undone
constexpr double kTurn = 2 * std::numbers::pi;

double between(Random& random, double low, double high) { return low + (high - low) * random.uniform(); }

// The pixels of one defect, without repetition and without those of earlier defects, which inverting twice could undo.
class Region {
 public:
  Region(std::int64_t height, std::int64_t width)
      : height_(height), width_(width), taken_(static_cast<std::size_t>(height * width), 0) {}
  const std::vector<std::int64_t>& pixels() const { return pixels_; }
  void begin_next() { pixels_.clear(); }
  // Pixels within `reach` of (y, x) that `inside` accepts; it gets the distances from there.
  template <typename Inside>
  void add(double y, double x, double reach, Inside&& inside) {
    const auto first = [&](double centre) { return std::max<std::int64_t>(0, std::llround(centre - reach)); };
    const auto last = [&](double centre, std::int64_t length) {
      return std::min<std::int64_t>(length - 1, std::llround(centre + reach));
    };
    for (std::int64_t row = first(y); row <= last(y, height_); ++row) {
      for (std::int64_t column = first(x); column <= last(x, width_); ++column) {
        auto& taken = taken_[static_cast<std::size_t>(row * width_ + column)];
        if (taken != 0 || !inside(static_cast<double>(row) - y, static_cast<double>(column) - x)) continue;
        taken = 1;
        pixels_.push_back(row * width_ + column);
      }
    }
  }

 private:
  std::int64_t height_;
  std::int64_t width_;
  std::vector<std::uint8_t> taken_;
  std::vector<std::int64_t> pixels_;
};

void add_ellipse(Region& region, double y, double x, double diameter, Random& random) {
  const double a = diameter / 2;
  const double b = a * between(random, 0.4, 1);
  const double angle = between(random, 0, kTurn);
  const double c = std::cos(angle);
  const double s = std::sin(angle);
  region.add(y, x, a + 1, [&](double dy, double dx) {
    const double u = (c * dx + s * dy) / a;
    const double v = (c * dy - s * dx) / b;
    return u * u + v * v <= 1;
  });
}

// The radius varies around the turn as a random Fourier series.
void add_blob(Region& region, double y, double x, double diameter, Random& random) {
  constexpr int kHarmonics = 5;
  std::array<double, kHarmonics> amplitude;
  std::array<double, kHarmonics> phase;
  double sum = 0;
  for (int k = 0; k < kHarmonics; ++k) {
    amplitude[static_cast<std::size_t>(k)] = between(random, 0, 0.6 / (k + 1));
    phase[static_cast<std::size_t>(k)] = between(random, 0, kTurn);
    sum += amplitude[static_cast<std::size_t>(k)];
  }
  const double radius = diameter / 2;
  region.add(y, x, radius + 1, [&](double dy, double dx) {
    const double angle = std::atan2(dy, dx);
    double limit = 1;
    for (std::size_t k = 0; k < kHarmonics; ++k) {
      limit += amplitude[k] * std::cos(static_cast<double>(k + 1) * angle + phase[k]);
    }
    return std::hypot(dy, dx) <= radius * limit / (1 + sum);
  });
}

void add_scratch(Region& region, double y, double x, double length, double thickness, Random& random) {
  const auto pieces = 1 + random.below(3);
  double angle = between(random, 0, kTurn);
  const double radius = thickness / 2;
  for (std::uint64_t piece = 0; piece < pieces; ++piece) {
    const double steps = std::max(1.0, 2 * length / static_cast<double>(pieces));  // half a pixel each
    for (double step = 0; step < steps; ++step) {
      region.add(y, x, radius + 1, [&](double dy, double dx) { return dy * dy + dx * dx <= radius * radius + 0.25; });
      y += 0.5 * std::sin(angle);
      x += 0.5 * std::cos(angle);
    }
    angle += between(random, -1, 1);
  }
}

// The gray that a defect is filled with, which differs from what it covers: that of a random pixel of the image, as
// missing and surplus material has the grays of the product; on an image without such a pixel, one at least a quarter
// of the range away.
std::vector<float> other_gray(const float* image, std::int64_t channels, std::int64_t plane,
                              const std::vector<std::int64_t>& covered, float lowest, float highest, Random& random) {
  constexpr int kTries = 8;
  constexpr double kDifferent = 0.15;  // of the range, in some channel
  const double range = std::max(0.1, static_cast<double>(highest - lowest));
  std::vector<double> mean(static_cast<std::size_t>(channels), 0.0);
  for (std::int64_t c = 0; c < channels; ++c) {
    for (const auto pixel : covered) mean[static_cast<std::size_t>(c)] += image[c * plane + pixel];
    mean[static_cast<std::size_t>(c)] /= static_cast<double>(std::max<std::size_t>(1, covered.size()));
  }
  std::vector<float> gray(static_cast<std::size_t>(channels));
  for (int attempt = 0; attempt < kTries; ++attempt) {
    const auto pixel = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(plane)));
    bool different = false;
    for (std::int64_t c = 0; c < channels; ++c) {
      const auto i = static_cast<std::size_t>(c);
      gray[i] = image[c * plane + pixel];
      different = different || std::abs(gray[i] - mean[i]) > kDifferent * range;
    }
    if (different) return gray;
  }
  for (std::size_t i = 0; i < gray.size(); ++i) {
    const double away = between(random, 0.25, 1) * range * (random.uniform() < 0.5 ? -1 : 1);
    double value = mean[i] + away;
    if (value < lowest || value > highest) value = mean[i] - away;
    gray[i] = static_cast<float>(std::clamp(value, 0.0, 1.0));
  }
  return gray;
}

class Synthetic final : public Corruption, public SyntheticDefects {
 public:
  double clean = 0.15;
  void fields(config::Fields& f) override {
    f.number("clean", clean, {0, 1}, "Share of images that get no defect.");
    SyntheticDefects::fields(f);
  }
  model::Batch apply(const model::Batch& batch, const model::Domain&) const override {
    const auto seed = static_cast<std::uint64_t>(
        torch::randint(std::numeric_limits<std::int64_t>::max(), {1}, torch::kInt64).item<std::int64_t>());
    const auto source = batch.values.to(torch::kFloat32).contiguous();
    const auto observed = batch.observed.to(torch::kFloat32).contiguous();
    auto values = source.clone();
    const std::int64_t samples = batch.samples();
    const std::int64_t stride = samples > 0 ? values.numel() / samples : 0;
    for (std::int64_t i = 0; i < samples; ++i) {
      Random random(stream_key(seed, "synthetic defects", static_cast<std::uint64_t>(i)));
      if (random.uniform() < clean) continue;
      const auto other = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(samples)));
      paint(values.data_ptr<float>() + i * stride, source.data_ptr<float>() + other * stride,
            observed.data_ptr<float>() + i * stride, values.size(1), values.size(2), values.size(3), random, nullptr);
    }
    return {values.to(batch.values.scalar_type()), batch.observed};
  }
  std::string complaint(const model::Domain& domain) const override {
    return domain.gridded() ? "" : "synthetic defects are painted on images; use gaussian, swap or mask for tables";
  }
};

}  // namespace

void SyntheticDefects::fields(config::Fields& f) {
  f.integer("most", most, {1, 100}, "Most defects on one image.");
  f.number("smallest", smallest, {1, 4096}, "Smallest diameter of a defect in pixels of the network's input.");
  f.number("largest", largest, {0, 1, true}, "Largest diameter of a defect as a share of the sample's shorter side.");
  f.number("translucent", translucent, {0, 1}, "Share of the defects that what they cover shines through.");
}

void SyntheticDefects::paint(float* image, const float* other, const float* observed, std::int64_t channels,
                             std::int64_t height, std::int64_t width, Random& random, std::uint8_t* mask) const {
  const std::int64_t plane = height * width;
  const auto [low, high] = std::minmax_element(image, image + channels * plane);
  const float lowest = *low;
  const float highest = *high;
  const double side = static_cast<double>(std::min(height, width));
  const double longest = std::max(smallest, largest * side);
  Region region(height, width);
  const auto defects = 1 + random.below(static_cast<std::uint64_t>(most));
  for (std::uint64_t defect = 0; defect < defects; ++defect) {
    region.begin_next();
    const double y = between(random, 0, static_cast<double>(height - 1));
    const double x = between(random, 0, static_cast<double>(width - 1));
    const double diameter = smallest * std::pow(longest / smallest, random.uniform());  // small ones as often as large
    switch (random.below(3)) {
      case 0:
        add_ellipse(region, y, x, diameter, random);
        break;
      case 1:
        add_blob(region, y, x, 1.5 * diameter, random);
        break;
      default:
        add_scratch(region, y, x, 2 * diameter, between(random, 1, 3), random);
    }
    const auto fill = random.below(3);
    const float opacity = static_cast<float>(random.uniform() >= translucent ? 1.0 : between(random, 0.3, 1.0));
    const auto gray = other_gray(image, channels, plane, region.pixels(), lowest, highest, random);
    const auto dy = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(height)));
    const auto dx = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(width)));
    for (const auto pixel : region.pixels()) {
      if (observed && observed[pixel] == 0) continue;
      const auto elsewhere = (pixel / width + dy) % height * width + (pixel % width + dx) % width;
      bool visible = false;
      std::array<float, 64> changed;
      for (std::int64_t c = 0; c < channels; ++c) {
        const float old = image[c * plane + pixel];
        const float paint = fill == 0   ? lowest + highest - old
                            : fill == 1 ? gray[static_cast<std::size_t>(c)]
                                        : other[c * plane + elsewhere];
        changed[static_cast<std::size_t>(c)] = old + opacity * (paint - old);
        visible = visible || std::abs(changed[static_cast<std::size_t>(c)] - old) > kVisible;
      }
      if (!visible) continue;
      for (std::int64_t c = 0; c < channels; ++c) image[c * plane + pixel] = changed[static_cast<std::size_t>(c)];
      if (mask) mask[pixel] = 1;
    }
  }
}

DefectSample SyntheticDefects::draw(const at::Tensor& image, const at::Tensor& other, Random& random) const {
  DefectSample sample{image.to(torch::kFloat32).clone(at::MemoryFormat::Contiguous), {}};
  const auto pasted = other.to(torch::kFloat32).contiguous();
  const auto size = image.sizes();
  sample.mask = torch::zeros({size[1], size[2]}, torch::kUInt8);
  constexpr int kTries = 8;  // a small defect may hit a place that it does not change
  for (int i = 0; i < kTries && sample.mask.max().item<std::int64_t>() == 0; ++i) {
    paint(sample.image.data_ptr<float>(), pasted.data_ptr<float>(), nullptr, size[0], size[1], size[2], random,
          sample.mask.data_ptr<std::uint8_t>());
  }
  return sample;
}

std::unique_ptr<Corruption> make_synthetic() { return std::make_unique<Synthetic>(); }

}  // namespace ae::recipe
