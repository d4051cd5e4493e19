#include "stats/shift.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

#include "stats/conformal.hpp"

namespace ae::stats {
namespace {

constexpr double kFewestExpected = 5;

double log_choose(double n, double k) { return std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1); }

// Regularised incomplete gamma functions of a and x, each where it converges fast (Numerical Recipes, 6.2).
double lower_gamma_series(double a, double x) {
  double term = 1 / a, sum = term;
  for (double n = a + 1; std::abs(term) > sum * 1e-16; ++n) sum += term *= x / n;
  return sum * std::exp(-x + a * std::log(x) - std::lgamma(a));
}

double upper_gamma_fraction(double a, double x) {
  constexpr double kTiny = 1e-300;
  double b = x + 1 - a, c = 1 / kTiny, d = 1 / b, h = d;
  for (int i = 1; i < 10000; ++i) {
    const double an = -i * (i - a);
    b += 2;
    d = an * d + b;
    if (std::abs(d) < kTiny) d = kTiny;
    c = b + an / c;
    if (std::abs(c) < kTiny) c = kTiny;
    d = 1 / d;
    h *= d * c;
    if (std::abs(d * c - 1) < 1e-15) break;
  }
  return h * std::exp(-x + a * std::log(x) - std::lgamma(a));
}

double share(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

// How often a cell, or several together, occurred in two samples.
struct Counts {
  std::int64_t in_a = 0, in_b = 0;

  Counts& operator+=(const Counts& other) {
    in_a += other.in_a;
    in_b += other.in_b;
    return *this;
  }
  double sum() const { return static_cast<double>(in_a) + static_cast<double>(in_b); }
  // In the smaller sample, if both are of one distribution. `all`: of all cells.
  double fewest_expected(const Counts& all) const {
    return sum() * (static_cast<double>(std::min(all.in_a, all.in_b)) / all.sum());
  }
};

// Pearson's test of the cells, which make up `all`. 1 with fewer than two.
double chi_squared_of(const std::vector<Counts>& cells, const Counts& all) {
  if (cells.size() < 2 || all.in_a == 0 || all.in_b == 0) return 1;
  double statistic = 0;
  for (const Counts& cell : cells) {
    const double expected_a = cell.sum() * static_cast<double>(all.in_a) / all.sum();
    const double expected_b = cell.sum() * static_cast<double>(all.in_b) / all.sum();
    const double off_a = static_cast<double>(cell.in_a) - expected_a,
                 off_b = static_cast<double>(cell.in_b) - expected_b;
    statistic += off_a * off_a / expected_a + off_b * off_b / expected_b;
  }
  return chi_squared_tail(statistic, static_cast<double>(cells.size()) - 1);
}

}  // namespace

ColumnProfile ColumnProfile::of_numbers(std::vector<double> values, std::int64_t rows) {
  ColumnProfile profile;
  profile.rows = rows;
  profile.observed = std::ssize(values);
  if (values.empty()) return profile;
  std::sort(values.begin(), values.end());
  const std::size_t steps = kMostKnots - 1;
  for (std::size_t k = 0; k <= steps; ++k) {
    const double value = values[k * (values.size() - 1) / steps];
    if (!profile.knots.empty() && profile.knots.back() == value) continue;
    const auto [first, last] = std::equal_range(values.begin(), values.end(), value);
    profile.knots.push_back(value);
    profile.below.push_back(first - values.begin());
    profile.at_most.push_back(last - values.begin());
  }
  return profile;
}

ColumnProfile ColumnProfile::of_codes(std::span<const std::int64_t> counts, std::int64_t rows) {
  ColumnProfile profile;
  profile.rows = rows;
  profile.levels.assign(counts.begin(), counts.end());
  profile.observed = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  return profile;
}

double ColumnProfile::quantile(double p) const {
  if (knots.empty()) return 0;
  const double wanted = p * static_cast<double>(observed);
  for (std::size_t k = 0; k < knots.size(); ++k)
    if (static_cast<double>(at_most[k]) >= wanted) return knots[k];
  return knots.back();
}

ShiftMonitor::ShiftMonitor(const ColumnProfile& profile)
    : profile_(profile), count_(profile.levels.empty() ? 2 * profile.knots.size() + 1 : profile.levels.size(), 0) {}

void ShiftMonitor::add(double value) {
  ++rows_;
  if (!profile_.levels.empty()) {
    const auto code = std::llround(value);
    ++observed_;
    ++(code < 0 || code >= std::ssize(count_) ? unseen_ : count_[static_cast<std::size_t>(code)]);
    return;
  }
  ++observed_;
  const auto knot = std::lower_bound(profile_.knots.begin(), profile_.knots.end(), value);
  const auto place = static_cast<std::size_t>(knot - profile_.knots.begin());
  ++count_[2 * place + (knot != profile_.knots.end() && *knot == value ? 1 : 0)];
}

double ShiftMonitor::distance() const {
  if (observed_ == 0 || profile_.observed == 0) return 0;
  double distance = 0;
  if (!profile_.levels.empty()) {
    for (std::size_t i = 0; i < count_.size(); ++i)
      distance += std::abs(share(count_[i], observed_) - share(profile_.levels[i], profile_.observed)) / 2;
    return distance + share(unseen_, observed_) / 2;
  }
  std::int64_t seen = 0;
  for (std::size_t k = 0; k < profile_.knots.size(); ++k) {
    seen += count_[2 * k];
    distance = std::max(distance, std::abs(share(seen, observed_) - share(profile_.below[k], profile_.observed)));
    seen += count_[2 * k + 1];
    distance = std::max(distance, std::abs(share(seen, observed_) - share(profile_.at_most[k], profile_.observed)));
  }
  return distance;
}

double ShiftMonitor::p_value_of_values() const {
  if (observed_ == 0 || profile_.observed == 0) return 1;
  if (!profile_.levels.empty()) return p_value_of_levels();
  return kolmogorov_smirnov_p_value(distance(), static_cast<double>(observed_), static_cast<double>(profile_.observed));
}

double ShiftMonitor::p_value_of_levels() const {
  const double cells = chi_squared_homogeneity(profile_.levels, count_, unseen_);
  if (unseen_ == 0) return cells;
  // Levels that come once and those that come twice tell how many more there are, and how far off that may be: the
  // share of rows with a level not seen yet is near f1 / n, with a variance of (f1 + 2 f2) / n^2 (Good 1953; Esty
  // 1983).
  std::int64_t rare = 0;
  for (const auto count : profile_.levels) rare += count <= 2 ? count : 0;
  const bool more = share(unseen_, observed_) > share(rare, profile_.observed);
  const double unseen = more ? two_shares_p_value(unseen_, observed_, rare, profile_.observed) : 1;
  return std::min(1.0, 2 * std::min(cells, unseen));
}

double ShiftMonitor::p_value() const {
  if (rows_ == 0 || !profile_.known()) return 1;
  const double missing = two_shares_p_value(rows_ - observed_, rows_, profile_.rows - profile_.observed, profile_.rows);
  return std::min(1.0, 2 * std::min(missing, p_value_of_values()));
}

std::vector<std::pair<double, double>> ShiftMonitor::shares() const {
  std::vector<std::pair<double, double>> shares;
  if (!profile_.levels.empty()) {
    for (std::size_t i = 0; i < count_.size(); ++i)
      shares.emplace_back(share(profile_.levels[i], profile_.observed), share(count_[i], observed_));
    return shares;
  }
  std::int64_t before = 0;
  for (std::size_t k = 0; k < profile_.knots.size(); ++k) {
    shares.emplace_back(share(profile_.at_most[k] - before, profile_.observed),
                        share(count_[2 * k] + count_[2 * k + 1], observed_));
    before = profile_.at_most[k];
  }
  if (!shares.empty()) shares.emplace_back(0, share(count_.back(), observed_));
  return shares;
}

double chi_squared_tail(double x, double degrees) {
  if (!(x > 0)) return 1;
  const double a = degrees / 2, half = x / 2;
  const double tail = half < a + 1 ? 1 - lower_gamma_series(a, half) : upper_gamma_fraction(a, half);
  return std::clamp(tail, 0.0, 1.0);
}

double chi_squared_homogeneity(std::span<const std::int64_t> a, std::span<const std::int64_t> b,
                               std::int64_t only_in_b) {
  Counts all{0, only_in_b}, rare{0, only_in_b};
  for (std::size_t i = 0; i < a.size(); ++i) all += {a[i], b[i]};
  if (all.in_a == 0 || all.in_b == 0) return 1;
  const auto is_rare = [&](const Counts& cell) { return cell.fewest_expected(all) < kFewestExpected; };
  std::vector<Counts> cells;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const Counts cell{a[i], b[i]};
    is_rare(cell) ? rare += cell : cells.emplace_back(cell);
  }
  if (rare.sum() == 0) return chi_squared_of(cells, all);
  if (!is_rare(rare)) {
    cells.push_back(rare);
    return chi_squared_of(cells, all);
  }
  // Too few for the chi-squared distribution even together: an exact test of how many they are, beside that of the
  // others.
  const double of_rare = two_shares_p_value(rare.in_a, all.in_a, rare.in_b, all.in_b);
  if (cells.size() < 2) return of_rare;
  const Counts others{all.in_a - rare.in_a, all.in_b - rare.in_b};
  return std::min(1.0, 2 * std::min(of_rare, chi_squared_of(cells, others)));
}

double two_shares_p_value(std::int64_t x, std::int64_t n, std::int64_t y, std::int64_t m) {
  if (n == 0 || m == 0) return 1;
  const auto hits = static_cast<double>(x + y), in_first = static_cast<double>(n), in_second = static_cast<double>(m);
  const auto probability = [&](double k) {
    if (k < 0 || k > in_first || hits - k < 0 || hits - k > in_second) return 0.0;
    return std::exp(log_choose(in_first, k) + log_choose(in_second, hits - k) - log_choose(in_first + in_second, hits));
  };
  // Terms fall on the far side of the mean, so that the tail beyond x there ends soon; on the near side it is the rest.
  const double mean = hits * in_first / (in_first + in_second), start = static_cast<double>(x);
  const double step = start >= mean ? 1 : -1;
  double tail = 0;
  for (double k = start;; k += step) {
    const double term = probability(k);
    tail += term;
    if (term <= tail * 1e-16) break;
  }
  return std::min(1.0, 2 * tail);
}

}  // namespace ae::stats
