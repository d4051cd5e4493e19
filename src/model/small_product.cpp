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
#include "model/small_product_tiles.inl"
}  // namespace any

namespace {

constexpr auto kKernels = std::to_array<SmallProductKernel>({
#ifdef AE_HAS_WIDE_VECTORS
    {"AVX-512",
     [] {
       return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
              __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
     },
     avx512::multiply_tiles},
    {"AVX2", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }, avx2::multiply_tiles},
#endif
    {"any", [] { return true; }, any::multiply_tiles},
});

// from [rows, columns] -> to [columns, rows]
void transpose(const float* __restrict__ from, std::int64_t rows, std::int64_t columns, float* __restrict__ to) {
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

}  // namespace

std::span<const SmallProductKernel> small_product_kernels() { return kKernels; }

void multiply_small(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
                    const float* b, bool add, float* c) {
  static const auto multiply =
      std::find_if(kKernels.begin(), kKernels.end(), [](const auto& kernel) { return kernel.available(); })->multiply;
  static thread_local std::vector<float> transposed;
  if (transpose_b) {
    transposed.resize(std::max(transposed.size(), static_cast<std::size_t>(n * k)));
    transpose(b, n, k, transposed.data());
    b = transposed.data();
  }
  multiply({a, transpose_a ? 1 : k, transpose_a ? m : 1, b, m, n, k, add, c});
}

}  // namespace ae::model
