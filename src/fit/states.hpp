// States of a free energy surface: its basins.
#pragma once

#include <Eigen/Core>
#include <optional>
#include <vector>

#include "fit/grid.hpp"

namespace ae::fit {

struct State {
  Eigen::Index minimum = 0;  // bin
  Eigen::Index saddle = 0;   // the lowest bin over which a deeper state is reached; of the deepest one, minimum
  std::size_t into = 0;      // the deeper state, over the saddle; of the deepest one itself
  double persistence = 0;    // F at the saddle above F at the minimum; of the deepest state infinite
};

struct States {
  std::vector<State> states;         // deepest first
  std::vector<std::int32_t> of_bin;  // [bins]: the state that a bin belongs to, -1 where F is NaN
};

// Basins of F [bins] in which the lowest saddle lies at least `persistence` above the minimum; shallower ones belong to
// the state that their lowest saddle leads to (a merge tree: Edelsbrunner, Letscher and Zomorodian 2002).
States find_states(const Grid& grid, const Eigen::VectorXd& f, double persistence);

// -kT ln of the probability in each state, for probabilities [bins]; states are those of `of_bin`.
std::vector<double> state_energies(const std::vector<std::int32_t>& of_bin, std::size_t states,
                                   const Eigen::VectorXd& probabilities, double kt);

}  // namespace ae::fit
