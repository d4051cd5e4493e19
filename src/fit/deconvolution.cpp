#include "fit/deconvolution.hpp"

#include <Eigen/Cholesky>
#include <Eigen/SparseCholesky>
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/signals.hpp"

namespace ae::fit {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr Index kMostDense = 400;  // bins
constexpr int kMostScoringSteps = 200;
constexpr double kLongestStep = 4;  // change of a log probability

// Second differences along one axis, scaled so that the sum of their squares is the integral over an axis of length 1.
Eigen::SparseMatrix<double> second_differences(const Axis& axis) {
  const Index n = axis.bins;
  std::vector<Eigen::Triplet<double>> entries;
  const Index rows = axis.periodic ? n : std::max<Index>(n - 2, 0);
  const double scale = std::pow(static_cast<double>(n), 1.5);
  for (Index r = 0; r < rows && n > 2; ++r)
    for (const auto& [offset, value] : {std::pair<Index, double>{0, 1}, {1, -2}, {2, 1}})
      entries.emplace_back(r, (r + offset) % n, scale * value);
  Eigen::SparseMatrix<double> d(rows, n);
  d.setFromTriplets(entries.begin(), entries.end());
  return d;
}

Eigen::SparseMatrix<double> first_differences(const Axis& axis) {
  const Index n = axis.bins;
  std::vector<Eigen::Triplet<double>> entries;
  const Index rows = axis.periodic ? n : n - 1;
  const double scale = std::sqrt(static_cast<double>(n));
  for (Index r = 0; r < rows && n > 1; ++r) {
    entries.emplace_back(r, r, -scale);
    entries.emplace_back(r, (r + 1) % n, scale);
  }
  Eigen::SparseMatrix<double> d(rows, n);
  d.setFromTriplets(entries.begin(), entries.end());
  return d;
}

Eigen::SparseMatrix<double> kronecker(const Eigen::SparseMatrix<double>& a, const Eigen::SparseMatrix<double>& b) {
  std::vector<Eigen::Triplet<double>> entries;
  for (Index ka = 0; ka < a.outerSize(); ++ka)
    for (Eigen::SparseMatrix<double>::InnerIterator ia(a, ka); ia; ++ia)
      for (Index kb = 0; kb < b.outerSize(); ++kb)
        for (Eigen::SparseMatrix<double>::InnerIterator ib(b, kb); ib; ++ib)
          entries.emplace_back(ia.row() * b.rows() + ib.row(), ia.col() * b.cols() + ib.col(), ia.value() * ib.value());
  Eigen::SparseMatrix<double> product(a.rows() * b.rows(), a.cols() * b.cols());
  product.setFromTriplets(entries.begin(), entries.end());
  return product;
}

Eigen::SparseMatrix<double> identity(Index n) {
  Eigen::SparseMatrix<double> one(n, n);
  one.setIdentity();
  return one;
}

// u_xx^2 + 2 u_xy^2 + u_yy^2, whose integral does not change when coordinates are turned.
Eigen::SparseMatrix<double> roughness_of(const Grid& grid) {
  const auto dx = second_differences(grid.axes[0]);
  if (grid.axes.size() == 1) return dx.transpose() * dx;
  const auto& [x, y] = std::pair(grid.axes[0], grid.axes[1]);
  const auto dy = second_differences(y);
  const Eigen::SparseMatrix<double> xx = kronecker(dx, identity(y.bins)) / std::sqrt(static_cast<double>(y.bins));
  const Eigen::SparseMatrix<double> yy = kronecker(identity(x.bins), dy) / std::sqrt(static_cast<double>(x.bins));
  const Eigen::SparseMatrix<double> xy = kronecker(first_differences(x), first_differences(y));
  Eigen::SparseMatrix<double> sum = xx.transpose() * xx;
  sum += Eigen::SparseMatrix<double>(yy.transpose() * yy);
  sum += Eigen::SparseMatrix<double>(2 * (xy.transpose() * xy));
  return sum;
}

}  // namespace

double log_likelihood(const std::vector<Observed>& windows, const VectorXd& q) {
  double sum = 0;
  for (const auto& window : windows) {
    const double total = window.counts.sum();
    if (!(total > 0)) continue;
    for (Index b = 0; b < q.size(); ++b)
      if (window.counts[b] > 0) sum += window.counts[b] * std::log(q[b] * window.exposure[b]);
    sum -= total * std::log(window.exposure.dot(q));
  }
  return sum;
}

VectorXd Density::probabilities() const {
  VectorXd p = (u.array() - u.maxCoeff()).exp();
  return p / p.sum();
}

struct Deconvolution::Factors {
  Eigen::LLT<MatrixXd> of;
};

