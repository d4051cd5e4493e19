#include "fit/blur.hpp"

#include <Eigen/Cholesky>
#include <Eigen/LU>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "base/error.hpp"

namespace ae::fit {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr int kPoints = 8;           // within a bin of the truth
constexpr double kFarthest = 7.5;    // deviations; beyond is less than 1e-13
constexpr double kSmallest = 1e-14;  // probability that is kept

// Errors over their deviation, in steps.
constexpr Index kErrorSteps = 141;
constexpr double kErrorStep = 0.1;
double error_at(Index step) { return static_cast<double>(step - kErrorSteps / 2) * kErrorStep; }
Index error_step(double error) {
  const double at = std::clamp(error / kErrorStep, -1e6, 1e6) + static_cast<double>(kErrorSteps / 2);
  return std::clamp<Index>(static_cast<Index>(std::lround(at)), 0, kErrorSteps - 1);
}

double below(double z) { return std::erfc(-z / std::numbers::sqrt2) / 2; }

// Adds what an error in [low, high] of one value, with the given mass, gives to observed bins.
void add_interval(VectorXd& column, const Axis& observed, double low, double high, double mass) {
  const double width = observed.width();
  const auto first = static_cast<Index>(std::floor((low - observed.low) / width));
  const auto last = static_cast<Index>(std::floor((high - observed.low) / width));
  for (Index b = first; b <= last; ++b) {
    const double from = std::max(low, observed.low + static_cast<double>(b) * width);
    const double to = std::min(high, observed.low + static_cast<double>(b + 1) * width);
    const double share = high > low ? std::max(0.0, to - from) / (high - low) : 1;
    Index at = b;
    if (observed.periodic) at = ((b % observed.bins) + observed.bins) % observed.bins;
    if (at >= 0 && at < observed.bins) column[at] += mass * share;
  }
}

constexpr Index kPairFolds = 10;

// The first candidate, a column of losses of folds, that is not worse than the best by more than a standard error of
// the difference (after Breiman et al. 1984).
Index first_like_best(const MatrixXd& losses) {
  Index best = 0;
  losses.colwise().sum().minCoeff(&best);
  const auto folds = static_cast<double>(losses.rows());
  for (Index c = 0; c < best; ++c) {
    const Eigen::ArrayXd more = (losses.col(c) - losses.col(best)).array();
    if (more.mean() <= std::sqrt((more - more.mean()).square().sum() / (folds * (folds - 1)))) return c;
  }
  return best;
}

Blur sparse(const MatrixXd& dense) { return dense.sparseView(1, kSmallest); }

// Gaussian weights between bins of one axis, of a standard deviation in bins; rows are not normalised.
MatrixXd closeness(Index bins, bool periodic, double deviation) {
  MatrixXd near(bins, bins);
  for (Index i = 0; i < bins; ++i) {
    for (Index j = 0; j < bins; ++j) {
      double distance = static_cast<double>(std::abs(i - j));
      if (periodic) distance = std::min(distance, static_cast<double>(bins) - distance);
      near(i, j) = std::exp(-distance * distance / (2 * deviation * deviation));
    }
  }
  return near;
}

}  // namespace

Blur normal_blur(const Axis& truth, const Axis& observed, const std::function<NormalError(double)>& error) {
  MatrixXd blur = MatrixXd::Zero(observed.bins, truth.bins);
  const double width = observed.width();
  for (Index j = 0; j < truth.bins; ++j) {
    VectorXd column = VectorXd::Zero(observed.bins);
    for (int point = 0; point < kPoints; ++point) {
      const double x = truth.low + (static_cast<double>(j) + (point + 0.5) / kPoints) * truth.width();
      const auto [mean, deviation] = error(x);
      if (!(deviation > 1e-6 * width)) {
        add_interval(column, observed, mean, mean, 1.0 / kPoints);
        continue;
      }
      const auto first = static_cast<Index>(std::floor((mean - kFarthest * deviation - observed.low) / width));
      const auto last = static_cast<Index>(std::floor((mean + kFarthest * deviation - observed.low) / width));
      double before = below((observed.low + static_cast<double>(first) * width - mean) / deviation);
      for (Index b = first; b <= last; ++b) {
        const double until = below((observed.low + static_cast<double>(b + 1) * width - mean) / deviation);
        const Index at = observed.periodic ? ((b % observed.bins) + observed.bins) % observed.bins : b;
        if (at >= 0 && at < observed.bins) column[at] += (until - before) / kPoints;
        before = until;
      }
    }
    blur.col(j) = column;
  }
  return sparse(blur);
}

