#include "fit/cross_validation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/text.hpp"

namespace ae::fit {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;

std::span<const double> column_of(const MatrixXd& matrix, Index column) {
  return {matrix.data() + column * matrix.rows(), static_cast<std::size_t>(matrix.rows())};
}

Figure area_of_classes(const MatrixXd& answers, const Outcome& outcome, std::span<const std::int32_t> folds) {
  std::vector<Figure> areas;
  for (Index answer = 0; answer < answers.cols(); ++answer) {
    const Index positive = answers.cols() == 1 ? 1 : answer;
    std::vector<std::uint8_t> is;
    for (const auto klass : outcome.classes) is.push_back(klass == positive);
    areas.push_back(area_under_roc(is, column_of(answers, answer), folds));
  }
  return mean_of(areas);
}

// Runs the folds of all repeats and keeps what they give.
class Run {
 public:
  Run(ColumnsOfFold& columns, const Outcome& outcome, const CrossValidationOptions& options, Reporter& reporter)
      : source_(columns), outcome_(outcome), options_(options), reporter_(reporter) {}

  CrossValidation run() {
    const auto total = static_cast<std::uint64_t>(options_.folds) * static_cast<std::uint64_t>(options_.repeats);
    std::uint64_t done = 0;
    for (std::int32_t repeat = 0; repeat < options_.repeats; ++repeat) {
      const auto key = stream_key(options_.seed, "outer folds", static_cast<std::uint64_t>(repeat));
      result_.folds.push_back(stratified_folds(outcome_, options_.folds, key));
      for (std::int32_t fold = 0; fold < options_.folds; ++fold) {
        reporter_.progress("folds", done++, total);
        run_fold(repeat, fold);
      }
    }
    reporter_.progress_done();
    for (auto& set : result_.sets) sum_up(set);
    return std::move(result_);
  }

 private:
  void run_fold(std::int32_t repeat, std::int32_t fold) {
    const auto& folds = result_.folds[static_cast<std::size_t>(repeat)];
    const auto training = rows_outside(folds, fold), held_out = rows_in(folds, fold);
    const Columns& all = source_.columns(repeat, fold, training);
    if (!all.has_controls()) {
      fit(set(0, "latent"), all, training, held_out, repeat, fold);
      return;
    }
    fit(set(0, "latent"), all.only(false), training, held_out, repeat, fold);
    fit(set(1, "controls"), all.only(true), training, held_out, repeat, fold);
    fit(set(2, "both"), all, training, held_out, repeat, fold);
  }

  SetResult& set(std::size_t number, std::string_view name) {
    if (result_.sets.size() == number) {
      result_.sets.emplace_back();
      result_.sets.back().name = name;
    }
    return result_.sets[number];
  }

  void fit(SetResult& set, const Columns& columns, const std::vector<std::int64_t>& training,
           const std::vector<std::int64_t>& held_out, std::int32_t repeat, std::int32_t fold) {
    const Columns training_columns = columns.subset(training);
    const Outcome training_outcome = outcome_.subset(training);
    const auto key =
        stream_key(options_.seed, "inner folds", static_cast<std::uint64_t>(repeat), static_cast<std::uint64_t>(fold));
    const auto choice = choose_penalty(training_columns, training_outcome, options_.ties, options_.penalty, key);
    const auto model = Fitter(training_columns, training_outcome, options_.ties).fit(choice.penalty);
    const MatrixXd answers = model.answers(columns.subset(held_out).values);
    if (fold == 0) {
      set.answers.emplace_back(static_cast<Index>(outcome_.size()), answers.cols());
      set.penalties.emplace_back();
      set.standardised.emplace_back();
    }
    for (std::size_t i = 0; i < held_out.size(); ++i)
      set.answers.back().row(held_out[i]) = answers.row(static_cast<Index>(i));
    set.penalties.back().push_back(choice.penalty);
    set.standardised.back().push_back(model.standardised);
    if (outcome_.family == Family::cox && repeat == 0) {
      const MatrixXd of_training = model.answers(training_columns.values);
      const auto cuts = risk_cuts({of_training.data(), of_training.data() + of_training.size()}, options_.risk_groups);
      set.risk_groups.resize(outcome_.size());
      for (std::size_t i = 0; i < held_out.size(); ++i)
        set.risk_groups[static_cast<std::size_t>(held_out[i])] = risk_group(answers(static_cast<Index>(i), 0), cuts);
    }
  }

  void sum_up(SetResult& set) const {
    std::vector<Figure> figures;
    for (std::size_t repeat = 0; repeat < set.answers.size(); ++repeat) {
      figures.push_back(figure_of(set.answers[repeat], outcome_, result_.folds[repeat]));
      set.pooled += figure_of(set.answers[repeat], outcome_, {}).value / static_cast<double>(set.answers.size());
    }
    set.figure = mean_of(figures);
  }

  ColumnsOfFold& source_;
  const Outcome& outcome_;
  const CrossValidationOptions& options_;
  Reporter& reporter_;
  CrossValidation result_;
};

}  // namespace

std::string_view figure_name(Family family) {
  return family == Family::cox ? "c_index" : family == Family::logistic ? "auc" : "r2";
}

void check_folds(const Outcome& outcome, std::int32_t folds, const std::string& what) {
  const auto fewest = outcome.scarcest();
  if (fewest >= folds) return;
  const std::string kind = outcome.family == Family::cox        ? "events"
                           : outcome.family == Family::logistic ? "rows of the rarest class"
                                                                : "rows";
  throw UsageError(what + ": found " + std::to_string(fewest) + " " + kind + "; expected at least " +
                   std::to_string(folds) + ", so that every fold has one");
}

CrossValidation cross_validate(ColumnsOfFold& columns, const Outcome& outcome, const CrossValidationOptions& options,
                               Reporter& reporter) {
  // Inner folds divide what is left of one.
  check_folds(outcome, std::max(options.folds, 3), "--folds " + std::to_string(options.folds));
  return Run(columns, outcome, options, reporter).run();
}

std::vector<double> risk_cuts(std::vector<double> answers, std::int32_t groups) {
  std::sort(answers.begin(), answers.end());
  std::vector<double> cuts;
  for (std::int32_t group = 1; group < groups; ++group) {
    const double at = static_cast<double>(answers.size() - 1) * group / groups;
    const auto below = static_cast<std::size_t>(at);
    const double above = answers[std::min(below + 1, answers.size() - 1)];
    cuts.push_back(answers[below] + (at - static_cast<double>(below)) * (above - answers[below]));
  }
  return cuts;
}

std::int32_t risk_group(double answer, std::span<const double> cuts) {
  return static_cast<std::int32_t>(std::upper_bound(cuts.begin(), cuts.end(), answer) - cuts.begin());
}

Figure figure_of(const MatrixXd& answers, const Outcome& outcome, std::span<const std::int32_t> folds) {
  if (outcome.family == Family::cox) return concordance({outcome.times, outcome.events}, column_of(answers, 0), folds);
  if (outcome.family == Family::ridge) return r_squared(outcome.values, column_of(answers, 0));
  return area_of_classes(answers, outcome, folds);
}

Difference difference(const Figure& a, const Figure& b, double confidence) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Difference result{a - b, {}};
  result.estimate = estimate(result.figure, confidence, -kInfinity, kInfinity);
  return result;
}

}  // namespace ae::fit
