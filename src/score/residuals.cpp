#include "score/residuals.hpp"

#include <torch/types.h>

#include <array>
#include <cmath>

#include "base/error.hpp"
#include "score/makers.hpp"

namespace ae::score {
namespace {

// Added to each feature's mean square (of scaled values, whose variance is 1): a feature that training rows always
// reconstruct exactly raises a bounded alarm.
constexpr double kSmallestSquare = 1e-3;
// Least share of the mean eigenvalue that shrinking adds to every direction.
constexpr double kLeastShrinkage = 1e-6;

constexpr std::array<config::Choice, 3> kResidualKinds{{
    {"loss", "the mean of the squared residuals"},
    {"normalized", "the mean of the squared residuals, each over its column's mean square on normal rows"},
    {"mahalanobis", "Mahalanobis distance by the shrunk covariance of residuals on normal rows"},
}};

// What is left, at least, of a mean square or a covariance along a row when that row is taken out.
constexpr double kLeastLeft = 0.5;

// Rows that a Learner keeps before it goes over to moments.
constexpr std::int64_t kKeptRows = 1 << 14;

constexpr int kMostIterations = 200;
constexpr double kTolerance = 1e-11;  // of the residual norm, relative

// Solves M_oo x_o = r_o for every row, o = its observed features, by conjugate gradients; x is 0 elsewhere. Every row
// goes through the same arithmetic whatever the others are.
at::Tensor solve_observed(const Spectral& matrix, const at::Tensor& rows, const at::Tensor& observed) {
  auto x = torch::zeros_like(rows);
  auto rest = rows * observed;
  auto direction = rest.clone();
  auto square = rest.square().sum(1, true);
  const auto enough = square * (kTolerance * kTolerance);
  const int most = static_cast<int>(std::min<std::int64_t>(2 * rows.size(1) + 10, kMostIterations));
  for (int i = 0; i < most; ++i) {
    const auto active = square > enough;
    if (!active.any().item<bool>()) break;
    const auto image = matrix.apply(direction) * observed;
    const auto curvature = (direction * image).sum(1, true);
    const auto step = torch::where(active, square / curvature.clamp_min(1e-300), torch::zeros_like(square));
    x = x + step * direction;
    rest = rest - step * image;
    const auto next = rest.square().sum(1, true);
    direction = torch::where(active, rest + (next / square.clamp_min(1e-300)) * direction, direction);
    square = torch::where(active, next, square);
  }
  return x;
}

}  // namespace

at::Tensor Spectral::apply(const at::Tensor& rows) const {
  return rows * base + rows.mm(directions.t()).mul_(weights).mm(directions);
}

at::Tensor Spectral::diagonal() const { return (directions.square() * weights.unsqueeze(1)).sum(0) + base; }

Spectral Spectral::power(double p) const {
  // With a direction for every feature nothing is left for the base.
  const bool whole = directions.size(0) == directions.size(1);
  const double new_base = whole ? 0.0 : std::pow(base, p);
  return {new_base, (weights + base).pow(p) - new_base, directions};
}

Arrays Spectral::state() const {
  return {{"base", to_array(torch::tensor({base}, torch::kFloat64))},
          {"weights", to_array(weights)},
          {"directions", to_array(directions)}};
}

Spectral Spectral::restored(const Arrays& arrays, std::int64_t features) {
  Spectral matrix;
  matrix.base = from_arrays(arrays, "base", data::Dtype::f64, {1}).item<double>();
  matrix.directions = from_arrays(arrays, "directions", data::Dtype::f64, {-1, features});
  matrix.weights = from_arrays(arrays, "weights", data::Dtype::f64, {matrix.directions.size(0)});
  const bool whole = matrix.directions.size(0) == features;
  if (matrix.directions.size(0) > features || matrix.base < 0 || (!whole && matrix.base == 0) ||
      (matrix.weights.numel() > 0 && matrix.weights.min().item<double>() + matrix.base <= 0)) {
    throw InputError("\"weights\" do not belong to a covariance matrix; the file is damaged");
  }
  return matrix;
}

namespace {

// The shrinkage by |S|_F^2, the mean of the eigenvalues and the sum over rows of |x|^4.
double shrinkage_of(double squares, double mean, double fourth, double rows, double features) {
  const double delta = squares - features * mean * mean;  // |S - mean I|_F^2
  const double beta = std::min((fourth / rows - squares) / rows, delta);
  return std::clamp(delta > 0 ? beta / delta : 1.0, kLeastShrinkage, 1.0);
}

Spectral multiple_of_identity(double base, std::int64_t features) {
  return {base, torch::zeros({0}, torch::kFloat64), torch::zeros({0, features}, torch::kFloat64)};
}

}  // namespace

Spectral ledoit_wolf(const at::Tensor& all, const at::Tensor& observed, double* row_weight) {
  if (row_weight != nullptr) *row_weight = 0;
  const auto n = static_cast<double>(all.size(0));
  const auto features = all.size(1);
  const auto p = static_cast<double>(features);
  if (n == 0) return multiple_of_identity(1, features);
  // A column seen in n_j of n rows: its cells count n / n_j times.
  const auto rows = all * (n / observed.sum(0).clamp_min(1)).sqrt();
  const double mean = rows.square().sum().item<double>() / (n * p);  // of the eigenvalues
  if (mean <= 0) return multiple_of_identity(1, features);
  if (features > kWidestCovariance) return multiple_of_identity(mean, features);

  // The larger of the two products is never formed: S = X^T X / n and G = X X^T / n have the same positive eigenvalues.
  const bool wide = all.size(0) < features;
  const auto product = (wide ? rows.mm(rows.t()) : rows.t().mm(rows)) / n;
  const double squares = product.square().sum().item<double>();              // |S|_F^2 = |G|_F^2
  const double fourth = rows.square().sum(1).square().sum().item<double>();  // sum over rows of |x|^4
  const double shrinkage = shrinkage_of(squares, mean, fourth, n, p);

  if (row_weight != nullptr) *row_weight = (1 - shrinkage) / n;
  auto [eigenvalues, vectors] = torch::linalg_eigh(product);
  auto directions = vectors.t();
  if (wide) {
    const auto largest = eigenvalues.max().item<double>();
    const auto kept = (eigenvalues > largest * 1e-12).nonzero().squeeze(1);
    eigenvalues = eigenvalues.index_select(0, kept);
    directions = directions.index_select(0, kept).mm(rows) / (eigenvalues * n).sqrt().unsqueeze(1);
  }
  return {shrinkage * mean, (eigenvalues.clamp_min(0) * (1 - shrinkage)).contiguous(), directions.contiguous()};
}

void RowMoments::add(const at::Tensor& rows, const at::Tensor& observed) {
  const auto accumulate = [](at::Tensor& sum, const at::Tensor& more) {
    sum = sum.defined() ? sum.add_(more) : more.clone();
  };
  const auto squares = rows.square();
  rows_ += static_cast<double>(rows.size(0));
  accumulate(counts_, observed.sum(0));
  accumulate(squares_, squares.sum(0));
  if (rows.size(1) > kWidestCovariance) return;
  accumulate(products_, rows.t().mm(rows));
  accumulate(square_products_, squares.t().mm(squares));
}

Spectral RowMoments::ledoit_wolf(double* row_weight) const {
  if (row_weight != nullptr) *row_weight = 0;
  const auto features = squares_.size(0);
  const auto p = static_cast<double>(features);
  const auto weight = rows_ / counts_.clamp_min(1);  // see above
  const double mean = (squares_ * weight).sum().item<double>() / (rows_ * p);
  if (mean <= 0) return multiple_of_identity(1, features);
  if (features > kWidestCovariance) return multiple_of_identity(mean, features);
  const auto root = weight.sqrt();
  const auto product = products_ * root.unsqueeze(1) * root / rows_;
  const double fourth = weight.dot(square_products_.mv(weight)).item<double>();
  const double shrinkage = shrinkage_of(product.square().sum().item<double>(), mean, fourth, rows_, p);
  if (row_weight != nullptr) *row_weight = (1 - shrinkage) / rows_;
  const auto [eigenvalues, vectors] = torch::linalg_eigh(product);
  return {shrinkage * mean, (eigenvalues.clamp_min(0) * (1 - shrinkage)).contiguous(), vectors.t().contiguous()};
}

at::Tensor deviance_residuals(const model::Batch& batch, const loss::Reconstruction& reconstruction,
                              const model::Domain& domain) {
  std::vector<float> signed_elements;
  for (const auto& element : domain.elements) signed_elements.push_back(element.categorical() ? 0.0f : 1.0f);
  const auto is_signed = torch::tensor(signed_elements) > 0;
  const auto below = (batch.values < reconstruction.expected).logical_and(is_signed);
  const auto root = reconstruction.elements.to(torch::kFloat64).clamp_min(0).sqrt();
  return torch::where(below, -root, root) * batch.observed;
}

std::span<const config::Choice> ResidualJudge::kinds() { return kResidualKinds; }

ResidualJudge ResidualJudge::fit(const std::string& kind, const at::Tensor& rows, const at::Tensor& observed) {
  ResidualJudge judge;
  judge.kind_ = kind;
  judge.features_ = rows.size(1);
  if (kind == "normalized") {
    judge.counts_ = observed.to(torch::kFloat64).sum(0).clamp_min(1);
    judge.precisions_ = 1 / ((rows * observed).square().sum(0) / judge.counts_ + kSmallestSquare);
  } else if (kind == "mahalanobis") {
    judge.covariance_ = ledoit_wolf(rows * observed, observed.to(torch::kFloat64), &judge.row_weight_);
    judge.precision_ = judge.covariance_.power(-1);
  }
  return judge;
}

void ResidualJudge::Learner::add(const at::Tensor& rows, const at::Tensor& observed) {
  rows_.push_back(rows);
  observed_.push_back(observed);
  kept_ += rows.size(0);
  // Fewer rows than features are judged by their Gram matrix.
  if (kept_ < std::max(kKeptRows, rows.size(1)) && moments_.rows() == 0) return;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    const auto seen = observed_[i].to(torch::kFloat64);
    moments_.add(rows_[i] * seen, seen);
  }
  rows_.clear();
  observed_.clear();
}

