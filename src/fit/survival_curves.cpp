#include "fit/survival_curves.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "evaluate/intervals.hpp"

namespace ae::fit {
namespace {

std::vector<std::size_t> by_time(std::span<const double> times) {
  std::vector<std::size_t> order(times.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return times[a] < times[b]; });
  return order;
}

}  // namespace

SurvivalCurve survival_curve(const SurvivalRows& rows, double confidence) {
  SurvivalCurve curve;
  const auto order = by_time(rows.times);
  const double z = evaluate::two_sided_normal_quantile(confidence);
  double survival = 1, variance = 0;  // of the logarithm
  for (std::size_t i = 0; i < order.size();) {
    const double time = rows.times[order[i]];
    const auto at_risk = static_cast<std::int64_t>(order.size() - i);
    std::int64_t events = 0, censored = 0;
    for (; i < order.size() && rows.times[order[i]] == time; ++i) ++(rows.events[order[i]] != 0 ? events : censored);
    const double n = static_cast<double>(at_risk), d = static_cast<double>(events);
    survival *= 1 - d / n;
    if (events > 0 && events < at_risk) variance += d / (n * (n - d));
    curve.times.push_back(time);
    curve.at_risk.push_back(at_risk);
    curve.events.push_back(events);
    curve.censored.push_back(censored);
    curve.survival.push_back(survival);
    const double factor = std::exp(z * std::sqrt(variance));
    curve.intervals.push_back({survival / factor, std::min(1.0, survival * factor)});
  }
  return curve;
}

LogRank log_rank(const SurvivalRows& rows, std::span<const std::int32_t> groups, std::int32_t count) {
  const auto groups_in_all = static_cast<std::size_t>(count);
  LogRank result{std::vector<std::int64_t>(groups_in_all, 0), std::vector<std::int64_t>(groups_in_all, 0),
                 std::vector<double>(groups_in_all, 0)};
  for (const auto group : groups) ++result.rows[static_cast<std::size_t>(group)];
  Eigen::VectorXd at_risk(count);
  for (Eigen::Index g = 0; g < count; ++g) at_risk[g] = static_cast<double>(result.rows[static_cast<std::size_t>(g)]);
  Eigen::MatrixXd covariance = Eigen::MatrixXd::Zero(count, count);
  const auto order = by_time(rows.times);
  for (std::size_t i = 0; i < order.size();) {
    const double time = rows.times[order[i]], n = at_risk.sum();
    const Eigen::VectorXd shares = at_risk / n;
    double d = 0;
    for (; i < order.size() && rows.times[order[i]] == time; ++i) {
      const auto group = groups[order[i]];
      at_risk[group] -= 1;
      if (rows.events[order[i]] == 0) continue;
      d += 1;
      ++result.observed[static_cast<std::size_t>(group)];
    }
    for (Eigen::Index g = 0; g < count; ++g) result.expected[static_cast<std::size_t>(g)] += d * shares[g];
    // Hypergeometric: which of the rows at risk have the events.
    if (n > 1) {
      const Eigen::MatrixXd spread = shares.asDiagonal();
      covariance += d * (n - d) / (n - 1) * (spread - shares * shares.transpose());
    }
  }
  std::vector<Eigen::Index> used;  // all groups with rows but the last, which the others determine
  for (Eigen::Index g = 0; g < count; ++g)
    if (result.rows[static_cast<std::size_t>(g)] > 0) used.push_back(g);
  if (used.size() < 2) return result;
  used.pop_back();
  result.degrees = static_cast<int>(used.size());
  Eigen::VectorXd excess(result.degrees);
  Eigen::MatrixXd spread(result.degrees, result.degrees);
  for (Eigen::Index a = 0; a < result.degrees; ++a) {
    const auto g = static_cast<std::size_t>(used[static_cast<std::size_t>(a)]);
    excess[a] = static_cast<double>(result.observed[g]) - result.expected[g];
    for (Eigen::Index b = 0; b < result.degrees; ++b)
      spread(a, b) = covariance(used[static_cast<std::size_t>(a)], used[static_cast<std::size_t>(b)]);
  }
  if (!(spread.diagonal().minCoeff() > 0)) return result;  // no event while there was a choice
  result.chi_squared = excess.dot(spread.ldlt().solve(excess));
  result.p_value = chi_squared_tail(result.chi_squared, result.degrees);
  return result;
}

// By the recurrence of the incomplete gamma function, from one or two degrees (Abramowitz and Stegun, 26.4.8).
double chi_squared_tail(double x, int degrees) {
  if (!(x > 0)) return 1;
  double tail = degrees % 2 == 1 ? std::erfc(std::sqrt(x / 2)) : std::exp(-x / 2);
  for (int k = degrees % 2 == 1 ? 1 : 2; k < degrees; k += 2)
    tail += std::exp(k / 2.0 * std::log(x / 2) - x / 2 - std::lgamma(k / 2.0 + 1));
  return tail;
}

}  // namespace ae::fit
