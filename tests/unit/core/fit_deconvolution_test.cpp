// Deconvolution against closed forms: blurs whose columns are known, densities whose answer is known, states.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Core>
#include <cmath>
#include <numbers>

#include "base/random.hpp"
#include "data/colvar/samples.hpp"
#include "data/tables/colvar_rows.hpp"
#include "fit/blur.hpp"
#include "fit/deconvolution.hpp"
#include "fit/state_shares.hpp"
#include "fit/states.hpp"
#include "support/byte_sources.hpp"
#include "support/errors.hpp"
#include "support/recording_reporter.hpp"
#include "support/temporary_folder.hpp"

namespace ae::fit::deconvolution_test {
namespace {

using Eigen::Index;
using Eigen::VectorXd;

Axis axis(double low, double high, Index bins, bool periodic = false) { return {low, high, bins, periodic}; }

Blur gaussian(const Axis& a, double sigma) {
  return normal_blur(a, a, [sigma](double x) { return NormalError{x, sigma}; });
}

VectorXd masses(const Axis& a, const auto& density) {
  VectorXd p(a.bins);
  for (Index b = 0; b < a.bins; ++b) p[b] = density(a.centre(b));
  return p / p.sum();
}

TEST(Grid, BinsHoldTheirValues) {
  const Axis a = axis(-1, 1, 4);
  EXPECT_EQ(a.bin(-1), 0);
  EXPECT_EQ(a.bin(1), 3);
  EXPECT_EQ(a.bin(0), 2);
  EXPECT_FALSE(a.bin(1.001) || a.bin(-1.001) || a.bin(std::nan("")));
  const Axis around = axis(-180, 180, 36, true);
  EXPECT_EQ(around.bin(190), around.bin(-170));
  EXPECT_EQ(around.bin(180), 0);
  EXPECT_DOUBLE_EQ(around.difference(170, -170), -20);
  const Grid grid{{axis(0, 1, 3), axis(0, 1, 2, true)}};
  EXPECT_THAT(grid.neighbours(0), testing::UnorderedElementsAre(2, 1, 1));
}

TEST(Grid, AMassIsSpreadByLengths) {
  const auto spread = [](const Axis& a, double low, double high) {
    VectorXd bins = VectorXd::Zero(a.bins);
    add_evenly(bins, a, low, high, 1);
    return std::vector<double>(bins.begin(), bins.end());
  };
  using testing::DoubleNear;
  using testing::Pointwise;
  const auto near = Pointwise(DoubleNear(1e-12), std::vector<double>{0.25, 0.5, 0.25, 0});
  const Axis open = axis(0, 4, 4), around = axis(0, 4, 4, true);
  EXPECT_THAT(spread(open, 0.5, 2.5), near);
  EXPECT_THAT(spread(around, 8.5, 10.5), near);
  EXPECT_THAT(spread(open, 1.5, 1.5), testing::ElementsAre(0, 1, 0, 0));
  // Half of it lies beyond the end, or goes around.
  EXPECT_THAT(spread(open, 3, 5), Pointwise(DoubleNear(1e-12), std::vector<double>{0, 0, 0, 0.5}));
  EXPECT_THAT(spread(around, 3, 5), Pointwise(DoubleNear(1e-12), std::vector<double>{0.5, 0, 0, 0.5}));
  // A period and a half; and what would take for ever bin by bin.
  EXPECT_THAT(spread(around, 0, 6), Pointwise(DoubleNear(1e-12), std::vector<double>{2 / 6., 2 / 6., 1 / 6., 1 / 6.}));
  EXPECT_THAT(spread(around, -1e300, 1e300), Pointwise(DoubleNear(1e-12), std::vector<double>(4, 0.25)));
  EXPECT_THAT(spread(open, -1e300, 1e300), Pointwise(DoubleNear(1e-12), std::vector<double>(4, 0)));
}

TEST(Blur, ANormalOneMovesMassByItsVariance) {
  const Axis a = axis(-10, 10, 400);
  const Blur blur = gaussian(a, 0.7);
  const VectorXd seen = blur * masses(a, [](double x) { return std::exp(-x * x / 2); });
  EXPECT_NEAR(seen.sum(), 1, 1e-12);
  double variance = 0;
  for (Index b = 0; b < a.bins; ++b) variance += seen[b] * a.centre(b) * a.centre(b);
  // The truth is even within its bins, and what is observed is taken to the centres of bins.
  EXPECT_NEAR(variance, 1 + 0.49 + std::pow(a.width(), 2) / 6, 1e-5);
}

TEST(Blur, AVeryWideOneEndsAtTheAxis) {
  const Axis around = axis(0, 1, 10, true);
  EXPECT_LT((Eigen::MatrixXd(gaussian(around, 1e300)).array() - 0.1).abs().maxCoeff(), 1e-12);
  EXPECT_LT((Eigen::MatrixXd(gaussian(around, 1.4)).array() - 0.1).abs().maxCoeff(), 1e-12);
  // The probability of [0, 1] at its middle is nearly its length times the density there.
  const Blur open = gaussian(axis(0, 1, 10), 1e6);
  EXPECT_NEAR(open.col(5).sum() * 1e6 * std::sqrt(2 * std::numbers::pi), 1, 1e-6);
}

TEST(Blur, NoneIsTheIdentityAndAPeriodicOneLosesNothing) {
  const Axis a = axis(0, 1, 7);
  EXPECT_LT((Eigen::MatrixXd(gaussian(a, 0)) - Eigen::MatrixXd::Identity(7, 7)).norm(), 1e-12);
  const Blur around = gaussian(axis(-1, 1, 20, true), 0.5);
  EXPECT_LT((around.transpose() * VectorXd::Ones(20) - VectorXd::Ones(20)).cwiseAbs().maxCoeff(), 1e-12);
  EXPECT_LT((gaussian(a, 0.5).transpose() * VectorXd::Ones(7)).maxCoeff(), 1);
}

TEST(Deconvolution, ExpectedCountsGiveTheDensityBack) {
  const Axis a = axis(-3, 3, 80);
  const auto truth = masses(a, [](double x) { return std::exp(-2 * std::pow(x * x - 1, 2)); });
  const Deconvolution deconvolution(Grid{{a}}, gaussian(a, 0.2));
  const VectorXd seen = 1e9 * (deconvolution.blur() * truth);
  const auto found = deconvolution.fit({{seen, VectorXd::Ones(a.bins)}}, 1e-6);
  EXPECT_TRUE(found.converged);
  const VectorXd p = found.probabilities();
  for (Index b = 0; b < a.bins; ++b) {
    if (truth[b] > 1e-3) {
      EXPECT_NEAR(std::log(p[b] / truth[b]), 0, 0.03) << a.centre(b);
    }
  }
}

TEST(Deconvolution, FewAndManyBinsAreSolvedAlike) {
  // 600 bins by conjugate gradients, 300 directly; the roughness does not depend on the bins.
  std::vector<double> values;
  for (const Index bins : {300, 600}) {
    const Axis a = axis(-4, 4, bins);
    const Deconvolution deconvolution(Grid{{a}}, gaussian(a, 0.3));
    const VectorXd seen = 1e4 * masses(a, [](double x) { return std::exp(-x * x / 2); });
    const auto found = deconvolution.fit({{seen, VectorXd::Ones(bins)}}, 1e-3);
    EXPECT_TRUE(found.converged);
    const VectorXd p = found.probabilities();
    double variance = 0;
    for (Index b = 0; b < bins; ++b) variance += p[b] * a.centre(b) * a.centre(b);
    values.push_back(variance);
  }
  EXPECT_NEAR(values[0], 1 - 0.09, 0.02);
  EXPECT_NEAR(values[0], values[1], 0.002);
}

TEST(Deconvolution, WindowsWithoutABlurAreWham) {
  const Axis a = axis(-2, 2, 60);
  const auto truth = masses(a, [](double x) { return std::exp(-3 * x * x + x); });
  std::vector<Observed> windows;
  for (const double centre : {-1.0, 0.0, 1.0}) {
    VectorXd exposure(a.bins);
    for (Index b = 0; b < a.bins; ++b) exposure[b] = std::exp(-2 * std::pow(a.centre(b) - centre, 2));
    const VectorXd expected = truth.cwiseProduct(exposure);
    windows.push_back({1000 * (2 + centre) * expected / expected.sum(), exposure});
  }
  const auto pooled = unblurred(windows);
  EXPECT_TRUE(pooled.converged);
  EXPECT_LT((pooled.probabilities.array() / truth.array()).log().abs().maxCoeff(), 1e-6);
  const Deconvolution deconvolution(Grid{{a}}, gaussian(a, 0));
  const VectorXd p = deconvolution.fit(windows, 1e-12, nullptr, 1e-12).probabilities();
  EXPECT_LT((p.array() / truth.array()).log().abs().maxCoeff(), 1e-3);
}

TEST(Deconvolution, WindowsThatHardlyOverlapAreToldNotToConverge) {
  // Both see the middle bin with 1e-9 of what they see of their own: a step brings their free energies nearer by that.
  VectorXd counts(3), exposure(3), few(3), many(3), other(3);
  counts << 1e6, 1e-3, 0;
  exposure << 1, 1e-9, 0;
  few << 0, 1e-3, 1e6;
  many << 0, 1e-2, 1e6;
  other << 0, 1e-9, 1;
  EXPECT_TRUE(unblurred({{counts, exposure}, {few, other}}).converged);  // by symmetry
  EXPECT_FALSE(unblurred({{counts, exposure}, {many, other}}).converged);
  EXPECT_TRUE(std::isnan(unblurred({{counts, exposure}, {many, exposure}}).probabilities[2]));
}

TEST(Deconvolution, WhereNoWindowCanSeeIsNotANumber) {
  VectorXd counts(3), exposure(3);
  counts << 1, 3, 0;
  exposure << 1, 1, 0;
  const VectorXd q = unblurred({{counts, exposure}}).probabilities;
  EXPECT_DOUBLE_EQ(q[0], 0.25);
  EXPECT_TRUE(std::isnan(q[2]));
}

TEST(Deconvolution, RichardsonAndLucyRaiseTheLikelihood) {
  const Axis a = axis(-3, 3, 60);
  const Blur blur = gaussian(a, 0.3);
  const std::vector<Observed> windows{
      {1e4 * (blur * masses(a, [](double x) { return std::exp(-2 * std::pow(x * x - 1, 2)); })), VectorXd::Ones(60)}};
  RichardsonLucy iteration(blur, windows);
  double last = log_likelihood(windows, iteration.observed());
  for (int i = 0; i < 20; ++i) {
    iteration.step();
    const double now = log_likelihood(windows, iteration.observed());
    EXPECT_GE(now, last - 1e-9 * std::abs(last));
    last = now;
  }
}

TEST(Deconvolution, RichardsonAndLucySideBySideAreThoseByThemselves) {
  // Of a grid with edges and one without, against the formula as it is written down.
  for (const bool periodic : {false, true}) {
    const Axis a = axis(-3, 3, 61, periodic);
    const Blur blur = gaussian(a, 0.3);
    std::vector<std::vector<Observed>> problems;
    for (int k = 0; k < 10; ++k)
      problems.push_back(
          {{1e4 * masses(a, [&](double x) { return std::exp(-std::pow(x - 0.1 * k, 2)); }), VectorXd::Ones(a.bins)}});
    RichardsonLucy together(blur, problems);
    const HeldOutLikelihood likelihood(problems, together.lanes());
    for (int i = 0; i < 30; ++i) together.step();
    const VectorXd found = likelihood(together.all_observed());
    for (const Index k : {0, 9}) {
      const auto& windows = problems[static_cast<std::size_t>(k)];
      const VectorXd seen = windows[0].counts / windows[0].counts.sum();
      VectorXd p = VectorXd::Constant(a.bins, 1.0 / 61);
      for (int i = 0; i < 30; ++i) {
        p = p.cwiseProduct(blur.transpose() * seen.cwiseQuotient(blur * p))
                .cwiseQuotient(blur.transpose() * VectorXd::Ones(a.bins));
        p /= p.sum();
      }
      EXPECT_LT((together.probabilities(k) - p).cwiseAbs().maxCoeff(), 1e-13);
      EXPECT_NEAR(found[k], log_likelihood(windows, blur * p), 1e-7);
    }
  }
}

TEST(Deconvolution, ProductsWithABandAreThoseOfItsMatrix) {
  Random random(5);
  for (const Index columns : {1, 7, 8, 21, 40}) {
    Eigen::MatrixXd matrix = Eigen::MatrixXd::Zero(columns + 3, columns);
    for (Index b = 0; b < matrix.rows(); ++b)
      for (Index j = std::max<Index>(0, b - 9); j < std::min(columns, b + 12); ++j)
        matrix(b, j) = (b + j) % 11 == 0 ? 0 : random.uniform();
    if (columns > 20) matrix(2, columns - 1) = matrix(columns + 1, 0) = 1;  // as around a circle
    matrix.row(1).setZero();
    const Band band(matrix);
    VectorXd x(columns), weight(matrix.rows());
    for (auto& v : x) v = random.uniform();
    for (auto& v : weight) v = random.uniform();
    EXPECT_LT((band * x - matrix * x).cwiseAbs().maxCoeff(), 1e-13);
    Eigen::MatrixXd sum = Eigen::MatrixXd::Ones(columns, columns);
    band.add_gram(weight, x, sum);
    const Eigen::MatrixXd scaled = matrix * x.asDiagonal();
    const Eigen::MatrixXd expected = (scaled.transpose() * weight.asDiagonal() * scaled).array() + 1;
    for (Index j = 0; j < columns; ++j)
      for (Index i = j; i < columns; ++i) EXPECT_NEAR(sum(i, j), expected(i, j), 1e-12) << i << " " << j;
  }
  const std::vector<double> numbers{0, 1e-300, 3e-17, 0.5, 0.999999, 1, 1.4142, 1.41422, 1e8, 1e300};
  std::vector<double> logs;
  logarithms(numbers, logs);
  for (std::size_t i = 1; i < numbers.size(); ++i)
    EXPECT_NEAR(logs[i], std::log(numbers[i]), 4e-16 * std::max(1.0, std::abs(std::log(numbers[i]))));
  EXPECT_DOUBLE_EQ(logs[0], logs[1]);
}

TEST(Deconvolution, AnswersNearAnotherAreThoseFromTheStart) {
  const Axis a = axis(-3, 3, 80);
  const Deconvolution deconvolution(Grid{{a}}, gaussian(a, 0.2));
  const VectorXd seen =
      1e5 * (deconvolution.blur() * masses(a, [](double x) { return std::exp(-2 * std::pow(x * x - 1, 2)); }));
  const std::vector<Observed> first{{seen, VectorXd::Ones(a.bins)}};
  std::vector<Observed> like = first;
  for (Index b = 0; b < a.bins; ++b) like[0].counts[b] *= 1 + 0.1 * std::sin(static_cast<double>(b));
  const auto start = deconvolution.fit(first, 1e-4);
  const auto near = deconvolution.factors(first, 1e-4, start.u);
  ASSERT_TRUE(near);
  const auto quick = deconvolution.fit(like, 1e-4, &start.u, 1e-9, near.get());
  const auto slow = deconvolution.fit(like, 1e-4, nullptr, 1e-9);
  EXPECT_TRUE(quick.converged && slow.converged);
  const VectorXd p = quick.probabilities(), q = slow.probabilities();
  for (Index b = 0; b < a.bins; ++b) {
    if (q[b] > 1e-3) {
      EXPECT_NEAR(std::log(p[b] / q[b]), 0, 1e-4) << b;
    }
  }
}

TEST(States, AreBasinsDeepEnough) {
  const Grid grid{{axis(0, 9, 9)}};
  VectorXd f(9);
  f << 3, 0, 4, 2, 2.5, 2.2, 6, 5, 7;
  const auto found = find_states(grid, f, 1);
  ASSERT_EQ(found.states.size(), 3U);
  EXPECT_EQ(found.states[0].minimum, 1);
  EXPECT_EQ(found.states[1].minimum, 3);
  EXPECT_EQ(found.states[1].saddle, 2);
  EXPECT_DOUBLE_EQ(found.states[1].persistence, 2);
  EXPECT_EQ(found.states[1].into, 0U);
  EXPECT_THAT(found.of_bin, testing::ElementsAre(0, 0, 0, 1, 1, 1, 1, 2, 2));
  EXPECT_EQ(find_states(grid, f, 0.1).states.size(), 4U);
}

TEST(States, EnergiesAreThoseOfTheirProbabilities) {
  VectorXd p(4);
  p << 0.5, 0.25, 0.2, 0.05;
  const auto energies = state_energies({0, 0, 1, 1}, 2, p, 2);
  EXPECT_DOUBLE_EQ(energies[0], -2 * std::log(0.75));
  EXPECT_DOUBLE_EQ(energies[1], -2 * std::log(0.25));
}

TEST(PairBlur, TinyWeightsAreWeights) {
  // By kT a bias of some 450 kT: squares of weights are no numbers any more.
  const auto blur_of = [](double scale) {
    CalibrationPairs pairs{"p", {{}}, {{}}, {}};
    Random random(3);
    for (int i = 0; i < 400; ++i) {
      const double x = 2 * random.uniform() - 1;
      pairs.truth[0].push_back(x);
      pairs.observed[0].push_back(x + 0.2 * (random.uniform() - 0.5));
      pairs.weight.push_back(x > 0 ? scale : 1);
    }
    const Grid grid{{axis(-1, 1, 20)}}, observed{{axis(-1.2, 1.2, 24)}};
    return Eigen::MatrixXd(PairBlur(pairs, grid, observed, 20).blur());
  };
  const auto tiny = blur_of(1e-200);
  ASSERT_TRUE(tiny.allFinite());
  EXPECT_LT((tiny - blur_of(1)).cwiseAbs().maxCoeff(), 0.02);
}

TEST(PairBlur, OfTwoVariablesHasTheVariancesOfErrorsAndBins) {
  CalibrationPairs pairs{"p", {{}, {}}, {{}, {}}, {}};
  Random random(5);
  const auto normal = [&] {
    double z = -6;
    for (int k = 0; k < 12; ++k) z += random.uniform();
    return z;
  };
  for (int i = 0; i < 20'000; ++i) {
    const double x = random.uniform(), y = random.uniform(), shared = normal();
    pairs.truth[0].push_back(x);
    pairs.truth[1].push_back(y);
    pairs.observed[0].push_back(2 * x + 0.1 * shared);
    pairs.observed[1].push_back(y + 0.05 * shared + 0.05 * normal());
    pairs.weight.push_back(1);
  }
  const Grid truth{{axis(0, 1, 5), axis(0, 1, 5)}}, observed{{axis(-1, 3, 80), axis(-1, 2, 60)}};
  const Blur blur = PairBlur(pairs, truth, observed, 20).blur();
  const Index j = 2 * 5 + 2;
  double total = 0, mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
  for (Blur::InnerIterator entry(blur, j); entry; ++entry) {
    const auto [ix, iy] = observed.place(entry.row());
    const double p = entry.value(), x = observed.axes[0].centre(ix), y = observed.axes[1].centre(iy);
    total += p, mx += p * x, my += p * y, xx += p * x * x, yy += p * y * y, xy += p * x * y;
  }
  EXPECT_NEAR(total, 1, 1e-9);
  EXPECT_NEAR(mx, 1, 0.01);
  EXPECT_NEAR(my, 0.5, 0.01);
  // Errors, and the spread of the truth over its bin of width 0.2, in the observed unit, and of the observed one.
  const double bin = 0.04 / 12, cell = 0.0025 / 12;
  EXPECT_NEAR(xx - mx * mx, 0.01 + 4 * bin + cell, 3e-4);
  EXPECT_NEAR(yy - my * my, 0.005 + bin + cell, 2e-4);
  EXPECT_NEAR(xy - mx * my, 0.005, 2e-4);
}

TEST(PairBlur, FindsALineAndItsErrors) {
  CalibrationPairs pairs;
  pairs.truth.resize(1);
  pairs.observed.resize(1);
  Random random(7);
  for (int i = 0; i < 4000; ++i) {
    const double x = 4 * random.uniform() - 2;
    // The sum of 12 uniform numbers is nearly normal.
    double z = -6;
    for (int k = 0; k < 12; ++k) z += random.uniform();
    pairs.truth[0].push_back(x);
    pairs.observed[0].push_back(3 - 2 * x + 0.4 * z);
    pairs.weight.push_back(1);
  }
  const Grid truth{{axis(-2, 2, 50)}}, observed{{axis(-3, 9, 120)}};
  const PairBlur learned(pairs, truth, observed, 20);
  EXPECT_NEAR(learned.line().first, 3, 0.03);
  EXPECT_NEAR(learned.line().second, -2, 0.03);
  const Blur blur = learned.blur();
  for (const Index j : {5, 25, 44}) {
    double total = 0, mean = 0, square = 0;
    for (Blur::InnerIterator entry(blur, j); entry; ++entry) {
      const double s = observed.axes[0].centre(entry.row());
      total += entry.value(), mean += entry.value() * s, square += entry.value() * s * s;
    }
    EXPECT_NEAR(total, 1, 1e-6);
    EXPECT_NEAR(mean, 3 - 2 * truth.axes[0].centre(j), 0.05);
    EXPECT_NEAR(std::sqrt(square - mean * mean), 0.4, 0.03);
  }
}

TEST(StateShares, TwoBinsHaveAClosedForm) {
  Eigen::MatrixXd in(2, 2);
  in << 0.9, 0.2,  //
      0.1, 0.8;
  const Eigen::Vector2d counts(700, 300);
  // q = pi_1 p_1 + pi_2 p_2 in both bins: pi_1 = (0.7 - 0.2) / (0.9 - 0.2)
  const auto shares = mixture_shares(in, counts);
  EXPECT_NEAR(shares[0], 5.0 / 7, 1e-9);
  EXPECT_NEAR(shares[1], 2.0 / 7, 1e-9);
  // More of the first bin than any state has: the maximum lies at the edge.
  EXPECT_NEAR(mixture_shares(in, Eigen::Vector2d(95, 5))[0], 1, 1e-6);
}

}  // namespace
}  // namespace ae::fit::deconvolution_test

