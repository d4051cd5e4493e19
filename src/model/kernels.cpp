#include "model/kernels.hpp"

#include <algorithm>
#include <cmath>

#include "base/vector_math.hpp"
#include "model/small_product.hpp"

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
#include <immintrin.h>
#define AE_HAS_AVX512
#define AE_WIDE __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")))
#endif

extern "C" void sgemm_(const char* transpose_a, const char* transpose_b, const int* m, const int* n, const int* k,
                       const float* alpha, const float* a, const int* lda, const float* b, const int* ldb,
                       const float* beta, float* c, const int* ldc);

namespace ae::model {
namespace {

constexpr std::int64_t kSmallProduct = 1 << 21;  // m n k

#ifdef AE_HAS_AVX512
constexpr std::int64_t kLane = 16;  // numbers of a vector

// As many numbers as fill vectors; returns how many those are. Roots and quotients are approximations of 14 bits with a
// Newton step each, which makes them as good as rounding, at half the time of the exact instructions.
AE_WIDE std::int64_t adam_step_wide(const AdamStep& s, std::int64_t count, const float* __restrict__ gradients,
                                    float* __restrict__ means, float* __restrict__ squares,
                                    float* __restrict__ values) {
  constexpr __mmask16 kAll = 0xFFFF;  // masked forms, as GCC 12 takes the others for uninitialised (GCC bug 105593)
  const __m512 factor = _mm512_set1_ps(s.gradient_factor), l2 = _mm512_set1_ps(s.l2), beta1 = _mm512_set1_ps(s.beta1),
               beta2 = _mm512_set1_ps(s.beta2);
  const __m512 rest1 = _mm512_set1_ps(1 - s.beta1), rest2 = _mm512_set1_ps(1 - s.beta2),
               epsilon = _mm512_set1_ps(s.epsilon), decay = _mm512_set1_ps(s.decay);
  const __m512 step_size = _mm512_set1_ps(s.step_size), correction = _mm512_set1_ps(s.root_correction);
  std::int64_t i = 0;
  for (; i + kLane <= count; i += kLane) {
    const __m512 weight = _mm512_loadu_ps(values + i);
    const __m512 gradient = _mm512_fmadd_ps(_mm512_loadu_ps(gradients + i), factor, _mm512_mul_ps(l2, weight));
    const __m512 mean = _mm512_fmadd_ps(_mm512_loadu_ps(means + i), beta1, _mm512_mul_ps(gradient, rest1));
    const __m512 square =
        _mm512_fmadd_ps(_mm512_loadu_ps(squares + i), beta2, _mm512_mul_ps(_mm512_mul_ps(gradient, gradient), rest2));
    _mm512_storeu_ps(means + i, mean);
    _mm512_storeu_ps(squares + i, square);
    __m512 inverse_root = _mm512_maskz_rsqrt14_ps(
        kAll, _mm512_maskz_max_ps(kAll, _mm512_set1_ps(1e-37f), square));  // in this order NaN stays NaN
    const __m512 half = _mm512_mul_ps(_mm512_mul_ps(square, _mm512_set1_ps(0.5f)), inverse_root);
    inverse_root = _mm512_mul_ps(inverse_root, _mm512_fnmadd_ps(half, inverse_root, _mm512_set1_ps(1.5f)));
    const __m512 deviation = _mm512_fmadd_ps(_mm512_mul_ps(square, inverse_root), correction, epsilon);
    __m512 inverse = _mm512_maskz_rcp14_ps(kAll, deviation);
    inverse = _mm512_mul_ps(inverse, _mm512_fnmadd_ps(deviation, inverse, _mm512_set1_ps(2)));
    const __m512 change = _mm512_mul_ps(step_size, _mm512_mul_ps(mean, inverse));
    _mm512_storeu_ps(values + i, _mm512_fmsub_ps(weight, decay, change));
  }
  return i;
}

bool is_wide() {
  static const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
  return wide;
}
#endif

}  // namespace

// BLAS knows columns first: to it our matrices are transposed, and C^T = op(B)^T op(A)^T.
void multiply_matrices(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
                       const float* a, const float* b, float beta, float* c) {
  if (m * n * k <= kSmallProduct && (beta == 0 || beta == 1)) {
    multiply_small({transpose_a, transpose_b, m, n, k, a, b, beta == 1, c});
    return;
  }
  const float alpha = 1;
  const int rows = static_cast<int>(n), columns = static_cast<int>(m), inner = static_cast<int>(k);
  const int lda = static_cast<int>(transpose_a ? m : k), ldb = static_cast<int>(transpose_b ? k : n);
  sgemm_(transpose_b ? "T" : "N", transpose_a ? "T" : "N", &rows, &columns, &inner, &alpha, b, &ldb, a, &lda, &beta, c,
         &rows);
}

AE_VECTORISED void add_bias(const float* __restrict__ bias, std::int64_t rows, std::int64_t columns,
                            float* __restrict__ matrix) {
  for (std::int64_t i = 0; i < rows; ++i, matrix += columns) {
    for (std::int64_t j = 0; j < columns; ++j) matrix[j] += bias[j];
  }
}

AE_VECTORISED void sum_columns(const float* __restrict__ matrix, std::int64_t rows, std::int64_t columns,
                               float* __restrict__ sums) {
  std::fill(sums, sums + columns, 0.0f);
  for (std::int64_t i = 0; i < rows; ++i, matrix += columns) {
    for (std::int64_t j = 0; j < columns; ++j) sums[j] += matrix[j];
  }
}

AE_VECTORISED void multiply_and_sum_columns(const float* __restrict__ factors, std::int64_t rows, std::int64_t columns,
                                            float* __restrict__ matrix, float* __restrict__ sums) {
  std::fill(sums, sums + columns, 0.0f);
  for (std::int64_t i = 0; i < rows; ++i, matrix += columns, factors += columns) {
    for (std::int64_t j = 0; j < columns; ++j) {
      const float product = matrix[j] * factors[j];
      matrix[j] = product;
      sums[j] += product;
    }
  }
}

AE_VECTORISED void add(const float* __restrict__ values, std::int64_t count, float* __restrict__ sums) {
  for (std::int64_t i = 0; i < count; ++i) sums[i] += values[i];
}

AE_VECTORISED void multiply(const float* __restrict__ values, const float* __restrict__ factors, std::int64_t count,
                            float* __restrict__ products) {
  for (std::int64_t i = 0; i < count; ++i) products[i] = values[i] * factors[i];
}

AE_VECTORISED double sum_of_squares(const float* __restrict__ values, std::int64_t count) {
  return sum_up<double>(count, [values](std::int64_t i) {
    const double value = values[i];
    return value * value;
  });
}

AE_VECTORISED void drop(const float* __restrict__ draws, float rate, std::int64_t count, float* __restrict__ value,
                        float* __restrict__ slope) {
  const float growth = 1 / (1 - rate);
  for (std::int64_t i = 0; i < count; ++i) {
    const float factor = draws[i] < rate ? 0.0f : growth;
    value[i] *= factor;
    slope[i] *= factor;
  }
}

AE_VECTORISED void column_statistics(const float* __restrict__ x, std::int64_t rows, std::int64_t columns,
                                     float* __restrict__ mean, float* __restrict__ variance) {
  const float share = 1 / static_cast<float>(rows);
  std::fill(mean, mean + columns, 0.0f);
  std::fill(variance, variance + columns, 0.0f);
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) mean[j] += x[i * columns + j];
  }
  for (std::int64_t j = 0; j < columns; ++j) mean[j] *= share;
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      const float deviation = x[i * columns + j] - mean[j];
      variance[j] += deviation * deviation;
    }
  }
  for (std::int64_t j = 0; j < columns; ++j) variance[j] *= share;
}

