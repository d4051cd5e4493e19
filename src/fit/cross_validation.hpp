// How well a simple model predicts rows that it has not seen, and whether columns add to what others tell.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/reporter.hpp"
#include "fit/concordance.hpp"
#include "fit/folds.hpp"
#include "fit/increment_test.hpp"
#include "fit/linear_model.hpp"
#include "fit/penalty_choice.hpp"

namespace ae::fit {

struct CrossValidationOptions {
  std::int32_t folds = 5;
  std::int32_t repeats = 5;  // other divisions of the rows, over which figures are averaged
  std::uint64_t seed = 0;
  Ties ties = Ties::efron;
  PenaltyOptions penalty;  // chosen anew in each fold, from its training rows alone
  std::int32_t risk_groups = 3;
  int threads = 0;  // folds at a time; 0 = as many as there are processors. The result does not depend on it
};

// Groups of rows, each left out in turn from what the models learn from.
inline constexpr std::int32_t kTrainingGroups = 20;

// The columns, for all rows, that the rows outside a fold are given to learn from: one table for all folds, or codes of
// an encoder that has seen those rows only. The same names and controls every time. Called on several threads.
class ColumnsOfFold {
 public:
  virtual ~ColumnsOfFold() = default;
  virtual Columns columns(std::int32_t repeat, std::int32_t fold, std::span<const std::int64_t> training) const = 0;
};
class SameColumns final : public ColumnsOfFold {
 public:
  explicit SameColumns(const Columns& columns) : columns_(columns) {}
  Columns columns(std::int32_t, std::int32_t, std::span<const std::int64_t>) const override { return columns_; }

 private:
  const Columns& columns_;
};

// "c_index", "auc" (of more than two classes the mean over classes of one against the rest) or "r2".
std::string_view figure_name(Family family);
std::string_view figure_title(Family family);  // the same for people: "C-index", "AUC" or "R2"

// One set of columns: "latent" (all but the controls), "controls", "both"; of other codes "against", "both_against".
struct SetResult {
  std::string name;
  std::vector<Eigen::MatrixXd> answers;                    // of each repeat: out of fold, [rows, answers of the model]
  std::vector<std::vector<double>> penalties;              // [repeat][fold]
  std::vector<std::vector<Eigen::MatrixXd>> standardised;  // [repeat][fold]: coefficients
  // The mean over repeats. Pairs of the C-index and the area are of rows of one fold, since predictions of different
  // models do not compare. Its error counts both parts that a row has in it: as a held-out row, by its influence, and
  // as a row that models of other folds learned from, by fits without each of kTrainingGroups groups of rows (at the
  // same penalty). Where columns tell nothing, both parts are equal; where they tell much, the second vanishes.
  Figure figure;
  double pooled = 0;  // the same, all pairs of rows taken together; R2 is so anyway
  // By the quantiles of each model's answers on its own training rows, in the first repeat; of cox, else empty.
  std::vector<std::int32_t> risk_groups;
};

struct CrossValidation {
  std::vector<FoldOfRow> folds;  // of each repeat
  // latent; with controls also controls, both; with other codes also against, and with controls both_against
  std::vector<SetResult> sets;
  // With controls: whether codes add to them. Of the codes' part of the predictors of `both`, its mean over repeats.
  std::optional<IncrementTest> increment;

  const SetResult* find(std::string_view name) const;  // null when there is no such set
};

// UsageError unless there are as many events, rows of each class, or rows, as folds. `what` needs them: "--folds 5".
void check_folds(const Outcome& outcome, std::int32_t folds, const std::string& what);

// `against`: other codes of the same rows, with the same controls, to be compared on the same folds; may be null.
// UsageError as check_folds(): each fold needs one of everything.
CrossValidation cross_validate(const ColumnsOfFold& columns, const ColumnsOfFold* against, const Outcome& outcome,
                               const CrossValidationOptions& options, Reporter& reporter);

// The cuts between `groups` groups of equal size: quantiles of the answers (not empty) by linear interpolation.
std::vector<double> risk_cuts(std::vector<double> answers, std::int32_t groups);
// How many of the cuts are at or below the answer.
std::int32_t risk_group(double answer, std::span<const double> cuts);

// The figure of out-of-fold answers; no folds = all pairs.
Figure figure_of(const Eigen::MatrixXd& answers, const Outcome& outcome, std::span<const std::int32_t> folds);

// One figure minus another of the same rows, and what it says.
struct Difference {
  Figure figure;
  evaluate::Estimate estimate;  // interval not clipped
  bool positive() const { return estimate.interval.low > 0; }
};
Difference difference(const Figure& a, const Figure& b, double confidence);

}  // namespace ae::fit
