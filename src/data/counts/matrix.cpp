#include "data/counts/matrix.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace ae::data {

double CountView::total(std::int64_t cell) const {
  const auto counts = counts_of(cell);
  return std::accumulate(counts.begin(), counts.end(), 0.0);
}

bool CountView::whole(std::int64_t cell) const {
  return std::ranges::all_of(counts_of(cell), [](float count) { return count == std::nearbyint(count); });
}

void CellCounts::clear() {
  begins.assign(1, 0);
  genes.clear();
  counts.clear();
}

void CellCounts::append(const CountView& from, std::int64_t begin, std::int64_t end) {
  const std::int64_t shift = begins.back() - from.begins[begin];
  for (std::int64_t cell = begin; cell < end; ++cell) begins.push_back(from.begins[cell + 1] + shift);
  genes.insert(genes.end(), from.genes + from.begins[begin], from.genes + from.begins[end]);
  counts.insert(counts.end(), from.counts + from.begins[begin], from.counts + from.begins[end]);
}

void CellCounts::end_cell() {
  const auto begin = static_cast<std::size_t>(begins.back());
  const auto is_clean = [&] {
    for (std::size_t i = begin; i < genes.size(); ++i) {
      if (counts[i] == 0 || (i > begin && genes[i] <= genes[i - 1])) return false;
    }
    return true;
  };
  if (!is_clean()) {
    entries_.clear();
    for (std::size_t i = begin; i < genes.size(); ++i) entries_.emplace_back(genes[i], counts[i]);
    std::ranges::stable_sort(entries_, {}, &std::pair<std::int32_t, float>::first);
    genes.resize(begin);
    counts.resize(begin);
    for (std::size_t i = 0; i < entries_.size();) {
      const std::int32_t gene = entries_[i].first;
      double sum = 0;
      for (; i < entries_.size() && entries_[i].first == gene; ++i) sum += static_cast<double>(entries_[i].second);
      if (sum == 0) continue;
      genes.push_back(gene);
      counts.push_back(static_cast<float>(sum));
    }
  }
  begins.push_back(std::ssize(genes));
}

EntryCollector::EntryCollector(std::int64_t cells, std::int64_t expected)
    : begins_(static_cast<std::size_t>(cells) + 1, 0) {
  genes_.reserve(static_cast<std::size_t>(expected));
  counts_.reserve(static_cast<std::size_t>(expected));
}

void EntryCollector::remember_cells() {
  cells_.reserve(genes_.capacity());
  for (std::size_t cell = 0; cell + 1 < begins_.size(); ++cell) {
    cells_.insert(cells_.end(), static_cast<std::size_t>(begins_[cell + 1]), static_cast<std::int32_t>(cell));
  }
}

CellCounts EntryCollector::finish() {
  std::partial_sum(begins_.begin(), begins_.end(), begins_.begin());
  if (!cells_.empty()) {  // counting sort by cell
    std::vector<std::int32_t> genes(genes_.size());
    std::vector<float> counts(counts_.size());
    auto next = begins_;
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      const auto to = static_cast<std::size_t>(next[static_cast<std::size_t>(cells_[i])]++);
      genes[to] = genes_[i];
      counts[to] = counts_[i];
    }
    cells_ = {};
    genes_ = std::move(genes);
    counts_ = std::move(counts);
  }
  // Cells that are in order stay where they are; what others lose closes up.
  CellCounts done;
  done.begins.reserve(begins_.size());
  std::size_t kept = 0;
  CellCounts one;
  for (std::size_t cell = 0; cell + 1 < begins_.size(); ++cell) {
    const auto begin = static_cast<std::ptrdiff_t>(begins_[cell]), end = static_cast<std::ptrdiff_t>(begins_[cell + 1]);
    one.clear();
    one.genes.assign(genes_.begin() + begin, genes_.begin() + end);
    one.counts.assign(counts_.begin() + begin, counts_.begin() + end);
    one.end_cell();
    std::ranges::copy(one.genes, genes_.begin() + static_cast<std::ptrdiff_t>(kept));
    std::ranges::copy(one.counts, counts_.begin() + static_cast<std::ptrdiff_t>(kept));
    kept += one.genes.size();
    done.begins.push_back(static_cast<std::int64_t>(kept));
  }
  genes_.resize(kept);
  counts_.resize(kept);
  done.genes = std::move(genes_);
  done.counts = std::move(counts_);
  return done;
}

}  // namespace ae::data
