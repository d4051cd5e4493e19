// The best approximation of samples by points of an affine subspace, in float64: principal components, and of samples
// with missing cells their generalisation. It is the optimum of a linear autoencoder by mean squared error (Baldi and
// Hornik, Neural networks and principal component analysis, Neural Networks 2, 1989).
//
// A sample's error is the mean of its squared deviations over its observed elements; the error of a basis is the mean
// of that over the samples that have one. All in network units.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "base/reporter.hpp"
#include "model/batch.hpp"

namespace ae::model {

// Points center + axes * code. All tensors are float64.
struct Basis {
  at::Tensor center;  // [elements]
  at::Tensor axes;    // [elements, count], orthonormal columns
  std::int64_t count() const { return axes.size(1); }
};

// [samples, count]: of each sample the code whose point is nearest in its observed elements; of several such codes the
// smallest, so that a sample of which nothing is observed has the code 0.
at::Tensor nearest_codes(const Basis& basis, const Batch& batch);

struct Spread {
  Basis basis;
  at::Tensor deviations;  // [count]: standard deviations of the codes along the axes, divided by n
};

// The same subspace in its canonical basis for these samples: codes have mean 0, are uncorrelated and ordered by
// falling deviation, and of each axis the largest loading is positive.
Spread canonical(const Samples& samples, const Basis& basis);

// The error of the basis with its nearest codes.
double error_of(const Samples& samples, const Basis& basis);

// The error about the mean of each element: what a basis without axes leaves.
double total_error(const Samples& samples);

struct Components {
  Spread spread;            // canonical
  double error = 0;         // of the basis
  std::int64_t rounds = 0;  // of alternating least squares; 0: there was nothing missing, and the answer is exact
  bool converged = true;
};

// The basis of `count` axes with the smallest error. Without missing cells by an eigendecomposition of the covariance
// or, of fewer samples than elements, of the samples' inner products. With missing cells by alternating least squares
// over the observed ones (the EM algorithm for principal components in the limit of no noise: Roweis, EM algorithms for
// PCA and SPCA, NIPS 1997), from the principal components of the mean-filled samples and, when it is given, from
// `start`, whichever ends lower: the result is then never worse than `start`.
//
// `count` is at most the number of elements. UsageError when samples and elements are both more than
// kMostDecomposed. Memory: the square of the smaller of the two; with missing cells elements * count^2 numbers. Looks
// for stop signals.
constexpr std::int64_t kMostDecomposed = 8192;
Components principal_components(const Samples& samples, std::int64_t count, Reporter& reporter,
                                const std::optional<Basis>& start = std::nullopt);

// [count], ascending, in degrees: between the spans of two matrices of as many orthonormal columns (Bjorck and Golub,
// Numerical methods for computing angles between linear subspaces, Math. Comp. 27, 1973).
at::Tensor principal_angles(const at::Tensor& one, const at::Tensor& other);

}  // namespace ae::model
