#include "base/vector_math.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/random.hpp"

namespace ae::base_vector_math_test {
namespace {

// Largest error relative to the exact value (or to `floor`, where that is larger) over [low, high].
template <typename Ours, typename Exact>
double largest_error(Ours ours, Exact exact, float low, float high, double floor = 1e-30) {
  double largest = 0;
  constexpr int kPoints = 200'000;
  for (int i = 0; i <= kPoints; ++i) {
    const float x = low + (high - low) * static_cast<float>(i) / kPoints;
    const double truth = exact(static_cast<double>(x));
    largest = std::max(largest, std::abs(static_cast<double>(ours(x)) - truth) / std::max(std::abs(truth), floor));
  }
  return largest;
}

TEST(VectorMath, AgreesWithTheStandardLibrary) {
  constexpr double kUnits = 4e-7;
  const auto logistic = [](double x) { return 1 / (1 + std::exp(-x)); };
  EXPECT_LT(largest_error([](float x) { return vector_exp(x); }, [](double x) { return std::exp(x); }, -86, 87),
            kUnits);
  EXPECT_LT(largest_error([](float x) { return vector_expm1(x); }, [](double x) { return std::expm1(x); }, -20, 20),
            kUnits);
  EXPECT_LT(
      largest_error([](float x) { return vector_expm1(x); }, [](double x) { return std::expm1(x); }, -1e-3f, 1e-3f),
      kUnits);
  EXPECT_LT(largest_error([](float x) { return vector_tanh(x); }, [](double x) { return std::tanh(x); }, -12, 12),
            kUnits);
  EXPECT_LT(largest_error([](float x) { return vector_tanh(x); }, [](double x) { return std::tanh(x); }, -1e-3f, 1e-3f),
            kUnits);
  EXPECT_LT(largest_error([](float x) { return vector_logistic(x); }, logistic, -40, 40), kUnits);
  EXPECT_LT(largest_error([](float x) { return vector_log1p(x); }, [](double x) { return std::log1p(x); }, 0, 1),
            kUnits);
  EXPECT_LT(largest_error([](float x) { return vector_log(x); }, [](double x) { return std::log(x); }, 1e-7f, 3, 0.1),
            kUnits);
  const auto density = [](double x) { return std::exp(-x * x / 2) / std::sqrt(2 * M_PI); };
  EXPECT_LT(largest_error([](float x) { return normal_distribution(x).density; }, density, -9, 9), 1e-5);
  const auto below = [](double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; };
  EXPECT_LT(largest_error([](float x) { return normal_distribution(x).below; }, below, -9, 9, 1), 3e-7);
  EXPECT_LT(
      largest_error([](float x) { return circle(x).cosine; }, [](double x) { return std::cos(2 * M_PI * x); }, 0, 1, 1),
      kUnits);
  EXPECT_LT(
      largest_error([](float x) { return circle(x).sine; }, [](double x) { return std::sin(2 * M_PI * x); }, 0, 1, 1),
      kUnits);
}

TEST(VectorMath, KeepsWhatIsNoNumber) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float value :
       {vector_exp(nan), vector_expm1(nan), vector_tanh(nan), vector_logistic(nan), normal_distribution(nan).below}) {
    EXPECT_TRUE(std::isnan(value));
  }
}

TEST(Random, FillsWithTheMomentsOfTheDistribution) {
  constexpr std::size_t kCount = 200'001;
  std::vector<float> numbers(kCount);
  const auto moments = [&](double centre) {
    std::vector<double> sums(4, 0.0);
    for (const float number : numbers) {
      double power = 1;
      for (double& sum : sums) sum += (power *= number - centre) / kCount;
    }
    return sums;
  };
  std::vector<double> found;
  for (const auto fill : {fill_uniform, fill_coarse_uniform}) {
    fill(3, numbers);
    found = moments(0.5);
    EXPECT_NEAR(found[0], 0, 3e-3);
    EXPECT_NEAR(found[1], 1.0 / 12, 1e-3);
    EXPECT_NEAR(found[3], 1.0 / 80, 1e-3);
    EXPECT_LT(*std::max_element(numbers.begin(), numbers.end()), 1);
    EXPECT_GE(*std::min_element(numbers.begin(), numbers.end()), 0);
    const auto first = numbers;
    fill(3, numbers);
    EXPECT_EQ(numbers, first);
    fill(4, numbers);
    EXPECT_NE(numbers, first);
  }
  fill_normal(3, numbers);
  found = moments(0);
  EXPECT_NEAR(found[0], 0, 0.01);
  EXPECT_NEAR(found[1], 1, 0.015);
  EXPECT_NEAR(found[2], 0, 0.03);
  EXPECT_NEAR(found[3], 3, 0.1);
  // Neighbours, and the halves that share words, know nothing of each other.
  for (const std::size_t apart : {std::size_t{1}, kCount / 4, kCount / 2, kCount / 2 + 1}) {
    double together = 0;
    for (std::size_t i = 0; i + apart < kCount; ++i) together += numbers[i] * numbers[i + apart];
    EXPECT_NEAR(together / static_cast<double>(kCount - apart), 0, 0.015) << apart;
  }
}

}  // namespace
}  // namespace ae::base_vector_math_test
