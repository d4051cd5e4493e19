#include "fit/apply.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "base/text.hpp"
#include "evaluate/score_reader.hpp"
#include "fit/by_id.hpp"
#include "fit/cross_validation.hpp"
#include "fit/numbers.hpp"

namespace ae::fit {
namespace {

using evaluate::ScoreReader;

class Applying {
 public:
  Applying(const FittedModel& fitted, const ApplyOptions& options, Reporter& reporter)
      : fitted_(fitted),
        options_(options),
        table_(options.table, reporter),
        numbers_(options.missing, options.missing_cells),
        values_(1, fitted.model.means.size()) {
    id_ = find_id(table_, options.id, !options.scores.empty());
    if (!options.scores.empty()) scores_.emplace(options.scores, options.score, reporter);
    for (const auto& name : fitted.model.columns) {
      const bool loss = name == kLossColumn;
      if (loss && scores_)
        columns_.push_back(std::nullopt);
      else
        columns_.push_back(table_.require(
            name, "model", loss ? "--scores, by a table of ae-score" : "the same header as where it was fitted"));
    }
  }

  std::string header() const {
    std::string text = "id,prediction";
    for (const auto& name : fitted_.model.class_names) {
      if (fitted_.model.class_names.size() == 2) break;
      text += ',';
      append_csv_field(text, "probability_" + name);
    }
    if (fitted_.model.family == Family::cox) text += ",risk_group";
    if (options_.horizon) text += ",survival";
    return text + "\n";
  }

  bool next() { return table_.next(); }

  std::string row() {
    const std::string id = id_of(table_, id_);
    for (std::size_t c = 0; c < columns_.size(); ++c)
      values_(0, static_cast<Eigen::Index>(c)) =
          columns_[c] ? numbers_.predictor(table_, *columns_[c]) : scores_->of(id, table_.name());
    const Eigen::MatrixXd answers = fitted_.model.answers(values_);
    std::string text;
    append_csv_field(text, id);
    text += ',';
    if (answers.cols() == 1) {
      append_number(text, answers(0, 0));
    } else {
      Eigen::Index likeliest = 0;
      answers.row(0).maxCoeff(&likeliest);
      append_csv_field(text, fitted_.model.class_names[static_cast<std::size_t>(likeliest)]);
      for (Eigen::Index k = 0; k < answers.cols(); ++k) {
        text += ',';
        append_number(text, answers(0, k));
      }
    }
    if (fitted_.model.family == Family::cox)
      text += ',' + std::to_string(risk_group(answers(0, 0), fitted_.risk_cuts) + 1);
    if (options_.horizon) {
      text += ',';
      append_number(text, survival_probability(fitted_.baseline, answers(0, 0), *options_.horizon));
    }
    return text + "\n";
  }

 private:
  const FittedModel& fitted_;
  const ApplyOptions& options_;
  ScoreReader table_;
  Numbers numbers_;
  std::optional<std::size_t> id_;
  std::optional<ScoresById> scores_;
  std::vector<std::optional<std::size_t>> columns_;  // none: that of the scores
  Eigen::MatrixXd values_;                           // one row
};

}  // namespace

std::int64_t apply_model(const FittedModel& model, const ApplyOptions& options,
                         const std::function<void(std::string_view)>& write, Reporter& reporter) {
  if (options.horizon && model.model.family != Family::cox)
    throw UsageError("--horizon is for models of survival; this one is of family " +
                     std::string(family_name(model.model.family)));
  const auto& columns = model.model.columns;
  if (!options.scores.empty() && std::find(columns.begin(), columns.end(), kLossColumn) == columns.end())
    throw UsageError("--scores is for models that were fitted with it; this one has no column " +
                     ae::quoted(kLossColumn));
  Applying applying(model, options, reporter);
  write(applying.header());
  std::int64_t rows = 0;
  for (; applying.next(); ++rows) write(applying.row());
  return rows;
}

double survival_probability(const CumulativeHazard& baseline, double predictor, double time) {
  const auto after = std::upper_bound(baseline.times.begin(), baseline.times.end(), time) - baseline.times.begin();
  const double hazard = after == 0 ? 0 : baseline.hazard[static_cast<std::size_t>(after - 1)];
  return std::exp(-hazard * std::exp(predictor));
}

}  // namespace ae::fit
