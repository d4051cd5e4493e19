#include "model/small_product.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "base/vector_math.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
#define AE_HAS_WIDE_VECTORS
#endif

namespace ae::model {
namespace {

// from [rows, columns] -> to [columns, rows], for any processor.
void transpose_plainly(const float* __restrict__ from, std::int64_t rows, std::int64_t columns,
                       float* __restrict__ to) {
  std::int64_t whole_rows = 0;
#if defined(__x86_64__)
  whole_rows = rows / 4 * 4;
  const std::int64_t whole_columns = columns / 4 * 4;
  for (std::int64_t j = 0; j < whole_rows; j += 4) {
    for (std::int64_t p = 0; p < whole_columns; p += 4) {
      __m128 square[4];
      for (int i = 0; i < 4; ++i) square[i] = _mm_loadu_ps(from + (j + i) * columns + p);
      _MM_TRANSPOSE4_PS(square[0], square[1], square[2], square[3]);
      for (int i = 0; i < 4; ++i) _mm_storeu_ps(to + (p + i) * rows + j, square[i]);
    }
    for (std::int64_t p = whole_columns; p < columns; ++p) {
      for (std::int64_t i = j; i < j + 4; ++i) to[p * rows + i] = from[i * columns + p];
    }
  }
#endif
  for (std::int64_t j = whole_rows; j < rows; ++j) {
    for (std::int64_t p = 0; p < columns; ++p) to[p * rows + j] = from[j * columns + p];
  }
}

using MultiplyByDots = void(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, const float* b, bool add,
                            float* c);

#ifdef AE_HAS_WIDE_VECTORS
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")
namespace avx512 {

constexpr std::int64_t kLane = 16;
constexpr int kRows = 8;
using Vector = __m512;
using Mask = __mmask16;
AE_INLINE Mask first(std::int64_t count) { return static_cast<Mask>(count >= kLane ? 0xFFFF : (1 << count) - 1); }
AE_INLINE Vector zero() { return _mm512_setzero_ps(); }
AE_INLINE Vector spread(float number) { return _mm512_set1_ps(number); }
AE_INLINE Vector load(const float* from) { return _mm512_loadu_ps(from); }
AE_INLINE Vector load(Mask mask, const float* from) { return _mm512_maskz_loadu_ps(mask, from); }
AE_INLINE void store(float* to, Vector vector) { _mm512_storeu_ps(to, vector); }
AE_INLINE void store(Mask mask, float* to, Vector vector) { _mm512_mask_storeu_ps(to, mask, vector); }
AE_INLINE void add_product(Vector& sums, Vector x, Vector y) { sums = _mm512_fmadd_ps(x, y, sums); }

// Masked forms, as GCC 12 takes the others for uninitialised (GCC bug 105593).
AE_INLINE Vector low_singles(Vector x, Vector y) { return _mm512_maskz_unpacklo_ps(0xFFFF, x, y); }
AE_INLINE Vector high_singles(Vector x, Vector y) { return _mm512_maskz_unpackhi_ps(0xFFFF, x, y); }
AE_INLINE Vector low_pairs(Vector x, Vector y) {
  return _mm512_castpd_ps(_mm512_maskz_unpacklo_pd(0xFF, _mm512_castps_pd(x), _mm512_castps_pd(y)));
}
AE_INLINE Vector high_pairs(Vector x, Vector y) {
  return _mm512_castpd_ps(_mm512_maskz_unpackhi_pd(0xFF, _mm512_castps_pd(x), _mm512_castps_pd(y)));
}
// Quarters 0 and 2 of x, then of y; quarters 1 and 3.
AE_INLINE Vector even_quarters(Vector x, Vector y) { return _mm512_maskz_shuffle_f32x4(0xFFFF, x, y, 0x88); }
AE_INLINE Vector odd_quarters(Vector x, Vector y) { return _mm512_maskz_shuffle_f32x4(0xFFFF, x, y, 0xDD); }

// In squares of 16, where that pays.
void transpose(const float* __restrict__ from, std::int64_t rows, std::int64_t columns, float* __restrict__ to) {
  if (rows < 8 || columns < 8) return transpose_plainly(from, rows, columns, to);
  for (std::int64_t i = 0; i < rows; i += kLane) {
    const std::int64_t height = std::min(rows - i, kLane);
    for (std::int64_t p = 0; p < columns; p += kLane) {
      const std::int64_t width = std::min(columns - p, kLane);
      Vector x[16], y[16];
#pragma GCC unroll 16
      for (int r = 0; r < 16; ++r) x[r] = r < height ? load(first(width), from + (i + r) * columns + p) : zero();
#pragma GCC unroll 4
      for (int r = 0; r < 16; r += 4) {
        const Vector low = low_singles(x[r], x[r + 1]), high = high_singles(x[r], x[r + 1]);
        const Vector next_low = low_singles(x[r + 2], x[r + 3]), next_high = high_singles(x[r + 2], x[r + 3]);
        y[r] = low_pairs(low, next_low);
        y[r + 1] = high_pairs(low, next_low);
        y[r + 2] = low_pairs(high, next_high);
        y[r + 3] = high_pairs(high, next_high);
      }
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q) {
        const Vector even = even_quarters(y[q], y[q + 4]), next_even = even_quarters(y[q + 8], y[q + 12]);
        const Vector odd = odd_quarters(y[q], y[q + 4]), next_odd = odd_quarters(y[q + 8], y[q + 12]);
        x[q] = even_quarters(even, next_even);
        x[q + 4] = even_quarters(odd, next_odd);
        x[q + 8] = odd_quarters(even, next_even);
        x[q + 12] = odd_quarters(odd, next_odd);
      }
#pragma GCC unroll 16
      for (int r = 0; r < 16; ++r) {
        if (r < width) store(first(height), to + (p + r) * rows + i, x[r]);
      }
    }
  }
}

// b [n, k]. Four rows and four columns at a time, whose 16 sums along k end in the lanes of one vector; what is beyond
// the matrices repeats their last row or column and is not stored.
constexpr bool kDots = true;
void multiply_by_dots(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, const float* b, bool add,
                      float* c) {
  for (std::int64_t i = 0; i < m; i += 4) {
    for (std::int64_t j = 0; j < n; j += 4) {
      const float *rows[4], *columns[4];
      for (std::int64_t r = 0; r < 4; ++r) {
        rows[r] = a + std::min(i + r, m - 1) * k;
        columns[r] = b + std::min(j + r, n - 1) * k;
      }
      Vector sums[4][4];
#pragma GCC unroll 16
      for (int s = 0; s < 16; ++s) sums[s / 4][s % 4] = zero();
      for (std::int64_t p = 0; p < k; p += kLane) {
        const Mask mask = first(k - p);
        Vector x[4], y[4];
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r) {
          x[r] = load(mask, rows[r] + p);
          y[r] = load(mask, columns[r] + p);
        }
#pragma GCC unroll 16
        for (int s = 0; s < 16; ++s) add_product(sums[s / 4][s % 4], x[s / 4], y[s % 4]);
      }
      Vector quarters[4];  // of each row, in each quarter a part of its four sums
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r) {
        const Vector* s = sums[r];
        const Vector left = low_singles(s[0], s[1]) + high_singles(s[0], s[1]);
        const Vector right = low_singles(s[2], s[3]) + high_singles(s[2], s[3]);
        quarters[r] = low_pairs(left, right) + high_pairs(left, right);
      }
      const Vector upper = even_quarters(quarters[0], quarters[1]) + odd_quarters(quarters[0], quarters[1]);
      const Vector lower = even_quarters(quarters[2], quarters[3]) + odd_quarters(quarters[2], quarters[3]);
      alignas(64) float all[16];
      store(all, even_quarters(upper, lower) + odd_quarters(upper, lower));
      const auto some = static_cast<__mmask8>(first(std::min<std::int64_t>(n - j, 4)));
      for (std::int64_t r = 0; r < std::min<std::int64_t>(4, m - i); ++r) {
        float* to = c + (i + r) * n + j;
        __m128 four = _mm_load_ps(all + 4 * r);
        if (add) four = _mm_add_ps(four, _mm_maskz_loadu_ps(some, to));
        _mm_mask_storeu_ps(to, some, four);
      }
    }
  }
}

