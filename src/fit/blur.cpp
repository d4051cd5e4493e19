#include "fit/blur.hpp"

#include <Eigen/Cholesky>
#include <Eigen/LU>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "base/error.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"

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

// Adds a normal distribution of the given mass.
void add_normal(VectorXd& column, const Axis& observed, double mean, double deviation, double mass) {
  const double width = observed.width();
  const auto count = static_cast<double>(observed.bins);
  if (!(deviation > 1e-6 * width)) return add_evenly(column, observed, mean, mean, mass);
  if (observed.periodic) {
    constexpr double kAsIfEven = 1.5;  // periods: of a normal distribution around a circle nothing else is left
    if (deviation > kAsIfEven * (observed.high - observed.low)) {
      column.array() += mass / count;
      return;
    }
    mean = observed.low + std::fmod(mean - observed.low, observed.high - observed.low);
  }
  double first = std::floor((mean - kFarthest * deviation - observed.low) / width);
  double last = std::floor((mean + kFarthest * deviation - observed.low) / width);
  if (!observed.periodic) {
    first = std::max(first, 0.0);
    last = std::min(last, count - 1);
  }
  double before = below((observed.low + first * width - mean) / deviation);
  for (double b = first; b <= last; ++b) {
    const double until = below((observed.low + (b + 1) * width - mean) / deviation);
    const auto at = static_cast<Index>(b) % observed.bins;
    column[at < 0 ? at + observed.bins : at] += (until - before) * mass;
    before = until;
  }
}

// UsageError when there are too many.
void check_blur_entries(double entries) {
  constexpr double kMost = 1.5e7;
  if (entries > kMost)
    throw UsageError("the blur has some " + number_text(std::round(entries / 1e6)) +
                     " million entries; expected at most " + number_text(kMost / 1e6) + " million; give fewer --bins");
}

}  // namespace

Blur normal_blur(const Axis& truth, const Axis& observed, const std::function<NormalError(double)>& error) {
  MatrixXd blur = MatrixXd::Zero(observed.bins, truth.bins);
  for (Index j = 0; j < truth.bins; ++j) {
    throw_if_stopped("the blur");
    VectorXd column = VectorXd::Zero(observed.bins);
    for (int point = 0; point < kPoints; ++point) {
      const auto [mean, deviation] =
          error(truth.low + (static_cast<double>(j) + (point + 0.5) / kPoints) * truth.width());
      add_normal(column, observed, mean, deviation, 1.0 / kPoints);
    }
    blur.col(j) = column;
  }
  return sparse(blur);
}

void check_line(const std::string& name, std::pair<double, double> line, const Axis& truth, const Axis& observed) {
  constexpr double kLeast = 1e-3;  // bins of the observed variable over all of the truth
  if (!(std::abs(line.second) * (truth.high - truth.low) > kLeast * observed.width()))
    throw InputError(name + ": the observed values do not depend on the true ones: found the slope " +
                     number_text(line.second) + ", expected observations that follow the truth");
}

