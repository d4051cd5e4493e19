// The cheapest way to give each of n things one of n others.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace ae::geometry {

// For each row of `cost` [n x n], row by row and finite, its column, so that the sum of costs is least: the Hungarian
// method with shortest augmenting paths (Jonker and Volgenant 1987), O(n^3). Of several such the same one each time.
class Assignment {
 public:
  // The answer is valid until the next call.
  std::span<const std::size_t> operator()(std::span<const double> cost, std::size_t n);

 private:
  void give(std::span<const double> cost, std::size_t n, std::size_t row);

  std::vector<std::size_t> column_of_, row_of_, before_;
  std::vector<double> row_price_, column_price_, slack_;
  std::vector<bool> done_;
};

}  // namespace ae::geometry
