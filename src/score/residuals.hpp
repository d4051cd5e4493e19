// What residuals look like on normal samples, and how strange one is: squared, per feature, or by their covariance.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "score/head.hpp"

namespace ae::score {

// A symmetric matrix base * I + sum_k weights[k] v_k v_k^T with orthonormal v_k: small to store when there are fewer
// directions than features, and its powers are of the same form.
struct Spectral {
  double base = 0;
  at::Tensor weights;     // [directions] float64
  at::Tensor directions;  // [directions, features] float64, rows v_k

  std::int64_t features() const { return directions.size(1); }
  at::Tensor apply(const at::Tensor& rows) const;  // [n, features] float64 times the matrix
  at::Tensor diagonal() const;                     // [features]
  // Every eigenvalue to the power p; all of them must be positive.
  Spectral power(double p) const;

  Arrays state() const;
  static Spectral restored(const Arrays& arrays, std::int64_t features);  // InputError as Head::restore
};

// The covariance of rows about zero, shrunk to a multiple of the identity (Ledoit and Wolf 2004, "A well-conditioned
// estimator for large-dimensional covariance matrices", with the mean known to be 0). Rows hold 0 where not observed;
// a column's moments are those of its observed cells. Positive definite also with fewer rows than features (then found
// from the Gram matrix of the rows), with constant columns, and with no row at all (identity). Above
// kWidestCovariance features only a multiple of the identity is fitted.
// One row x adds `row_weight` x x^T to the result (written when not null).
Spectral ledoit_wolf(const at::Tensor& rows, const at::Tensor& observed, double* row_weight = nullptr);
inline constexpr std::int64_t kWidestCovariance = 4096;

// Sums over rows that come block by block, from which the same follows.
class RowMoments {
 public:
  // rows [n, features] float64, 0 where not observed; observed the same shape, float64.
  void add(const at::Tensor& rows, const at::Tensor& observed);
  double rows() const { return rows_; }
  const at::Tensor& counts() const { return counts_; }    // [features] observed cells
  const at::Tensor& squares() const { return squares_; }  // [features] sums of squares
  Spectral ledoit_wolf(double* row_weight = nullptr) const;

 private:
  double rows_ = 0;
  at::Tensor counts_, squares_;
  at::Tensor products_;         // [features, features] sums of x_i x_j; up to kWidestCovariance features
  at::Tensor square_products_;  // of x_i^2 x_j^2
};

// Signed residuals of a network's reconstruction: the root of the loss of each element with the sign of observed minus
// expected for numbers (deviance residuals), so that their squares sum to the loss. [samples, elements] float64.
at::Tensor deviance_residuals(const model::Batch& batch, const loss::Reconstruction& reconstruction,
                              const model::Domain& domain);

// Judges residual vectors r: score = r^T P r / #observed, with P the identity ("loss"), the inverse mean squares of
// each feature ("normalized"), or the inverse Ledoit-Wolf covariance ("mahalanobis"). Of rows with unobserved features,
// "mahalanobis" judges the observed ones by their own covariance (the marginal distribution), not by pretending that
// the others were as expected.
class ResidualJudge {
 public:
  ResidualJudge() = default;
  // rows [n, features] float64 of normal samples, 0 where not observed; observed the same shape.
  static ResidualJudge fit(const std::string& kind, const at::Tensor& rows, const at::Tensor& observed);
  // The same of rows that come block by block: few are kept, of many only moments.
  class Learner {
   public:
    explicit Learner(std::string kind) : kind_(std::move(kind)) {}
    void add(const at::Tensor& rows, const at::Tensor& observed);
    ResidualJudge judge() const;

   private:
    std::string kind_;
    std::vector<at::Tensor> rows_, observed_;
    std::int64_t kept_ = 0;  // rows
    RowMoments moments_;
  };
  static std::span<const config::Choice> kinds();

  struct Verdict {
    at::Tensor distance;  // [n] r^T P r over the observed features
    at::Tensor gradient;  // [n, features] P r, 0 where not observed
  };
  // `own` [n] float64 (or undefined): how often fit() has learned from the row, which is judged as if it had not: what
  // the row contributed is taken out of the mean squares or the covariance (Sherman and Morrison 1950). Only after
  // fit().
  Verdict judge(const at::Tensor& rows, const at::Tensor& observed, const at::Tensor& own = {}) const;
  at::Tensor diagonal() const;  // [features] of P
  const Spectral& covariance() const { return covariance_; }
  bool diagonal_only() const { return kind_ != "mahalanobis"; }

  Arrays state() const;
  static ResidualJudge restored(const std::string& kind, const Arrays& arrays, std::int64_t features);

 private:
  std::string kind_ = "loss";
  std::int64_t features_ = 0;
  at::Tensor precisions_;  // [features] "normalized"
  Spectral covariance_;    // "mahalanobis"
  Spectral precision_;
  // For leaving a row out; known after fit() only.
  at::Tensor counts_;      // [features] rows in which each was observed
  double row_weight_ = 0;  // share of one row in the covariance
};

// Splits each row's distance over its features in proportion to how much of it would go away if that feature had the
// value all others imply: (P r)_j^2 / P_jj, the likelihood-ratio statistic for "only feature j is corrupted". All
// shares are >= 0 and sum to the distance (up to rounding). gradient [n, features], diagonal [features] or [n,
// features], distance [n].
at::Tensor blame(const at::Tensor& gradient, const at::Tensor& diagonal, const at::Tensor& distance);

}  // namespace ae::score
