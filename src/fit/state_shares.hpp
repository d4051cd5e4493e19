// How a simulation is divided between states that a variable tells apart only with errors.
//
// Runs that never leave a state give what is observed there, p_s(b) in bins b; the biased run, reweighted, gives what
// is observed in all, q(b) = sum_s pi_s p_s(b). The shares pi maximise the multinomial likelihood sum_b n_b ln q(b),
// with effective counts n (Kish 1965): a deconvolution whose unknown is the state, by expectation maximisation
// (McLachlan and Peel 2000, 2.8, for known components), which is concave in pi. Any observed variable will do that
// differs between states, such as the reconstruction loss of an autoencoder that has seen one of them.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <string>
#include <vector>

#include "base/reporter.hpp"
#include "data/colvar/samples.hpp"
#include "fit/free_energy.hpp"

namespace ae::fit {

struct StateShareOptions {
  double kt = 1;                 // > 0, in the unit of the bias; energies are in this unit
  std::int64_t bins = 20;        // of each variable, with like numbers of rows of the states' runs
  std::int32_t blocks = 20;      // of time, of each run
  std::int32_t bootstrap = 200;  // resamples of blocks of all runs; 0 = no errors
  double confidence = 0.95;
  std::uint64_t seed = 0;
  int threads = 0;
};

struct StateShare {
  std::string name;
  double share = 0;             // pi
  WithError energy;             // -kT ln(share), less that of the first state
  double lower = 0, upper = 0;  // of the energy, by quantiles of resamples; NaN without
  // As energy, with each bin given whole to the state that observes it most often.
  double assigned = 0;
  double share_of_blocks = 0;  // of the biased run, in which some row is most likely of this state
};

struct StateShares {
  std::vector<StateShare> states;
  std::vector<std::vector<double>> edges;  // of each variable [bins - 1], rising: what is below the first, ...
  Eigen::MatrixXd observed_in;  // [bins of all variables, states]; columns sum to 1; the last variable runs fastest
  Eigen::VectorXd observed, fitted;  // [bins], probabilities
  double effective_rows = 0;         // Kish's
  double overlap = 0;                // of the two states that are most alike: sum of the smaller of their probabilities
  double unexplained = 0;            // share of the weight where no state's run has been
  double chi_squared = 0;            // mean over bins, by variances of blocks where those are larger
  std::int32_t failed_resamples = 0;
  bool within_error =
      false;  // assigned energies are within a standard error of the others: no deconvolution was needed
  bool converged = false;
  std::vector<std::string> reasons;  // why not
  std::vector<std::string> warnings;
};

// `states`: at least two, without bias, of `names`; `variables`: the names of the observed columns. InputError when a
// state has too few rows, all values of a variable are the same, or no weight lies where a state was seen.
StateShares estimate_state_shares(const std::vector<data::ColvarSamples>& biased,
                                  const std::vector<data::ColvarSamples>& states, const std::vector<std::string>& names,
                                  const std::vector<std::string>& variables, const StateShareOptions& options,
                                  Reporter& reporter);

// Shares of known components by expectation maximisation, for counts [bins] and what components give [bins, states].
// NaN when no component gives what was counted.
Eigen::VectorXd mixture_shares(const Eigen::MatrixXd& observed_in, const Eigen::VectorXd& counts);

}  // namespace ae::fit
