#include "fit/cross_validation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <optional>

#include "base/error.hpp"
#include "base/parallel_tasks.hpp"
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

// What one fold gives for one set of columns.
struct FoldResult {
  std::string_view set;
  double penalty = 0;
  MatrixXd standardised;
  MatrixXd answers;               // [held-out rows, answers of the model]
  std::vector<MatrixXd> without;  // the same, without each group of rows to learn from
  std::vector<std::int32_t> risk_groups;
  // Of the set that is tested for what it adds to controls: the codes' part of the held-out rows' predictors [held-out
  // rows, outputs], and the score of these rows without each group of rows to learn from.
  MatrixXd of_codes;
  std::vector<double> scores_without;
};

// Runs the folds of all repeats and keeps what they give.
class Run {
 public:
  Run(const ColumnsOfFold& columns, const ColumnsOfFold* against, const Outcome& outcome,
      const CrossValidationOptions& options, Reporter& reporter)
      : source_(columns), against_(against), outcome_(outcome), options_(options), reporter_(reporter) {}

  CrossValidation run() {
    const auto repeats = static_cast<std::size_t>(options_.repeats);
    for (std::size_t repeat = 0; repeat < repeats; ++repeat)
      result_.folds.push_back(
          stratified_folds(outcome_, options_.folds, stream_key(options_.seed, "outer folds", repeat)));
    groups_ = stratified_folds(outcome_, std::min(kTrainingGroups, static_cast<std::int32_t>(outcome_.size())),
                               stream_key(options_.seed, "training groups"));
    of_folds_.resize(repeats, std::vector<std::vector<FoldResult>>(static_cast<std::size_t>(options_.folds)));
    of_repeats_.resize(repeats);
    of_codes_.resize(repeats);
    scores_without_.resize(repeats);
    const std::int64_t tasks = std::int64_t{options_.folds} * options_.repeats;
    run_tasks(
        tasks, task_threads(options_.threads, tasks), "folds",
        [&](std::int64_t task, int) {
          run_fold(static_cast<std::int32_t>(task / options_.folds), static_cast<std::int32_t>(task % options_.folds));
        },
        [&](std::int64_t done) {
          reporter_.progress("folds", static_cast<std::uint64_t>(done), static_cast<std::uint64_t>(tasks));
        });
    reporter_.progress_done();
    for (std::size_t set = 0; set < of_repeats_.front().size(); ++set) result_.sets.push_back(all_repeats(set));
    if (controls_alone_) result_.increment = increment();
    return std::move(result_);
  }

 private:
  void run_fold(std::int32_t repeat, std::int32_t fold) {
    const auto& folds = result_.folds[static_cast<std::size_t>(repeat)];
    const auto training = rows_outside(folds, fold), held_out = rows_in(folds, fold);
    std::vector<FoldResult> results;
    const auto add = [&](std::string_view set, const Columns& columns, const ControlsAlone* tested = nullptr) {
      results.push_back(fit(columns, training, held_out, repeat, fold, tested));
      results.back().set = set;
    };
    const auto add_codes = [&](const Columns& all, std::string_view codes, std::string_view both, bool controls) {
      if (!all.has_controls()) return add(codes, all);
      add(codes, all.only(false));
      if (!controls) return add(both, all);
      add("controls", all.only(true));
      std::call_once(controls_once_, [&] { controls_alone_.emplace(all.only(true), outcome_, options_.ties); });
      add(both, all, &*controls_alone_);
    };
    add_codes(source_.columns(repeat, fold, training), "latent", "both", true);
    if (against_ != nullptr) add_codes(against_->columns(repeat, fold, training), "against", "both_against", false);
    keep(repeat, fold, std::move(results));
  }