Blur product_blur(const Blur& first, const Blur& second) {
  constexpr double kSmallestOfTwo = 1e-10;  // many more entries than of one variable
  std::vector<Eigen::Triplet<double>> entries;
  for (Index j = 0; j < first.outerSize(); ++j)
    for (Index k = 0; k < second.outerSize(); ++k)
      for (Blur::InnerIterator a(first, j); a; ++a)
        for (Blur::InnerIterator b(second, k); b; ++b)
          if (a.value() * b.value() > kSmallestOfTwo)
            entries.emplace_back(a.row() * second.rows() + b.row(), j * second.cols() + k, a.value() * b.value());
  Blur product(first.rows() * second.rows(), first.cols() * second.cols());
  product.setFromTriplets(entries.begin(), entries.end());
  return product;
}

PairBlur::PairBlur(const CalibrationPairs& pairs, const Grid& truth, const Grid& observed, std::int32_t blocks)
    : pairs_(pairs), truth_(truth), observed_(observed), blocks_(blocks) {
  const std::size_t n = pairs.size();
  blocks_ = std::min<std::int32_t>(blocks, static_cast<std::int32_t>(n / 5));
  for (std::size_t i = 0; i < n; ++i)
    block_.push_back(static_cast<std::int32_t>(i * static_cast<std::size_t>(blocks_) / n));
  const auto weight = Eigen::Map<const VectorXd>(pairs.weight.data(), static_cast<Index>(n));
  effective_ = std::pow(weight.sum(), 2) / weight.squaredNorm();
  relative_ = weight / weight.maxCoeff();
  if (truth.axes.size() > 1) return;
  const auto& axis = truth.axes[0];
  double sw = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double w = relative_[static_cast<Index>(i)], x = pairs.truth[0][i];
    const double y =
        observed.axes[0].periodic ? x + periodic_difference(pairs.observed[0][i], x) : pairs.observed[0][i];
    sw += w, sx += w * x, sy += w * y, sxx += w * x * x, sxy += w * x * y;
  }
  const double variance = sxx / sw - sx * sx / sw / sw;
  if (!(variance > 0)) throw InputError("all pairs have the same true value; expected different ones");
  line_.second = (sxy / sw - sx * sy / sw / sw) / variance;
  line_.first = sy / sw - line_.second * sx / sw;
  // Of pairs of one true value only the weights relative to each other matter.
  VectorXd sums = VectorXd::Zero(axis.bins), squares = sums;
  bin_.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    bin_[i] = axis.bin(pairs.truth[0][i]).value_or(pairs.truth[0][i] < axis.low ? 0 : axis.bins - 1);
    sums[bin_[i]] += relative_[static_cast<Index>(i)];
    squares[bin_[i]] += std::pow(relative_[static_cast<Index>(i)], 2);
  }
  for (std::size_t i = 0; i < n; ++i) relative_[static_cast<Index>(i)] *= sums[bin_[i]] / squares[bin_[i]];
  choose_smoothness();
  choose_bandwidths();
}

double PairBlur::periodic_difference(double observed, double truth) const {
  return observed_.axes[0].difference(observed, truth);
}

VectorXd PairBlur::block_weights(std::span<const std::int32_t> times) const {
  VectorXd weights = relative_;
  if (!times.empty())
    for (Index i = 0; i < weights.size(); ++i)
      weights[i] *= times[static_cast<std::size_t>(block_[static_cast<std::size_t>(i)])];
  return weights;
}

