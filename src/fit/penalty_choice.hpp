// The penalty that does best on rows that were held out.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "fit/linear_model.hpp"

namespace ae::fit {

struct PenaltyOptions {
  std::optional<double> fixed;      // no choice
  std::int32_t folds = 5;           // fewer where there are not so many events, or rows of a class
  bool one_standard_error = false;  // the largest penalty whose error is within one standard error of the least
};

struct PenaltyChoice {
  double penalty = 0;
  // Empty without a choice. Falling penalties; mean over folds of the error on held-out rows and its standard error.
  std::vector<double> penalties, errors, standard_errors;
};

// 1000 to 0.0001, four a decade. Columns are standardised, so that the path fits every table: at 1000 nothing is left
// of the coefficients, at 0.0001 they are as good as without a penalty.
std::vector<double> penalty_path();

// The error is, per held-out row, the negative log-likelihood of classes and the squared error of numbers; of Cox, per
// event of the fold, the log partial likelihood of the other rows minus that of all rows (Verweij and van Houwelingen
// 1993), both with the coefficients of the other rows. Without penalised columns there is nothing to choose, and the
// penalty is kControlPenalty.
PenaltyChoice choose_penalty(const Columns& columns, const Outcome& outcome, Ties ties, const PenaltyOptions& options,
                             std::uint64_t key);

}  // namespace ae::fit