struct Deconvolution::State {
  VectorXd u, p, q, rough;
  double value = 0;
  // Where it was differentiated:
  VectorXd gradient;
  VectorXd weight;  // [observed bins]: J' diag(weight) J is the first part of Fisher's information
  MatrixXd shares;  // [observed bins, windows]: J' shares times the root of counts, whose squares the second part takes
};

Deconvolution::Deconvolution(const Grid& truth, const Blur& blur) : blur_(blur), roughness_(roughness_of(truth)) {
  if (truth.bins() > kMostDense) return;
  const MatrixXd dense = blur_;
  band_ = Band(dense);
  transposed_ = Band(dense.transpose());
  dense_roughness_ = roughness_;
}

VectorXd Deconvolution::unblurring(const VectorXd& q) const {
  if (band_.empty()) return blur_.transpose() * q;
  return transposed_ * q;
}

void Deconvolution::evaluate(const std::vector<Observed>& windows, double penalty, const VectorXd& u,
                             State& state) const {
  state.u = u;
  state.p = (u.array() - u.maxCoeff()).exp();
  state.p /= state.p.sum();
  state.q = blurred(state.p);
  state.rough = roughness_ * u;
  state.value = penalty / 2 * u.dot(state.rough) - log_likelihood(windows, state.q);
}

void Deconvolution::differentiate(const std::vector<Observed>& windows, double penalty, State& state) const {
  const auto& q = state.q;
  VectorXd slope = VectorXd::Zero(q.size());
  state.weight = VectorXd::Zero(q.size());
  state.shares.resize(q.size(), static_cast<Index>(windows.size()));
  for (std::size_t k = 0; k < windows.size(); ++k) {
    const auto& [counts, exposure] = windows[k];
    const double total = counts.sum(), seen = exposure.dot(q);
    const VectorXd share = exposure / (seen > 0 ? seen : 1);  // of q: the window's probabilities over q
    state.shares.col(static_cast<Index>(k)) = std::sqrt(total) * share;
    for (Index b = 0; b < q.size(); ++b) {
      if (counts[b] > 0) slope[b] -= counts[b] / q[b];
      if (q[b] > 0) state.weight[b] += total * share[b] / q[b];
    }
    slope += total * share;
  }
  state.gradient = state.p.cwiseProduct(unblurring(slope)) + penalty * state.rough;
}

// Of few bins; the lower triangle.
MatrixXd Deconvolution::information(const State& state, double penalty) const {
  const Index n = state.p.size();
  MatrixXd information = penalty * dense_roughness_;
  band_.add_gram(state.weight, state.p, information);
  MatrixXd seen(n, state.shares.cols());
  for (Index k = 0; k < seen.cols(); ++k) seen.col(k) = state.p.cwiseProduct(transposed_ * state.shares.col(k));
  information.selfadjointView<Eigen::Lower>().rankUpdate(seen, -1);
  // The constant that the density does not depend on: any curvature there leaves the step as it is.
  const double size = information.diagonal().sum() / static_cast<double>(n * n);
  information.array() += size;
  information.diagonal().array() += 1e-10 * size * static_cast<double>(n);
  return information;
}

VectorXd Deconvolution::dense_step(const State& state, double penalty) const {
  const MatrixXd matrix = information(state, penalty);
  const Eigen::LLT<MatrixXd> quick(matrix);
  if (quick.info() == Eigen::Success) return -quick.solve(state.gradient);
  const Eigen::LDLT<MatrixXd> factors(matrix.selfadjointView<Eigen::Lower>());  // where rounding left less than nothing
  return -factors.solve(state.gradient);
}

std::shared_ptr<const Deconvolution::Factors> Deconvolution::factors(const std::vector<Observed>& windows,
                                                                     double penalty, const VectorXd& at) const {
  if (band_.empty()) return nullptr;
  State state;
  evaluate(windows, penalty, at, state);
  differentiate(windows, penalty, state);
  auto found = std::make_shared<Factors>(Factors{Eigen::LLT<MatrixXd>(information(state, penalty))});
  return found->of.info() == Eigen::Success ? found : nullptr;
}