namespace ae::data::deconvolution_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Colvar, NumbersMayBeMultiplesOfPi) {
  EXPECT_DOUBLE_EQ(*colvar_number("-pi"), -std::numbers::pi);
  EXPECT_DOUBLE_EQ(*colvar_number("2*pi"), 2 * std::numbers::pi);
  EXPECT_DOUBLE_EQ(*colvar_number("+pi/2"), std::numbers::pi / 2);
  EXPECT_DOUBLE_EQ(*colvar_number("1e-3"), 1e-3);
  for (const auto* text : {"", "pie", "pi/0", "x*pi", "2pi", "--pi"}) EXPECT_FALSE(colvar_number(text)) << text;
}

std::unique_ptr<ByteSource> source(std::string text) {
  return std::make_unique<test::MemorySource>(std::move(text), [] { return std::size_t{5}; });
}

TEST(Colvar, ColumnsAreFoundByNameAlsoAfterARestart) {
  const auto rows =
      open_colvar(source("# PLUMED\n#! FIELDS time a b\n#! SET min_a -pi\n#! SET max_a pi\n 0 1 2\n# text\n\n"
                         "#! FIELDS b c time a\n 5 9 1 4\n 7 2 3 4"));  // where 4 may be the beginning of 41
  EXPECT_THAT(rows->columns(), ElementsAre("time", "a", "b"));
  EXPECT_DOUBLE_EQ(rows->period(1)->first, -std::numbers::pi);
  ASSERT_TRUE(rows->next());
  EXPECT_EQ(rows->text(0), "0");
  EXPECT_EQ(rows->text(2), "2");
  EXPECT_THAT(rows->where(2), HasSubstr(":5:6"));
  EXPECT_FALSE(rows->restarted());
  ASSERT_TRUE(rows->next());
  EXPECT_EQ(rows->text(0), "1");
  EXPECT_EQ(rows->text(1), "4");
  EXPECT_EQ(rows->text(2), "5");
  EXPECT_TRUE(rows->restarted());
  EXPECT_FALSE(rows->next());
  EXPECT_FALSE(rows->next());
  EXPECT_EQ(rows->incomplete(), 1);
  EXPECT_FALSE(rows->period(2));
}