// Piecewise linear between the edges of bins.
PairBlur::Mean PairBlur::fit_mean(const VectorXd& weights, double smoothness) const {
  const auto& axis = truth_.axes[0];
  const Index nodes = axis.bins + 1;
  MatrixXd normal = MatrixXd::Zero(nodes, nodes);
  VectorXd right = VectorXd::Zero(nodes);
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    const double w = weights[static_cast<Index>(i)];
    if (w == 0) continue;
    const double at = std::clamp((pairs_.truth[0][i] - axis.low) / axis.width(), 0.0, static_cast<double>(axis.bins));
    const Index left = std::min(static_cast<Index>(at), axis.bins - 1);
    const double b = at - static_cast<double>(left), a = 1 - b;
    const double y = observed_.axes[0].periodic ? periodic_difference(pairs_.observed[0][i], pairs_.truth[0][i])
                                                : pairs_.observed[0][i];
    normal(left, left) += w * a * a;
    normal(left + 1, left + 1) += w * b * b;
    normal(left + 1, left) += w * a * b;
    right[left] += w * a * y;
    right[left + 1] += w * b * y;
  }
  const double scale = smoothness * std::pow(static_cast<double>(axis.bins), 3);
  for (Index r = 0; r + 2 < nodes; ++r) {
    const double d[3] = {1, -2, 1};
    for (Index i = 0; i < 3; ++i)
      for (Index j = 0; j <= i; ++j) normal(r + i, r + j) += scale * d[i] * d[j];
  }
  if (axis.periodic) {  // both ends are one
    const double tie = 1e6 * (normal.diagonal().maxCoeff() + 1);
    normal(0, 0) += tie;
    normal(nodes - 1, nodes - 1) += tie;
    normal(nodes - 1, 0) -= tie;
  }
  normal.diagonal().array() += 1e-12 * normal.diagonal().maxCoeff();
  return {Eigen::LDLT<MatrixXd>(normal.selfadjointView<Eigen::Lower>()).solve(right)};
}

double PairBlur::mean_at(const Mean& mean, double truth) const {
  const auto& axis = truth_.axes[0];
  const double at = (truth - axis.low) / axis.width();
  const Index left = std::clamp<Index>(static_cast<Index>(std::floor(at)), 0, axis.bins - 1);
  const double b = at - static_cast<double>(left);
  const double value = (1 - b) * mean.at[left] + b * mean.at[left + 1];
  return observed_.axes[0].periodic ? truth + value : value;
}

void PairBlur::choose_smoothness() {
  std::vector<double> candidates;
  for (double exponent = 2; exponent >= -8; exponent -= 0.5) candidates.push_back(std::pow(10, exponent));
  MatrixXd losses(kPairFolds, std::ssize(candidates));
  for (Index c = 0; c < losses.cols(); ++c) {
    for (Index fold = 0; fold < kPairFolds; ++fold) {
      const auto mean = fit_mean(without_fold(fold), candidates[static_cast<std::size_t>(c)] * relative_.sum());
      double loss = 0;
      for (std::size_t i = 0; i < pairs_.size(); ++i)
        if (block_[i] % kPairFolds == fold) loss += relative_[static_cast<Index>(i)] * std::pow(error_of(mean, i), 2);
      losses(fold, c) = loss;
    }
  }
  smoothness_ = candidates[static_cast<std::size_t>(first_like_best(losses))] * relative_.sum();
}

VectorXd PairBlur::without_fold(Index fold) const {
  VectorXd weights = relative_;
  for (Index i = 0; i < weights.size(); ++i)
    if (block_[static_cast<std::size_t>(i)] % kPairFolds == fold) weights[i] = 0;
  return weights;
}

double PairBlur::error_of(const Mean& mean, std::size_t pair) const {
  return observed_.axes[0].difference(pairs_.observed[0][pair], mean_at(mean, pairs_.truth[0][pair]));
}

