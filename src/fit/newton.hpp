// Newton's method for smooth convex functions with a quadratic penalty on each parameter.
#pragma once

#include <Eigen/Core>

namespace ae::fit {

class SmoothFunction {
 public:
  virtual ~SmoothFunction() = default;
  virtual Eigen::Index parameters() const = 0;
  // The value at `at` [parameters]; where not null, also the gradient [parameters] and the Hessian [parameters,
  // parameters], which must be positive semidefinite. May be infinite or NaN far from the minimum.
  virtual double evaluate(const Eigen::VectorXd& at, Eigen::VectorXd* gradient, Eigen::MatrixXd* hessian) const = 0;
};

enum class Ending {
  converged,  // the last step changed no parameter by more than 1e-9 of the largest one (or of 1)
  singular,   // the penalised Hessian is not positive definite: a parameter is not determined
  diverged,   // 100 steps were not enough: the minimum lies at infinity
};

struct Minimum {
  Eigen::VectorXd at;
  double value = 0;  // with the penalty
  Ending ending = Ending::converged;
};

// Minimises f(x) + sum_j penalty_j x_j^2 / 2 from `start`, with steps that are halved until the sum falls.
Minimum minimise(const SmoothFunction& f, const Eigen::VectorXd& penalty, Eigen::VectorXd start);

}  // namespace ae::fit
