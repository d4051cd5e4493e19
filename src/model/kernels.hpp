// The loops of dense networks and their training over plain arrays: matrices are [rows, columns], row after row.
#pragma once

#include <cstdint>

namespace ae::model {

// C [m, n] = op(A) op(B) + beta C: by BLAS, on as many threads as it has been given, unless they are small. A is [m,
// k], or [k, m] transposed; B is [k, n], or [n, k] transposed.
void multiply_matrices(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
                       const float* a, const float* b, float beta, float* c);

void add_bias(const float* bias, std::int64_t rows, std::int64_t columns, float* matrix);
void sum_columns(const float* matrix, std::int64_t rows, std::int64_t columns, float* sums);
// The matrix by its factors, number by number; `sums` of the products.
void multiply_and_sum_columns(const float* factors, std::int64_t rows, std::int64_t columns, float* matrix,
                              float* sums);
void add(const float* values, std::int64_t count, float* sums);  // sums += values
void multiply(const float* values, const float* factors, std::int64_t count, float* products);
double sum_of_squares(const float* values, std::int64_t count);

// Inverted dropout: where the uniform draw is below `rate` value and slope become 0, elsewhere they grow by
// 1 / (1 - rate).
void drop(const float* draws, float rate, std::int64_t count, float* value, float* slope);

// Normalisations keep (x - mean) / sqrt(variance + epsilon) in `normalised` and replace x by scale * normalised +
// shift; backward replaces the gradient of that by the gradient of x. Of columns, with the biased variance:
void column_statistics(const float* x, std::int64_t rows, std::int64_t columns, float* mean, float* variance);
void normalise_columns(const float* mean, const float* inverse_deviation, const float* scale, const float* shift,
                       std::int64_t rows, std::int64_t columns, float* normalised, float* x);
void normalise_columns_backward(const float* normalised, const float* inverse_deviation, const float* scale,
                                std::int64_t rows, std::int64_t columns, float* scale_gradient, float* shift_gradient,
                                float* gradient);
// Of rows; inverse_deviation [rows]:
void normalise_rows(const float* scale, const float* shift, std::int64_t rows, std::int64_t columns, float epsilon,
                    float* normalised, float* inverse_deviation, float* x);
void normalise_rows_backward(const float* normalised, const float* inverse_deviation, const float* scale,
                             std::int64_t rows, std::int64_t columns, float* scale_gradient, float* shift_gradient,
                             float* gradient);

// latent = mean + exp(clamped / 2) * noise, and deviation = exp(clamped / 2); log_variance is clamped in place to
// +-limit, and `inside` is 1 where it was within.
void draw_code(const float* mean, const float* noise, float limit, std::int64_t count, float* log_variance,
               float* inside, float* deviation, float* latent);

// One pass over parameters, their gradients (times gradient_factor) and the optimiser's state.
struct AdamStep {
  float gradient_factor = 1;
  float beta1 = 0, beta2 = 0, epsilon = 0;
  float l2 = 0;               // added to the gradient, times the weight
  float decay = 1;            // factor of the weight, before the step
  float step_size = 0;        // learning rate / bias correction of the mean
  float root_correction = 1;  // 1 / sqrt(bias correction of the square)
};
void adam_step(const AdamStep& step, std::int64_t count, const float* gradients, float* means, float* squares,
               float* values);
struct SgdStep {
  float gradient_factor = 1;
  float momentum = 0;
  bool nesterov = false;
  float l2 = 0;
  float learning_rate = 0;
};
void sgd_step(const SgdStep& step, std::int64_t count, const float* gradients, float* momentum, float* values);

}  // namespace ae::model