TEST(Colvar, ANameOfTwoColumnsIsRefusedWhereItIsUsed) {
  const auto rows = open_colvar(source("# PLUMED\n#! FIELDS d time d a\n1 2 3 4\n#! FIELDS a time d a\n5 6 7 8\n"));
  EXPECT_THAT(rows->columns(), ElementsAre("d", "time", "a"));
  ASSERT_TRUE(rows->next());
  EXPECT_EQ(rows->text(1), "2");
  EXPECT_EQ(rows->text(2), "4");
  EXPECT_THAT(test::error_of<InputError>([&] { rows->text(0); }), HasSubstr(":2: column \"d\" is there twice"));
  EXPECT_THAT(rows->where(0), HasSubstr(":3"));
  ASSERT_TRUE(rows->next());
  EXPECT_EQ(rows->text(0), "7");  // which now has the name for itself
  EXPECT_THAT(test::error_of<InputError>([&] { rows->raw(2); }), HasSubstr(":4: column \"a\" is there twice"));
}

TEST(Colvar, ARowStaysWhileMoreIsReadAhead) {
  std::string text = "#! FIELDS a b\n1.25 2.5\n" + std::string(100'000, ' ') + "3.75 4\n5 6\n";
  const auto rows = open_colvar(source(std::move(text)));
  ASSERT_TRUE(rows->next());
  const auto cell = rows->text(1);
  EXPECT_TRUE(rows->ready());
  EXPECT_EQ(cell, "2.5");
  ASSERT_TRUE(rows->next());
  EXPECT_EQ(rows->text(0), "3.75");
}

TEST(Colvar, ARowOfAnotherNumberOfCellsIsOneThatCannotBeRead) {
  const auto rows = open_colvar(source("#! FIELDS a b\n1 2\n3\n4 5\n"));
  ASSERT_TRUE(rows->next());
  EXPECT_THROW(rows->next(), BadRow);
  EXPECT_EQ(rows->row(), 1);
  ASSERT_TRUE(rows->next());
  EXPECT_EQ(rows->row(), 2);
  EXPECT_EQ(rows->text(1), "5");
}

TEST(Colvar, BoundsAreNotReadWhereThePeriodIsKnown) {
  const test::TemporaryFolder folder;
  write_file(folder.path() / "c", "#! FIELDS time s\n#! SET min_s zero\n#! SET max_s pi\n0 1\nnan 2\n2 4\n");
  ScratchFile scratch(folder.path());
  SilentReporter silent;
  const auto samples = read_colvar(folder.path() / "c", {{"s"}, {}, 0, {true}}, scratch, silent);
  EXPECT_FALSE(samples.periods[0]);
  EXPECT_EQ(samples.rows.not_finite, 1);
  EXPECT_EQ(samples.rows.repeated, 0);
  EXPECT_ANY_THROW(read_colvar(folder.path() / "c", {{"s"}, {}, 0}, scratch, silent));
}

TEST(Colvar, TimesThatWereThereBeforeAreLeftOut) {
  const test::TemporaryFolder folder;
  write_file(folder.path() / "c", "#! FIELDS time s\n0 1\n0 2\n1 3\n2 4\n#! FIELDS time s\n1 5\n2 6\n3 7\n0 8\n1 9\n");
  ScratchFile scratch(folder.path());
  SilentReporter silent;
  const auto samples = read_colvar(folder.path() / "c", {{"s"}, {}, 0}, scratch, silent);
  std::vector<double> values;
  samples.variables[0].for_each([&](std::size_t, double value) { values.push_back(value); });
  EXPECT_THAT(values, ElementsAre(1, 3, 4, 7, 8, 9));
  EXPECT_EQ(samples.rows.repeated, 3);
  EXPECT_EQ(samples.rows.restarts, 1);
}

}  // namespace
}  // namespace ae::data::deconvolution_test
