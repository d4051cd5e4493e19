#include "base/repeats.hpp"

#include <algorithm>
#include <numeric>
#include <unordered_map>
#include <utility>

namespace ae {
namespace {

// By hash, then by place: the first of each run is the first item of its kind. Empty when no two are equal.
std::vector<std::int64_t> firsts_of(const std::vector<std::uint64_t>& hashes) {
  const auto hash_of = [&](std::int64_t item) { return hashes[static_cast<std::size_t>(item)]; };
  std::vector<std::int64_t> order(hashes.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](std::int64_t a, std::int64_t b) { return std::pair(hash_of(a), a) < std::pair(hash_of(b), b); });
  const auto alike = [&](std::int64_t a, std::int64_t b) { return hash_of(a) == hash_of(b); };
  if (std::adjacent_find(order.begin(), order.end(), alike) == order.end()) return {};
  std::vector<std::int64_t> first(hashes.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    const bool repeats = i > 0 && alike(order[i - 1], order[i]);
    first[static_cast<std::size_t>(order[i])] = repeats ? first[static_cast<std::size_t>(order[i - 1])] : order[i];
  }
  return first;
}

}  // namespace

Repeats::Repeats(const std::vector<std::uint64_t>& hashes) { *this = of_firsts(firsts_of(hashes)); }

Repeats Repeats::of_firsts(std::vector<std::int64_t> first) {
  Repeats repeats;
  if (first.empty()) return repeats;
  // Counting sort by the first one.
  std::vector<std::int64_t> next(first.size() + 1, 0);
  for (const auto item : first) ++next[static_cast<std::size_t>(item) + 1];
  repeats.distinct_ = static_cast<std::int64_t>(first.size()) - std::count(next.begin() + 1, next.end(), 0);
  std::partial_sum(next.begin(), next.end(), next.begin());
  repeats.begin_ = next;
  repeats.members_.resize(first.size());
  for (std::size_t i = 0; i < first.size(); ++i) {
    auto& at = next[static_cast<std::size_t>(first[i])];
    repeats.members_[static_cast<std::size_t>(at++)] = static_cast<std::int64_t>(i);
  }
  repeats.first_ = std::move(first);
  return repeats;
}

std::span<const std::int64_t> Repeats::identical(std::int64_t item) const {
  const auto of = static_cast<std::size_t>(first(item));
  return std::span(members_).subspan(static_cast<std::size_t>(begin_[of]),
                                     static_cast<std::size_t>(begin_[of + 1] - begin_[of]));
}

Repeats Repeats::among(std::span<const std::int64_t> items) const {
  if (!any()) return {};
  std::unordered_map<std::int64_t, std::int64_t> place;  // of the first one among `items`
  std::vector<std::int64_t> firsts;
  for (std::size_t i = 0; i < items.size(); ++i) {
    firsts.push_back(place.try_emplace(first(items[i]), static_cast<std::int64_t>(i)).first->second);
  }
  return place.size() == items.size() ? Repeats() : of_firsts(std::move(firsts));
}

namespace {

// The share of equal pairs among the chosen items.
double agreement(const std::vector<std::uint64_t>& cells, const std::vector<bool>& chosen) {
  std::vector<std::uint64_t> some;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (chosen[i]) some.push_back(cells[i]);
  }
  if (some.size() < 2) return 0;
  std::sort(some.begin(), some.end());
  double equal = 0;
  for (auto at = some.begin(); at != some.end();) {
    const auto end = std::upper_bound(at, some.end(), *at);
    const auto count = static_cast<double>(end - at);
    equal += count * (count - 1);
    at = end;
  }
  const auto all = static_cast<double>(some.size());
  return equal / (all * (all - 1));
}

}  // namespace

Coincidences::Coincidences(const Repeats& repeats, std::int64_t rows)
    : expected_(static_cast<double>(rows) * static_cast<double>(rows - 1) / 2) {
  constexpr std::int64_t kSample = 2048;
  const std::int64_t every = (rows + kSample - 1) / kSample;
  const std::int64_t every_different = (repeats.distinct(rows) + kSample - 1) / kSample;
  std::int64_t seen = 0;    // rows that differ from all before
  std::int64_t common = 0;  // divisor of how often each occurs
  for (std::int64_t row = 0; row < rows; ++row) {
    pairs_ += static_cast<double>(repeats.count(row) - 1) / 2;
    const bool first = repeats.first(row) == row;
    const bool drawn = row % every == 0, different = first && seen % every_different == 0;
    if (first) {
      ++seen;
      common = std::gcd(common, repeats.count(row));
    }
    if (!drawn && !different) continue;
    rows_.push_back(row);
    drawn_.push_back(drawn);
    different_.push_back(different);
  }
  constexpr std::int64_t kTimes = 10;  // each value, on average
  few_values_ = common == 1 && seen * kTimes <= rows;
}

void Coincidences::add_column(const std::vector<std::uint64_t>& cells) {
  ++columns_;
  constexpr double kFewValues = 0.01;  // share of pairs of different rows that agree
  const double of_different = agreement(cells, different_);
  expected_ *= of_different > kFewValues ? agreement(cells, drawn_) : of_different;
}

bool Coincidences::explain() const {
  // Columns that do know of each other make more; copies of a table with many values make far more.
  constexpr double kMore = 10;
  if (columns_ == 1 && few_values_) return true;
  return pairs_ <= kMore * expected_;
}

}  // namespace ae
