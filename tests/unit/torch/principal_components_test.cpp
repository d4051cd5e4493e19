// Principal components against slow references written here, in loops over plain numbers: Jacobi rotations of the
// covariance for whole samples; of samples with missing cells, the gradient, which is 0 at an optimum, and known ones.
#include "model/principal_components.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/error.hpp"

namespace ae::model::principal_components_test {
namespace {

using Matrix = std::vector<std::vector<double>>;

at::Tensor low_rank(std::int64_t samples, std::int64_t elements, std::int64_t rank, double noise, std::int64_t seed) {
  torch::manual_seed(static_cast<std::uint64_t>(seed));
  auto factors = torch::randn({samples, rank}, torch::kFloat64) * torch::arange(rank, 0, -1).to(torch::kFloat64);
  return (factors.mm(torch::randn({rank, elements}, torch::kFloat64)) +
          noise * torch::randn({samples, elements}, torch::kFloat64) + 3)
      .to(torch::kFloat32);
}

TableSamples whole(const at::Tensor& values) { return TableSamples(Batch{values, torch::ones_like(values)}); }

TableSamples with_holes(const at::Tensor& values, double share) {
  const auto observed = (torch::rand_like(values) >= share).to(torch::kFloat32);
  return TableSamples(Batch{values * observed, observed});
}

struct Eigen {
  std::vector<double> values;  // falling
  Matrix vectors;              // one a row
};

// Cyclic Jacobi rotations (Golub and Van Loan, Matrix Computations, section 8.5).
Eigen jacobi(Matrix a) {
  const std::size_t n = a.size();
  Matrix v(n, std::vector<double>(n, 0.0));
  for (std::size_t i = 0; i < n; ++i) v[i][i] = 1;
  for (int sweep = 0; sweep < 60; ++sweep) {
    for (std::size_t p = 0; p < n; ++p) {
      for (std::size_t q = p + 1; q < n; ++q) {
        if (std::abs(a[p][q]) < 1e-300) continue;
        const double tau = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        const double t = (tau >= 0 ? 1 : -1) / (std::abs(tau) + std::hypot(1, tau));
        const double c = 1 / std::hypot(1, t), s = t * c;
        for (std::size_t k = 0; k < n; ++k) {
          const double x = a[k][p], y = a[k][q];
          a[k][p] = c * x - s * y;
          a[k][q] = s * x + c * y;
        }
        for (std::size_t k = 0; k < n; ++k) {
          const double x = a[p][k], y = a[q][k];
          a[p][k] = c * x - s * y;
          a[q][k] = s * x + c * y;
        }
        for (std::size_t k = 0; k < n; ++k) {
          const double x = v[p][k], y = v[q][k];
          v[p][k] = c * x - s * y;
          v[q][k] = s * x + c * y;
        }
      }
    }
  }
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::sort(order, [&](std::size_t i, std::size_t j) { return a[i][i] > a[j][j]; });
  Eigen eigen;
  for (const auto i : order) {
    eigen.values.push_back(a[i][i]);
    eigen.vectors.push_back(v[i]);
  }
  return eigen;
}

Eigen eigen_of_covariance(const at::Tensor& values) {
  const auto rows = values.size(0), columns = values.size(1);
  const auto at = [&](std::int64_t i, std::int64_t j) {
    return static_cast<double>(values.data_ptr<float>()[i * columns + j]);
  };
  const auto n = static_cast<std::size_t>(columns);
  std::vector<double> mean(n, 0.0);
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j)
      mean[static_cast<std::size_t>(j)] += at(i, j) / static_cast<double>(rows);
  }
  Matrix covariance(n, std::vector<double>(n, 0.0));
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::size_t p = 0; p < n; ++p) {
      for (std::size_t q = 0; q < n; ++q) {
        covariance[p][q] += (at(i, static_cast<std::int64_t>(p)) - mean[p]) *
                            (at(i, static_cast<std::int64_t>(q)) - mean[q]) / static_cast<double>(rows);
      }
    }
  }
  return jacobi(covariance);
}

