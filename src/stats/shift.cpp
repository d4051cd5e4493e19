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
    if (code < 0 || code >= std::ssize(count_)) {
      ++unseen_;
      return;
    }
    ++observed_;
    ++count_[static_cast<std::size_t>(code)];
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
    return distance;
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
  if (!profile_.levels.empty()) return chi_squared_homogeneity(profile_.levels, count_);
  return kolmogorov_smirnov_p_value(distance(), static_cast<double>(observed_), static_cast<double>(profile_.observed));
}

double ShiftMonitor::p_value() const {
  if (rows_ == 0 || !profile_.known()) return 1;
  const double missing =
      two_shares_p_value(rows_ - observed_ - unseen_, rows_, profile_.rows - profile_.observed, profile_.rows);
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

double chi_squared_homogeneity(std::span<const std::int64_t> a, std::span<const std::int64_t> b) {
  const auto sum = [](std::span<const std::int64_t> counts) {
    return static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  };
  const double all_a = sum(a), all_b = sum(b), all = all_a + all_b;
  if (all_a == 0 || all_b == 0) return 1;
  const double smaller = std::min(all_a, all_b) / all;
  double statistic = 0, rare_a = 0, rare_b = 0;
  int cells = 0;
  const auto add = [&](double in_a, double in_b) {
    const double expected_a = (in_a + in_b) * all_a / all, expected_b = (in_a + in_b) * all_b / all;
    statistic +=
        (in_a - expected_a) * (in_a - expected_a) / expected_a + (in_b - expected_b) * (in_b - expected_b) / expected_b;
    ++cells;
  };
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto in_a = static_cast<double>(a[i]), in_b = static_cast<double>(b[i]);
    if ((in_a + in_b) * smaller >= kFewestExpected) {
      add(in_a, in_b);
    } else {
      rare_a += in_a;
      rare_b += in_b;
    }
  }
  if (rare_a + rare_b > 0) add(rare_a, rare_b);
  return cells < 2 ? 1 : chi_squared_tail(statistic, cells - 1);
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
