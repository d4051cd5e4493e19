// Symmetric positive definite matrices whose entries lie near the diagonal.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace ae::geometry {

class BandMatrix {
 public:
  // Entries (i, j) with |i - j| <= `reach` may differ from 0.
  BandMatrix(std::size_t size, std::size_t reach) : size_(size), reach_(reach), entries_(size * (reach + 1)) {}

  std::size_t size() const { return size_; }
  // The lower triangle: j <= i <= j + reach.
  double& at(std::size_t i, std::size_t j) { return row(i)[offset(i, j)]; }
  double at(std::size_t i, std::size_t j) const { return row(i)[offset(i, j)]; }

  void clear() { std::fill(entries_.begin(), entries_.end(), 0); }
  void multiply(const std::vector<double>& by, std::vector<double>& product) const;
  // Replaces the matrix by its Cholesky factor; false when it is not positive definite.
  bool factorise();
  // Solves in place; after factorise().
  void solve(std::vector<double>& vector) const;

 private:
  const double* row(std::size_t i) const { return entries_.data() + i * (reach_ + 1); }
  double* row(std::size_t i) { return entries_.data() + i * (reach_ + 1); }
  std::size_t offset(std::size_t i, std::size_t j) const { return reach_ + j - i; }  // within row i
  std::size_t first(std::size_t row) const { return row > reach_ ? row - reach_ : 0; }

  std::size_t size_ = 0, reach_ = 0;
  std::vector<double> entries_;  // by rows
};

}  // namespace ae::geometry
