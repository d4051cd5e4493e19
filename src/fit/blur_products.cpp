#include "fit/blur_products.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "base/vector_math.hpp"

namespace ae::fit {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

// to[i] += factor from[i] for a number of lanes that the compiler knows.
template <Index kLanes>
AE_INLINE void scatter_lanes(const Blur& blur, const double* __restrict__ from, double* __restrict__ to) {
  const auto *outer = blur.outerIndexPtr(), *inner = blur.innerIndexPtr();
  const double* values = blur.valuePtr();
  std::fill(to, to + blur.rows() * kLanes, 0.0);
  for (Index j = 0; j < blur.cols(); ++j) {
    const double* __restrict__ of_bin = from + j * kLanes;
    for (auto e = outer[j]; e < outer[j + 1]; ++e) {
      double* __restrict__ there = to + inner[e] * kLanes;
      const double value = values[e];
      for (Index lane = 0; lane < kLanes; ++lane) there[lane] += value * of_bin[lane];
    }
  }
}

}  // namespace

// With names that a processor's own version of a function can have: not in the unnamed namespace. Plain loops, as
// vector types become scalars before those versions part.
namespace blur_products {

AE_VECTORISED void scatter_few(const Blur& blur, const double* from, double* to) { scatter_lanes<4>(blur, from, to); }
AE_VECTORISED void scatter_many(const Blur& blur, const double* from, double* to) { scatter_lanes<12>(blur, from, to); }

AE_VECTORISED double dot(const double* __restrict__ a, const double* __restrict__ b, Index count) {
  return sum_up<double>(count, [&](std::int64_t i) { return a[i] * b[i]; });
}

// to[i] += sum of factors[k] rows[k stride + i] over eight rows.
AE_VECTORISED void add_rows(const double* __restrict__ factors, const double* __restrict__ rows, Index stride,
                            Index count, double* __restrict__ to) {
  for (Index i = 0; i < count; ++i)
    to[i] += ((factors[0] * rows[i] + factors[1] * rows[stride + i]) +
              (factors[2] * rows[2 * stride + i] + factors[3] * rows[3 * stride + i])) +
             ((factors[4] * rows[4 * stride + i] + factors[5] * rows[5 * stride + i]) +
              (factors[6] * rows[6 * stride + i] + factors[7] * rows[7 * stride + i]));
}

AE_VECTORISED void logarithms(const double* numbers, Index count, double* logs) {
  constexpr double kLn2 = 0.6931471805599453;
  for (Index i = 0; i < count; ++i) {
    const double x = numbers[i] < 1e-300 ? 1e-300 : numbers[i];
    // x = 2^n m with m from sqrt(1/2) to sqrt(2), as the bits tell; ln m by the series of the inverse hyperbolic
    // tangent.
    const auto bits = std::bit_cast<std::uint64_t>(x);
    const std::uint64_t biased = (bits - 0x3FE6A09E667F3BCDull + (1023ull << 52)) >> 52;
    const double m = std::bit_cast<double>(bits - ((biased - 1023) << 52));
    const double n = std::bit_cast<double>(biased | 0x4330000000000000ull) - (4503599627370496.0 + 1023);
    const double s = (m - 1) / (m + 1), z = s * s;
    double q = 1.0 / 23;
    q = q * z + 1.0 / 21;
    q = q * z + 1.0 / 19;
    q = q * z + 1.0 / 17;
    q = q * z + 1.0 / 15;
    q = q * z + 1.0 / 13;
    q = q * z + 1.0 / 11;
    q = q * z + 1.0 / 9;
    q = q * z + 1.0 / 7;
    q = q * z + 1.0 / 5;
    q = q * z + 1.0 / 3;
    logs[i] = n * kLn2 + 2 * (s + s * z * q);
  }
}

}  // namespace blur_products

Band::Band(const MatrixXd& matrix)
    : rows_(matrix.rows()), columns_(matrix.cols()), values_(RowTable::Zero(rows_, columns_)) {
  for (Index b = 0; b < rows_; ++b) {
    Index first = columns_, last = 0;
    for (Index j = 0; j < columns_; ++j) {
      if (matrix(b, j) == 0) continue;
      values_(b, j) = matrix(b, j);
      first = std::min(first, j);
      last = j + 1;
    }
    first_.push_back(std::min(first, last));
    last_.push_back(last);
  }
}

VectorXd Band::operator*(const VectorXd& x) const {
  VectorXd product(rows_);
  for (Index b = 0; b < rows_; ++b) {
    const auto first = first_[static_cast<std::size_t>(b)], last = last_[static_cast<std::size_t>(b)];
    product[b] = blur_products::dot(values_.data() + b * columns_ + first, x.data() + first, last - first);
  }
  return product;
}

void Band::add_gram(const VectorXd& weight, const VectorXd& scale, MatrixXd& sum) const {
  constexpr Index kRows = 8;  // at a time
  RowTable scaled = RowTable::Zero((rows_ + kRows - 1) / kRows * kRows, columns_);
  for (Index b = 0; b < rows_; ++b) {
    const auto first = first_[static_cast<std::size_t>(b)], count = last_[static_cast<std::size_t>(b)] - first;
    scaled.row(b).segment(first, count) =
        std::sqrt(weight[b]) *
        values_.row(b).segment(first, count).cwiseProduct(scale.segment(first, count).transpose());
  }
  for (Index b = 0; b < rows_; b += kRows) {
    Index first = columns_, last = 0;
    for (Index r = b; r < std::min(b + kRows, rows_); ++r) {
      const auto at = static_cast<std::size_t>(r);
      if (first_[at] == last_[at]) continue;
      first = std::min(first, first_[at]);
      last = std::max(last, last_[at]);
    }
    for (Index j = first; j < last; ++j) {
      double factors[kRows];
      for (Index r = 0; r < kRows; ++r) factors[r] = scaled(b + r, j);
      blur_products::add_rows(factors, scaled.data() + b * columns_ + j, columns_, last - j, &sum(j, j));
    }
  }
}

BlurLanes::BlurLanes(const Blur& blur, Index problems)
    : blur_(blur), transposed_(blur.transpose()), lanes_(problems <= 4 ? 4 : 12) {}

void BlurLanes::times(const std::vector<double>& p, std::vector<double>& q) const { scatter(blur_, p, q); }

void BlurLanes::transposed_times(const std::vector<double>& q, std::vector<double>& p) const {
  scatter(transposed_, q, p);
}

void BlurLanes::scatter(const Blur& blur, const std::vector<double>& from, std::vector<double>& to) const {
  to.resize(static_cast<std::size_t>(blur.rows() * lanes_));
  (lanes_ == 4 ? blur_products::scatter_few : blur_products::scatter_many)(blur, from.data(), to.data());
}

void logarithms(const std::vector<double>& numbers, std::vector<double>& logs) {
  logs.resize(numbers.size());
  blur_products::logarithms(numbers.data(), static_cast<Index>(numbers.size()), logs.data());
}

}  // namespace ae::fit
