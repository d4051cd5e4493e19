// What simulations have seen of a biased variable, in bins, by blocks of time.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/reporter.hpp"
#include "data/colvar/samples.hpp"
#include "fit/deconvolution.hpp"
#include "fit/grid.hpp"

namespace ae::fit {

// What several files are to each other.
enum class FileRole {
  automatic,     // windows where each has a harmonic bias of its own, else a continuation
  continuation,  // parts or replicas of one biased run: a row weighs e^{bias / kT} whatever its file
  windows,       // runs with biases of their own, whose free energies relative to each other are found as well
};

// How the bias of a window makes up for itself.
enum class Reweighting {
  harmonic,  // the bias is a parabola of the variables: its exposure is known everywhere
  exposure,  // the bias is a function of the variables, near enough: rows of one bin have like weights
  weights,   // it is not, as one of another variable or one that changes: each row has its weight
};

struct Window {
  std::vector<std::string> files;
  Reweighting reweighting = Reweighting::weights;
  std::int64_t rows = 0, outside = 0;  // inside and outside of the grid
  double effective_rows = 0;           // Kish's: (sum w)^2 / sum w^2
  // [bins, blocks]: rows, sums of weights e^{(V - largest V) / kT}, sums of their squares. Of harmonic windows all
  // weights are 1.
  Eigen::MatrixXd counts, weights, squares;
  // [bins]: what a sum of weights is divided by to be an effective count; and the exposure that goes with it.
  Eigen::VectorXd scale, exposure;

  std::int32_t blocks() const { return static_cast<std::int32_t>(counts.cols()); }
  // `times` [blocks]: how often each block counts. Empty: all once.
  Observed observed(std::span<const std::int32_t> times = {}) const;
};

struct WindowOptions {
  double kt = 1;
  std::int32_t blocks = 20;
  FileRole role = FileRole::automatic;
};

// Rows of blocks of the same length, as far as they can be. InputError when no row is inside the grid.
std::vector<Window> make_windows(const std::vector<data::ColvarSamples>& files, const Grid& observed,
                                 const WindowOptions& options);

// The files of each window, in order.
std::vector<std::vector<std::size_t>> window_files(const std::vector<data::ColvarSamples>& files, const Grid& observed,
                                                   const WindowOptions& options);

// How rows in a grid follow each other: how often they change between sets of bins. `label` [bins]: the set, -1 = none.
struct Visits {
  std::int64_t transitions = 0;  // between labels, rows without one left out
  Eigen::MatrixXd rows;          // [labels, blocks]
};
Visits count_visits(const std::vector<const data::ColvarSamples*>& files, const Grid& observed, std::int32_t blocks,
                    const std::vector<std::int32_t>& label, std::int32_t labels);

}  // namespace ae::fit
