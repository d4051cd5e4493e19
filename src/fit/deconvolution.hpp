// The density of a variable that was observed through a blur, by penalised maximum likelihood.
//
// Bin j of the true variable has the probability p_j = e^{u_j} / sum e^u, K_bj is the probability to observe bin b when
// the truth is in bin j, and q = K p. A window k of a simulation sees bin b in proportion to c_kb q_b, its exposures
// c_kb being e^{-V_k(b) / kT} for a bias V_k: what is minimised over u is
//
//   - sum_kb n_kb ln(c_kb q_b / sum_b' c_kb' q_b') + penalty / 2 * roughness(u),
//
// the multinomial likelihood of all windows with the free energies of windows profiled out: WHAM (Ferrenberg and
// Swendsen 1989; Kumar et al. 1992) with the blur inside. The roughness is the integral of the squared second
// derivatives of u over coordinates in which each axis has the length 1, by second differences: Good and Gaskins 1971
// for the idea of penalising the log density, Wood 1973 for Tikhonov's form of two variables.
#pragma once

#include <Eigen/Core>
#include <Eigen/SparseCore>
#include <cstdint>
#include <memory>
#include <vector>

#include "fit/blur_products.hpp"
#include "fit/grid.hpp"

namespace ae::fit {

// What one window has seen.
struct Observed {
  Eigen::VectorXd counts;    // [observed bins], >= 0; effective ones, when samples were weighted
  Eigen::VectorXd exposure;  // [observed bins], >= 0; 0 where the window cannot be, and then no counts
};

// sum over windows of n ln(c q / sum c q): the log-likelihood of bins whose probabilities without bias are q.
double log_likelihood(const std::vector<Observed>& windows, const Eigen::VectorXd& q);

struct Density {
  Eigen::VectorXd u;  // [true bins], log probability of bins but for a constant
  bool converged = false;
  int steps = 0;

  Eigen::VectorXd probabilities() const;  // sum to 1
};

class Deconvolution {
 public:
  Deconvolution(const Grid& truth, const Blur& blur);

  // Fisher's information at an answer, factored, by which answers to like problems are found in shorter steps.
  struct Factors;
  // Null of many bins, or where rounding leaves none.
  std::shared_ptr<const Factors> factors(const std::vector<Observed>& windows, double penalty,
                                         const Eigen::VectorXd& at) const;

  // By Fisher's scoring from `start` (uniform when null) with steps that are halved until the sum falls. `tolerance`:
  // of the sum, in units of log-likelihood. `near`: factors() of the start in a problem like this one, or null.
  Density fit(const std::vector<Observed>& windows, double penalty, const Eigen::VectorXd* start = nullptr,
              double tolerance = 1e-6, const Factors* near = nullptr) const;
  const Blur& blur() const { return blur_; }

 private:
  struct State;
  Eigen::VectorXd blurred(const Eigen::VectorXd& p) const { return band_.empty() ? blur_ * p : band_ * p; }
  Eigen::VectorXd unblurring(const Eigen::VectorXd& q) const;  // by the transposed blur
  void evaluate(const std::vector<Observed>& windows, double penalty, const Eigen::VectorXd& u, State& state) const;
  void differentiate(const std::vector<Observed>& windows, double penalty, State& state) const;
  Eigen::MatrixXd information(const State& state, double penalty) const;
  Eigen::VectorXd dense_step(const State& state, double penalty) const;
  Eigen::VectorXd sparse_step(const State& state, double penalty) const;

  Blur blur_;
  Band band_, transposed_;                 // of few bins
  Eigen::SparseMatrix<double> roughness_;  // [true bins, true bins], symmetric
  Eigen::MatrixXd dense_roughness_;
};

// The probabilities of observed bins without bias and without a model of the blur, by WHAM: n_b / sum_k N_k f_k c_kb.
struct Unblurred {
  Eigen::VectorXd probabilities;  // sum to 1; NaN in bins that no window can see
  Eigen::VectorXd f;              // [windows]
  bool converged = true;
};
// `start`: f of a like problem, or null.
Unblurred unblurred(const std::vector<Observed>& windows, const Eigen::VectorXd* start = nullptr);

// Richardson 1972, Lucy 1974: expectation maximisation without a penalty, from a uniform density, which is the better
// for being stopped early. Weights n_b / c_b of windows are pooled by WHAM first, from `start` as unblurred() does.
class RichardsonLucy {
 public:
  // Of several problems of the same bins side by side, at most 12.
  RichardsonLucy(const Blur& blur, const std::vector<std::vector<Observed>>& problems,
                 const Eigen::VectorXd* start = nullptr);
  RichardsonLucy(const Blur& blur, const std::vector<Observed>& windows, const Eigen::VectorXd* start = nullptr)
      : RichardsonLucy(blur, std::vector<std::vector<Observed>>(1, windows), start) {}
  void step();
  Eigen::VectorXd probabilities(Eigen::Index problem = 0) const { return lane(p_, problem); }
  Eigen::VectorXd observed(Eigen::Index problem = 0) const { return lane(q_, problem); }  // [observed bins]
  const std::vector<double>& all_observed() const { return q_; }                          // [observed bins, lanes()]
  Eigen::Index lanes() const { return products_.lanes(); }

 private:
  Eigen::VectorXd lane(const std::vector<double>& numbers, Eigen::Index problem) const;

  BlurLanes products_;
  std::vector<double> data_, ratio_, q_;  // [observed bins, lanes]
  std::vector<double> p_, back_;          // [true bins, lanes]
  Eigen::VectorXd column_sums_;
};

// The log-likelihood of windows that each problem of a RichardsonLucy has not seen, but for a constant.
class HeldOutLikelihood {
 public:
  HeldOutLikelihood(const std::vector<std::vector<Observed>>& problems, Eigen::Index lanes);
  Eigen::VectorXd operator()(const std::vector<double>& observed) const;  // [problems]

 private:
  Eigen::Index problems_, lanes_, bins_;
  std::vector<double> counts_;  // [observed bins, lanes], of all windows
  std::vector<Eigen::VectorXd> exposures_;
  Eigen::MatrixXd totals_;  // [windows, problems]
};

}  // namespace ae::fit
