#include "fit/penalty_choice.hpp"

#include <algorithm>
#include <cmath>

#include "fit/folds.hpp"

namespace ae::fit {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

double log_loss(const MatrixXd& predictors, const Outcome& outcome) {
  double sum = 0;
  for (Index i = 0; i < predictors.rows(); ++i) {
    const Index truth = outcome.classes[static_cast<std::size_t>(i)];
    VectorXd classes = predictors.row(i);
    if (classes.size() == 1) classes = Eigen::Vector2d(0, classes[0]);
    const double largest = classes.maxCoeff();
    sum += largest + std::log((classes.array() - largest).exp().sum()) - classes[truth];
  }
  return sum / static_cast<double>(predictors.rows());
}

double squared_error(const MatrixXd& predictors, const Outcome& outcome) {
  double sum = 0;
  for (Index i = 0; i < predictors.rows(); ++i)
    sum += std::pow(predictors(i, 0) - outcome.values[static_cast<std::size_t>(i)], 2);
  return sum / static_cast<double>(predictors.rows());
}

// One division of the rows.
struct Division {
  Columns all_columns;  // of cox
  Outcome all;          // of cox
  Columns columns, held_out_columns;
  Outcome outcome, held_out;
  Ties ties;

  double error(const LinearModel& model) const {
    if (outcome.family == Family::logistic) return log_loss(model.predictors(held_out_columns.values), held_out);
    if (outcome.family == Family::ridge) return squared_error(model.predictors(held_out_columns.values), held_out);
    const double of_all = cox_log_likelihood(model.predictors(all_columns.values), all, ties);
    const double of_others = cox_log_likelihood(model.predictors(columns.values), outcome, ties);
    const auto events = std::count(held_out.events.begin(), held_out.events.end(), 1);
    return (of_others - of_all) / static_cast<double>(std::max<std::ptrdiff_t>(events, 1));
  }
};

void summarise(PenaltyChoice& choice, const std::vector<std::vector<double>>& errors_of_folds) {
  const double folds = static_cast<double>(errors_of_folds.size());
  for (std::size_t p = 0; p < choice.penalties.size(); ++p) {
    double sum = 0, squares = 0;
    for (const auto& errors : errors_of_folds) sum += errors[p];
    const double mean = sum / folds;
    for (const auto& errors : errors_of_folds) squares += std::pow(errors[p] - mean, 2);
    choice.errors.push_back(mean);
    choice.standard_errors.push_back(std::sqrt(squares / (folds - 1) / folds));
  }
}

}  // namespace

std::vector<double> penalty_path() {
  std::vector<double> path;
  for (int step = 12; step >= -16; --step) path.push_back(std::pow(10, step / 4.0));
  return path;
}

PenaltyChoice choose_penalty(const Columns& columns, const Outcome& outcome, Ties ties, const PenaltyOptions& options,
                             std::uint64_t key) {
  if (std::find(columns.controls.begin(), columns.controls.end(), false) == columns.controls.end())
    return {kControlPenalty, {}, {}, {}};
  if (options.fixed) return {*options.fixed, {}, {}, {}};
  PenaltyChoice choice;
  choice.penalties = penalty_path();
  const auto folds = static_cast<std::int32_t>(std::min<std::int64_t>(options.folds, outcome.scarcest()));
  const FoldOfRow fold_of_row = stratified_folds(outcome, folds, key);
  std::vector<std::vector<double>> errors_of_folds;
  for (std::int32_t fold = 0; fold < folds; ++fold) {
    const auto others = rows_outside(fold_of_row, fold), rows = rows_in(fold_of_row, fold);
    const Division division{
        columns, outcome, columns.subset(others), columns.subset(rows), outcome.subset(others), outcome.subset(rows),
        ties};
    Fitter fitter(division.columns, division.outcome, ties);
    auto& errors = errors_of_folds.emplace_back();
    for (const double penalty : choice.penalties) errors.push_back(division.error(fitter.fit(penalty)));
  }
  summarise(choice, errors_of_folds);
  const auto least = std::min_element(choice.errors.begin(), choice.errors.end()) - choice.errors.begin();
  auto chosen = static_cast<std::size_t>(least);
  if (options.one_standard_error) {
    const double limit = choice.errors[chosen] + choice.standard_errors[chosen];
    chosen = static_cast<std::size_t>(
        std::find_if(choice.errors.begin(), choice.errors.end(), [&](double error) { return error <= limit; }) -
        choice.errors.begin());
  }
  choice.penalty = choice.penalties[chosen];
  return choice;
}

}  // namespace ae::fit
