// Products of matrices so small that BLAS spends much of its time on rearranging them: computed from where they are, in
// tiles that stay in registers. Every number of C is summed in the order of k, so that no row of C depends on how many
// rows there are, nor on where among them it is.
#pragma once

#include <cstdint>
#include <span>

namespace ae::model {

struct SmallProduct {
  const float* a;  // element (i, p) at i * a_row + p * a_inner
  std::int64_t a_row, a_inner;
  const float* b;        // [k, n], and c [m, n], row after row
  std::int64_t m, n, k;  // all > 0
  bool add;              // to what is in c
  float* c;
};

// One per set of instructions, the fastest first; the last is for any processor.
struct SmallProductKernel {
  const char* instructions;
  bool (*available)();  // on this processor
  void (*multiply)(const SmallProduct& product);
};
std::span<const SmallProductKernel> small_product_kernels();

// As of multiply_matrices(), by the first kernel that is available; beta is 0, or 1 with `add`.
void multiply_small(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
                    const float* b, bool add, float* c);

}  // namespace ae::model
