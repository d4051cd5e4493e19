// From COLVAR files and what is known of the blur to a free energy.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/reporter.hpp"
#include "data/colvar/samples.hpp"
#include "fit/calibration.hpp"
#include "fit/free_energy.hpp"
#include "fit/free_energy_files.hpp"

namespace ae::fit {

// One axis as far as the user says; the data say the rest.
struct AxisChoice {
  std::optional<double> low, high;
  std::optional<std::int64_t> bins;
  std::optional<std::pair<double, double>> period;
  bool not_periodic = false;  // whatever the files say
};

struct DeconvolutionJob {
  std::vector<std::string> files;
  data::ColvarColumns columns;
  std::vector<AxisChoice> axes;  // of the truth, one for each variable
  FileRole role = FileRole::automatic;
  // One of these three.
  std::vector<double> sigma;  // of each variable
  std::optional<PairReading> pairs;
  std::string blur_table;
  FreeEnergyOptions options;
};

// InputError for files, UsageError for a grid that cannot be.
FreeEnergyRun run_deconvolution(const DeconvolutionJob& job, Reporter& reporter);

}  // namespace ae::fit
