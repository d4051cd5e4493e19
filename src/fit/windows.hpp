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

// A harmonic window averages its exposure over a bin as if the density were flat there, which it is in a fraction of
// the window's width: into how many steps each bin of an axis has to be cut. 1 where no window is harmonic. `is_coarse`
// becomes true where so many would be needed that fewer are told.
std::vector<Eigen::Index> steps_of_bins(const std::vector<data::ColvarSamples>& files, const Grid& observed,
                                        const WindowOptions& options, bool& is_coarse);

// Rows of blocks of the same length, as far as they can be. InputError when no row is inside the grid.
std::vector<Window> make_windows(const std::vector<data::ColvarSamples>& files, const Grid& observed,
                                 const WindowOptions& options);

// Whether the files are taken for windows, each with a free energy of its own.
bool are_windows(const std::vector<data::ColvarSamples>& files, const Grid& observed, const WindowOptions& options);

// How often rows that follow each other in one file go from one set of bins to another. `label` [bins]: the set, -1 =
// none, rows of which are left out.
std::int64_t count_transitions(const std::vector<data::ColvarSamples>& files, const Grid& observed,
                               const std::vector<std::int32_t>& label);

}  // namespace ae::fit