  FoldResult fit(const Columns& columns, const std::vector<std::int64_t>& training,
                 const std::vector<std::int64_t>& held_out, std::int32_t repeat, std::int32_t fold,
                 const ControlsAlone* tested) const {
    FoldResult result;
    const Columns training_columns = columns.subset(training);
    const Outcome training_outcome = outcome_.subset(training);
    const MatrixXd held_out_values = columns.subset(held_out).values;
    const auto key =
        stream_key(options_.seed, "inner folds", static_cast<std::uint64_t>(repeat), static_cast<std::uint64_t>(fold));
    result.penalty = choose_penalty(training_columns, training_outcome, options_.ties, options_.penalty, key).penalty;
    const auto model = Fitter(training_columns, training_outcome, options_.ties).fit(result.penalty);
    result.answers = model.answers(held_out_values);
    result.standardised = model.standardised;
    if (tested != nullptr) result.of_codes = model.predictors_of_codes(held_out_values);
    if (outcome_.family == Family::cox && repeat == 0) {
      const MatrixXd of_training = model.answers(training_columns.values);
      const auto cuts = risk_cuts({of_training.data(), of_training.data() + of_training.size()}, options_.risk_groups);
      for (Index i = 0; i < result.answers.rows(); ++i)
        result.risk_groups.push_back(risk_group(result.answers(i, 0), cuts));
    }
    const auto groups = 1 + *std::max_element(groups_.begin(), groups_.end());
    for (std::int32_t group = 0; group < groups; ++group) {
      std::vector<std::int64_t> others;
      for (const auto row : training)
        if (groups_[static_cast<std::size_t>(row)] != group) others.push_back(row);
      // Fewer rows may leave a coefficient without a bound that all of them give it.
      const double penalty = std::max(result.penalty, kControlPenalty);
      const auto less = Fitter(columns.subset(others), outcome_.subset(others), options_.ties).fit(penalty);
      result.without.push_back(less.answers(held_out_values));
      if (tested != nullptr)
        result.scores_without.push_back(tested->score(held_out, less.predictors_of_codes(held_out_values)));
    }
    return result;
  }

  // The last fold of a repeat sums it up, so that what is needed for that alone need not be kept.
  void keep(std::int32_t repeat, std::int32_t fold, std::vector<FoldResult> results) {
    auto& of_repeat = of_folds_[static_cast<std::size_t>(repeat)];
    {
      const std::lock_guard lock(guard_);
      of_repeat[static_cast<std::size_t>(fold)] = std::move(results);
      if (std::any_of(of_repeat.begin(), of_repeat.end(), [](const auto& some) { return some.empty(); })) return;
    }
    for (std::size_t set = 0; set < of_repeat.front().size(); ++set) {
      of_repeats_[static_cast<std::size_t>(repeat)].push_back(one_repeat(static_cast<std::size_t>(repeat), set));
      if (of_repeat.front()[set].of_codes.size() > 0) keep_codes(static_cast<std::size_t>(repeat), set);
    }
    of_repeat.clear();
  }

  void keep_codes(std::size_t repeat, std::size_t set) {
    of_codes_[repeat] = gathered(repeat, set, [](const FoldResult& f) -> const MatrixXd& { return f.of_codes; });
    auto& scores = scores_without_[repeat];
    for (const auto& fold : of_folds_[repeat]) {
      const auto& of_fold = fold[set].scores_without;
      scores.resize(of_fold.size(), 0);
      for (std::size_t group = 0; group < scores.size(); ++group) scores[group] += of_fold[group];
    }
  }

  // The answers for all rows, `of` those of a fold.
  template <typename Of>
  MatrixXd gathered(std::size_t repeat, std::size_t set, Of&& of) const {
    const auto& folds = result_.folds[repeat];
    MatrixXd all(static_cast<Index>(outcome_.size()), of(of_folds_[repeat].front()[set]).cols());
    std::vector<Index> next(of_folds_[repeat].size(), 0);
    for (std::size_t row = 0; row < folds.size(); ++row) {
      const auto fold = static_cast<std::size_t>(folds[row]);
      all.row(static_cast<Index>(row)) = of(of_folds_[repeat][fold][set]).row(next[fold]++);
    }
    return all;
  }