#include "model/small_product_tiles.inl"
}  // namespace avx512
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace avx2 {

constexpr std::int64_t kLane = 8;
constexpr int kRows = 4;
using Vector = __m256;
using Mask = __m256i;
AE_INLINE Mask first(std::int64_t count) {
  const __m256i places = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(std::min(count, kLane))), places);
}
AE_INLINE Vector zero() { return _mm256_setzero_ps(); }
AE_INLINE Vector spread(float number) { return _mm256_set1_ps(number); }
AE_INLINE Vector load(const float* from) { return _mm256_loadu_ps(from); }
AE_INLINE Vector load(Mask mask, const float* from) { return _mm256_maskload_ps(from, mask); }
AE_INLINE void store(float* to, Vector vector) { _mm256_storeu_ps(to, vector); }
AE_INLINE void store(Mask mask, float* to, Vector vector) { _mm256_maskstore_ps(to, mask, vector); }
AE_INLINE void add_product(Vector& sums, Vector x, Vector y) { sums = _mm256_fmadd_ps(x, y, sums); }
constexpr auto transpose = transpose_plainly;
constexpr bool kDots = false;
constexpr MultiplyByDots* multiply_by_dots = nullptr;

#include "model/small_product_tiles.inl"
}  // namespace avx2
#pragma GCC pop_options
#endif