Blur product_blur(const Blur& first, const Blur& second) {
  constexpr double kSmallestOfTwo = 1e-10;  // many more entries than of one variable
  check_blur_entries(static_cast<double>(first.nonZeros()) * static_cast<double>(second.nonZeros()));
  std::vector<Eigen::Triplet<double>> entries;
  for (Index j = 0; j < first.outerSize(); ++j) {
    throw_if_stopped("the blur");
    for (Index k = 0; k < second.outerSize(); ++k)
      for (Blur::InnerIterator a(first, j); a; ++a)
        for (Blur::InnerIterator b(second, k); b; ++b)
          if (a.value() * b.value() > kSmallestOfTwo)
            entries.emplace_back(a.row() * second.rows() + b.row(), j * second.cols() + k, a.value() * b.value());
  }
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
  if (!(variance > 0)) throw InputError(pairs.name + ": all pairs have the same true value; expected different ones");
  line_.second = (sxy / sw - sx * sy / sw / sw) / variance;
  line_.first = sy / sw - line_.second * sx / sw;
  check_line(pairs.name, line_, axis, observed.axes[0]);
  // Of pairs of one true value only the weights relative to each other matter, and they may be tiny.
  VectorXd largest = VectorXd::Zero(axis.bins), sums = largest, squares = largest;
  bin_.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    bin_[i] = axis.bin(pairs.truth[0][i]).value_or(pairs.truth[0][i] < axis.low ? 0 : axis.bins - 1);
    largest[bin_[i]] = std::max(largest[bin_[i]], weight[static_cast<Index>(i)]);
  }
  for (std::size_t i = 0; i < n; ++i) {
    auto& relative = relative_[static_cast<Index>(i)];
    relative = weight[static_cast<Index>(i)] / largest[bin_[i]];
    sums[bin_[i]] += relative;
    squares[bin_[i]] += relative * relative;
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
      throw_if_stopped("the blur of pairs");
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
      throw_if_stopped("the blur of pairs");
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

Blur PairBlur::one_variable(const VectorXd& weights, double share) const {
  const auto& axis = truth_.axes[0];
  const auto mean = fit_mean(weights, smoothness_);
  auto errors = fit_errors(mean, weights, bandwidths_);
  errors.deviation *= share;
  MatrixXd blur(observed_.axes[0].bins, axis.bins);
  for (Index j = 0; j < axis.bins; ++j) {
    throw_if_stopped("the blur of pairs");
    VectorXd column = VectorXd::Zero(blur.rows());
    const double step = kErrorStep * errors.deviation[j];
    for (int point = 0; point < kPoints; ++point) {
      const double x = axis.low + (static_cast<double>(j) + (point + 0.5) / kPoints) * axis.width();
      const double centre = mean_at(mean, x);
      for (Index r = 0; r < kErrorSteps; ++r) {
        if (errors.shape(j, r) < kSmallest) continue;
        const double at = centre + error_at(r) * errors.deviation[j];
        add_evenly(column, observed_.axes[0], at - step / 2, at + step / 2, errors.shape(j, r) / kPoints);
      }
    }
    blur.col(j) = column;
  }
  return sparse(blur);
}

Blur PairBlur::two_variables(const VectorXd& weights, double share) const {
  const auto& first = observed_.axes[0];
  const auto& second = observed_.axes[1];
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
  covariance *= share * share / weights.sum();
  Eigen::Matrix2d slope = line.bottomRows<2>().transpose();
  for (Index v = 0; v < 2; ++v) {
    const auto& axis = observed_.axes[static_cast<std::size_t>(v)];
    constexpr double kMost = 0.5;  // of the range
    const double deviation = std::sqrt(covariance(v, v));
    if (!(deviation <= kMost * (axis.high - axis.low)))
      throw InputError(pairs_.name + ": errors of the observed values have the standard deviation " +
                       number_text(deviation) + ", more than half of the range " + number_text(axis.low) + " to " +
                       number_text(axis.high) + "; expected observations that follow the truth");
    if (axis.periodic) slope(v, v) += 1;
  }
  // Bins of a width blur as well, those of the truth and those of what is observed.
  const auto variance = [](const Axis& axis) { return axis.width() * axis.width() / 12; };
  covariance +=
      slope * Eigen::Vector2d(variance(truth_.axes[0]), variance(truth_.axes[1])).asDiagonal() * slope.transpose();
  covariance += Eigen::Vector2d(variance(first), variance(second)).asDiagonal();
  // Bins inside of the ellipse squared <= kFarthestSquared, row by row.
  constexpr double kFarthestSquared = 30;
  const double reach = std::sqrt(kFarthestSquared * covariance(0, 0)) / first.width();
  const double along = covariance(0, 1) / covariance(0, 0), left = covariance(1, 1) - along * covariance(0, 1);
  check_blur_entries(std::numbers::pi * kFarthestSquared * std::sqrt(covariance.determinant()) /
                     (first.width() * second.width()) * static_cast<double>(truth_.bins()));
  std::vector<Eigen::Triplet<double>> entries, column;
  // In bins, and bins' centres at whole numbers; of a periodic axis within a period of it.
  const auto place = [](double x, const Axis& axis) {
    const double from_low = x - axis.low;
    return (axis.periodic ? std::fmod(from_low, axis.high - axis.low) : from_low) / axis.width() - 0.5;
  };
  const auto is_out_of_reach = [](double bins_from_low, double variance_of, const Axis& axis) {
    const double farthest = std::sqrt(kFarthestSquared * variance_of) / axis.width() + 1;
    return !axis.periodic &&
           !(bins_from_low >= -farthest && bins_from_low <= static_cast<double>(axis.bins) + farthest);
  };
  const auto folded = [](double b, const Axis& axis) {
    if (axis.periodic) b -= std::floor(b / static_cast<double>(axis.bins)) * static_cast<double>(axis.bins);
    return b >= 0 && b < static_cast<double>(axis.bins) ? static_cast<Index>(b) : Index{-1};
  };
  for (Index j = 0; j < truth_.bins(); ++j) {
    throw_if_stopped("the blur of pairs");
    const auto [jx, jy] = truth_.place(j);
    const Eigen::Vector3d at(1, truth_.axes[0].centre(jx), truth_.axes[1].centre(jy));
    Eigen::Vector2d centre = line.transpose() * at;
    if (first.periodic) centre[0] += at[1];
    if (second.periodic) centre[1] += at[2];
    const double cx = place(centre[0], first), cy = place(centre[1], second);
    if (is_out_of_reach(cx, covariance(0, 0), first) || is_out_of_reach(cy, covariance(1, 1), second)) continue;
    column.clear();
    double sum = 0;
    for (double x = std::ceil(cx - reach); x <= cx + reach; ++x) {
      const double rx = (x - cx) * first.width();
      const double rest = kFarthestSquared - rx * rx / covariance(0, 0);
      if (!(rest >= 0)) continue;
      const double middle = cy + along * rx / second.width(), half = std::sqrt(rest * left) / second.width();
      for (double y = std::ceil(middle - half); y <= middle + half; ++y) {
        const double ry = (y - middle) * second.width();
        const double density = std::exp(-(rx * rx / covariance(0, 0) + ry * ry / left) / 2);
        sum += density;
        const Index ox = folded(x, first), oy = folded(y, second);
        if (ox >= 0 && oy >= 0) column.emplace_back(ox * second.bins + oy, j, density);
      }
    }
    for (const auto& entry : column) entries.emplace_back(entry.row(), entry.col(), entry.value() / sum);
  }
  Blur blur(observed_.bins(), truth_.bins());
  blur.setFromTriplets(entries.begin(), entries.end());
  return blur;
}

Blur PairBlur::blur(std::span<const std::int32_t> times, double share) const {
  const auto weights = block_weights(times);
  return truth_.axes.size() == 1 ? one_variable(weights, share) : two_variables(weights, share);
}

}  // namespace ae::fit
