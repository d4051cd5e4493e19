#include "fit/model_file.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/text.hpp"
#include "fit/json_place.hpp"

namespace ae::fit {
namespace {

using Json = nlohmann::ordered_json;
using Eigen::Index;

constexpr const char* kFormat = "aetools probe";
constexpr int kVersion = 1;

std::vector<double> row_of(const Eigen::MatrixXd& matrix, Index row) {
  std::vector<double> values;
  for (Index c = 0; c < matrix.cols(); ++c) values.push_back(matrix(row, c));
  return values;
}

Json columns_json(const LinearModel& model) {
  Json columns = Json::array();
  const auto coefficients = model.coefficients();
  for (Index c = 0; c < model.means.size(); ++c) {
    Json column = {{"name", model.columns[static_cast<std::size_t>(c)]},
                   {"control", bool{model.controls[static_cast<std::size_t>(c)]}},
                   {"mean", model.means[c]},
                   {"standard_deviation", model.deviations[c]},
                   {"standardised_coefficients", row_of(model.standardised, c)},
                   {"coefficients", row_of(coefficients, c)}};
    columns.push_back(std::move(column));
  }
  return columns;
}

Eigen::Index outputs_of(Family family, std::size_t classes) {
  return family == Family::logistic && classes > 2 ? static_cast<Index>(classes) : 1;
}

void read_columns(const JsonPlace& reader, LinearModel& model) {
  const auto columns = reader.items();
  const auto count = static_cast<Index>(columns.size());
  const Index outputs = outputs_of(model.family, model.class_names.size());
  model.means.resize(count);
  model.deviations.resize(count);
  model.standardised.resize(count, outputs);
  for (Index c = 0; c < count; ++c) {
    const auto& column = columns[static_cast<std::size_t>(c)];
    model.columns.push_back(column.at("name").text());
    model.controls.push_back(column.at("control").flag());
    model.means[c] = column.at("mean").number();
    model.deviations[c] = column.at("standard_deviation").number();
    if (model.deviations[c] < 0) column.at("standard_deviation").refuse("is negative");
    const auto coefficients = column.at("standardised_coefficients").numbers();
    if (static_cast<Index>(coefficients.size()) != outputs)
      column.at("standardised_coefficients").refuse("has another number of entries than there are outputs");
    model.standardised.row(c) = Eigen::Map<const Eigen::RowVectorXd>(coefficients.data(), outputs);
  }
  auto names = model.columns;
  std::sort(names.begin(), names.end());
  if (std::adjacent_find(names.begin(), names.end()) != names.end()) reader.refuse("has a name twice");
  if (count == 0) reader.refuse("is empty");
}

Family family_of(const JsonPlace& reader) {
  const std::string name = reader.text();
  for (const Family family : {Family::cox, Family::logistic, Family::ridge})
    if (name == family_name(family)) return family;
  reader.refuse("is " + ae::quoted(name) + ", no known family");
}

void read_cox(const JsonPlace& top, FittedModel& fitted) {
  const std::string ties = top.at("ties").text();
  if (ties != "efron" && ties != "breslow") top.at("ties").refuse("is neither \"efron\" nor \"breslow\"");
  fitted.ties = ties == "efron" ? Ties::efron : Ties::breslow;
  const auto baseline = top.at("baseline");
  fitted.baseline = {baseline.at("time").numbers(), baseline.at("cumulative_hazard").numbers()};
  if (fitted.baseline.times.size() != fitted.baseline.hazard.size())
    baseline.refuse("has another number of times than of hazards");
  if (!std::is_sorted(fitted.baseline.times.begin(), fitted.baseline.times.end()))
    baseline.at("time").refuse("does not rise");
  fitted.risk_cuts = top.at("risk_cuts").numbers();
  if (!std::is_sorted(fitted.risk_cuts.begin(), fitted.risk_cuts.end())) top.at("risk_cuts").refuse("does not rise");
}

}  // namespace

std::string model_json(const FittedModel& fitted) {
  const LinearModel& model = fitted.model;
  Json json = {{"format", kFormat},
               {"version", kVersion},
               {"made_by", fitted.made_by},
               {"family", family_name(model.family)},
               {"rows", fitted.rows}};
  if (model.family == Family::cox) {
    json["events"] = fitted.events;
    json["ties"] = ties_name(fitted.ties);
  }
  if (model.family == Family::logistic) json["classes"] = model.class_names;
  json["penalty"] = model.penalty;
  json["intercepts"] = row_of(model.intercepts.transpose(), 0);
  json["columns"] = columns_json(model);
  if (model.family == Family::cox) {
    json["baseline"] = {{"time", fitted.baseline.times}, {"cumulative_hazard", fitted.baseline.hazard}};
    json["risk_cuts"] = fitted.risk_cuts;
  }
  Json quantiles = Json::array();
  for (const auto& [share, value] : fitted.quantiles) quantiles.push_back({share, value});
  json["training_quantiles"] = std::move(quantiles);
  for (const auto& [name, sentence] : conventions(model.family, fitted.ties)) json["conventions"][name] = sentence;
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

FittedModel read_model(const std::filesystem::path& path) {
  const JsonFile file(path, kFormat, kVersion, "a model as ae-probe fit writes it");
  const auto top = file.top();
  FittedModel fitted;
  fitted.made_by = top.at("made_by").text();
  LinearModel& model = fitted.model;
  model.family = family_of(top.at("family"));
  if (model.family == Family::logistic) {
    model.class_names = top.at("classes").texts();
    if (model.class_names.size() < 2) top.at("classes").refuse("has fewer than two entries");
  }
  model.penalty = top.at("penalty").number();
  const auto intercepts = top.at("intercepts").numbers();
  if (static_cast<Index>(intercepts.size()) != outputs_of(model.family, model.class_names.size()))
    top.at("intercepts").refuse("has another number of entries than there are outputs");
  model.intercepts = Eigen::Map<const Eigen::VectorXd>(intercepts.data(), static_cast<Index>(intercepts.size()));
  read_columns(top.at("columns"), model);
  if (model.family == Family::cox) read_cox(top, fitted);
  return fitted;
}

std::vector<std::pair<std::string, std::string>> conventions(Family family, Ties ties) {
  std::vector<std::pair<std::string, std::string>> all = {
      {"objective",
       family == Family::cox     ? "negative log partial likelihood / rows + penalty / 2 * sum of squared coefficients"
       : family == Family::ridge ? "mean squared error / 2 + penalty / 2 * sum of squared coefficients"
                                 : "negative log-likelihood / rows + penalty / 2 * sum of squared coefficients"},
      {"coefficients",
       "the penalty is on those of standardised columns (mean 0, standard deviation over rows 1); controls have a "
       "penalty of at most 1e-6"},
      {"glmnet", family == Family::ridge
                     ? "lambda = penalty * standard deviation over rows of the outcome, with alpha = 0"
                     : "lambda = penalty, with alpha = 0"},
  };
  if (family != Family::cox) all.emplace_back("intercept", "not penalised; at the means of the columns");
  if (family == Family::cox) {
    all.emplace_back("ties", ties == Ties::efron ? "Efron, as survival::coxph" : "Breslow, as glmnet");
    all.emplace_back("times", "those closer than 1.5e-8 are one, as survival::coxph with timefix");
    all.emplace_back("prediction", "log hazard ratio to a row of average columns");
  }
  if (family == Family::logistic)
    all.emplace_back("scikit-learn", "C = 1 / (rows * penalty), on standardised columns, solver lbfgs");
  if (family == Family::ridge) all.emplace_back("scikit-learn", "alpha = rows * penalty, on standardised columns");
  return all;
}

}  // namespace ae::fit