  SetResult one_repeat(std::size_t repeat, std::size_t set) const {
    const auto& folds = result_.folds[repeat];
    const auto& of_fold = of_folds_[repeat];
    SetResult result;
    result.name = of_fold.front()[set].set;
    result.answers.push_back(gathered(repeat, set, [](const FoldResult& f) -> const MatrixXd& { return f.answers; }));
    result.penalties.emplace_back();
    result.standardised.emplace_back();
    for (const auto& fold : of_fold) {
      result.penalties.back().push_back(fold[set].penalty);
      result.standardised.back().push_back(fold[set].standardised);
    }
    if (!of_fold.front()[set].risk_groups.empty()) {
      std::vector<std::size_t> next(of_fold.size(), 0);
      for (const auto fold : folds)
        result.risk_groups.push_back(
            of_fold[static_cast<std::size_t>(fold)][set].risk_groups[next[static_cast<std::size_t>(fold)]++]);
    }
    result.figure = figure_of(result.answers.back(), outcome_, folds);
    result.pooled = figure_of(result.answers.back(), outcome_, {}).value;
    for (std::size_t group = 0; group < of_fold.front()[set].without.size(); ++group) {
      const auto less = [&](const FoldResult& f) -> const MatrixXd& { return f.without[group]; };
      result.figure.training.push_back(figure_of(gathered(repeat, set, less), outcome_, folds).value);
    }
    jackknife(result.figure.training);
    return result;
  }

  SetResult all_repeats(std::size_t set) {
    SetResult result;
    std::vector<Figure> figures;
    for (auto& repeat : of_repeats_) {
      SetResult& one = repeat[set];
      result.name = one.name;
      result.answers.push_back(std::move(one.answers.front()));
      result.penalties.push_back(std::move(one.penalties.front()));
      result.standardised.push_back(std::move(one.standardised.front()));
      if (!one.risk_groups.empty()) result.risk_groups = std::move(one.risk_groups);
      result.pooled += one.pooled / static_cast<double>(of_repeats_.size());
      figures.push_back(std::move(one.figure));
    }
    result.figure = mean_of(figures);
    return result;
  }

  // The score is linear in the predictors, so that their mean over repeats has the mean of the scores.
  IncrementTest increment() const {
    const double repeats = static_cast<double>(of_codes_.size());
    MatrixXd mean = MatrixXd::Zero(of_codes_.front().rows(), of_codes_.front().cols());
    std::vector<double> without(scores_without_.front().size(), 0);
    for (std::size_t repeat = 0; repeat < of_codes_.size(); ++repeat) {
      mean += of_codes_[repeat] / repeats;
      for (std::size_t group = 0; group < without.size(); ++group)
        without[group] += scores_without_[repeat][group] / repeats;
    }
    return test_increment(*controls_alone_, mean, std::move(without));
  }

  const ColumnsOfFold& source_;
  const ColumnsOfFold* against_;
  const Outcome& outcome_;
  const CrossValidationOptions& options_;
  Reporter& reporter_;
  FoldOfRow groups_;  // that rows are left out with, of what is learned from
  std::mutex guard_;
  std::vector<std::vector<std::vector<FoldResult>>> of_folds_;  // [repeat][fold][set]; empty when summed up
  std::vector<std::vector<SetResult>> of_repeats_;              // [repeat][set]
  std::once_flag controls_once_;
  std::optional<ControlsAlone> controls_alone_;
  std::vector<MatrixXd> of_codes_;                   // [repeat]: FoldResult::of_codes of all rows
  std::vector<std::vector<double>> scores_without_;  // [repeat][group]: the sum of those of the folds
  CrossValidation result_;
};

}  // namespace

std::string_view figure_name(Family family) {
  return family == Family::cox ? "c_index" : family == Family::logistic ? "auc" : "r2";
}

std::string_view figure_title(Family family) {
  return family == Family::cox ? "C-index" : family == Family::logistic ? "AUC" : "R2";
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

const SetResult* CrossValidation::find(std::string_view name) const {
  const auto found = std::find_if(sets.begin(), sets.end(), [&](const auto& set) { return set.name == name; });
  return found == sets.end() ? nullptr : &*found;
}

CrossValidation cross_validate(const ColumnsOfFold& columns, const ColumnsOfFold* against, const Outcome& outcome,
                               const CrossValidationOptions& options, Reporter& reporter) {
  // Inner folds divide what is left of one.
  check_folds(outcome, std::max(options.folds, 3), "--folds " + std::to_string(options.folds));
  return Run(columns, against, outcome, options, reporter).run();
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
