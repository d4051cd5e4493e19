// From counts to values that compare between cells, and back.
//
// A cell's size factor is its total count over the median total of the training cells; value = log(1 + count / factor).
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "base/reporter.hpp"
#include "data/counts/matrix.hpp"

namespace ae::data {

struct CountScale {
  bool size_factors = true;
  bool log1p = true;
  double median_total = 1;  // > 0

  // Of a cell with so many counts in all; 1 for an empty one.
  double factor(double total) const { return size_factors && total > 0 ? total / median_total : 1; }
  double value(double count, double factor) const {  // count >= 0
    const double norm = count / factor;
    return log1p ? std::log1p(norm) : norm;
  }
  // The inverse: in units of counts per cell of median total, and of counts of this cell. Below 0 where the value is.
  double norm(double value) const { return log1p ? std::expm1(value) : value; }
  double count(double value, double factor) const { return norm(value) * factor; }
};

// The median of the cells' totals, of those above 0; the mean of the middle two; 1 when there are none.
double median_total(std::span<const double> totals);

// How much each gene varies between `cells` (their numbers) beyond what a negative binomial of one mean for all cells
// gives: the variance of its Pearson residuals (Lause, Berens, Kobak 2021, Genome Biology 22:258, equations 1 and 2),
//   r = (count - mu) / sqrt(mu + mu^2 / 100),   mu = cell total * gene total / sum of all,   |r| <= sqrt(cells),
// over n, the number of cells. 0 for genes without counts. Stop signals end it by Interrupted.
std::vector<double> residual_variances(const CountView& counts, std::span<const std::int64_t> cells, std::int64_t genes,
                                       Reporter& reporter);

// The numbers, ascending, of the `most` largest; of equal ones the first; none that is 0. Every number when `most` is
// 0.
std::vector<std::int32_t> largest(std::span<const double> variances, std::int64_t most);

}  // namespace ae::data
