// What an evaluation or a fit found out, for machines and for people.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "fit/cross_validation.hpp"
#include "fit/model_file.hpp"
#include "fit/survival_curves.hpp"

namespace ae::fit {

// Does one set of columns tell more than another?
struct Increment {
  std::string of, over;  // names of sets
  Difference difference;
  double confidence = 0.95;                // of the interval
  std::optional<IncrementTest> test = {};  // where `of` has the columns of `over` and more

  // With a test "increment" when its p-value is at most (1 - confidence) / 2, which is what the interval leaves below
  // it, and the figure rises; without one when the interval lies above 0; else "no increment".
  std::string verdict() const;
  // Where test and interval do not say the same: how that is to be read. Else "".
  std::string note() const;
  std::string words() const;  // verdict, p-value, note

 private:
  bool significant() const;
};

// How do codes compare with other codes of the same rows?
struct CodeComparison {
  std::string of, over;  // names of sets
  Difference difference;
  double margin = 0;  // >= 0
  // "better" when the interval lies above 0, "not worse by more than MARGIN" when it lies above -margin, "worse" when
  // it lies below 0, else "undecided".
  std::string verdict() const;
};

// What an encoder that has seen the held-out rows' columns gains.
struct Leak {
  Difference difference;  // transductive minus nested
  double transductive = 0;
  std::string verdict() const;  // "leak" when the interval lies above 0, else "no leak seen"
};

struct RiskGroups {
  std::vector<SurvivalCurve> curves;  // of each group, lowest risk first; empty for one without rows
  LogRank test;
};

struct ProbeEvaluation {
  std::string table;
  Outcome outcome;
  std::vector<std::string> ids;
  std::int64_t without_outcome = 0;
  std::int64_t latent_columns = 0, controls = 0;
  CrossValidationOptions options;
  double confidence = 0.95;
  CrossValidation result;
  std::string against;  // the other codes, as the user named them; "" = none
  double margin = 0.02;
  std::vector<Increment> increments;        // with controls: of both and of latent, over controls
  std::vector<CodeComparison> comparisons;  // with other codes: of latent over against; with controls of both as well
  std::optional<RiskGroups> groups;         // of cox, by the set `latent`
  bool nested = false;
  std::optional<Leak> leak;  // nested only
  std::vector<std::string> warnings;

  evaluate::Estimate estimate(const Figure& figure) const;
};

// Figures of sets, increments and groups from a cross-validation.
void conclude(ProbeEvaluation& evaluation);

// "transductive", "nested": whether the columns of held-out rows had a part in making the columns.
std::string_view validity(const ProbeEvaluation& evaluation);

std::string summary_json(const ProbeEvaluation& evaluation, const std::string& made_by,
                         const std::vector<std::string>& command);
std::string summary_text(const ProbeEvaluation& evaluation);

// id, fold, outcome, and of each set the mean over repeats of the out-of-fold answers; the folds and risk groups are
// those of the first repeat.
std::string predictions_csv(const ProbeEvaluation& evaluation);

// Of each set and column: the mean over all folds of the standardised coefficients, their standard deviation, and the
// share of folds in which they have the sign of the mean. `against`: the other codes, of which only names count.
std::string fold_coefficients_csv(const ProbeEvaluation& evaluation, const Columns& columns, const Columns& against);

// Of one model: coefficients in the columns' units and standardised, and standard errors where there is no penalty.
std::string coefficients_csv(const LinearModel& model);

}  // namespace ae::fit
