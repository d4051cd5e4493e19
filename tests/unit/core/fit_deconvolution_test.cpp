// Deconvolution against closed forms: blurs whose columns are known, densities whose answer is known, states.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Core>
#include <cmath>
#include <numbers>

#include "base/random.hpp"
#include "data/colvar/reader.hpp"
#include "data/colvar/samples.hpp"
#include "fit/blur.hpp"
#include "fit/deconvolution.hpp"
#include "fit/states.hpp"
#include "support/byte_sources.hpp"
#include "support/errors.hpp"
#include "support/recording_reporter.hpp"
#include "support/temporary_folder.hpp"

namespace ae::fit {
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

TEST(Blur, NoneIsTheIdentityAndAPeriodicOneLosesNothing) {
  const Axis a = axis(0, 1, 7);
  EXPECT_LT((Eigen::MatrixXd(gaussian(a, 0)) - Eigen::MatrixXd::Identity(7, 7)).norm(), 1e-12);
  const Blur around = gaussian(axis(-1, 1, 20, true), 0.5);
  EXPECT_LT((around.transpose() * VectorXd::Ones(20) - VectorXd::Ones(20)).cwiseAbs().maxCoeff(), 1e-12);
  EXPECT_LT((gaussian(a, 0.5).transpose() * VectorXd::Ones(7)).maxCoeff(), 1);
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

TEST(Deconvolution, WhereNoWindowCanSeeIsNotANumber) {
  VectorXd counts(3), exposure(3);
  counts << 1, 3, 0;
  exposure << 1, 1, 0;
  const VectorXd q = unblurred({{counts, exposure}});
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

}  // namespace
}  // namespace ae::fit

namespace ae::data {
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
  ColvarReader reader(source("#! FIELDS time a b\n#! SET min_a -pi\n#! SET max_a pi\n 0 1 2\n# text\n\n"
                             "#! FIELDS b time a\n 5 1 4\n 7 2"),
                      {"b", "a"});
  std::vector<double> values(2);
  ASSERT_TRUE(reader.next(values));
  EXPECT_THAT(values, ElementsAre(2, 1));
  EXPECT_FALSE(reader.restarted());
  ASSERT_TRUE(reader.next(values));
  EXPECT_THAT(values, ElementsAre(5, 4));
  EXPECT_TRUE(reader.restarted());
  EXPECT_EQ(reader.time(), 1);
  EXPECT_FALSE(reader.next(values));
  EXPECT_EQ(reader.incomplete(), 1);
  EXPECT_DOUBLE_EQ(reader.period("a")->first, -std::numbers::pi);
  EXPECT_FALSE(reader.period("b"));
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
}  // namespace ae::data
