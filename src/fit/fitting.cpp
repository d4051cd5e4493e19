#include "fit/fitting.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/counted.hpp"
#include "base/random.hpp"
#include "base/text.hpp"
#include "evaluate/rate_text.hpp"
#include "fit/cross_validation.hpp"

namespace ae::fit {
namespace {

constexpr int kQuantiles = 20;

std::vector<std::pair<double, double>> quantiles_of(std::vector<double> answers) {
  std::sort(answers.begin(), answers.end());
  std::vector<std::pair<double, double>> quantiles{{0, answers.front()}};
  const auto inner = risk_cuts(answers, kQuantiles);
  for (std::size_t i = 0; i < inner.size(); ++i)
    quantiles.emplace_back(static_cast<double>(i + 1) / kQuantiles, inner[i]);
  quantiles.emplace_back(1, answers.back());
  return quantiles;
}

evaluate::Estimate apparent_estimate(const Fitted& fitted, double confidence) {
  return estimate(fitted.apparent, confidence, 0, 1);
}

}  // namespace

Fitted fit_table(const ProbeTable& table, const FitOptions& options, const std::string& made_by) {
  Fitted fitted;
  if (!options.penalty.fixed) check_folds(table.outcome, 2, "choosing the penalty by inner folds");
  fitted.choice =
      choose_penalty(table.columns, table.outcome, options.ties, options.penalty, stream_key(options.seed, "fit"));
  auto& model = fitted.model;
  model.model = Fitter(table.columns, table.outcome, options.ties).fit(fitted.choice.penalty);
  model.ties = options.ties;
  model.made_by = made_by;
  model.rows = static_cast<std::int64_t>(table.outcome.size());
  const Eigen::MatrixXd answers = model.model.answers(table.columns.values);
  if (answers.cols() == 1) model.quantiles = quantiles_of({answers.data(), answers.data() + answers.rows()});
  if (table.outcome.family == Family::cox) {
    model.events = table.outcome.scarcest();
    model.baseline = baseline_hazard(answers.col(0), table.outcome, options.ties);
    model.risk_cuts = risk_cuts({answers.data(), answers.data() + answers.rows()}, options.risk_groups);
  }
  fitted.apparent = figure_of(answers, table.outcome, {});
  return fitted;
}

std::string fit_summary_json(const ProbeTable& table, const Fitted& fitted, double confidence) {
  const auto& model = fitted.model;
  const auto estimate = apparent_estimate(fitted, confidence);
  const std::string name(figure_name(model.model.family));
  nlohmann::ordered_json json = {{"made_by", model.made_by},
                                 {"table", table.name},
                                 {"family", family_name(model.model.family)},
                                 {"rows", model.rows},
                                 {"without_outcome", table.without_outcome}};
  if (model.model.family == Family::cox) json["events"] = model.events;
  json["columns"] = model.model.columns.size();
  json["penalty"] = model.model.penalty;
  json["figures"] = "apparent";  // on the rows fitted to
  json[name] = estimate.value;
  json[name + "_interval"] = {estimate.interval.low, estimate.interval.high};
  json[name + "_standard_error"] = estimate.standard_error;
  json["confidence"] = confidence;
  json["path"] = {{"penalty", fitted.choice.penalties},
                  {"error", fitted.choice.errors},
                  {"standard_error", fitted.choice.standard_errors}};
  for (const auto& [key, sentence] : conventions(model.model.family, model.ties)) json["conventions"][key] = sentence;
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string fit_summary_text(const ProbeTable& table, const Fitted& fitted, double confidence) {
  const auto& model = fitted.model.model;
  const auto estimate = apparent_estimate(fitted, confidence);
  std::string text = std::string(family_name(model.family)) + ": " + counted(fitted.model.rows, "rows");
  if (model.family == Family::cox) text += ", " + counted(fitted.model.events, "events");
  if (table.without_outcome > 0) text += ", " + std::to_string(table.without_outcome) + " left out without an outcome";
  text += "; " + counted(model.columns.size(), "columns") + "; penalty " + number_text(model.penalty);
  text += fitted.choice.penalties.empty() ? " as given\n" : ", by inner folds\n";
  return text + std::string(figure_name(model.family)) + " " + evaluate::rate_text(estimate.value) + ", " +
         number_text(100 * confidence) + " % interval " + evaluate::rate_text(estimate.interval.low) + " to " +
         evaluate::rate_text(estimate.interval.high) +
         ", on the rows that were fitted: new ones do worse (ae-probe evaluate)\n";
}

}  // namespace ae::fit
