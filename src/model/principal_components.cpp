#include "model/principal_components.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "base/error.hpp"
#include "base/signals.hpp"

namespace ae::model {
namespace {

// Added to the diagonal of the normal equations, relative to its size: what they leave open stays small, and what they
// decide changes by less than the square of it in the error.
constexpr double kRidge = 1e-10;
// Alternating least squares ends when the error is expected to fall by less than this share of it, all told.
constexpr double kTolerance = 1e-10;
constexpr std::int64_t kMostRounds = 10000;

struct MaskedBlock {
  at::Tensor values;    // [samples, elements] float64
  at::Tensor observed;  // the same shape
  at::Tensor weights;   // [samples]: 1 / number of observed elements, 0 of none
};

MaskedBlock block_of(const Batch& batch) {
  const auto observed = batch.observed.to(torch::kFloat64);
  const auto count = observed.sum(1);
  return {batch.values.to(torch::kFloat64), observed,
          torch::where(count > 0, 1 / count.clamp_min(1), torch::zeros_like(count))};
}

// Calls visit(block, first sample) for all samples; `width`: numbers that a sample needs on its way.
template <typename Visit>
void for_each_block(const Samples& samples, std::int64_t width, const Visit& visit) {
  constexpr std::int64_t kNumbers = 1 << 21, kMostSamples = 4096;
  const std::int64_t at_once = std::clamp<std::int64_t>(kNumbers / width, 1, kMostSamples);
  for (std::int64_t begin = 0; begin < samples.size(); begin += at_once) {
    throw_if_stopped("principal components");
    visit(block_of(samples.range(begin, std::min(begin + at_once, samples.size()))), begin);
  }
}

std::int64_t elements_of(const Samples& samples) { return samples.range(0, 1).values.size(1); }

at::Tensor zeros(at::IntArrayRef shape) { return torch::zeros(shape, torch::kFloat64); }

// x of A x = b for many positive semidefinite A: [n, k, k], b: [n, k].
at::Tensor solve(const at::Tensor& matrices, const at::Tensor& right) {
  const auto diagonal = matrices.diagonal(0, 1, 2);
  const auto ridge = diagonal.mean(1, true).clamp_min(1e-30) * kRidge;
  const auto damped = matrices + torch::diag_embed(ridge.expand_as(diagonal));
  const auto factor = std::get<0>(torch::linalg_cholesky_ex(damped));
  return torch::cholesky_solve(right.unsqueeze(2), factor).squeeze(2);
}

// [n, k, k]: the outer product of each row with itself.
at::Tensor squares(const at::Tensor& rows) { return rows.unsqueeze(2) * rows.unsqueeze(1); }

at::Tensor codes_of(const Basis& basis, const MaskedBlock& block) {
  const auto right = ((block.values - basis.center) * block.observed).mm(basis.axes);
  // Where a sample is whole, the normal equations are the identity.
  const auto holes = (block.observed.amin(1) == 0).nonzero().squeeze(1);
  if (holes.numel() == 0 || basis.count() == 0) return right;
  const std::int64_t count = basis.count();
  const auto matrices =
      block.observed.index_select(0, holes).mm(squares(basis.axes).flatten(1)).view({-1, count, count});
  return right.index_copy(0, holes, solve(matrices, right.index_select(0, holes)));
}

// Sum over the block's samples of their errors.
double error_of(const Basis& basis, const MaskedBlock& block, const at::Tensor& codes) {
  const auto residual = (block.values - basis.center - codes.mm(basis.axes.t())) * block.observed;
  return (residual.square().sum(1) * block.weights).sum().item<double>();
}

std::int64_t width_of(const Samples& samples, std::int64_t count) {
  return std::max(elements_of(samples), samples.has_missing() ? (count + 1) * (count + 1) : count);
}

struct Means {
  at::Tensor center;  // [elements], of the observed cells; 0 of none
  double seen = 0;    // samples of which something is observed
};

Means means_of(const Samples& samples) {
  const std::int64_t elements = elements_of(samples);
  auto sums = zeros({elements}), counts = zeros({elements});
  Means means;
  for_each_block(samples, elements, [&](const MaskedBlock& block, std::int64_t) {
    sums += (block.values * block.observed).sum(0);
    counts += block.observed.sum(0);
    means.seen += (block.weights > 0).sum().item<double>();
  });
  means.center = sums / counts.clamp_min(1);
  return means;
}

// Of samples with missing cells, the mean of each element that makes the error of no axes the smallest: samples weigh
// as they do in the error.
at::Tensor weighted_center(const Samples& samples) {
  const std::int64_t elements = elements_of(samples);
  auto sums = zeros({elements}), weights = zeros({elements});
  for_each_block(samples, elements, [&](const MaskedBlock& block, std::int64_t) {
    const auto weight = block.observed * block.weights.unsqueeze(1);
    sums += (block.values * weight).sum(0);
    weights += weight.sum(0);
  });
  return torch::where(weights > 0, sums / weights.clamp_min(1e-300), torch::zeros_like(sums));
}

at::Tensor centred(const MaskedBlock& block, const at::Tensor& center) {
  return (block.values - center) * block.observed;
}

// The nearest matrix with orthonormal columns: those that are orthonormal stay, those that are 0 are made up.
at::Tensor orthonormal(const at::Tensor& matrix) {
  const auto [left, values, right] = torch::linalg_svd(matrix, false);
  return left.mm(right);
}

at::Tensor leading_columns(const at::Tensor& vectors, std::int64_t count) {  // of ascending ones, the last, reversed
  return vectors.narrow(1, vectors.size(1) - count, count).flip(1);
}

at::Tensor axes_of_covariance(const Samples& samples, const at::Tensor& center, std::int64_t count) {
  const std::int64_t elements = center.size(0);
  auto covariance = zeros({elements, elements});
  for_each_block(samples, elements, [&](const MaskedBlock& block, std::int64_t) {
    const auto rows = centred(block, center);
    covariance.addmm_(rows.t(), rows);
  });
  return leading_columns(std::get<1>(torch::linalg_eigh(covariance)), count).contiguous();
}

// By the singular vectors of the other side: X = U S V^T, V = X^T U / S.
at::Tensor axes_of_products(const Samples& samples, const at::Tensor& center, std::int64_t count) {
  const std::int64_t rows = samples.size(), elements = center.size(0);
  auto products = zeros({rows, rows});
  for_each_block(samples, elements, [&](const MaskedBlock& one, std::int64_t begin) {
    const auto left = centred(one, center);
    for_each_block(samples, elements, [&](const MaskedBlock& other, std::int64_t start) {
      const auto right = centred(other, center);
      products.narrow(0, begin, left.size(0)).narrow(1, start, right.size(0)).copy_(left.mm(right.t()));
    });
  });
  const auto [values, vectors] = torch::linalg_eigh(products);
  const std::int64_t some = std::min(count, rows);
  const auto left = leading_columns(vectors, some);
  const auto lengths = values.narrow(0, rows - some, some).flip(0).clamp_min(0).sqrt();
  auto axes = zeros({elements, count});
  for_each_block(samples, elements, [&](const MaskedBlock& block, std::int64_t begin) {
    axes.narrow(1, 0, some).addmm_(centred(block, center).t(), left.narrow(0, begin, block.values.size(0)));
  });
  const auto real = lengths > 1e-10 * lengths.max().clamp_min(1e-300);
  axes.narrow(1, 0, some).mul_(torch::where(real, 1 / lengths.clamp_min(1e-300), torch::zeros_like(lengths)));
  return orthonormal(axes);
}

// Of the samples with their missing cells at the mean.
Basis leading_basis(const Samples& samples, std::int64_t count) {
  const auto center = means_of(samples).center;
  const bool wide = samples.size() < center.size(0);
  return {center, wide ? axes_of_products(samples, center, count) : axes_of_covariance(samples, center, count)};
}

// One round: codes for the basis, then the basis that is best for the codes. Returns the error of the basis as it was.
double improve(const Samples& samples, Basis& basis) {
  const std::int64_t elements = basis.center.size(0), width = basis.count() + 1;
  auto matrices = zeros({elements, width * width}), right = zeros({elements, width});
  double error = 0, seen = 0;
  for_each_block(samples, width_of(samples, basis.count()), [&](const MaskedBlock& block, std::int64_t) {
    const auto codes = codes_of(basis, block);
    error += error_of(basis, block, codes);
    seen += (block.weights > 0).sum().item<double>();
    const auto regressors = torch::cat({codes, torch::ones({codes.size(0), 1}, codes.options())}, 1);
    const auto weights = (block.observed * block.weights.unsqueeze(1)).t();
    matrices.addmm_(weights, squares(regressors).flatten(1));
    right.addmm_(weights * block.values.t(), regressors);
  });
  const auto solution = solve(matrices.view({elements, width, width}), right);
  basis.axes = std::get<0>(torch::linalg_qr(solution.narrow(1, 0, width - 1)));
  basis.center = solution.select(1, width - 1).contiguous();
  return error / std::max(seen, 1.0);
}

// Alternating least squares converges like a geometric series: what is still to come follows from the last two steps.
struct Descent {
  double before = 0, step = 0;
  bool ends(double error) {
    const double fallen = before - error, ratio = step > 0 ? fallen / step : 1;
    const bool known = step > 0;
    before = error;
    step = fallen;
    if (!known) return false;
    const double expected = ratio < 1 ? fallen * ratio / (1 - ratio) : fallen * static_cast<double>(kMostRounds);
    return expected <= kTolerance * error || fallen <= 1e-15 * error;
  }
};

Components alternate(const Samples& samples, Basis basis, Reporter& reporter) {
  Components found;
  Descent descent;
  for (found.converged = false; !found.converged && found.rounds < kMostRounds; ++found.rounds) {
    found.spread.basis = basis;
    found.error = improve(samples, basis);
    found.converged = found.rounds > 0 && descent.ends(found.error);
    if (found.rounds == 0) descent.before = found.error;
    reporter.progress("rounds", static_cast<std::uint64_t>(found.rounds + 1), 0);
  }
  reporter.progress_done();
  return found;
}

}  // namespace

at::Tensor nearest_codes(const Basis& basis, const Batch& batch) { return codes_of(basis, block_of(batch)); }

double error_of(const Samples& samples, const Basis& basis) {
  double sum = 0, seen = 0;
  for_each_block(samples, width_of(samples, basis.count()), [&](const MaskedBlock& block, std::int64_t) {
    sum += error_of(basis, block, codes_of(basis, block));
    seen += (block.weights > 0).sum().item<double>();
  });
  return sum / std::max(seen, 1.0);
}

double total_error(const Samples& samples) {
  const auto center = weighted_center(samples);
  double sum = 0, seen = 0;
  for_each_block(samples, center.size(0), [&](const MaskedBlock& block, std::int64_t) {
    sum += (centred(block, center).square().sum(1) * block.weights).sum().item<double>();
    seen += (block.weights > 0).sum().item<double>();
  });
  return sum / std::max(seen, 1.0);
}

Spread canonical(const Samples& samples, const Basis& basis) {
  const std::int64_t count = basis.count(), width = width_of(samples, count);
  auto sum = zeros({count}), products = zeros({count, count});
  double seen = 0;
  const auto visit = [&](const auto& add) {
    for_each_block(samples, width, [&](const MaskedBlock& block, std::int64_t) {
      const auto rows = (block.weights > 0).nonzero().squeeze(1);
      add(codes_of(basis, block).index_select(0, rows));
    });
  };
  visit([&](const at::Tensor& codes) {
    sum += codes.sum(0);
    seen += static_cast<double>(codes.size(0));
  });
  const auto mean = sum / std::max(seen, 1.0);
  visit([&](const at::Tensor& codes) {
    const auto apart = codes - mean;
    products.addmm_(apart.t(), apart);
  });
  const auto [variances, vectors] = torch::linalg_eigh(products / std::max(seen, 1.0));
  auto axes = basis.axes.mm(vectors.flip(1));
  const auto largest = axes.gather(0, axes.abs().argmax(0, true));
  axes = axes * torch::where(largest < 0, -torch::ones_like(largest), torch::ones_like(largest));
  return {{basis.center + basis.axes.mv(mean), axes}, variances.flip(0).clamp_min(0).sqrt()};
}

Components principal_components(const Samples& samples, std::int64_t count, Reporter& reporter,
                                const std::optional<Basis>& start) {
  const torch::NoGradGuard no_grad;
  const std::int64_t elements = elements_of(samples);
  if (std::min(samples.size(), elements) > kMostDecomposed) {
    throw UsageError("principal components: " + std::to_string(samples.size()) + " samples of " +
                     std::to_string(elements) + " elements; the smaller number may be at most " +
                     std::to_string(kMostDecomposed));
  }
  const auto leading = leading_basis(samples, count);
  Components best;
  if (samples.has_missing()) {
    best = alternate(samples, leading, reporter);
    if (start) {
      auto other = alternate(samples, *start, reporter);
      if (other.error < best.error) best = std::move(other);
    }
  } else {
    best.spread.basis = leading;
    best.error = error_of(samples, leading);
  }
  best.spread = canonical(samples, best.spread.basis);
  return best;
}

at::Tensor principal_angles(const at::Tensor& one, const at::Tensor& other) {
  constexpr double kDegrees = 180 / std::numbers::pi;
  const auto cosines = torch::linalg_svdvals(one.t().mm(other)).clamp_max(1);
  // Cosines of small angles say little: their sines are the lengths of what lies outside the other span.
  const auto sines = torch::linalg_svdvals(other - one.mm(one.t().mm(other))).clamp_max(1).flip(0);
  return torch::where(cosines.square() > 0.5, sines.asin(), cosines.acos()) * kDegrees;
}

}  // namespace ae::model