class WholeSamples : public testing::TestWithParam<std::pair<std::int64_t, std::int64_t>> {};
TEST_P(WholeSamples, HaveTheComponentsThatJacobiRotationsFind) {
  const auto [rows, columns] = GetParam();
  const auto values = low_rank(rows, columns, 4, 0.3, 7).contiguous();
  const auto eigen = eigen_of_covariance(values);
  SilentReporter silent;
  const auto found = principal_components(whole(values), 3, silent);
  EXPECT_EQ(found.rounds, 0);
  double left = 0;
  for (std::size_t i = 3; i < eigen.values.size(); ++i) left += std::max(0.0, eigen.values[i]);
  EXPECT_NEAR(found.error, left / static_cast<double>(columns), 1e-10 * left);
  for (std::int64_t k = 0; k < 3; ++k) {
    const auto& vector = eigen.vectors[static_cast<std::size_t>(k)];
    EXPECT_NEAR(found.spread.deviations[k].item<double>(), std::sqrt(eigen.values[static_cast<std::size_t>(k)]), 1e-9);
    double product = 0, largest = 0;
    for (std::int64_t j = 0; j < columns; ++j) {
      const double loading = found.spread.basis.axes[j][k].item<double>();
      product += loading * vector[static_cast<std::size_t>(j)];
      if (std::abs(loading) > std::abs(largest)) largest = loading;
    }
    EXPECT_NEAR(std::abs(product), 1, 1e-9);
    EXPECT_GT(largest, 0);
  }
}
INSTANTIATE_TEST_SUITE_P(MoreRowsOrMoreColumns, WholeSamples,
                         testing::Values(std::pair(60, 9), std::pair(9, 14), std::pair(12, 12)));

TEST(PrincipalComponents, OfFewSamplesAreCompletedToAsManyOrthonormalAxesAsAsked) {
  const auto values = low_rank(4, 10, 2, 0.1, 3);
  SilentReporter silent;
  const auto found = principal_components(whole(values), 6, silent);
  const auto& axes = found.spread.basis.axes;
  EXPECT_TRUE(torch::allclose(axes.t().mm(axes), torch::eye(6, torch::kFloat64), 0, 1e-12));
  EXPECT_NEAR(found.error, 0, 1e-12);
  EXPECT_NEAR(found.spread.deviations[3].item<double>(), 0, 1e-6);  // 4 samples span 3 dimensions about their mean
}

TEST(PrincipalComponents, AreSortedAndSignedWhateverBasisTheyComeIn) {
  const auto samples = whole(low_rank(50, 6, 3, 0.2, 5));
  SilentReporter silent;
  const auto found = principal_components(samples, 3, silent).spread;
  const auto turn = std::get<0>(torch::linalg_qr(torch::randn({3, 3}, torch::kFloat64)));
  const auto moved = found.basis.center + found.basis.axes.mv(torch::tensor({1.0, -2.0, 0.5}, torch::kFloat64));
  const auto again = canonical(samples, {moved, found.basis.axes.mm(turn)});
  EXPECT_TRUE(torch::allclose(again.basis.axes, found.basis.axes, 0, 1e-10));
  EXPECT_TRUE(torch::allclose(again.basis.center, found.basis.center, 0, 1e-10));
  EXPECT_TRUE(torch::allclose(again.deviations, found.deviations, 0, 1e-10));
}

TEST(NearestCodes, OfWhatIsObservedSolveTheNormalEquations) {
  const Basis basis{torch::tensor({1.0, 0.0, -1.0}, torch::kFloat64),
                    torch::tensor({{0.6}, {0.8}, {0.0}}, torch::kFloat64)};
  const auto values = torch::tensor({{1.6f, 0.8f, -1.0f}, {1.6f, 0.0f, 0.0f}, {0.0f, 0.0f, 4.0f}, {0.0f, 0.0f, 0.0f}});
  const auto observed = torch::tensor({{1.0f, 1.0f, 1.0f}, {1.0f, 0.0f, 0.0f}, {0.0f, 0.0f, 1.0f}, {0.0f, 0.0f, 0.0f}});
  const auto codes = nearest_codes(basis, {values, observed});
  EXPECT_NEAR(codes[0][0].item<double>(), 1, 1e-6);
  EXPECT_NEAR(codes[1][0].item<double>(), 1, 1e-6);   // 0.6 / 0.6
  EXPECT_NEAR(codes[2][0].item<double>(), 0, 1e-12);  // the only cell says nothing of it
  EXPECT_NEAR(codes[3][0].item<double>(), 0, 1e-12);
}

// Of exact low rank, whatever is missing: nothing is left, and the hidden cells are found.
TEST(MissingCells, OfALowRankTableAreFoundExactly) {
  const auto values = low_rank(200, 8, 2, 0, 11);
  torch::manual_seed(1);
  const auto samples = with_holes(values, 0.2);
  SilentReporter silent;
  const auto found = principal_components(samples, 2, silent);
  EXPECT_GT(found.rounds, 0);
  EXPECT_LT(found.error, 1e-9 * total_error(samples));
  const auto codes = nearest_codes(found.spread.basis, samples.range(0, 200));
  const auto guess = found.spread.basis.center + codes.mm(found.spread.basis.axes.t());
  EXPECT_LT((guess - values.to(torch::kFloat64)).abs().max().item<double>(), 2e-3);
}

