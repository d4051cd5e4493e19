#include "stats/shift.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "base/random.hpp"

namespace ae::stats::shift_test {
namespace {

std::vector<double> uniforms(std::uint64_t seed, int count) {
  Random random(seed);
  std::vector<double> values;
  for (int i = 0; i < count; ++i) values.push_back(random.uniform());
  return values;
}

// Reference: scipy.stats.chi2.sf
TEST(Shift, TailOfTheChiSquaredDistribution) {
  EXPECT_NEAR(chi_squared_tail(3.841458820694124, 1), 0.05, 1e-12);
  EXPECT_NEAR(chi_squared_tail(1, 2), std::exp(-0.5), 1e-14);
  EXPECT_NEAR(chi_squared_tail(100, 50) / 3.454931382984871e-05, 1, 1e-10);
  EXPECT_NEAR(chi_squared_tail(20, 2), std::exp(-10), 1e-16);
  EXPECT_EQ(chi_squared_tail(0, 3), 1);
  EXPECT_NEAR(chi_squared_tail(1e4, 1), 0, 1e-300);
}

// Reference: scipy.stats.hypergeom; two sides are twice the smaller one.
TEST(Shift, TwoSharesAreComparedExactly) {
  EXPECT_NEAR(two_shares_p_value(3, 3, 0, 3), 2.0 / 20, 1e-12);  // one of 20 ways to choose 3 of 6
  EXPECT_NEAR(two_shares_p_value(0, 3, 3, 3), 2.0 / 20, 1e-12);
  EXPECT_EQ(two_shares_p_value(5, 10, 50, 100), 1);
  EXPECT_EQ(two_shares_p_value(0, 100, 0, 100), 1);
  EXPECT_LT(two_shares_p_value(200, 200, 0, 10000), 1e-100);
  EXPECT_GT(two_shares_p_value(1, 1000, 0, 1000), 0.9);
}

TEST(Shift, CountsOfRareCellsAreTakenTogether) {
  // scipy.stats.chi2_contingency([[50, 30, 20], [30, 50, 20]], correction=False).pvalue
  EXPECT_NEAR(chi_squared_homogeneity(std::vector<std::int64_t>{50, 30, 20}, std::vector<std::int64_t>{30, 50, 20}),
              0.006737946999085468, 1e-12);
  const std::vector<std::int64_t> a = {50, 30, 12, 5, 3}, b = {30, 50, 16, 1, 3}, taken = {50, 30, 12, 8},
                                  together = {30, 50, 16, 4};
  EXPECT_EQ(chi_squared_homogeneity(a, b), chi_squared_homogeneity(taken, together));
  EXPECT_EQ(chi_squared_homogeneity(std::vector<std::int64_t>{9}, std::vector<std::int64_t>{7}), 1);
}

TEST(Shift, AProfileCountsExactlyAtItsKnots) {
  auto values = uniforms(1, 1000);
  for (auto& value : values) value = std::floor(value * 50) / 50;  // many equal ones
  const auto profile = ColumnProfile::of_numbers(values, 1100);
  EXPECT_LE(profile.knots.size(), ColumnProfile::kMostKnots);
  EXPECT_EQ(profile.knots.front(), *std::ranges::min_element(values));
  EXPECT_EQ(profile.knots.back(), *std::ranges::max_element(values));
  EXPECT_EQ(profile.observed, 1000);
  for (std::size_t k = 0; k < profile.knots.size(); ++k) {
    const double knot = profile.knots[k];
    EXPECT_EQ(profile.below[k], std::ranges::count_if(values, [&](double value) { return value < knot; }));
    EXPECT_EQ(profile.at_most[k], std::ranges::count_if(values, [&](double value) { return value <= knot; }));
  }
  EXPECT_NEAR(profile.quantile(0.5), 0.5, 0.06);
  EXPECT_TRUE(ColumnProfile::of_numbers({}, 10).knots.empty());
}

// Of batches like training the alarm at p is rarer than p: the test errs on the safe side.
TEST(Shift, BatchesLikeTrainingAreNotCalledChanged) {
  const auto profile = ColumnProfile::of_numbers(uniforms(2, 2000), 2000);
  int alarms = 0;
  for (std::uint64_t batch = 0; batch < 400; ++batch) {
    ShiftMonitor monitor(profile);
    for (const double value : uniforms(100 + batch, 150)) monitor.add(value);
    alarms += monitor.p_value() < 0.05 ? 1 : 0;
  }
  EXPECT_LE(alarms, 32);  // 400 at 5 %: 99 % of such counts
}

TEST(Shift, ChangesAreFound) {
  const auto profile = ColumnProfile::of_numbers(uniforms(3, 2000), 2000);
  ShiftMonitor moved(profile), constant(profile), missing(profile), none(profile);
  for (const double value : uniforms(4, 200)) {
    moved.add(value + 0.3);
    constant.add(0.5);
    missing.add_missing();
  }
  EXPECT_LT(moved.p_value(), 1e-9);
  EXPECT_NEAR(moved.distance(), 0.3, 0.08);
  EXPECT_LT(constant.p_value(), 1e-9);
  EXPECT_LT(missing.p_value(), 1e-100);
  EXPECT_EQ(none.p_value(), 1);
}

TEST(Shift, AConstantColumnThatChangesIsFoundOnBothSides) {
  const auto profile = ColumnProfile::of_numbers(std::vector<double>(500, 0.0), 500);
  for (const double other : {-5.0, 5.0}) {
    ShiftMonitor monitor(profile);
    for (int i = 0; i < 100; ++i) monitor.add(i < 50 ? 0 : other);
    EXPECT_NEAR(monitor.distance(), 0.5, 1e-12);
    EXPECT_LT(monitor.p_value(), 1e-9);
  }
}

TEST(Shift, CellsTooRareEvenTogetherAreTestedExactly) {
  const auto p_value = [](const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b) {
    return chi_squared_homogeneity(a, b);
  };
  // Reference: twice scipy.stats.hypergeom.sf(0, 3050, 2, 50)
  EXPECT_NEAR(p_value({2999, 1}, {49, 1}), 2 * (1 - 3000.0 / 3050 * 2999 / 3049), 1e-9);
  EXPECT_EQ(p_value({2999, 1}, {50, 0}), 1);
  // The others as if the rare ones were not there, R: chisq.test(rbind(c(1500, 1499), c(40, 9)), correct = FALSE)
  EXPECT_NEAR(p_value({1500, 1499, 1}, {40, 9, 0}) / (2 * 1.1295682315274808e-05), 1, 1e-9);
  const std::vector<std::int64_t> one = {3000};
  EXPECT_EQ(chi_squared_homogeneity(one, std::vector<std::int64_t>{50}), 1);
  EXPECT_LT(chi_squared_homogeneity(one, std::vector<std::int64_t>{0}, 50), 1e-80);
}

// Codes drawn by shares, of which the last levels may be so rare that training misses them.
class Levels {
 public:
  explicit Levels(const std::vector<double>& weights) : until_(weights.size()) {
    std::partial_sum(weights.begin(), weights.end(), until_.begin());
  }
  std::size_t draw(Random& random) const {
    const double at = random.uniform() * until_.back();
    return std::min<std::size_t>(static_cast<std::size_t>(std::ranges::upper_bound(until_, at) - until_.begin()),
                                 until_.size() - 1);
  }
  // The share of days like training that are called changed at `alarm`, each beside a training table of its own.
  double false_alarms(int training, int day, double alarm, int days, std::uint64_t seed) const {
    Random random(seed);
    int alarms = 0;
    for (int i = 0; i < days; ++i) {
      std::vector<std::int64_t> all(until_.size()), counts, code_of(until_.size(), -1);
      for (int row = 0; row < training; ++row) ++all[draw(random)];
      for (std::size_t level = 0; level < all.size(); ++level) {
        if (all[level] == 0) continue;
        code_of[level] = std::ssize(counts);
        counts.push_back(all[level]);
      }
      const auto profile = ColumnProfile::of_codes(counts, training);
      ShiftMonitor monitor(profile);
      for (int row = 0; row < day; ++row) {
        const auto code = code_of[draw(random)];
        monitor.add(static_cast<double>(code < 0 ? std::ssize(counts) : code));
      }
      alarms += monitor.p_value() < alarm ? 1 : 0;
    }
    return static_cast<double>(alarms) / days;
  }

