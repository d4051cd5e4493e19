// Guesses for the missing entries of a matrix without a network: what a network's imputation must beat.
//
// All judge entries by the numbers themselves, so columns should be in comparable units: standardised, or log counts.
//
// Adding one: a class in a .cpp of this room, its maker below and one line in completions().
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/reporter.hpp"
#include "config/fields.hpp"

namespace ae::fit {

// What is observed of a matrix [rows, columns], compressed by rows; memory is for the observed entries alone.
struct PartialMatrix {
  std::int64_t columns = 0;
  std::vector<std::int64_t> begins{0};  // [rows + 1]
  std::vector<std::int32_t> places;     // columns of the observed entries, ascending within a row
  std::vector<float> values;            // finite
  // What the others are: unknown, or the value 0, as the counts that were not detected. Asked by `mean` only.
  bool holes_are_zero = false;

  std::int64_t rows() const { return std::ssize(begins) - 1; }
  std::span<const std::int32_t> places_of(std::int64_t row) const;
  std::span<const float> values_of(std::int64_t row) const;
  // Both [columns]; entries whose `observed` is 0 are left out.
  void append(std::span<const float> row, std::span<const float> observed);
};

struct ColumnMeans {
  std::vector<double> of_observed;  // 0 of a column without observed entries
  std::vector<double> of_all;       // with holes_are_zero over all rows, else the same
};
ColumnMeans column_means(const PartialMatrix& matrix);

class Completion {
 public:
  virtual ~Completion() = default;
  // Keeps a reference to `matrix`. The same seed gives the same numbers. Stop signals end it by Interrupted.
  virtual void fit(const PartialMatrix& matrix, std::uint64_t seed, Reporter& reporter) = 0;
  // The guess for all columns of one of its rows, also for the observed ones. `guess`: [columns].
  virtual void row(std::int64_t row, std::span<float> guess) const = 0;
  virtual bool averages() const { return false; }  // the guess is the same for every row, a mean of the column
};

// mean, observed_mean, knn, low_rank
std::span<const config::Entry<Completion>> completions();

// Means of the nearest rows' observed values, drawn towards the column's mean:
//   guess(i, j) = (sum of x(n, j) over the neighbours n that have it + shrinkage * m(j)) / (their number + shrinkage),
// m(j) being the mean of the column's observed values. Neighbours are the `neighbours` rows of the smallest
//   d(i, n) = (sum over common columns of (x(i, j) - x(n, j))^2 + 4 v) / (number of common columns + 4),
// v being twice the variance of observed values around their column's mean: what unrelated rows differ by. Rows without
// a common column are no neighbours. With more than `most_candidates` rows, neighbours are sought among so many of
// them, drawn by the seed.
struct KnnOptions {
  std::int64_t neighbours = 20;
  double shrinkage = 2;
  std::int64_t most_candidates = 10'000;
};
std::unique_ptr<Completion> knn_completion(const KnnOptions& options);

// softImpute (Mazumder, Hastie, Tibshirani 2010, JMLR 11:2287): with columns centred at the mean of what is observed,
//   minimise 1/2 sum over observed (x(i, j) - z(i, j))^2 + lambda * (sum of the singular values of z)
// over matrices z of rank <= most_rank. A sweep takes the singular values of (observed entries, else z), by one step of
// orthogonal iteration from the subspace of the sweep before, less lambda; it costs
// O(observed * rank + (rows + columns) * rank^2). lambda falls from where z is 0 by `step`, each solution starting the
// next; the rank allowed rises with what the last one used. The lambda with the smallest error on the `held_out` share
// of observed entries is then used for all of them.
struct LowRankOptions {
  std::int64_t most_rank = 50;
  double step = 0.7;
  double held_out = 0.1;
  double tolerance = 1e-3;  // relative change of z (Frobenius norm) in a sweep, at which one lambda is done
  std::int64_t most_sweeps = 50;
  double lambda = -1;  // below 0: by held-out entries
};
class LowRankCompletion : public Completion {
 public:
  virtual double lambda() const = 0;
  virtual std::int64_t rank() const = 0;  // singular values of the solution above 0
};
std::unique_ptr<LowRankCompletion> low_rank_completion(const LowRankOptions& options);

}  // namespace ae::fit
