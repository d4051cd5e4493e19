// Elementary functions of float32 that compilers turn into vector instructions: without branches, tables or errno.
//
// Errors stay within a few units of the last place unless said otherwise; NaN gives NaN.
#pragma once

#include <bit>
#include <cstdint>

// Before a function whose loops should use the widest vectors of the processor it runs on, and still run on any.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__gnu_linux__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define AE_VECTORISED __attribute__((target_clones("default", "arch=haswell", "arch=skylake-avx512")))
#else
#define AE_VECTORISED
#endif
#if defined(__GNUC__)
#define AE_INLINE inline __attribute__((always_inline))
#else
#define AE_INLINE inline
#endif

namespace ae {

// Sums of value(i) for i in [0, count), side by side in lanes that vectors can hold: in the same order on every
// processor.
template <typename Sum, typename Value>
AE_INLINE Sum sum_up(std::int64_t count, const Value& value) {
  constexpr std::int64_t kLanes = 16;
  Sum sums[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += value(i + lane);
  }
  for (; i < count; ++i) sums[0] += value(i);
  Sum sum = 0;
  for (const Sum lane : sums) sum += lane;
  return sum;
}

// The coefficient of the highest power comes first (Horner's rule).
template <typename... Coefficients>
AE_INLINE float polynomial(float x, float highest, Coefficients... others) {
  ((highest = highest * x + others), ...);
  return highest;
}

// 1.5 * 2^23: adding it rounds to a whole number, whose two's complement the low bits of the sum then hold.
constexpr float kRoundingShift = 12582912.0f;

// e^x as 2^n (1 + p) with |x - n ln 2| <= ln(2) / 2.
struct SplitExponential {
  float scale;  // 2^n
  float p;      // e^(x - n ln 2) - 1, with full relative precision near 0
};
// x is taken to [-87, 88], beyond which float32 has no use for e^x.
AE_INLINE SplitExponential split_exponential(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  const float shifted = x * 1.44269504f + kRoundingShift;
  const float n = shifted - kRoundingShift;
  // ln 2 in two parts, the first with few digits, so that n times it is exact.
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  // Taylor series; the next term is below 1e-8 of the first.
  const float q = polynomial(r, 1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 1.0f / 2);
  const auto exponent = (std::bit_cast<std::uint32_t>(shifted) - 0x4B400000u + 127u) << 23;
  return {std::bit_cast<float>(exponent), r + r * r * q};
}

AE_INLINE float vector_exp(float x) {
  const auto e = split_exponential(x);
  return e.scale + e.scale * e.p;
}

AE_INLINE float vector_expm1(float x) {
  const auto e = split_exponential(x);
  return e.scale * e.p + (e.scale - 1);
}

AE_INLINE float vector_tanh(float x) {
  const float e = vector_expm1(-2 * (x < 0 ? -x : x));
  const float magnitude = -e / (e + 2);
  return x < 0 ? -magnitude : magnitude;
}

AE_INLINE float vector_logistic(float x) {
  const float e = vector_exp(-(x < 0 ? -x : x));
  const float smaller = e / (1 + e);
  return x < 0 ? smaller : 1 - smaller;
}

// 2 artanh(s) for |s| <= 1/3, by its series.
AE_INLINE float twice_artanh(float s) {
  const float z = s * s;
  const float q = polynomial(z, 1.0f / 15, 1.0f / 13, 1.0f / 11, 1.0f / 9, 1.0f / 7, 1.0f / 5, 1.0f / 3);
  return 2 * (s + s * z * q);
}

// log(1 + u) for u in [0, 1].
AE_INLINE float vector_log1p(float u) { return twice_artanh(u / (2 + u)); }

// log(x) for normal x > 0.
AE_INLINE float vector_log(float x) {
  const auto bits = std::bit_cast<std::int32_t>(x);
  const std::int32_t n = (bits - 0x3F3504F3) >> 23;  // x / 2^n in [sqrt(1/2), sqrt(2))
  const float m = std::bit_cast<float>(bits - n * (1 << 23));
  return static_cast<float>(n) * 0.693147181f + twice_artanh((m - 1) / (m + 1));
}

// Density of the standard normal distribution, and its distribution function with an absolute error below 3e-7
// (Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26).
struct Normal {
  float density;
  float below;
};
AE_INLINE Normal normal_distribution(float x) {
  const float magnitude = x < 0 ? -x : x;
  const float e = vector_exp(-0.5f * x * x);
  const float t = 1 / (1 + 0.3275911f * 0.707106781f * magnitude);
  const float q = polynomial(t, 1.061405429f, -1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f);
  const float tail = 0.5f * q * t * e;
  return {0.398942280f * e, x < 0 ? tail : 1 - tail};
}

// cos and sin of 2 pi u for u in [0, 1].
struct Circle {
  float cosine;
  float sine;
};
AE_INLINE Circle circle(float u) {
  // A quarter turn around the nearest multiple of it: |a| <= pi / 4.
  const float shifted = 4 * u + kRoundingShift;
  const auto quarter = std::bit_cast<std::int32_t>(shifted);
  const float a = (u - 0.25f * (shifted - kRoundingShift)) * 6.28318531f;
  const float z = a * a;
  const float c = 1 + z * (-1.0f / 2 + z * (1.0f / 24 + z * (-1.0f / 720 + z * (1.0f / 40320))));
  const float s = a * (1 + z * (-1.0f / 6 + z * (1.0f / 120 + z * (-1.0f / 5040))));
  const bool odd = (quarter & 1) != 0;
  const float x = odd ? s : c;
  const float y = odd ? c : s;
  return {((quarter + 1) & 2) != 0 ? -x : x, (quarter & 2) != 0 ? -y : y};
}

}  // namespace ae
