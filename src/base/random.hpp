// Counter-based randomness: every draw is a pure function of (seed, stream, index), so that a run can stop anywhere and
// continue to the same numbers without storing generator state, on any platform.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace ae {

constexpr std::uint64_t kGoldenRatio = 0x9e3779b97f4a7c15ull;  // its fraction, by which splitmix64 counts

// splitmix64's finaliser (Steele, Lea, Flood 2014): a bijection of 64-bit words with good avalanche.
constexpr std::uint64_t mix64(std::uint64_t x) {
  x += kGoldenRatio;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// A key for an independent stream: the purpose keeps "shuffle" and "dropout" of one step apart.
constexpr std::uint64_t stream_key(std::uint64_t seed, std::string_view purpose, std::uint64_t a = 0,
                                   std::uint64_t b = 0) {
  std::uint64_t key = mix64(seed);
  for (const char c : purpose) key = mix64(key ^ static_cast<unsigned char>(c));
  key = mix64(key ^ a);
  return mix64(key ^ b);
}

class Random {
 public:
  explicit constexpr Random(std::uint64_t key) : key_(key) {}
  constexpr std::uint64_t bits() { return mix64(key_ + kGoldenRatio * ++counter_); }
  constexpr double uniform() { return static_cast<double>(bits() >> 11) * 0x1.0p-53; }  // [0, 1)
  // Unbiased integer in [0, bound), bound > 0 (Lemire's multiply-shift with rejection).
  std::uint64_t below(std::uint64_t bound) {
    for (;;) {
      const auto product = static_cast<unsigned __int128>(bits()) * bound;
      const auto low = static_cast<std::uint64_t>(product);
      if (low >= bound || low >= (0 - bound) % bound) return static_cast<std::uint64_t>(product >> 64);
    }
  }

 private:
  std::uint64_t key_;
  std::uint64_t counter_ = 0;
};

// Which items of a stream are kept, each with the same chance: algorithm R (Vitter 1985).
class Reservoir {
 public:
  Reservoir(std::int64_t most, Random random) : most_(most), random_(random) {}
  // Where the next item goes, in place of what is there; -1: nowhere.
  std::int64_t place() {
    const auto seen = seen_++;
    if (seen < most_) return seen;
    const auto at = static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(seen + 1)));
    return at < most_ ? at : -1;
  }
  std::int64_t seen() const { return seen_; }
  std::int64_t size() const { return std::min(seen_, most_); }

 private:
  std::int64_t most_, seen_ = 0;
  Random random_;
};

// Many numbers of one key at once: uniform in [0, 1) by 24 bits, and normal with mean 0 and variance 1, at most 5.9 in
// size.
void fill_uniform(std::uint64_t key, std::span<float> numbers);
void fill_coarse_uniform(std::uint64_t key, std::span<float> numbers);  // by 16 bits, in half the time
void fill_normal(std::uint64_t key, std::span<float> numbers);

// Fisher-Yates; std::shuffle's result differs between standard libraries.
template <typename T>
void shuffle(std::span<T> items, Random random) {
  for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random.below(i)]);
}

inline std::vector<std::int64_t> permutation(std::int64_t count, Random random) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  shuffle(std::span(order), random);
  return order;
}

// As many items as there are weights, drawn in proportion to them (>= 0, not all 0): systematic sampling (Madow 1949),
// which takes item i floor or ceil of count * weight_i / sum times, by one number from [0, 1). Ascending.
std::vector<std::int64_t> systematic_sample(std::span<const double> weights, double uniform);

}  // namespace ae
