#include "data/hdf5/sparse.hpp"

#include <algorithm>

#include "base/signals.hpp"

namespace ae::data {
namespace {

constexpr std::int64_t kEntriesAtOnce = 1 << 18;

// Runs of entries, one run a cell or a gene.
class Runs {
 public:
  Runs(const Hdf5File& file, const std::string& place, std::int64_t runs, std::int64_t across)
      : begins_(file.dataset(place + "/indptr").integers()),
        indices_(file.dataset(place + "/indices")),
        data_(file.dataset(place + "/data")),
        across_(across) {
    const auto wrong = [&](const std::string& what) { file.fail(place + "/indptr", what + "; the file is damaged"); };
    if (std::ssize(begins_) != runs + 1)
      wrong("has " + std::to_string(begins_.size()) + " elements, expected " + std::to_string(runs + 1));
    if (begins_.front() != 0 || !std::ranges::is_sorted(begins_)) wrong("does not ascend from 0");
    if (begins_.back() != indices_.size() || begins_.back() != data_.size())
      wrong("ends with " + std::to_string(begins_.back()) + ", but there are " + std::to_string(indices_.size()) +
            " indices and " + std::to_string(data_.size()) + " values");
    if (indices_.type() != Hdf5Dataset::Type::integer) indices_.fail("does not hold whole numbers");
    if (data_.type() != Hdf5Dataset::Type::integer && data_.type() != Hdf5Dataset::Type::number)
      data_.fail("does not hold numbers");
  }

  std::int64_t entries() const { return begins_.back(); }

  // visit(run, index, value) for all entries of the runs from `begin` to before `end`, and end_run() after each run.
  template <typename Visit, typename EndRun>
  void for_each(std::int64_t begin, std::int64_t end, Visit&& visit, EndRun&& end_run) {
    std::int64_t first = begins_[static_cast<std::size_t>(begin)], read_to = first;
    for (std::int64_t run = begin; run < end; ++run) {
      const std::int64_t run_end = begins_[static_cast<std::size_t>(run) + 1];
      for (std::int64_t i = begins_[static_cast<std::size_t>(run)]; i < run_end; ++i) {
        if (i == read_to) {
          first = i;
          read_to = std::min(i + kEntriesAtOnce, begins_[static_cast<std::size_t>(end)]);
          load(first, read_to - first);
        }
        const auto at = static_cast<std::size_t>(i - first);
        visit(run, index_[at], value_[at]);
      }
      end_run(run);
    }
  }

 private:
  void load(std::int64_t first, std::int64_t count) {
    throw_if_stopped("reading the matrix");
    index_.resize(static_cast<std::size_t>(count));
    value_.resize(static_cast<std::size_t>(count));
    indices_.read(first, std::span(index_));
    data_.read(first, std::span(value_));
    for (std::size_t i = 0; i < index_.size(); ++i) {
      if (index_[i] < 0 || index_[i] >= across_) {
        indices_.fail("holds " + std::to_string(index_[i]) + ", expected 0 to " + std::to_string(across_ - 1) +
                      "; the file is damaged");
      }
    }
  }

  std::vector<std::int64_t> begins_;
  Hdf5Dataset indices_, data_;
  std::int64_t across_;
  std::vector<std::int64_t> index_;
  std::vector<float> value_;
};

class ByCells final : public Hdf5Matrix {
 public:
  ByCells(const Hdf5File& file, const std::string& place, std::int64_t cells, std::int64_t genes)
      : Hdf5Matrix(cells, genes), runs_(file, place, cells, genes) {}

  void append(std::int64_t begin, std::int64_t end, const std::vector<std::int32_t>& places,
              CellCounts& counts) override {
    runs_.for_each(
        begin, end,
        [&](std::int64_t, std::int64_t gene, float count) {
          const auto place = places[static_cast<std::size_t>(gene)];
          if (place < 0) return;
          counts.genes.push_back(place);
          counts.counts.push_back(count);
        },
        [&](std::int64_t) { counts.end_cell(); });
  }

 private:
  Runs runs_;
};

class ByGenes final : public Hdf5Matrix {
 public:
  ByGenes(const Hdf5File& file, const std::string& place, std::int64_t cells, std::int64_t genes, Reporter& reporter)
      : Hdf5Matrix(cells, genes), runs_(file, place, genes, cells), reporter_(reporter) {}

