#include "fit/concordance.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "evaluate/intervals.hpp"

namespace ae::fit {
namespace {

// Counts of ranks below, at and above one (Fenwick 1994).
class RankCounts {
 public:
  explicit RankCounts(std::size_t ranks) : tree_(ranks + 1, 0), at_(ranks, 0) {}
  void add(std::size_t rank) {
    ++all_;
    ++at_[rank];
    for (std::size_t i = rank + 1; i < tree_.size(); i += i & (~i + 1)) ++tree_[i];
  }
  // How many are below the rank, with those at it counted half.
  double below(std::size_t rank) const {
    std::int64_t sum = 0;
    for (std::size_t i = rank; i > 0; i -= i & (~i + 1)) sum += tree_[i];
    return static_cast<double>(sum) + static_cast<double>(at_[rank]) / 2;
  }
  double above(std::size_t rank) const { return static_cast<double>(all_) - below(rank); }
  double all() const { return static_cast<double>(all_); }

 private:
  std::vector<std::int64_t> tree_, at_;
  std::int64_t all_ = 0;
};

std::vector<std::size_t> ranks_of(std::span<const double> predictions, std::span<const std::int64_t> rows) {
  std::vector<double> distinct;
  for (const auto row : rows) distinct.push_back(predictions[static_cast<std::size_t>(row)]);
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  std::vector<std::size_t> ranks;
  for (const auto row : rows) {
    const auto found = std::lower_bound(distinct.begin(), distinct.end(), predictions[static_cast<std::size_t>(row)]);
    ranks.push_back(static_cast<std::size_t>(found - distinct.begin()));
  }
  return ranks;
}

// Of each row, in how many pairs it is, and in how many of those the earlier event has the higher prediction.
struct Pairs {
  explicit Pairs(std::size_t rows) : in(rows, 0), right(rows, 0) {}
  std::vector<double> in, right;

  void count(const SurvivalRows& all, std::span<const double> predictions, std::vector<std::int64_t> rows) {
    const auto key = [&](std::int64_t row) {
      const auto i = static_cast<std::size_t>(row);
      return std::pair(all.times[i], all.events[i] == 0);
    };
    std::sort(rows.begin(), rows.end(), [&](std::int64_t a, std::int64_t b) { return key(a) < key(b); });
    const auto ranks = ranks_of(predictions, rows);
    const auto event = [&](std::size_t i) { return all.events[static_cast<std::size_t>(rows[i])] != 0; };
    // Rows of the same time and kind are no pairs: they are counted before any of them is added.
    const auto block_end = [&](std::size_t i) {
      std::size_t end = i;
      while (end < rows.size() && key(rows[end]) == key(rows[i])) ++end;
      return end;
    };
    RankCounts events(rows.size());
    for (std::size_t i = 0; i < rows.size();) {
      const std::size_t end = block_end(i);
      for (std::size_t j = i; j < end; ++j) {
        const auto row = static_cast<std::size_t>(rows[j]);
        in[row] += events.all();
        right[row] += events.above(ranks[j]);
      }
      for (; i < end; ++i)
        if (event(i)) events.add(ranks[i]);
    }
    RankCounts later(rows.size());
    for (std::size_t end = rows.size(); end > 0;) {
      std::size_t begin = end;
      while (begin > 0 && key(rows[begin - 1]) == key(rows[end - 1])) --begin;
      for (std::size_t j = begin; j < end && event(j); ++j) {
        const auto row = static_cast<std::size_t>(rows[j]);
        in[row] += later.all();
        right[row] += later.below(ranks[j]);
      }
      for (std::size_t j = begin; j < end; ++j) later.add(ranks[j]);
      end = begin;
    }
  }
};

}  // namespace

double Figure::standard_error() const {
  const double held_out = std::inner_product(influence.begin(), influence.end(), influence.begin(), 0.0);
  return std::sqrt(std::inner_product(training.begin(), training.end(), training.begin(), held_out));
}

Figure operator-(const Figure& a, const Figure& b) {
  Figure result = a;
  result.value -= b.value;
  for (std::size_t i = 0; i < result.influence.size(); ++i) result.influence[i] -= b.influence[i];
  for (std::size_t g = 0; g < result.training.size(); ++g) result.training[g] -= b.training[g];
  return result;
}

Figure mean_of(std::span<const Figure> figures) {
  Figure result{0, std::vector<double>(figures.front().influence.size(), 0),
                std::vector<double>(figures.front().training.size(), 0)};
  const double count = static_cast<double>(figures.size());
  for (const Figure& figure : figures) {
    result.value += figure.value / count;
    for (std::size_t i = 0; i < result.influence.size(); ++i) result.influence[i] += figure.influence[i] / count;
    for (std::size_t g = 0; g < result.training.size(); ++g) result.training[g] += figure.training[g] / count;
  }
  return result;
}

void jackknife(std::vector<double>& without) {
  const double count = static_cast<double>(without.size());
  const double mean = std::accumulate(without.begin(), without.end(), 0.0) / count;
  for (double& value : without) value = (mean - value) * std::sqrt((count - 1) / count);
}

evaluate::Estimate estimate(const Figure& figure, double confidence, double low, double high) {
  const double error = figure.standard_error();
  const double half = evaluate::two_sided_normal_quantile(confidence) * error;
  return {
      figure.value, error, {std::clamp(figure.value - half, low, high), std::clamp(figure.value + half, low, high)}};
}

Figure concordance(const SurvivalRows& rows, std::span<const double> predictions,
                   std::span<const std::int32_t> groups) {
  const std::size_t size = predictions.size();
  std::vector<std::vector<std::int64_t>> members(1);
  for (std::size_t row = 0; row < size; ++row) {
    const auto group = groups.empty() ? 0 : static_cast<std::size_t>(groups[row]);
    if (group >= members.size()) members.resize(group + 1);
    members[group].push_back(static_cast<std::int64_t>(row));
  }
  Pairs pairs(size);
  for (auto& group : members) pairs.count(rows, predictions, std::move(group));
  const double all = std::accumulate(pairs.in.begin(), pairs.in.end(), 0.0) / 2;
  const double value = std::accumulate(pairs.right.begin(), pairs.right.end(), 0.0) / 2 / all;
  Figure result{value, std::vector<double>(size)};
  for (std::size_t row = 0; row < size; ++row) result.influence[row] = (pairs.right[row] - value * pairs.in[row]) / all;
  return result;
}

// A positive row is an event at time 0, a negative one is censored at time 1.
Figure area_under_roc(std::span<const std::uint8_t> positive, std::span<const double> predictions,
                      std::span<const std::int32_t> groups) {
  std::vector<double> times;
  for (const auto is : positive) times.push_back(is != 0 ? 0 : 1);
  return concordance({times, positive}, predictions, groups);
}

Figure r_squared(std::span<const double> values, std::span<const double> predictions) {
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  const auto square = [](double x) { return x * x; };
  double errors = 0, deviations = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    errors += square(values[i] - predictions[i]);
    deviations += square(values[i] - mean);
  }
  const double unexplained = errors / deviations;
  Figure result{1 - unexplained, std::vector<double>(values.size())};
  for (std::size_t i = 0; i < values.size(); ++i) {
    result.influence[i] = -(square(values[i] - predictions[i]) - unexplained * square(values[i] - mean)) / deviations;
  }
  return result;
}

}  // namespace ae::fit