PairBlur::Errors PairBlur::fit_errors(const Mean& mean, const VectorXd& weights, const Bandwidths& bandwidths) const {
  constexpr double kPooled = 3;  // effective pairs that all pairs together count as
  const auto& axis = truth_.axes[0];
  VectorXd sums = VectorXd::Zero(axis.bins), squares = sums;
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    sums[bin_[i]] += weights[static_cast<Index>(i)];
    squares[bin_[i]] += weights[static_cast<Index>(i)] * std::pow(error_of(mean, i), 2);
  }
  const MatrixXd near = closeness(axis.bins, axis.periodic, bandwidths.truth);
  const double pooled = squares.sum() / sums.sum();
  const double least = 1e-3 * observed_.axes[0].width();
  Errors errors;
  errors.deviation = (((near * squares).array() + kPooled * pooled) / ((near * sums).array() + kPooled)).sqrt();
  errors.deviation = errors.deviation.cwiseMax(least);
  MatrixXd histogram = MatrixXd::Zero(axis.bins, kErrorSteps);
  for (std::size_t i = 0; i < pairs_.size(); ++i)
    histogram(bin_[i], error_step(error_of(mean, i) / errors.deviation[bin_[i]])) += weights[static_cast<Index>(i)];
  MatrixXd local = near * histogram;
  const Eigen::RowVectorXd all = histogram.colwise().sum() / histogram.sum();
  local.rowwise() += kPooled * all;
  const double shrunk = 1 / std::sqrt(1 + bandwidths.observed * bandwidths.observed);
  MatrixXd spread(kErrorSteps, kErrorSteps);
  for (Index from = 0; from < kErrorSteps; ++from) {
    for (Index to = 0; to < kErrorSteps; ++to) {
      const double z = (error_at(to) - shrunk * error_at(from)) / (bandwidths.observed * shrunk);
      spread(from, to) = std::exp(-z * z / 2);
    }
    spread.row(from) /= spread.row(from).sum();
  }
  errors.shape = local * spread;
  for (Index j = 0; j < axis.bins; ++j) {
    // The deviation is what was fitted, whatever the steps and the neighbours made of it.
    errors.shape.row(j) /= errors.shape.row(j).sum();
    double first = 0, second = 0;
    for (Index r = 0; r < kErrorSteps; ++r) {
      first += errors.shape(j, r) * error_at(r);
      second += errors.shape(j, r) * error_at(r) * error_at(r);
    }
    errors.deviation[j] /= std::sqrt(std::max(second - first * first, 0.25));
  }
  return errors;
}

void PairBlur::choose_bandwidths() {
  std::vector<Bandwidths> candidates;  // from the simplest on: normal errors of one deviation
  for (const double of_truth : {4.0, 1.0, 0.32, 0.16, 0.08, 0.04, 0.02})
    for (const double of_deviation : {1.5, 0.7, 0.4, 0.25, 0.15})
      candidates.push_back({std::max(0.5, of_truth * static_cast<double>(truth_.axes[0].bins)), of_deviation});
  MatrixXd losses(kPairFolds, std::ssize(candidates));
  for (Index fold = 0; fold < kPairFolds; ++fold) {
    const VectorXd learned = without_fold(fold);
    const auto mean = fit_mean(learned, smoothness_);
    for (Index c = 0; c < losses.cols(); ++c) {
      const auto errors = fit_errors(mean, learned, candidates[static_cast<std::size_t>(c)]);
      double loss = 0;
      for (std::size_t i = 0; i < pairs_.size(); ++i) {
        if (block_[i] % kPairFolds != fold) continue;
        const double deviation = errors.deviation[bin_[i]];
        const double density = errors.shape(bin_[i], error_step(error_of(mean, i) / deviation)) / deviation;
        loss -= relative_[static_cast<Index>(i)] * std::log(std::max(density, 1e-300));
      }
      losses(fold, c) = loss;
    }
  }
  bandwidths_ = candidates[static_cast<std::size_t>(first_like_best(losses))];
}

Blur PairBlur::one_variable(const VectorXd& weights) const {
  const auto& axis = truth_.axes[0];
  const auto mean = fit_mean(weights, smoothness_);
  const auto errors = fit_errors(mean, weights, bandwidths_);
  MatrixXd blur(observed_.axes[0].bins, axis.bins);
  for (Index j = 0; j < axis.bins; ++j) {
    VectorXd column = VectorXd::Zero(blur.rows());
    const double step = kErrorStep * errors.deviation[j];
    for (int point = 0; point < kPoints; ++point) {
      const double x = axis.low + (static_cast<double>(j) + (point + 0.5) / kPoints) * axis.width();
      const double centre = mean_at(mean, x);
      for (Index r = 0; r < kErrorSteps; ++r) {
        if (errors.shape(j, r) < kSmallest) continue;
        const double at = centre + error_at(r) * errors.deviation[j];
        add_interval(column, observed_.axes[0], at - step / 2, at + step / 2, errors.shape(j, r) / kPoints);
      }
    }
    blur.col(j) = column;
  }
  return sparse(blur);
}

