// Answers of a fitted model for new rows.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/reporter.hpp"
#include "fit/model_file.hpp"
#include "fit/table.hpp"

namespace ae::fit {

struct ApplyOptions {
  std::filesystem::path table;
  std::optional<std::string> id;     // as TableReading::id
  std::vector<std::string> missing;  // as TableReading::missing
  MissingCells missing_cells = MissingCells::stop;
  std::filesystem::path scores;   // as TableReading::scores, of a model that was fitted with them
  std::string score = "score";    // as TableReading::score
  std::optional<double> horizon;  // of cox: the probability that there was no event up to this time
};

// Writes a CSV table of the rows: id, prediction; of cox risk_group, and with a horizon survival; of more than two
// classes the likeliest class, and the probability of each. Columns are matched by name, others are not looked at. One
// row at a time: memory does not grow with the rows, but for those of `scores`. InputError as read_probe_table();
// UsageError for a horizon of another family, and for scores that the model has no column for. Returns how many rows
// there were.
std::int64_t apply_model(const FittedModel& model, const ApplyOptions& options,
                         const std::function<void(std::string_view)>& write, Reporter& reporter);

// The probability that a row with this linear predictor has no event up to `time`.
double survival_probability(const CumulativeHazard& baseline, double predictor, double time);

}  // namespace ae::fit