  void append(std::int64_t begin, std::int64_t end, const std::vector<std::int32_t>& places,
              CellCounts& counts) override {
    if (turned_.cells() != cells()) turn();
    const CountView all = turned_.view();
    for (std::int64_t cell = begin; cell < end; ++cell) {
      const auto of_cell = all.genes_of(cell);
      for (std::size_t i = 0; i < of_cell.size(); ++i) {
        const auto place = places[static_cast<std::size_t>(of_cell[i])];
        if (place < 0) continue;
        counts.genes.push_back(place);
        counts.counts.push_back(all.counts_of(cell)[i]);
      }
      counts.end_cell();
    }
  }

 private:
  // Reads the entries twice, to count and to place them, so that no memory is needed but the result's.
  void turn() {
    std::vector<std::int64_t> begins(static_cast<std::size_t>(cells()) + 1, 0);
    const auto tell = [&](std::int64_t gene) {
      reporter_.progress("genes", static_cast<std::uint64_t>(gene), static_cast<std::uint64_t>(genes()));
    };
    runs_.for_each(
        0, genes(), [&](std::int64_t, std::int64_t cell, float) { ++begins[static_cast<std::size_t>(cell) + 1]; },
        tell);
    for (std::size_t cell = 1; cell < begins.size(); ++cell) begins[cell] += begins[cell - 1];
    turned_.genes.resize(static_cast<std::size_t>(runs_.entries()));
    turned_.counts.resize(turned_.genes.size());
    auto next = begins;
    runs_.for_each(
        0, genes(),
        [&](std::int64_t gene, std::int64_t cell, float count) {
          const auto to = static_cast<std::size_t>(next[static_cast<std::size_t>(cell)]++);
          turned_.genes[to] = static_cast<std::int32_t>(gene);
          turned_.counts[to] = count;
        },
        tell);
    reporter_.progress_done();
    turned_.begins = std::move(begins);
  }

  Runs runs_;
  Reporter& reporter_;
  CellCounts turned_;
};

class DenseCells final : public Hdf5Matrix {
 public:
  explicit DenseCells(Hdf5Dataset data) : Hdf5Matrix(data.shape()[0], data.shape()[1]), data_(std::move(data)) {}

  void append(std::int64_t begin, std::int64_t end, const std::vector<std::int32_t>& places,
              CellCounts& counts) override {
    const std::int64_t chunk = data_.rows_of_a_chunk();
    const std::int64_t rows = std::max<std::int64_t>(1, kEntriesAtOnce / std::max<std::int64_t>(genes(), 1));
    for (std::int64_t first = begin; first < end;) {
      throw_if_stopped("reading the matrix");
      std::int64_t next = std::min(end, first + rows);
      if (next < end && next / chunk * chunk > first) next = next / chunk * chunk;
      values_.resize(static_cast<std::size_t>((next - first) * genes()));
      data_.read_rows(first, std::span(values_));
      const float* value = values_.data();
      for (; first < next; ++first) {
        for (const auto place : places) {
          const float count = *value++;
          if (count == 0 || place < 0) continue;
          counts.genes.push_back(place);
          counts.counts.push_back(count);
        }
        counts.end_cell();
      }
    }
  }

 private:
  Hdf5Dataset data_;
  std::vector<float> values_;
};

}  // namespace

std::unique_ptr<Hdf5Matrix> open_sparse(const Hdf5File& file, const std::string& place, std::int64_t cells,
                                        std::int64_t genes, bool by_genes, Reporter& reporter) {
  if (by_genes) return std::make_unique<ByGenes>(file, place, cells, genes, reporter);
  return std::make_unique<ByCells>(file, place, cells, genes);
}

std::unique_ptr<Hdf5Matrix> open_dense(const Hdf5File& file, const std::string& place) {
  Hdf5Dataset data = file.dataset(place);
  if (data.shape().size() != 2) data.fail("is not of two dimensions, cells x genes");
  if (data.type() != Hdf5Dataset::Type::integer && data.type() != Hdf5Dataset::Type::number)
    data.fail("does not hold numbers");
  return std::make_unique<DenseCells>(std::move(data));
}

}  // namespace ae::data
