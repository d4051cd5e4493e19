// A model of all rows of a table.
#pragma once

#include <cstdint>
#include <string>

#include "fit/concordance.hpp"
#include "fit/model_file.hpp"
#include "fit/penalty_choice.hpp"
#include "fit/table.hpp"

namespace ae::fit {

struct FitOptions {
  Ties ties = Ties::efron;
  PenaltyOptions penalty;
  std::uint64_t seed = 0;
  std::int32_t risk_groups = 3;
};

struct Fitted {
  FittedModel model;
  PenaltyChoice choice;
  // On the rows that the model was fitted to, and so better than on new ones: C-index, area or R2; all pairs of rows.
  Figure apparent;
};

Fitted fit_table(const ProbeTable& table, const FitOptions& options, const std::string& made_by);

// What was fitted, for machines and for people.
std::string fit_summary_json(const ProbeTable& table, const Fitted& fitted, double confidence);
std::string fit_summary_text(const ProbeTable& table, const Fitted& fitted, double confidence);

}  // namespace ae::fit