// Conjugate gradients, preconditioned by the roughness with the diagonal of the information.
VectorXd Deconvolution::sparse_step(const State& state, double penalty) const {
  constexpr int kMostIterations = 200;
  constexpr double kPrecision = 0.05;  // of the step: the next one corrects it
  const MatrixXd seen = state.p.asDiagonal() * (blur_.transpose() * state.shares);
  const auto times = [&](const VectorXd& v) -> VectorXd {
    VectorXd image = blur_ * state.p.cwiseProduct(v);
    image = image.cwiseProduct(state.weight);
    return state.p.cwiseProduct(blur_.transpose() * image) - seen * (seen.transpose() * v) + penalty * (roughness_ * v);
  };
  VectorXd diagonal(state.p.size());
  for (Index j = 0; j < blur_.outerSize(); ++j) {
    double sum = 0;
    for (Blur::InnerIterator entry(blur_, j); entry; ++entry)
      sum += entry.value() * state.weight[entry.row()] * entry.value();
    diagonal[j] = sum * state.p[j] * state.p[j];
  }
  // A blur over several bins couples them: rows sum to more than the diagonal.
  const VectorXd sums =
      times(VectorXd::Ones(state.p.size())) + seen * (seen.transpose() * VectorXd::Ones(state.p.size()));
  const double floor = 1e-9 * std::max(diagonal.maxCoeff(), 1e-300);
  Eigen::SparseMatrix<double> near = penalty * roughness_;
  for (Index j = 0; j < near.cols(); ++j)
    near.coeffRef(j, j) += std::sqrt(diagonal[j] * std::max(sums[j], diagonal[j])) + floor;
  const Eigen::SimplicialLDLT<Eigen::SparseMatrix<double>> factors(near);
  VectorXd x = VectorXd::Zero(state.p.size()), r = -state.gradient, z = factors.solve(r), d = z;
  double rz = r.dot(z);
  const double enough = kPrecision * kPrecision * rz;
  for (int i = 0; i < kMostIterations && rz > enough; ++i) {
    const VectorXd image = times(d);
    const double curvature = d.dot(image);
    if (!(curvature > 0)) break;
    const double length = rz / curvature;
    x += length * d;
    r -= length * image;
    z = factors.solve(r);
    const double next = r.dot(z);
    d = z + next / rz * d;
    rz = next;
  }
  return x;
}

Density Deconvolution::fit(const std::vector<Observed>& windows, double penalty, const VectorXd* start,
                           double tolerance, const Factors* near) const {
  // By factors of another problem each step leaves a share of the way; how much is not known, so less must be left.
  constexpr int kMostShortSteps = 15;
  constexpr double kShortTolerance = 0.1;
  Density result;
  State state, next;
  evaluate(windows, penalty, start != nullptr ? *start : VectorXd(VectorXd::Zero(blur_.cols())), state);
  differentiate(windows, penalty, state);
  for (result.steps = 0; result.steps < kMostScoringSteps; ++result.steps) {
    throw_if_stopped("deconvolution");
    if (result.steps == kMostShortSteps) near = nullptr;
    VectorXd step = near != nullptr  ? -near->of.solve(state.gradient)
                    : !band_.empty() ? dense_step(state, penalty)
                                     : sparse_step(state, penalty);
    step.array() -= step.mean();
    const double expected = -step.dot(state.gradient);
    if (!(expected > 0)) {
      result.converged = state.gradient.norm() <= 1e-6 * (1 + std::abs(state.value));
      break;
    }
    if (expected / 2 < (near != nullptr ? kShortTolerance * tolerance : tolerance)) {
      result.converged = true;
      break;
    }
    double length = std::min(1.0, kLongestStep / step.cwiseAbs().maxCoeff());
    evaluate(windows, penalty, state.u + length * step, next);
    for (int halving = 0; !(next.value < state.value) && halving < 30; ++halving) {
      length /= 2;
      evaluate(windows, penalty, state.u + length * step, next);
    }
    if (!(next.value < state.value)) {
      if (near != nullptr) {
        near = nullptr;
        continue;
      }
      result.converged = expected < 1e-3;  // nothing but rounding is left
      break;
    }
    std::swap(state, next);
    differentiate(windows, penalty, state);
  }
  result.u = state.u.array() - state.u.maxCoeff();
  return result;
}

Unblurred unblurred(const std::vector<Observed>& windows, const VectorXd* start) {
  constexpr int kMostIterations = 100'000;
  // Of free energies of windows, in kT; from those of a like problem on, which differ by more than that, less is
  // enough.
  const double precision = start != nullptr ? 1e-6 : 1e-10;
  const Index bins = windows.front().counts.size();
  VectorXd counts = VectorXd::Zero(bins), exposure;
  for (const auto& window : windows) counts += window.counts;
  Unblurred found;
  auto& [q, f, converged] = found;
  f = start != nullptr ? *start : VectorXd::Ones(static_cast<Index>(windows.size()));
  converged = false;
  for (int i = 0; i < kMostIterations && !converged; ++i) {
    if (i % 1000 == 0) throw_if_stopped("reweighting");
    exposure = VectorXd::Zero(bins);
    for (std::size_t k = 0; k < windows.size(); ++k)
      exposure += windows[k].counts.sum() * f[static_cast<Index>(k)] * windows[k].exposure;
    q = (exposure.array() > 0).select(counts.array() / exposure.array(), 0.0);
    q /= q.sum();
    VectorXd next(f.size());
    for (std::size_t k = 0; k < windows.size(); ++k) {
      const double seen = windows[k].exposure.dot(q);
      next[static_cast<Index>(k)] = seen > 0 ? 1 / seen : f[static_cast<Index>(k)];
    }
    const double change = (next.array() / f.array()).log().abs().maxCoeff();
    f = next;
    converged = change < precision || windows.size() == 1;
  }
  for (Index b = 0; b < bins; ++b)
    if (!(exposure[b] > 0)) q[b] = std::numeric_limits<double>::quiet_NaN();
  return found;
}

