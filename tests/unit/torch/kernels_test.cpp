#include "model/kernels.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "model/small_product.hpp"
#include "model/threads.hpp"

namespace ae::model::kernels_test {
namespace {

// Numbers around the matrices must stay as they are, whatever the shape.
TEST(Kernels, MultiplyMatricesOfEveryShape) {
  torch::manual_seed(1);
  constexpr std::int64_t kMargin = 64;
  for (const std::int64_t m : {1, 3, 4, 7, 8, 13, 32, 200}) {
    for (const std::int64_t n : {1, 4, 15, 16, 17, 31, 32, 33, 50, 300}) {
      for (const std::int64_t k : {1, 5, 32, 70, 400}) {
        for (const bool transpose_a : {false, true}) {
          for (const bool transpose_b : {false, true}) {
            const auto a = torch::randn({m, k}), b = torch::randn({k, n});
            const auto stored_a = (transpose_a ? a.t() : a).contiguous();
            const auto stored_b = (transpose_b ? b.t() : b).contiguous();
            for (const float beta : {0.0f, 1.0f}) {
              auto memory = torch::full({m * n + 2 * kMargin}, 3.0f);
              auto c = memory.narrow(0, kMargin, m * n);
              multiply_matrices(transpose_a, transpose_b, m, n, k, stored_a.data_ptr<float>(),
                                stored_b.data_ptr<float>(), beta, c.data_ptr<float>());
              const auto exact = a.to(torch::kFloat64).matmul(b.to(torch::kFloat64)) + 3 * beta;
              ASSERT_LT((c.view({m, n}) - exact).abs().max().item<double>(), 1e-4) << m << " " << n << " " << k;
              ASSERT_TRUE((memory.narrow(0, 0, kMargin) == 3).all().item<bool>());
              ASSERT_TRUE((memory.narrow(0, kMargin + m * n, kMargin) == 3).all().item<bool>());
            }
          }
        }
      }
    }
  }
}

// Whatever the processor's instructions. A row of the product has the same bits alone and among others.
TEST(Kernels, SmallProductsOfEveryInstructionSet) {
  torch::manual_seed(2);
  std::size_t tried = 0;
  for (const auto& kernel : small_product_kernels()) {
    if (!kernel.available()) continue;
    ++tried;
    for (const std::int64_t m : {1, 2, 3, 5, 8, 11, 33}) {
      for (const std::int64_t n : {1, 3, 4, 5, 7, 8, 9, 16, 17, 31, 32, 40}) {
        for (const std::int64_t k : {1, 4, 16, 37}) {
          for (const int way : {0, 1, 2, 3, 4, 5, 6, 7}) {
            const bool transpose_a = way & 1, transpose_b = way & 2, add = way & 4;
            const auto a = torch::randn({m, k}), b = torch::randn({k, n});
            const auto stored_a = (transpose_a ? a.t() : a).contiguous();
            const auto stored_b = (transpose_b ? b.t() : b).contiguous();
            const float* of_b = stored_b.data_ptr<float>();
            auto c = torch::full({m + 2, n}, 3.0f);  // its first and last row must stay
            kernel.multiply(
                {transpose_a, transpose_b, m, n, k, stored_a.data_ptr<float>(), of_b, add, c.data_ptr<float>() + n});
            const auto exact = a.to(torch::kFloat64).matmul(b.to(torch::kFloat64)) + (add ? 3 : 0);
            ASSERT_LT((c.narrow(0, 1, m) - exact).abs().max().item<double>(), 1e-4) << kernel.instructions;
            ASSERT_TRUE((c[0] == 3).all().item<bool>() && (c[m + 1] == 3).all().item<bool>()) << kernel.instructions;
            if (transpose_a) continue;
            for (std::int64_t i = 0; i < m; ++i) {
              auto row = torch::full({n}, 3.0f);
              kernel.multiply(
                  {false, transpose_b, 1, n, k, stored_a.data_ptr<float>() + i * k, of_b, add, row.data_ptr<float>()});
              ASSERT_TRUE(torch::equal(row, c[i + 1])) << kernel.instructions << " " << m << " " << n << " " << k;
            }
          }
        }
      }
    }
  }
  EXPECT_GE(tried, 1u);
}

// Of every size, so that the rest that fills no vector is stepped too, and of squares without roots.
TEST(Kernels, StepAdamFromAnyState) {
  for (const std::int64_t count : {1, 15, 16, 17, 100}) {
    torch::manual_seed(count);
    auto values = torch::randn({count}), means = torch::randn({count}), squares = torch::rand({count});
    const auto gradients = torch::randn({count});
    squares[0] = 0;
    AdamStep step;
    step.gradient_factor = 0.5;
    step.beta1 = 0.9f;
    step.beta2 = 1;  // the first square stays 0
    step.epsilon = 1e-8f;
    step.l2 = 0.1f;
    step.decay = 0.99f;
    step.step_size = 1e-10f;
    step.root_correction = 1.5f;
    const auto before = values.to(torch::kFloat64), mean = means.to(torch::kFloat64);
    const auto gradient = 0.5 * gradients.to(torch::kFloat64) + 0.1 * before;
    const auto exact_mean = 0.9 * mean + 0.1 * gradient;
    const auto exact =
        0.99 * before - 1e-10 * exact_mean / (1.5 * squares.to(torch::kFloat64).sqrt() + static_cast<double>(1e-8f));
    adam_step(step, count, gradients.data_ptr<float>(), means.data_ptr<float>(), squares.data_ptr<float>(),
              values.data_ptr<float>());
    EXPECT_TRUE(torch::allclose(means.to(torch::kFloat64), exact_mean, 1e-6, 1e-6));
    EXPECT_EQ(squares[0].item<float>(), 0);
    EXPECT_TRUE(torch::allclose(values.to(torch::kFloat64), exact, 1e-6, 1e-6));
  }
}

}  // namespace
}  // namespace ae::model::kernels_test