Blur PairBlur::two_variables(const VectorXd& weights) const {
  // Linear regression of both observed values on both true ones.
  Eigen::Matrix3d normal = Eigen::Matrix3d::Zero();
  Eigen::Matrix<double, 3, 2> right = Eigen::Matrix<double, 3, 2>::Zero();
  const auto row = [&](std::size_t i) { return Eigen::Vector3d(1, pairs_.truth[0][i], pairs_.truth[1][i]); };
  // Of periodic variables the difference to the truth, which is small, is what is linear.
  const auto answer = [&](std::size_t i) {
    Eigen::Vector2d y;
    for (std::size_t v = 0; v < 2; ++v) {
      const auto index = static_cast<Index>(v);
      const auto& axis = observed_.axes[v];
      y[index] = axis.periodic ? axis.difference(pairs_.observed[v][i], pairs_.truth[v][i]) : pairs_.observed[v][i];
    }
    return y;
  };
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    const double w = weights[static_cast<Index>(i)];
    normal += w * row(i) * row(i).transpose();
    right += w * row(i) * answer(i).transpose();
  }
  const Eigen::Matrix<double, 3, 2> line = normal.ldlt().solve(right);
  Eigen::Matrix2d covariance = Eigen::Matrix2d::Zero();
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    const Eigen::Vector2d r = answer(i) - line.transpose() * row(i);
    covariance += weights[static_cast<Index>(i)] * r * r.transpose();
  }
  covariance /= weights.sum();
  for (Index v = 0; v < 2; ++v)  // bins of a width blur as well
    covariance(v, v) += std::pow(observed_.axes[static_cast<std::size_t>(v)].width(), 2) / 12;
  const Eigen::Matrix2d inverse = covariance.inverse();
  constexpr double kFarthestSquared = 30;
  std::vector<Eigen::Triplet<double>> entries;
  const auto& first = observed_.axes[0];
  const auto& second = observed_.axes[1];
  const auto reach = [&](Index v, const Axis& axis) {
    return static_cast<Index>(std::ceil(std::sqrt(kFarthestSquared * covariance(v, v)) / axis.width()));
  };
  for (Index j = 0; j < truth_.bins(); ++j) {
    const auto [jx, jy] = truth_.place(j);
    const Eigen::Vector3d at(1, truth_.axes[0].centre(jx), truth_.axes[1].centre(jy));
    Eigen::Vector2d centre = line.transpose() * at;
    if (first.periodic) centre[0] += at[1];
    if (second.periodic) centre[1] += at[2];
    const auto bx = static_cast<Index>(std::floor((centre[0] - first.low) / first.width()));
    const auto by = static_cast<Index>(std::floor((centre[1] - second.low) / second.width()));
    std::vector<Eigen::Triplet<double>> column;
    double sum = 0;
    for (Index x = bx - reach(0, first); x <= bx + reach(0, first); ++x) {
      for (Index y = by - reach(1, second); y <= by + reach(1, second); ++y) {
        const Eigen::Vector2d r(first.centre(x) - centre[0], second.centre(y) - centre[1]);
        const double squared = r.dot(inverse * r);
        if (squared > kFarthestSquared) continue;
        const double density = std::exp(-squared / 2);
        sum += density;
        const Index ox = first.periodic ? ((x % first.bins) + first.bins) % first.bins : x;
        const Index oy = second.periodic ? ((y % second.bins) + second.bins) % second.bins : y;
        if (ox >= 0 && ox < first.bins && oy >= 0 && oy < second.bins)
          column.emplace_back(ox * second.bins + oy, j, density);
      }
    }
    for (const auto& entry : column) entries.emplace_back(entry.row(), entry.col(), entry.value() / sum);
  }
  Blur blur(observed_.bins(), truth_.bins());
  blur.setFromTriplets(entries.begin(), entries.end());
  return blur;
}

Blur PairBlur::blur(std::span<const std::int32_t> times) const {
  const auto weights = block_weights(times);
  return truth_.axes.size() == 1 ? one_variable(weights) : two_variables(weights);
}

}  // namespace ae::fit
