#include "base/random.hpp"

#include <algorithm>

#include "base/vector_math.hpp"

namespace ae {
namespace {

AE_INLINE float upper(std::uint64_t bits) {
  return static_cast<float>(static_cast<std::int32_t>(bits >> 40)) * 0x1p-24f;
}
AE_INLINE float lower(std::uint64_t bits) {
  return static_cast<float>(static_cast<std::int32_t>((bits >> 8) & 0xFFFFFF)) * 0x1p-24f;
}
AE_INLINE std::uint64_t word(std::uint64_t key, std::int64_t i) {
  return mix64(key + kGoldenRatio * static_cast<std::uint64_t>(i + 1));
}

// Word i gives numbers i and i + half: no shuffling of vectors.
AE_VECTORISED void uniforms(std::uint64_t key, float* __restrict__ first, float* __restrict__ second,
                            std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint64_t bits = word(key, i);
    first[i] = upper(bits);
    second[i] = lower(bits);
  }
}

AE_VECTORISED void coarse_uniforms(std::uint64_t key, float* __restrict__ first, float* __restrict__ second,
                                   float* __restrict__ third, float* __restrict__ fourth, std::int64_t count) {
  const auto part = [](std::uint64_t bits, int shift) {
    return static_cast<float>(static_cast<std::int32_t>((bits >> shift) & 0xFFFF)) * 0x1p-16f;
  };
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint64_t bits = word(key, i);
    first[i] = part(bits, 0);
    second[i] = part(bits, 16);
    third[i] = part(bits, 32);
    fourth[i] = part(bits, 48);
  }
}

// Box and Muller 1958.
AE_VECTORISED void normals(float* __restrict__ first, float* __restrict__ second, std::int64_t count,
                           float* __restrict__ squares) {
  for (std::int64_t i = 0; i < count; ++i) squares[i] = -2 * vector_log(first[i] + 0x1p-25f);
  for (std::int64_t i = 0; i < count; ++i) squares[i] = __builtin_sqrtf(squares[i]);
  for (std::int64_t i = 0; i < count; ++i) {
    const Circle on = circle(second[i]);
    first[i] = squares[i] * on.cosine;
    second[i] = squares[i] * on.sine;
  }
}

}  // namespace

void fill_uniform(std::uint64_t key, std::span<float> numbers) {
  const auto half = static_cast<std::int64_t>(numbers.size() / 2);
  uniforms(key, numbers.data(), numbers.data() + half, half);
  if (numbers.size() % 2 == 1) numbers.back() = upper(word(key, half));
}

void fill_coarse_uniform(std::uint64_t key, std::span<float> numbers) {
  const auto quarter = static_cast<std::int64_t>(numbers.size() / 4);
  float* to = numbers.data();
  coarse_uniforms(key, to, to + quarter, to + 2 * quarter, to + 3 * quarter, quarter);
  for (std::size_t i = static_cast<std::size_t>(4 * quarter); i < numbers.size(); ++i) {
    numbers[i] = upper(word(key, static_cast<std::int64_t>(i)));
  }
}

void fill_normal(std::uint64_t key, std::span<float> numbers) {
  constexpr std::int64_t kPiece = 256;
  float first[kPiece], second[kPiece], squares[kPiece];
  const auto half = static_cast<std::int64_t>((numbers.size() + 1) / 2);
  for (std::int64_t begin = 0; begin < half; begin += kPiece) {
    const std::int64_t count = std::min(kPiece, half - begin);
    uniforms(mix64(key) + kGoldenRatio * static_cast<std::uint64_t>(begin), first, second, count);
    normals(first, second, count, squares);
    std::copy(first, first + count, numbers.data() + begin);
    const auto rest = std::min(count, static_cast<std::int64_t>(numbers.size()) - half - begin);
    std::copy(second, second + std::max<std::int64_t>(0, rest), numbers.data() + half + begin);
  }
}

std::vector<std::int64_t> systematic_sample(std::span<const double> weights, double uniform) {
  const std::size_t count = weights.size();
  if (count == 0) return {};
  const double largest = *std::max_element(weights.begin(), weights.end());  // so that no sum is too large
  double sum = 0;
  for (const double weight : weights) sum += weight / largest;
  const double step = sum / static_cast<double>(count);
  std::vector<std::int64_t> drawn;
  drawn.reserve(count);
  double reached = 0;
  std::int64_t last = 0;  // that has a weight
  for (std::size_t i = 0; i < count; ++i) {
    if (!(weights[i] > 0)) continue;
    last = static_cast<std::int64_t>(i);
    reached += weights[i] / largest;
    while (drawn.size() < count && (uniform + static_cast<double>(drawn.size())) * step < reached)
      drawn.push_back(last);
  }
  drawn.resize(count, last);  // what rounding may have left at the end
  return drawn;
}

}  // namespace ae