AE_VECTORISED void normalise_columns(const float* __restrict__ mean, const float* __restrict__ inverse_deviation,
                                     const float* __restrict__ scale, const float* __restrict__ shift,
                                     std::int64_t rows, std::int64_t columns, float* __restrict__ normalised,
                                     float* __restrict__ x) {
  for (std::int64_t i = 0; i < rows; ++i, x += columns, normalised += columns) {
    for (std::int64_t j = 0; j < columns; ++j) {
      normalised[j] = (x[j] - mean[j]) * inverse_deviation[j];
      x[j] = normalised[j] * scale[j] + shift[j];
    }
  }
}

namespace {

AE_VECTORISED void scale_and_shift_gradients(const float* __restrict__ normalised, const float* __restrict__ gradient,
                                             std::int64_t rows, std::int64_t columns, float* __restrict__ of_scale,
                                             float* __restrict__ of_shift) {
  std::fill(of_scale, of_scale + columns, 0.0f);
  std::fill(of_shift, of_shift + columns, 0.0f);
  for (std::int64_t i = 0; i < rows; ++i, normalised += columns, gradient += columns) {
    for (std::int64_t j = 0; j < columns; ++j) {
      of_scale[j] += gradient[j] * normalised[j];
      of_shift[j] += gradient[j];
    }
  }
}

}  // namespace

// Ioffe and Szegedy 2015, section 3.
AE_VECTORISED void normalise_columns_backward(const float* __restrict__ normalised,
                                              const float* __restrict__ inverse_deviation,
                                              const float* __restrict__ scale, std::int64_t rows, std::int64_t columns,
                                              float* __restrict__ scale_gradient, float* __restrict__ shift_gradient,
                                              float* __restrict__ gradient) {
  scale_and_shift_gradients(normalised, gradient, rows, columns, scale_gradient, shift_gradient);
  const float share = 1 / static_cast<float>(rows);
  for (std::int64_t i = 0; i < rows; ++i, normalised += columns, gradient += columns) {
    for (std::int64_t j = 0; j < columns; ++j) {
      const float centred = gradient[j] - share * (shift_gradient[j] + normalised[j] * scale_gradient[j]);
      gradient[j] = centred * scale[j] * inverse_deviation[j];
    }
  }
}