double error_by_loops(const TableSamples& samples, const Basis& basis) {
  const auto batch = samples.range(0, samples.size());
  const auto codes = nearest_codes(basis, batch);
  double sum = 0;
  for (std::int64_t i = 0; i < samples.size(); ++i) {
    double squares = 0, count = 0;
    for (std::int64_t j = 0; j < batch.values.size(1); ++j) {
      if (batch.observed[i][j].item<float>() == 0) continue;
      double guess = basis.center[j].item<double>();
      for (std::int64_t k = 0; k < basis.count(); ++k) {
        guess += basis.axes[j][k].item<double>() * codes[i][k].item<double>();
      }
      squares += std::pow(static_cast<double>(batch.values[i][j].item<float>()) - guess, 2);
      ++count;
    }
    sum += squares / count;
  }
  return sum / static_cast<double>(samples.size());
}

TEST(MissingCells, LeaveAnOptimumThatNoSmallChangeImproves) {
  torch::manual_seed(2);
  const auto values = low_rank(80, 6, 3, 0.4, 13);
  torch::manual_seed(3);
  const auto samples = with_holes(values, 0.15);
  SilentReporter silent;
  const auto found = principal_components(samples, 2, silent);
  ASSERT_TRUE(found.converged);
  EXPECT_NEAR(found.error, error_by_loops(samples, found.spread.basis), 1e-9 * found.error);
  // Numerical derivatives by every number of the basis, whose codes follow.
  constexpr double kStep = 1e-4;
  const auto error_with = [&](const Basis& basis) { return error_of(samples, basis); };
  for (std::int64_t j = 0; j < 6; ++j) {
    for (std::int64_t k = -1; k < 2; ++k) {
      Basis up{found.spread.basis.center.clone(), found.spread.basis.axes.clone()};
      Basis down{up.center.clone(), up.axes.clone()};
      (k < 0 ? up.center[j] : up.axes[j][k]) += kStep;
      (k < 0 ? down.center[j] : down.axes[j][k]) -= kStep;
      const double slope = (error_by_loops(samples, up) - error_by_loops(samples, down)) / (2 * kStep);
      EXPECT_NEAR(slope, 0, 2e-4 * found.error) << j << " " << k;
    }
  }
  // And nothing is better among other starts.
  for (int seed = 0; seed < 5; ++seed) {
    torch::manual_seed(static_cast<std::uint64_t>(seed));
    const Basis start{torch::zeros({6}, torch::kFloat64),
                      std::get<0>(torch::linalg_qr(torch::randn({6, 2}, torch::kFloat64)))};
    EXPECT_GE(principal_components(samples, 2, silent, start).error, found.error * (1 - 1e-8));
    EXPECT_LE(principal_components(samples, 2, silent, start).error, error_with(start));
  }
}

TEST(PrincipalAngles, AreThoseOfTurnedPlanes) {
  for (const double degrees : {0.0, 1e-6, 0.1, 30.0, 60.0, 90.0}) {
    const double angle = degrees * std::acos(-1.0) / 180;
    auto one = torch::zeros({4, 2}, torch::kFloat64), other = torch::zeros({4, 2}, torch::kFloat64);
    one[0][0] = one[1][1] = 1;
    other[0][0] = 1;
    other[1][1] = std::cos(angle);
    other[2][1] = std::sin(angle);
    const auto found = principal_angles(one, other);
    EXPECT_NEAR(found[0].item<double>(), 0, 1e-9);
    EXPECT_NEAR(found[1].item<double>(), degrees, 1e-9 + 1e-9 * degrees);
  }
}

// Where it would take too much memory, before any of it is taken.
class Huge final : public Samples {
 public:
  std::int64_t size() const override { return kMostDecomposed + 1; }
  Batch batch(const std::vector<std::int64_t>&) const override { return range(0, 1); }
  Batch range(std::int64_t begin, std::int64_t end) const override {
    const auto values = torch::zeros({1, 1}).expand({end - begin, kMostDecomposed + 1});
    return {values, values};
  }
  bool has_missing() const override { return false; }
};

TEST(PrincipalComponents, OfTooManyRowsAndColumnsAreRefused) {
  SilentReporter silent;
  EXPECT_THROW(principal_components(Huge(), 2, silent), UsageError);
}

}  // namespace
}  // namespace ae::model::principal_components_test
