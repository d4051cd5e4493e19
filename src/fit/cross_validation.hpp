// How well a simple model predicts rows that it has not seen, and whether columns add to what others tell.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/reporter.hpp"
#include "fit/concordance.hpp"
#include "fit/folds.hpp"
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
};

// The columns, for all rows, that the rows outside a fold are given to learn from: one table for all folds, or codes of
// an encoder that has seen those rows only. The same names and controls every time.
class ColumnsOfFold {
 public:
  virtual ~ColumnsOfFold() = default;
  virtual const Columns& columns(std::int32_t repeat, std::int32_t fold, std::span<const std::int64_t> training) = 0;
};
class SameColumns final : public ColumnsOfFold {
 public:
  explicit SameColumns(const Columns& columns) : columns_(columns) {}
  const Columns& columns(std::int32_t, std::int32_t, std::span<const std::int64_t>) override { return columns_; }

 private:
  const Columns& columns_;
};

// "c_index", "auc" (of more than two classes the mean over classes of one against the rest) or "r2".
std::string_view figure_name(Family family);

// One set of columns: "latent" (all but the controls), "controls" or "both".
struct SetResult {
  std::string name;
  std::vector<Eigen::MatrixXd> answers;                    // of each repeat: out of fold, [rows, answers of the model]
  std::vector<std::vector<double>> penalties;              // [repeat][fold]
  std::vector<std::vector<Eigen::MatrixXd>> standardised;  // [repeat][fold]: coefficients
  // The mean over repeats. Pairs of the C-index and the area are of rows of one fold, since predictions of different
  // models do not compare.
  Figure figure;
  double pooled = 0;  // the same, all pairs of rows taken together; R2 is so anyway
  // By the quantiles of each model's answers on its own training rows, in the first repeat; of cox, else empty.
  std::vector<std::int32_t> risk_groups;
};

struct CrossValidation {
  std::vector<FoldOfRow> folds;  // of each repeat
  std::vector<SetResult> sets;   // latent; with controls also controls, both
};

// UsageError unless there are as many events, rows of each class, or rows, as folds. `what` needs them: "--folds 5".
void check_folds(const Outcome& outcome, std::int32_t folds, const std::string& what);

// UsageError as check_folds(): each fold needs one of everything.
CrossValidation cross_validate(ColumnsOfFold& columns, const Outcome& outcome, const CrossValidationOptions& options,
                               Reporter& reporter);

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