AE_VECTORISED void normalise_rows(const float* __restrict__ scale, const float* __restrict__ shift, std::int64_t rows,
                                  std::int64_t columns, float epsilon, float* __restrict__ normalised,
                                  float* __restrict__ inverse_deviation, float* __restrict__ x) {
  const float share = 1 / static_cast<float>(columns);
  for (std::int64_t i = 0; i < rows; ++i, x += columns, normalised += columns) {
    const float mean = share * sum_up<float>(columns, [&](std::int64_t j) { return x[j]; });
    const float variance =
        share * sum_up<float>(columns, [&](std::int64_t j) { return (x[j] - mean) * (x[j] - mean); });
    const float inverse = 1 / std::sqrt(variance + epsilon);
    inverse_deviation[i] = inverse;
    for (std::int64_t j = 0; j < columns; ++j) {
      normalised[j] = (x[j] - mean) * inverse;
      x[j] = normalised[j] * scale[j] + shift[j];
    }
  }
}

// Ba, Kiros and Hinton 2016.
AE_VECTORISED void normalise_rows_backward(const float* __restrict__ normalised,
                                           const float* __restrict__ inverse_deviation, const float* __restrict__ scale,
                                           std::int64_t rows, std::int64_t columns, float* __restrict__ scale_gradient,
                                           float* __restrict__ shift_gradient, float* __restrict__ gradient) {
  scale_and_shift_gradients(normalised, gradient, rows, columns, scale_gradient, shift_gradient);
  const float share = 1 / static_cast<float>(columns);
  for (std::int64_t i = 0; i < rows; ++i, normalised += columns, gradient += columns) {
    const float mean = share * sum_up<float>(columns, [&](std::int64_t j) { return gradient[j] * scale[j]; });
    const float along =
        share * sum_up<float>(columns, [&](std::int64_t j) { return gradient[j] * scale[j] * normalised[j]; });
    for (std::int64_t j = 0; j < columns; ++j) {
      gradient[j] = inverse_deviation[i] * (gradient[j] * scale[j] - mean - normalised[j] * along);
    }
  }
}

AE_VECTORISED void draw_code(const float* __restrict__ mean, const float* __restrict__ noise, float limit,
                             std::int64_t count, float* __restrict__ log_variance, float* __restrict__ inside,
                             float* __restrict__ deviation, float* __restrict__ latent) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float raw = log_variance[i];
    const float below = raw > limit ? limit : raw;
    const float clamped = below < -limit ? -limit : below;
    log_variance[i] = clamped;
    inside[i] = clamped == raw ? 1.0f : 0.0f;
    deviation[i] = vector_exp(0.5f * clamped);
    latent[i] = mean[i] + deviation[i] * noise[i];
  }
}

namespace {

AE_VECTORISED void adam_step_anywhere(const AdamStep& step, std::int64_t count, const float* __restrict__ gradients,
                                      float* __restrict__ means, float* __restrict__ squares,
                                      float* __restrict__ values) {
  const AdamStep s = step;
  for (std::int64_t i = 0; i < count; ++i) {
    const float weight = values[i];
    const float gradient = gradients[i] * s.gradient_factor + s.l2 * weight;
    const float mean = means[i] * s.beta1 + gradient * (1 - s.beta1);
    const float square = squares[i] * s.beta2 + gradient * gradient * (1 - s.beta2);
    means[i] = mean;
    squares[i] = square;
    const float deviation = std::sqrt(square) * s.root_correction + s.epsilon;
    values[i] = weight * s.decay - s.step_size * (mean / deviation);
  }
}

}  // namespace

void adam_step(const AdamStep& step, std::int64_t count, const float* gradients, float* means, float* squares,
               float* values) {
  std::int64_t done = 0;
#ifdef AE_HAS_AVX512
  if (is_wide()) done = adam_step_wide(step, count, gradients, means, squares, values);
#endif
  adam_step_anywhere(step, count - done, gradients + done, means + done, squares + done, values + done);
}

AE_VECTORISED void sgd_step(const SgdStep& step, std::int64_t count, const float* __restrict__ gradients,
                            float* __restrict__ momentum, float* __restrict__ values) {
  const SgdStep s = step;
  const float ahead = s.nesterov ? 1.0f : 0.0f;
  const float along = s.nesterov ? s.momentum : 1.0f;
  for (std::int64_t i = 0; i < count; ++i) {
    const float gradient = gradients[i] * s.gradient_factor + s.l2 * values[i];
    const float velocity = momentum[i] * s.momentum + gradient;
    momentum[i] = velocity;
    values[i] -= s.learning_rate * (ahead * gradient + along * velocity);
  }
}

}  // namespace ae::model
