// Counts of molecules: cells x genes, of which most are 0, compressed by cells.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ae::data {

inline constexpr std::int64_t kMostGenes = std::int64_t{1} << 24;
// Whole numbers up to this one are held exactly.
inline constexpr float kLargestExactCount = 1 << 24;

// Counts that lie elsewhere. Of cell i: genes[begins[i] .. begins[i + 1]), ascending, each once, and their counts, none
// of which is 0.
struct CountView {
  std::int64_t cells = 0;
  const std::int64_t* begins = nullptr;  // [cells + 1]
  const std::int32_t* genes = nullptr;
  const float* counts = nullptr;

  std::span<const std::int32_t> genes_of(std::int64_t cell) const {
    return {genes + begins[cell], static_cast<std::size_t>(begins[cell + 1] - begins[cell])};
  }
  std::span<const float> counts_of(std::int64_t cell) const {
    return {counts + begins[cell], static_cast<std::size_t>(begins[cell + 1] - begins[cell])};
  }
  double total(std::int64_t cell) const;  // of all genes
  bool whole(std::int64_t cell) const;    // all are whole numbers
};

// The same in memory of its own.
struct CellCounts {
  std::vector<std::int64_t> begins{0};
  std::vector<std::int32_t> genes;
  std::vector<float> counts;

  std::int64_t cells() const { return std::ssize(begins) - 1; }
  CountView view() const { return {cells(), begins.data(), genes.data(), counts.data()}; }
  void clear();
  void append(const CountView& from, std::int64_t begin, std::int64_t end);
  // Ends a cell whose entries were pushed back in any order: sorts them by gene, adds up what is there twice, and
  // leaves out zeros.
  void end_cell();

 private:
  std::vector<std::pair<std::int32_t, float>> entries_;
};

// Makes cells of entries that come in any order. Entries that come cell by cell need no memory but the result's.
class EntryCollector {
 public:
  // `expected` entries are made room for.
  EntryCollector(std::int64_t cells, std::int64_t expected);
  void add(std::int64_t cell, std::int32_t gene, float count) {  // 0 <= cell < cells
    if (cell < last_cell_ && cells_.empty()) remember_cells();
    if (!cells_.empty()) cells_.push_back(static_cast<std::int32_t>(cell));
    last_cell_ = cell;
    ++begins_[static_cast<std::size_t>(cell) + 1];
    genes_.push_back(gene);
    counts_.push_back(count);
  }
  CellCounts finish();  // once

 private:
  void remember_cells();
  std::vector<std::int64_t> begins_;  // until finish(): entries of each cell, one place on
  std::vector<std::int32_t> cells_;   // of each entry; empty as long as they ascend
  std::vector<std::int32_t> genes_;
  std::vector<float> counts_;
  std::int64_t last_cell_ = 0;
};

}  // namespace ae::data
