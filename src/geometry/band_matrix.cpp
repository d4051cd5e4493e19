#include "geometry/band_matrix.hpp"

#include <cmath>

namespace ae::geometry {

void BandMatrix::multiply(const std::vector<double>& by, std::vector<double>& product) const {
  product.assign(size_, 0);
  for (std::size_t i = 0; i < size_; ++i) {
    const double* entries = row(i);
    const double own = by[i];
    double total = entries[reach_] * own;
    for (std::size_t j = first(i), k = offset(i, j); j < i; ++j, ++k) {
      total += entries[k] * by[j];
      product[j] += entries[k] * own;
    }
    product[i] += total;
  }
}

bool BandMatrix::factorise() {
  for (std::size_t i = 0; i < size_; ++i) {
    double* own = row(i);
    for (std::size_t j = first(i); j <= i; ++j) {
      const double* other = row(j);
      double rest = own[offset(i, j)];
      const auto begin = std::max(first(i), first(j));
      for (std::size_t k = begin, a = offset(i, begin), b = offset(j, begin); k < j; ++k) rest -= own[a++] * other[b++];
      if (i != j)
        own[offset(i, j)] = rest / other[reach_];
      else if (rest > 0 && std::isfinite(rest))
        own[reach_] = std::sqrt(rest);
      else
        return false;
    }
  }
  return true;
}

void BandMatrix::solve(std::vector<double>& vector) const {
  for (std::size_t i = 0; i < size_; ++i) {
    const double* entries = row(i);
    double rest = vector[i];
    for (std::size_t j = first(i), k = offset(i, j); j < i; ++j, ++k) rest -= entries[k] * vector[j];
    vector[i] = rest / entries[reach_];
  }
  for (std::size_t i = size_; i-- > 0;) {
    const double* entries = row(i);
    const double own = vector[i] /= entries[reach_];
    for (std::size_t j = first(i), k = offset(i, j); j < i; ++j, ++k) vector[j] -= entries[k] * own;
  }
}

}  // namespace ae::geometry