namespace any {

constexpr std::int64_t kLane = 4;
constexpr int kRows = 4;
struct Vector {
  float numbers[kLane];
};
using Mask = std::int64_t;  // how many
AE_INLINE Mask first(std::int64_t count) { return std::min(count, kLane); }
AE_INLINE Vector zero() { return {}; }
AE_INLINE Vector spread(float number) { return {{number, number, number, number}}; }
AE_INLINE Vector load(const float* from) { return {{from[0], from[1], from[2], from[3]}}; }
AE_INLINE Vector load(Mask mask, const float* from) {
  Vector vector{};
  for (std::int64_t i = 0; i < kLane; ++i) vector.numbers[i] = i < mask ? from[i] : 0.0f;
  return vector;
}
AE_INLINE void store(float* to, const Vector& vector) { std::copy(vector.numbers, vector.numbers + kLane, to); }
AE_INLINE void store(Mask mask, float* to, const Vector& vector) {
  for (std::int64_t i = 0; i < mask; ++i) to[i] = vector.numbers[i];
}
AE_INLINE void add_product(Vector& sums, const Vector& x, const Vector& y) {
  for (std::int64_t i = 0; i < kLane; ++i) sums.numbers[i] += x.numbers[i] * y.numbers[i];
}
constexpr auto transpose = transpose_plainly;
constexpr bool kDots = false;
constexpr MultiplyByDots* multiply_by_dots = nullptr;

#include "model/small_product_tiles.inl"
}  // namespace any

constexpr auto kKernels = std::to_array<SmallProductKernel>({
#ifdef AE_HAS_WIDE_VECTORS
    {"AVX-512",
     [] {
       return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
              __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
     },
     avx512::multiply},
    {"AVX2", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }, avx2::multiply},
#endif
    {"any", [] { return true; }, any::multiply},
});

}  // namespace

std::span<const SmallProductKernel> small_product_kernels() { return kKernels; }

void multiply_small(const SmallProduct& product) {
  static const auto multiply =
      std::find_if(kKernels.begin(), kKernels.end(), [](const auto& kernel) { return kernel.available(); })->multiply;
  multiply(product);
}

}  // namespace ae::model
