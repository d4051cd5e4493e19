// Whether a column's values still are what they were: its distribution in training kept small, the values of new
// samples counted at constant memory, and tests between the two.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace ae::stats {

// What one column was like on a sample of training rows.
struct ColumnProfile {
  std::int64_t rows = 0;      // looked at
  std::int64_t observed = 0;  // of them had a value
  // Of numbers, at most kMostKnots of the values themselves, increasing, the smallest and the largest included; and how
  // many of all are smaller, and at most as large: exact counts, so that a test at these values errs on the safe side
  // only.
  std::vector<double> knots;
  std::vector<std::int64_t> below, at_most;
  std::vector<std::int64_t> levels;  // of categories: how often each code occurred
  // Of observed - expected on held-out rows: the values that 5 % are below, and above.
  std::optional<std::pair<double, double>> residual;
  // Of numbers, the root of the mean of (observed - expected)^2 where the value was hidden: on held-out rows, or where
  // there were none on training rows.
  std::optional<double> hidden_error;

  bool known() const { return rows > 0; }
  double quantile(double p) const;  // of numbers: the smallest knot that a share of at least p is at or below

  static constexpr std::size_t kMostKnots = 21;
  static ColumnProfile of_numbers(std::vector<double> values, std::int64_t rows);
  static ColumnProfile of_codes(std::span<const std::int64_t> counts, std::int64_t rows);
};

// The same column in new rows. The profile must outlive this.
class ShiftMonitor {
 public:
  explicit ShiftMonitor(const ColumnProfile& profile);
  void add(double value);  // a number, or a category's code; those beyond the profile's are unseen
  void add_missing() { ++rows_; }

  std::int64_t rows() const { return rows_; }
  std::int64_t observed() const { return observed_; }  // unseen levels included
  std::int64_t unseen() const { return unseen_; }      // levels that training did not have
  // 0 to 1. Of numbers the largest difference of the cumulative shares (Kolmogorov-Smirnov) at the knots; of categories
  // half the sum of all differences of shares, unseen levels being one category.
  double distance() const;
  // Twice the smaller of two tests, against the training rows: of the values (Kolmogorov-Smirnov; of levels
  // chi_squared_homogeneity(), and with unseen ones twice the smaller of that and of an exact test of how many these
  // are: against the training rows whose level came at most twice, which bound what new rows may bring), and of how
  // many are missing. 1 when nothing can be told.
  double p_value() const;
  // Shares of the observed values per bin, in training and here: of numbers below, at and between the knots'
  // twentieths; of categories per level, unseen ones left out.
  std::vector<std::pair<double, double>> shares() const;

 private:
  double p_value_of_values() const;
  double p_value_of_levels() const;

  const ColumnProfile& profile_;
  std::vector<std::int64_t> count_;  // numbers: [2 i] between knots i - 1 and i, [2 i + 1] equal to knot i; else levels
  std::int64_t rows_ = 0, observed_ = 0, unseen_ = 0;
};

// P(X > x) of the chi-squared distribution.
double chi_squared_tail(double x, double degrees);
// Whether two samples of counts over the same cells come from one distribution. Cells of which fewer than five are
// expected in one of the samples are taken together, with those that only b has (`only_in_b` counts). Where even
// together fewer than five are expected: twice the smaller of the p-value of the other cells and of an exact test of
// how many these are. 1 with fewer than two cells left.
double chi_squared_homogeneity(std::span<const std::int64_t> a, std::span<const std::int64_t> b,
                               std::int64_t only_in_b = 0);
// Whether x of n and y of m come from one probability: the exact conditional (hypergeometric) test, twice the smaller
// tail.
double two_shares_p_value(std::int64_t x, std::int64_t n, std::int64_t y, std::int64_t m);

}  // namespace ae::stats
