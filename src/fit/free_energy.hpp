// Free energy along a variable that was observed through a blur, from biased simulations: reweighting, deconvolution,
// states, and errors by blocks of time through all of it.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/reporter.hpp"
#include "fit/blur.hpp"
#include "fit/deconvolution.hpp"
#include "fit/grid.hpp"
#include "fit/states.hpp"
#include "fit/windows.hpp"

namespace ae::fit {

// Where the blur comes from: of pairs anew for resampled pairs, else fixed.
class BlurSource {
 public:
  virtual ~BlurSource() = default;
  virtual Blur blur() const = 0;
  // Of a resample of blocks of pairs; nothing when there are no pairs.
  virtual std::optional<Blur> resampled(std::uint64_t) const { return std::nullopt; }
  // With errors that are `share` of what they are; nothing where there are no errors.
  virtual std::optional<Blur> scaled(double) const { return std::nullopt; }
  // observed = intercept + slope * truth, by which the observed variable is read as it is. Of one variable.
  virtual std::pair<double, double> line() const { return {0, 1}; }
};

enum class DeconvolutionMethod { penalised, richardson_lucy };

struct FreeEnergyOptions {
  double kt = 1;                 // > 0, in the unit of the bias; energies are in this unit
  std::int32_t blocks = 20;      // of time, of each window and of the pairs
  std::int32_t bootstrap = 200;  // resamples of blocks; 0 = no errors
  double confidence = 0.95;
  std::optional<double> penalty;           // chosen by held-out blocks if not given
  std::optional<std::int64_t> iterations;  // of Richardson and Lucy, likewise
  std::optional<double> split;  // of one variable: where its two sides part for delta F; the barrier's top if not given
  DeconvolutionMethod method = DeconvolutionMethod::penalised;
  std::uint64_t seed = 0;
  int threads = 0;
};

struct WithError {
  double value = 0, standard_error = 0;  // NaN where there is none
};

struct StateEnergy {
  std::vector<double> at;  // the minimum's place
  WithError energy;        // -kT ln of the state's probability, above that of the most probable state
  double persistence = 0;  // height of the lowest way out to a deeper state, above the minimum; of the deepest infinite
  double rows = 0;         // seen in this state
  double share_of_blocks = 0;  // in which it was visited
};

// Richardson's and Lucy's answer to the same question, for comparison.
struct Comparison {
  Eigen::VectorXd energies;  // [bins]
  std::int64_t iterations = 0;
  double barrier = 0, delta_f = 0;
};

struct FreeEnergy {
  Grid grid;           // of the truth, in which all below is told
  Grid inner;          // the same with its bins cut into steps, in which all is computed
  Grid observed_grid;  // cut likewise
  Blur blur;           // [observed bins, inner bins]
  std::vector<Window> windows;
  // [bins]; energies from -kT ln density, minimum 0; NaN in bins that nothing was seen of.
  Eigen::VectorXd observed, energies, standard_errors, effective;
  double penalty = 0;
  std::vector<double> penalties,
      held_out;            // the choice: rising penalties and the held-out log-likelihood, summed over folds
  double chi_squared = 0;  // mean over bins, by variances of blocks where those are larger
  std::int64_t chi_squared_bins = 0;
  double effective_rows = 0;
  std::vector<StateEnergy> states;  // deepest first
  std::optional<WithError> delta_f, barrier;
  double delta_f_row_error = 0;  // as if rows were independent: of the reweighted sides
  double delta_f_halves[2] = {0, 0};
  std::optional<double> split;
  std::int64_t transitions = 0;
  std::int64_t beyond = 0;  // rows in observed bins that the blur cannot reach
  std::int32_t failed_resamples = 0;
  std::optional<Comparison> comparison;
  bool converged = false;
  std::vector<std::string> reasons;  // why not
  std::vector<std::string> warnings;
};

// `inner`: `truth` with bins cut into whole numbers of steps (steps_of_bins), of which the blur of `source` is.
FreeEnergy estimate_free_energy(const std::vector<data::ColvarSamples>& files, const Grid& truth, const Grid& inner,
                                const Grid& observed, const BlurSource& source, FileRole role,
                                const FreeEnergyOptions& options, Reporter& reporter);

}  // namespace ae::fit
