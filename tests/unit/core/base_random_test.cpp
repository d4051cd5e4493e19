#include "base/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace ae::base_random_test {
namespace {

TEST(SystematicSample, TakesEachAsOftenAsItsWeightSays) {
  const std::vector<double> weights{0, 1, 0.5, 0, 2.5, 4, 0};  // sum 8 over 7 draws
  for (int k = 0; k < 50; ++k) {
    const auto drawn = systematic_sample(weights, k / 50.0);
    ASSERT_EQ(drawn.size(), weights.size());
    EXPECT_TRUE(std::is_sorted(drawn.begin(), drawn.end()));
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const double expected = weights[i] * 7 / 8;
      const auto found = static_cast<double>(std::count(drawn.begin(), drawn.end(), static_cast<std::int64_t>(i)));
      EXPECT_GT(found, expected - 1);
      EXPECT_LT(found, expected + 1);
    }
  }
}

TEST(SystematicSample, OfEqualWeightsTakesAllOnce) {
  const std::vector<double> weights(1000, 0.1);
  const auto drawn = systematic_sample(weights, 0.999999);
  for (std::size_t i = 0; i < drawn.size(); ++i) EXPECT_EQ(drawn[i], static_cast<std::int64_t>(i));
}

}  // namespace
}  // namespace ae::base_random_test
