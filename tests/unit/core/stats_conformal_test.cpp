#include "stats/conformal.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/random.hpp"

namespace ae::stats {
namespace {

TEST(ConformalPValue, CountsCalibrationScoresAtLeastAsHigh) {
  const ConformalCalibration calibration({3, 1, 2, 2});
  EXPECT_DOUBLE_EQ(calibration.p_value(0), 5.0 / 5);
  EXPECT_DOUBLE_EQ(calibration.p_value(2), 4.0 / 5);  // ties count against the row: 2, 2, 3 and itself
  EXPECT_DOUBLE_EQ(calibration.p_value(2.5), 2.0 / 5);
  EXPECT_DOUBLE_EQ(calibration.p_value(9), 1.0 / 5);
  EXPECT_DOUBLE_EQ(calibration.smallest(), 1.0 / 5);
  EXPECT_EQ(calibration.size(), 4u);
}

TEST(ConformalPValue, IsOneWithoutCalibrationScores) {
  EXPECT_EQ(ConformalCalibration().p_value(1e300), 1.0);
  EXPECT_EQ(ConformalCalibration().smallest(), 1.0);
}

// Leave-one-out over an exchangeable sample without ties is exactly uniform on k / (n + 1).
TEST(ConformalPValue, IsUniformOverExchangeableRows) {
  Random random(stream_key(1, "test"));
  std::vector<double> scores(100);
  for (double& score : scores) score = random.uniform();
  std::vector<double> p_values;
  for (std::size_t held_out = 0; held_out < scores.size(); ++held_out) {
    std::vector<double> others = scores;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(held_out));
    p_values.push_back(ConformalCalibration(others).p_value(scores[held_out]));
  }
  std::sort(p_values.begin(), p_values.end());
  for (std::size_t i = 0; i < p_values.size(); ++i) EXPECT_NEAR(p_values[i], (static_cast<double>(i) + 1) / 100, 1e-12);
}

// Benjamini and Hochberg 1995, section 4.1: fifteen p-values, four rejected at q = 0.05.
TEST(BenjaminiHochberg, RejectsFourInTheOriginalExample) {
  std::vector<double> p = {0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
                           0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0};
  EXPECT_EQ(benjamini_hochberg_cut(p, 0.05), 0.0095);
  std::reverse(p.begin(), p.end());
  EXPECT_EQ(benjamini_hochberg_cut(p, 0.05), 0.0095);
}

TEST(BenjaminiHochberg, TakesALargerValueThatMeetsItsOwnBound) {
  // 0.04 > 0.05 * 1/2 alone fails, but 0.05 <= 0.05 * 2/2 carries both.
  EXPECT_EQ(benjamini_hochberg_cut({0.04, 0.05}, 0.05), 0.05);
}

TEST(BenjaminiHochberg, GivesMinusOneWhenNothingIsFound) {
  EXPECT_EQ(benjamini_hochberg_cut({0.5, 0.9}, 0.05), -1);
  EXPECT_EQ(benjamini_hochberg_cut({}, 0.05), -1);
}

}  // namespace
}  // namespace ae::stats