ResidualJudge ResidualJudge::Learner::judge() const {
  if (moments_.rows() == 0) return fit(kind_, torch::cat(rows_), torch::cat(observed_));
  ResidualJudge judge;
  judge.kind_ = kind_;
  judge.features_ = moments_.squares().size(0);
  if (kind_ == "normalized") {
    judge.counts_ = moments_.counts().clamp_min(1);
    judge.precisions_ = 1 / (moments_.squares() / judge.counts_ + kSmallestSquare);
  } else if (kind_ == "mahalanobis") {
    judge.covariance_ = moments_.ledoit_wolf(&judge.row_weight_);
    judge.precision_ = judge.covariance_.power(-1);
  }
  return judge;
}

ResidualJudge::Verdict ResidualJudge::judge(const at::Tensor& all, const at::Tensor& seen,
                                            const at::Tensor& own) const {
  const auto observed = seen.to(torch::kFloat64);
  const auto rows = all * observed;
  at::Tensor gradient;
  if (kind_ == "loss") {
    gradient = rows;
  } else if (kind_ == "normalized") {
    gradient = rows * precisions_;
    if (own.defined()) {
      const auto times = own.unsqueeze(1);
      const auto others = ((1 / precisions_ - kSmallestSquare) * counts_ - rows.square() * times);
      const auto least = kLeastLeft * (1 / precisions_ - kSmallestSquare);
      const auto without = rows / (torch::maximum(others / (counts_ - times).clamp_min(1), least) + kSmallestSquare);
      gradient = torch::where(own.unsqueeze(1) > 0, without, gradient);
    }
  } else {
    gradient = precision_.apply(rows);
    const auto partial = (observed.min() < 1).item<bool>();
    if (partial) {
      const auto some_missing = std::get<0>(observed.min(1, true)) < 1;
      gradient = torch::where(some_missing, solve_observed(covariance_, rows, observed), gradient);
    }
    if (own.defined()) {
      const auto left = (1 - row_weight_ * own.unsqueeze(1) * (rows * gradient).sum(1, true)).clamp_min(kLeastLeft);
      gradient = torch::where(own.unsqueeze(1) > 0, gradient / left, gradient);
    }
  }
  return {(rows * gradient).sum(1).clamp_min(0), gradient};
}