RichardsonLucy::RichardsonLucy(const Blur& blur, const std::vector<std::vector<Observed>>& problems,
                               const VectorXd* start)
    : products_(blur, std::ssize(problems)),
      data_(static_cast<std::size_t>(blur.rows() * lanes()), 0),
      ratio_(data_.size()),
      p_(static_cast<std::size_t>(blur.cols() * lanes()), 1.0 / static_cast<double>(blur.cols())),
      column_sums_(blur.transpose() * VectorXd::Ones(blur.rows())) {
  for (std::size_t k = 0; k < problems.size(); ++k) {
    const VectorXd q = unblurred(problems[k], start).probabilities;
    for (Index b = 0; b < q.size(); ++b) data_[static_cast<std::size_t>(b * lanes()) + k] = std::isnan(q[b]) ? 0 : q[b];
  }
  products_.times(p_, q_);
}

VectorXd RichardsonLucy::lane(const std::vector<double>& numbers, Index problem) const {
  const Eigen::Map<const VectorXd, 0, Eigen::InnerStride<>> of(
      numbers.data() + problem, static_cast<Index>(numbers.size()) / lanes(), Eigen::InnerStride<>(lanes()));
  return of;
}

void RichardsonLucy::step() {
  using Lanes = Eigen::Map<MatrixXd>;
  for (std::size_t i = 0; i < q_.size(); ++i) ratio_[i] = q_[i] > 0 ? data_[i] / q_[i] : 0;
  products_.transposed_times(ratio_, back_);
  Lanes p(p_.data(), lanes(), column_sums_.size());
  const Lanes back(back_.data(), lanes(), column_sums_.size());
  for (Index j = 0; j < p.cols(); ++j) {
    if (column_sums_[j] > 0)
      p.col(j).array() *= back.col(j).array() / column_sums_[j];
    else
      p.col(j).setZero();
  }
  VectorXd sums = VectorXd::Zero(lanes());
  for (Index j = 0; j < p.cols(); ++j) sums += p.col(j);
  sums = (sums.array() > 0).select(sums.cwiseInverse(), 0.0);  // 0: a lane without a problem
  for (Index j = 0; j < p.cols(); ++j) p.col(j).array() *= sums.array();
  products_.times(p_, q_);
}

HeldOutLikelihood::HeldOutLikelihood(const std::vector<std::vector<Observed>>& problems, Index lanes)
    : problems_(std::ssize(problems)), lanes_(lanes), bins_(problems.front().front().counts.size()) {
  counts_.assign(static_cast<std::size_t>(bins_ * lanes), 0);
  for (const auto& window : problems.front()) exposures_.push_back(window.exposure);
  totals_.resize(std::ssize(exposures_), problems_);
  for (Index p = 0; p < problems_; ++p) {
    const auto& windows = problems[static_cast<std::size_t>(p)];
    for (std::size_t k = 0; k < windows.size(); ++k) {
      totals_(static_cast<Index>(k), p) = windows[k].counts.sum();
      for (Index b = 0; b < bins_; ++b) counts_[static_cast<std::size_t>(b * lanes + p)] += windows[k].counts[b];
    }
  }
}

VectorXd HeldOutLikelihood::operator()(const std::vector<double>& observed) const {
  std::vector<double> logs;
  logarithms(observed, logs);
  const Eigen::Map<const MatrixXd> q(observed.data(), lanes_, bins_), log_q(logs.data(), lanes_, bins_),
      counts(counts_.data(), lanes_, bins_);
  VectorXd sums = log_q.cwiseProduct(counts).rowwise().sum().head(problems_);
  for (std::size_t k = 0; k < exposures_.size(); ++k) {
    const VectorXd seen = q * exposures_[k];
    for (Index p = 0; p < problems_; ++p) {
      const double total = totals_(static_cast<Index>(k), p);
      if (total > 0) sums[p] -= total * std::log(std::max(seen[p], 1e-300));
    }
  }
  return sums;
}

}  // namespace ae::fit
