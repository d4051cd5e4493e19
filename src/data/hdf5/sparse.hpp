// Matrices in HDF5, as cells of counts.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/reporter.hpp"
#include "data/counts/matrix.hpp"
#include "data/hdf5/file.hpp"

namespace ae::data {

class Hdf5Matrix {
 public:
  virtual ~Hdf5Matrix() = default;
  std::int64_t cells() const { return cells_; }
  std::int64_t genes() const { return genes_; }
  // Appends the cells from `begin` to before `end`. `places`: of each gene its number in the result, -1: not in it.
  virtual void append(std::int64_t begin, std::int64_t end, const std::vector<std::int32_t>& places,
                      CellCounts& counts) = 0;

 protected:
  Hdf5Matrix(std::int64_t cells, std::int64_t genes) : cells_(cells), genes_(genes) {}

 private:
  std::int64_t cells_, genes_;
};

// The group at `place` with indptr, indices and data, each run of which is a cell (or, `by_genes`, a gene).
// What is compressed by genes is read as a whole when it is asked for first.
std::unique_ptr<Hdf5Matrix> open_sparse(const Hdf5File& file, const std::string& place, std::int64_t cells,
                                        std::int64_t genes, bool by_genes, Reporter& reporter);
// The dataset at `place`, cells x genes.
std::unique_ptr<Hdf5Matrix> open_dense(const Hdf5File& file, const std::string& place);

}  // namespace ae::data
