#include "fit/states.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

namespace ae::fit {

using Eigen::Index;

namespace {

// The tree of basins while the water rises.
struct Basin {
  Index minimum;
  std::int32_t into;  // the deeper one that it has been joined to, or itself
  double persistence;
  Index saddle;
};

std::int32_t outermost(const std::vector<Basin>& basins, std::int32_t b) {
  while (basins[static_cast<std::size_t>(b)].into != b) b = basins[static_cast<std::size_t>(b)].into;
  return b;
}

}  // namespace

States find_states(const Grid& grid, const Eigen::VectorXd& f, double persistence) {
  std::vector<Index> order;
  for (Index b = 0; b < f.size(); ++b)
    if (!std::isnan(f[b])) order.push_back(b);
  std::sort(order.begin(), order.end(), [&](Index a, Index b) { return std::pair(f[a], a) < std::pair(f[b], b); });
  std::vector<Basin> basins;
  std::vector<std::int32_t> of_bin(static_cast<std::size_t>(f.size()), -1);
  for (const Index bin : order) {
    std::vector<std::int32_t> touched;
    Index lowest = -1;
    for (const Index other : grid.neighbours(bin)) {
      if (of_bin[static_cast<std::size_t>(other)] < 0) continue;
      touched.push_back(outermost(basins, of_bin[static_cast<std::size_t>(other)]));
      if (lowest < 0 || f[other] < f[lowest]) lowest = other;
    }
    std::sort(touched.begin(), touched.end());
    touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
    if (touched.empty()) {
      const auto number = static_cast<std::int32_t>(basins.size());
      basins.push_back({bin, number, std::numeric_limits<double>::infinity(), bin});
      of_bin[static_cast<std::size_t>(bin)] = number;
      continue;
    }
    const std::int32_t deepest = touched.front();  // basins are numbered as their minima rise
    of_bin[static_cast<std::size_t>(bin)] = of_bin[static_cast<std::size_t>(lowest)];  // above a saddle, its own side
    for (const std::int32_t other : touched) {
      if (other == deepest) continue;
      auto& basin = basins[static_cast<std::size_t>(other)];
      basin.persistence = f[bin] - f[basin.minimum];
      basin.saddle = bin;
      basin.into = deepest;  // for those that come later; whether it is a state of its own is told by its persistence
    }
  }
  States found;
  std::map<std::int32_t, std::int32_t> number;
  for (std::size_t b = 0; b < basins.size(); ++b) {
    if (basins[b].persistence < persistence) continue;
    number[static_cast<std::int32_t>(b)] = static_cast<std::int32_t>(found.states.size());
    // What a basin has joined is deeper, and was joined itself further up: it is a state when this one is.
    const auto into = static_cast<std::size_t>(number[basins[b].into]);
    found.states.push_back({basins[b].minimum, basins[b].saddle, into, basins[b].persistence});
  }
  found.of_bin = std::move(of_bin);
  for (auto& of : found.of_bin) {
    while (of >= 0 && !number.contains(of)) of = basins[static_cast<std::size_t>(of)].into;
    if (of >= 0) of = number[of];
  }
  return found;
}

std::vector<double> state_energies(const std::vector<std::int32_t>& of_bin, std::size_t states,
                                   const Eigen::VectorXd& probabilities, double kt) {
  std::vector<double> sums(states, 0);
  for (Index b = 0; b < probabilities.size(); ++b)
    if (of_bin[static_cast<std::size_t>(b)] >= 0)
      sums[static_cast<std::size_t>(of_bin[static_cast<std::size_t>(b)])] += probabilities[b];
  for (auto& sum : sums) sum = -kt * std::log(sum);
  return sums;
}

}  // namespace ae::fit
