// A fitted model as a JSON file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "fit/linear_model.hpp"

namespace ae::fit {

struct FittedModel {
  LinearModel model;
  Ties ties = Ties::efron;
  CumulativeHazard baseline;  // of cox: of a row of average columns
  // Of the answers on the training rows (of more than two classes: empty): share and value, rising.
  std::vector<std::pair<double, double>> quantiles;
  std::vector<double> risk_cuts;  // of cox: between groups of equally many training rows
  std::int64_t rows = 0, events = 0;
  std::string made_by;  // program and version
};

std::string model_json(const FittedModel& model);
// InputError, with the place in the file, for whatever model_json() would not have written.
FittedModel read_model(const std::filesystem::path& path);

// The conventions by which coefficients and penalty are to be understood, as sentences by name.
std::vector<std::pair<std::string, std::string>> conventions(Family family, Ties ties);

}  // namespace ae::fit
