// Products of matrices so small that BLAS spends much of its time on rearranging them: computed from where they are, in
// tiles that stay in registers. Every number of C is summed in the same order whatever the number of rows, so that no
// row of C depends on how many rows there are, nor on where among them it is.
#pragma once

#include <cstdint>
#include <span>

namespace ae::model {

// C [m, n] = op(A) op(B), or C += op(A) op(B) with `add`. Row after row: A [m, k], or [k, m] transposed; B [k, n], or
// [n, k] transposed. m, n, k > 0.
struct SmallProduct {
  bool transpose_a, transpose_b;
  std::int64_t m, n, k;
  const float* a;
  const float* b;
  bool add;
  float* c;
};

// One per set of instructions, the fastest first; the last is for any processor.
struct SmallProductKernel {
  const char* instructions;
  bool (*available)();  // on this processor
  void (*multiply)(const SmallProduct& product);
};
std::span<const SmallProductKernel> small_product_kernels();

void multiply_small(const SmallProduct& product);  // by the first that is available

}  // namespace ae::model