at::Tensor ResidualJudge::diagonal() const {
  if (kind_ == "loss") return torch::ones({features_}, torch::kFloat64);
  if (kind_ == "normalized") return precisions_;
  return precision_.diagonal();
}

Arrays ResidualJudge::state() const {
  if (kind_ == "normalized") return {{"precisions", to_array(precisions_)}};
  if (kind_ == "mahalanobis") return covariance_.state();
  return {};
}

ResidualJudge ResidualJudge::restored(const std::string& kind, const Arrays& arrays, std::int64_t features) {
  ResidualJudge judge;
  judge.kind_ = kind;
  judge.features_ = features;
  if (kind == "normalized") {
    judge.precisions_ = from_arrays(arrays, "precisions", data::Dtype::f64, {features});
    if (judge.precisions_.min().item<double>() <= 0) {
      throw InputError("\"precisions\" must be positive; the file is damaged");
    }
  } else if (kind == "mahalanobis") {
    judge.covariance_ = Spectral::restored(arrays, features);
    judge.precision_ = judge.covariance_.power(-1);
  }
  return judge;
}

at::Tensor blame(const at::Tensor& gradient, const at::Tensor& diagonal, const at::Tensor& distance) {
  const auto gain = gradient.square() / diagonal;
  return gain * (distance / gain.sum(1).clamp_min(1e-300)).unsqueeze(1);
}

}  // namespace ae::score
