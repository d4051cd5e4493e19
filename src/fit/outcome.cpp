#include "fit/outcome.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace ae::fit {
namespace {

template <typename T>
std::vector<T> taken(const std::vector<T>& all, std::span<const std::int64_t> rows) {
  std::vector<T> some;
  if (all.empty()) return some;
  some.reserve(rows.size());
  for (const auto row : rows) some.push_back(all[static_cast<std::size_t>(row)]);
  return some;
}

}  // namespace

std::string_view family_name(Family family) {
  switch (family) {
    case Family::cox:
      return "cox";
    case Family::logistic:
      return "logistic";
    case Family::ridge:
      return "ridge";
  }
  return {};
}

std::size_t Outcome::size() const { return std::max({times.size(), classes.size(), values.size()}); }

Outcome Outcome::subset(std::span<const std::int64_t> rows) const {
  return {family, taken(times, rows), taken(events, rows), taken(classes, rows), taken(values, rows), class_names};
}

std::vector<std::vector<std::int64_t>> Outcome::strata() const {
  std::vector<std::vector<std::int64_t>> strata(family == Family::cox        ? 2
                                                : family == Family::logistic ? class_names.size()
                                                                             : 1);
  for (std::size_t row = 0; row < size(); ++row) {
    const std::size_t stratum = family == Family::cox        ? std::size_t{events[row] == 0}
                                : family == Family::logistic ? static_cast<std::size_t>(classes[row])
                                                             : 0;
    strata[stratum].push_back(static_cast<std::int64_t>(row));
  }
  return strata;
}

std::int64_t Outcome::scarcest() const {
  const auto all = strata();
  if (family != Family::logistic) return static_cast<std::int64_t>(all.front().size());
  const auto fewest =
      std::min_element(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.size() < b.size(); });
  return static_cast<std::int64_t>(fewest->size());
}

std::vector<double> tied(std::vector<double> times) {
  std::vector<double> distinct(times);
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  if (distinct.size() < 2) return times;
  const double sum =
      std::accumulate(distinct.begin(), distinct.end(), 0.0, [](double s, double t) { return s + std::abs(t); });
  const double mean = sum / static_cast<double>(distinct.size());
  const double tolerance = std::sqrt(std::numeric_limits<double>::epsilon());
  std::vector<double> firsts{distinct.front()};  // of the runs
  for (std::size_t i = 1; i < distinct.size(); ++i) {
    const double step = distinct[i] - distinct[i - 1];
    if (step > tolerance && step / mean > tolerance) firsts.push_back(distinct[i]);
  }
  for (double& time : times) time = *std::prev(std::upper_bound(firsts.begin(), firsts.end(), time));
  return times;
}

}  // namespace ae::fit
