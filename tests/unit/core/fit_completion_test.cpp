// Guesses for missing entries against slow references, and the figures that judge them against their definitions.
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "base/random.hpp"
#include "fit/completion.hpp"
#include "fit/imputation_figures.hpp"

namespace ae::fit::completion_test {
namespace {

constexpr float kHole = std::numeric_limits<float>::quiet_NaN();

// Of rank 2 with some noise and a mean of each column, a share of which is observed; NaN elsewhere.
Eigen::MatrixXf sample(Eigen::Index rows, Eigen::Index columns, double observed, double noise) {
  Eigen::MatrixXf x(rows, columns);
  Random random(7);
  const auto number = [&] { return 2 * random.uniform() - 1; };
  Eigen::MatrixXd u(rows, 2), v(columns, 2);
  for (auto* factor : {&u, &v})
    for (auto& entry : factor->reshaped()) entry = 2 * number();
  for (Eigen::Index i = 0; i < rows; ++i)
    for (Eigen::Index j = 0; j < columns; ++j) {
      const double value = u.row(i).dot(v.row(j)) + static_cast<double>(j % 5) + noise * number();
      x(i, j) = random.uniform() < observed ? static_cast<float>(value) : kHole;
    }
  return x;
}

PartialMatrix partial(const Eigen::MatrixXf& x) {
  PartialMatrix matrix;
  matrix.columns = x.cols();
  for (Eigen::Index i = 0; i < x.rows(); ++i) {
    std::vector<float> row, observed;
    for (Eigen::Index j = 0; j < x.cols(); ++j) {
      row.push_back(x(i, j));
      observed.push_back(std::isnan(x(i, j)) ? 0.0f : 1.0f);
    }
    matrix.append(row, observed);
  }
  return matrix;
}

Eigen::MatrixXf guesses(const Completion& completion, const PartialMatrix& matrix) {
  Eigen::MatrixXf all(matrix.rows(), matrix.columns);
  std::vector<float> row(static_cast<std::size_t>(matrix.columns));
  for (Eigen::Index i = 0; i < all.rows(); ++i) {
    completion.row(i, row);
    all.row(i) = Eigen::Map<const Eigen::RowVectorXf>(row.data(), all.cols());
  }
  return all;
}

Eigen::MatrixXf completed(Completion& completion, const PartialMatrix& matrix, std::uint64_t seed = 1) {
  SilentReporter silent;
  completion.fit(matrix, seed, silent);
  return guesses(completion, matrix);
}

std::unique_ptr<Completion> named(std::string_view name) {
  for (const auto& entry : completions())
    if (entry.name == name) return entry.make();
  return nullptr;
}

TEST(MeanCompletion, TakesZerosForValuesOnlyWhereTheyAre) {
  Eigen::MatrixXf x(4, 2);
  x << 1, kHole, 3, 6, kHole, kHole, kHole, 2;
  auto matrix = partial(x);
  EXPECT_EQ(completed(*named("mean"), matrix).row(3), Eigen::RowVector2f(2, 4));
  matrix.holes_are_zero = true;
  EXPECT_EQ(completed(*named("mean"), matrix).row(3), Eigen::RowVector2f(1, 2));
  EXPECT_EQ(completed(*named("observed_mean"), matrix).row(0), Eigen::RowVector2f(2, 4));
}

// By the formulas of the header, over all pairs of rows.
Eigen::MatrixXd slow_knn(const Eigen::MatrixXf& x, int neighbours, double shrinkage) {
  const auto seen = [&](Eigen::Index i, Eigen::Index j) { return !std::isnan(x(i, j)); };
  Eigen::VectorXd means(x.cols());
  double squares = 0, count = 0;
  for (Eigen::Index j = 0; j < x.cols(); ++j) {
    double sum = 0, n = 0;
    for (Eigen::Index i = 0; i < x.rows(); ++i)
      if (seen(i, j)) sum += x(i, j), ++n;
    means[j] = sum / n;
    for (Eigen::Index i = 0; i < x.rows(); ++i)
      if (seen(i, j)) squares += std::pow(x(i, j) - means[j], 2), ++count;
  }
  Eigen::MatrixXd guess(x.rows(), x.cols());
  for (Eigen::Index i = 0; i < x.rows(); ++i) {
    std::vector<std::pair<double, Eigen::Index>> others;
    for (Eigen::Index n = 0; n < x.rows(); ++n) {
      double sum = 4 * 2 * squares / count, common = 4;
      for (Eigen::Index j = 0; j < x.cols(); ++j)
        if (seen(i, j) && seen(n, j)) sum += std::pow(x(i, j) - x(n, j), 2), ++common;
      if (n != i && common > 4) others.emplace_back(sum / common, n);
    }
    std::sort(others.begin(), others.end());
    for (Eigen::Index j = 0; j < x.cols(); ++j) {
      double sum = shrinkage * means[j], weight = shrinkage;
      for (int k = 0; k < std::min<int>(neighbours, static_cast<int>(others.size())); ++k)
        if (const auto n = others[static_cast<std::size_t>(k)].second; seen(n, j)) sum += x(n, j), ++weight;
      guess(i, j) = sum / weight;
    }
  }
  return guess;
}

TEST(KnnCompletion, IsThatOfAllPairsOfRows) {
  const auto x = sample(40, 9, 0.5, 0.5);
  const auto knn = knn_completion({.neighbours = 6, .shrinkage = 1.5});
  EXPECT_LT((completed(*knn, partial(x)).cast<double>() - slow_knn(x, 6, 1.5)).cwiseAbs().maxCoeff(), 1e-5);
}

TEST(KnnCompletion, SeeksAmongSomeRowsOfMany) {
  const auto matrix = partial(sample(60, 9, 0.5, 0.5));
  const auto some = knn_completion({.most_candidates = 10}), all = knn_completion({});
  EXPECT_NE(completed(*some, matrix), completed(*all, matrix));
  EXPECT_NE(completed(*some, matrix, 2), completed(*some, matrix, 1));
  EXPECT_EQ(completed(*some, matrix, 2), completed(*some, matrix, 2));
}

// softImpute by whole singular value decompositions of the dense matrix, until nothing changes.
Eigen::MatrixXd slow_soft_impute(const Eigen::MatrixXf& x, double lambda) {
  Eigen::MatrixXd centred(x.rows(), x.cols()), z = Eigen::MatrixXd::Zero(x.rows(), x.cols());
  Eigen::RowVectorXd means(x.cols());
  for (Eigen::Index j = 0; j < x.cols(); ++j) {
    double sum = 0, n = 0;
    for (Eigen::Index i = 0; i < x.rows(); ++i)
      if (!std::isnan(x(i, j))) sum += x(i, j), ++n;
    means[j] = sum / n;
    centred.col(j) = x.col(j).cast<double>().array() - means[j];
  }
  for (int step = 0; step < 20'000; ++step) {
    const Eigen::MatrixXd filled = centred.array().isNaN().select(z, centred);
    const Eigen::JacobiSVD<Eigen::MatrixXd> svd(filled, Eigen::ComputeThinU | Eigen::ComputeThinV);
    const Eigen::VectorXd d = (svd.singularValues().array() - lambda).max(0.0).matrix();
    const Eigen::MatrixXd next = svd.matrixU() * d.asDiagonal() * svd.matrixV().transpose();
    const double change = (next - z).norm();
    z = next;
    if (change < 1e-9) break;
  }
  return z.rowwise() + means;
}

TEST(LowRankCompletion, IsSoftImputeOfTheDenseMatrix) {
  const auto x = sample(30, 12, 0.6, 0.5);
  for (const double lambda : {0.5, 2.0, 6.0}) {
    const auto low_rank = low_rank_completion({.tolerance = 1e-7, .most_sweeps = 5000, .lambda = lambda});
    const Eigen::MatrixXd difference = completed(*low_rank, partial(x)).cast<double>() - slow_soft_impute(x, lambda);
    EXPECT_LT(difference.cwiseAbs().maxCoeff(), 2e-3) << lambda;
    EXPECT_EQ(low_rank->lambda(), lambda);
  }
}

TEST(LowRankCompletion, FindsAPenaltyThatFindsTheMatrix) {
  const auto whole = sample(200, 40, 2, 0.2);
  auto x = whole;
  Random random(3);
  for (auto& entry : x.reshaped())
    if (random.uniform() > 0.4) entry = kHole;
  const auto matrix = partial(x);
  const auto low_rank = low_rank_completion({});
  const auto root_mean_square = [&](const Eigen::MatrixXf& guess) {
    return std::sqrt((guess - whole).squaredNorm() / 8000);
  };
  const double error = root_mean_square(completed(*low_rank, matrix));
  EXPECT_LT(error, 0.25 * root_mean_square(completed(*named("observed_mean"), matrix)));
  EXPECT_GE(low_rank->rank(), 2);
  EXPECT_EQ(completed(*low_rank_completion({}), matrix), guesses(*low_rank, matrix));
}

TEST(Completions, TakeWhatHardlyIsAMatrix) {
  Eigen::MatrixXf one(1, 1), empty(3, 2), holes(3, 3);
  one << 5;
  empty.setConstant(kHole);
  holes << 1, kHole, kHole, kHole, kHole, 4, kHole, kHole, kHole;
  for (const auto& entry : completions()) {
    EXPECT_FLOAT_EQ(completed(*entry.make(), partial(one))(0, 0), 5) << entry.name;
    EXPECT_TRUE(completed(*entry.make(), partial(empty)).isZero()) << entry.name;
    const auto guess = completed(*entry.make(), partial(holes));
    EXPECT_FLOAT_EQ(guess(2, 0), 1) << entry.name;
    EXPECT_FLOAT_EQ(guess(1, 1), 0) << entry.name;
    EXPECT_FLOAT_EQ(guess(0, 2), 4) << entry.name;
  }
}

TEST(MaskedFigures, AreThoseOfTheirDefinitions) {
  const std::vector<double> means{1, 3};
  const std::vector<double> truth{1, 2, 4, 5, 2}, guess{1.5, 1, 3, 6, 4}, zeros{0.5, 1, 2, 0};
  const std::vector<int> column{0, 0, 1, 1, 1};
  MaskedFigures figures(means);
  for (std::size_t i = 0; i < truth.size(); ++i) figures.add(column[i], truth[i], guess[i]);
  figures.add_zeros(std::vector<float>(zeros.begin(), zeros.end()));
  const auto result = figures.result();
  // Mean truth 2.8, its sum of squares 10.8; squared errors .25, 1, 1, 1, 4.
  EXPECT_NEAR(result.nrmse, std::sqrt(7.25 / 10.8), 1e-12);
  // Deviations 0, 1, 1, 2, -1 and .5, 0, 0, 3, 1: covariance 5 - 5 * .6 * .9, squares 7 - 5 * .36 and 10.25 - 5 * .81.
  EXPECT_NEAR(result.centred_correlation, (5 - 2.7) / std::sqrt(5.2 * 6.2), 1e-12);
  EXPECT_NEAR(result.mean_at_zeros, 3.5 / 4, 1e-12);
  double right = 0;
  for (const double g : guess)
    for (const double z : zeros) right += g > z ? 1 : g == z ? 0.5 : 0;
  EXPECT_NEAR(result.zero_auc, right / 20, 1e-12);
  EXPECT_EQ(result.entries, 5);
  EXPECT_EQ(result.zeros, 4);
}

TEST(MaskedFigures, OfColumnMeansKnowNothingBeyondTheColumn) {
  const std::vector<double> means{1.0 / 3, 7.0 / 9};
  MaskedFigures figures(means);
  for (int i = 0; i < 50; ++i)
    figures.add(i % 2, std::sin(i), static_cast<float>(means[static_cast<std::size_t>(i % 2)]));
  EXPECT_EQ(figures.result().centred_correlation, 0);
  EXPECT_TRUE(std::isnan(figures.result().mean_at_zeros));
}

TEST(ThinnedFigures, AreThoseOfTheirDefinitions) {
  ThinnedFigures figures;
  figures.add(std::vector<float>{0, 2, 1}, std::vector<float>{0.5, 1.5, 0});
  const auto result = figures.result();
  EXPECT_NEAR(result.poisson_nll, (0.5 + 1.5 - 2 * std::log(1.5) + 1e-8 - std::log(1e-8)) / 3, 1e-9);
  EXPECT_NEAR(result.sum_ratio, 2.0 / 3, 1e-12);
  EXPECT_EQ(result.molecules, 3);
  EXPECT_EQ(result.impossible, 1);
}

TEST(FiguresOfMethods, AreATableAndJson) {
  MaskedResult masked{4, 0, 0.5, 0.25, std::nan(""), std::nan("")};
  const std::vector<MethodFigures> methods{{"mean", masked, {}, {}}, {"low_rank", masked, {}, 0.9}};
  EXPECT_EQ(figures_text(methods),
            "method    entries   NRMSE  centred r  zeros  at zeros  AUC zeros  in 90 %\n"
            "mean            4  0.5000     0.2500      0         -          -        -\n"
            "low_rank        4  0.5000     0.2500      0         -          -   0.9000\n");
  const auto json = figures_json(methods);
  EXPECT_EQ(json[1]["method"], "low_rank");
  EXPECT_EQ(json[1]["nrmse"], 0.5);
  EXPECT_TRUE(json[0]["zero_auc"].is_null());
  EXPECT_FALSE(json[0].contains("poisson_nll"));
}

// Of draws from the truth's own distribution 90 % cover it, also where nearly all are equal; of draws that vary less,
// fewer.
TEST(Coverage, IsThatOfTheIntervalForCountsToo) {
  for (const double mean : {0.02, 0.7, 30.0}) {
    std::mt19937_64 random(1);
    // Rates that differ between entries, as a gamma's do; the narrow draws know nothing of that.
    const auto spread = [&] {
      return std::poisson_distribution<int>(mean * std::gamma_distribution<>(2, 0.5)(random))(random);
    };
    Coverage right, narrow;
    for (int entry = 0; entry < 20000; ++entry) {
      const int truth = spread();
      const auto judge = [&](Coverage& coverage, const auto& draw) {
        int below = 0, equal = 0;
        for (int i = 0; i < 19; ++i) {
          const int drawn = draw();
          below += drawn < truth;
          equal += drawn == truth;
        }
        coverage.add(below, equal, 19, std::uniform_real_distribution<>()(random));
      };
      judge(right, spread);
      judge(narrow, [&] { return std::poisson_distribution<int>(mean)(random); });
    }
    EXPECT_NEAR(right.share(), 0.9, 0.009) << mean;  // 4 standard errors
    if (mean > 1) {
      EXPECT_LT(narrow.share(), 0.7);
    }
  }
  EXPECT_TRUE(std::isnan(Coverage().share()));
}

}  // namespace
}  // namespace ae::fit::completion_test