 private:
  std::vector<double> until_;
};

TEST(Shift, RareLevelsGiveNoFalseAlarms) {
  const Levels few({0.55, 0.4395, 0.006, 0.002, 0.001, 0.0005, 0.0003, 0.0003, 0.0002, 0.0002});
  std::vector<double> weights;
  for (int i = 1; i <= 400; ++i) weights.push_back(1.0 / i);
  const Levels many(weights);  // as words: a good part of a day's levels come once in training, or not at all
  constexpr int kDays = 2000;
  const double most = 0.01 + 2.33 * std::sqrt(0.01 * 0.99 / kDays);  // 99 % of such counts
  for (const auto& [training, day] : {std::pair{3000, 50}, {300, 50}, {300, 300}, {100, 1000}}) {
    const auto seed = static_cast<std::uint64_t>(training + day);
    EXPECT_LE(few.false_alarms(training, day, 0.01, kDays, seed), most) << training << ", " << day;
    EXPECT_LE(many.false_alarms(training, day, 0.01, kDays, seed), most) << training << ", " << day;
  }
}

TEST(Shift, LevelsThatTrainingDidNotHaveAreACategory) {
  const auto profile = ColumnProfile::of_codes(std::vector<std::int64_t>{60, 40}, 100);
  ShiftMonitor monitor(profile);
  for (int i = 0; i < 50; ++i) monitor.add(i % 5 < 3 ? 0 : 1);
  EXPECT_EQ(monitor.p_value(), 1);
  monitor.add(2);
  EXPECT_EQ(monitor.unseen(), 1);
  EXPECT_EQ(monitor.rows(), 51);
  EXPECT_EQ(monitor.observed(), 51);
  EXPECT_NEAR(monitor.distance(), 1.0 / 51, 1e-12);
  EXPECT_GT(monitor.p_value(), 0.5);
}

TEST(Shift, ATotalChangeOfLevelsIsFound) {
  for (const auto& counts : {std::vector<std::int64_t>{1500, 1000, 500}, std::vector<std::int64_t>(100, 3)}) {
    const auto profile = ColumnProfile::of_codes(counts, 3000);
    ShiftMonitor all(profile), part(profile);
    for (int i = 0; i < 50; ++i) {
      all.add(static_cast<double>(counts.size()));
      part.add(static_cast<double>(i % 3 == 0 ? counts.size() : static_cast<std::size_t>(i) % counts.size()));
    }
    EXPECT_NEAR(all.distance(), 1, 1e-12);
    EXPECT_LT(all.p_value(), 1e-30);
    EXPECT_LT(part.p_value(), 1e-6);
  }
}

}  // namespace
}  // namespace ae::stats::shift_test
