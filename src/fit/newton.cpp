#include "fit/newton.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <optional>

namespace ae::fit {
namespace {

constexpr int kMostSteps = 100;
constexpr int kMostHalvings = 40;
constexpr double kSmallestStep = 1e-9;
constexpr double kRoundingOfPivots = 1e-13;

double penalised(const SmoothFunction& f, const Eigen::VectorXd& penalty, const Eigen::VectorXd& at) {
  return f.evaluate(at, nullptr, nullptr) + penalty.dot(at.cwiseAbs2()) / 2;
}

// Nothing when the matrix is not positive definite to within rounding.
std::optional<Eigen::VectorXd> newton_step(Eigen::MatrixXd hessian, const Eigen::VectorXd& gradient) {
  // Unit diagonal, so that pivots can be judged whatever the units of the parameters.
  const Eigen::VectorXd diagonal = hessian.diagonal();
  if (!(diagonal.minCoeff() > 0) || !diagonal.allFinite()) return std::nullopt;
  const Eigen::VectorXd scale = diagonal.cwiseSqrt().cwiseInverse();
  hessian = scale.asDiagonal() * hessian * scale.asDiagonal();
  const Eigen::LDLT<Eigen::MatrixXd> factors(hessian);
  if (!(factors.vectorD().minCoeff() > kRoundingOfPivots)) return std::nullopt;
  return -scale.cwiseProduct(factors.solve(scale.cwiseProduct(gradient)));
}

}  // namespace

Minimum minimise(const SmoothFunction& f, const Eigen::VectorXd& penalty, Eigen::VectorXd start) {
  Minimum result{std::move(start), 0, Ending::diverged};
  Eigen::VectorXd& at = result.at;
  Eigen::VectorXd gradient(at.size());
  Eigen::MatrixXd hessian(at.size(), at.size());
  if (at.size() == 0) return {at, f.evaluate(at, nullptr, nullptr), Ending::converged};
  for (int step = 0; step < kMostSteps; ++step) {
    result.value = f.evaluate(at, &gradient, &hessian) + penalty.dot(at.cwiseAbs2()) / 2;
    gradient += penalty.cwiseProduct(at);
    hessian.diagonal() += penalty;
    const auto direction = newton_step(hessian, gradient);
    if (!direction) {
      result.ending = Ending::singular;
      return result;
    }
    double length = 1;
    double value = penalised(f, penalty, at + *direction);
    // Near the minimum the values differ by rounding only.
    const double rounding = 1e-12 * (1 + std::abs(result.value));
    for (int halving = 0; !(value <= result.value + rounding) && halving < kMostHalvings; ++halving) {
      length /= 2;
      value = penalised(f, penalty, at + length * *direction);
    }
    at += length * *direction;
    result.value = value;
    const double change = length * direction->cwiseAbs().maxCoeff();
    if (change <= kSmallestStep * std::max(1.0, at.cwiseAbs().maxCoeff())) {
      result.ending = Ending::converged;
      return result;
    }
  }
  return result;
}

}  // namespace ae::fit
