#include "fit/summary.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/counted.hpp"
#include "base/text.hpp"
#include "evaluate/rate_text.hpp"

namespace ae::fit {
namespace {

using Eigen::Index;
using evaluate::difference_text;
using evaluate::rate_text;
using Json = nlohmann::ordered_json;

constexpr const char* kMethod =
    "normal; the variance is the sum of two, averaged over repeats: of held-out rows by the infinitesimal jackknife, "
    "of "
    "the rows learned from by a jackknife of groups at given penalties; differences are paired by both";

constexpr const char* kTest =
    "one-sided score test of the codes' part of held-out predictors, averaged over repeats, as one covariate beside "
    "the "
    "controls in a model of all rows; the variance is that of interval_method; an increment is a p_value of at most "
    "(1 - confidence) / 2 and a figure that rises";

Json number_json(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
Json interval_json(const evaluate::Interval& interval) {
  return Json::array({number_json(interval.low), number_json(interval.high)});
}

void put_estimate(Json& json, const std::string& name, const evaluate::Estimate& estimate) {
  json[name] = number_json(estimate.value);
  json[name + "_interval"] = interval_json(estimate.interval);
  json[name + "_standard_error"] = number_json(estimate.standard_error);
}

Json set_json(const ProbeEvaluation& evaluation, const SetResult& set) {
  const std::string name(figure_name(evaluation.outcome.family));
  Json json;
  put_estimate(json, name, evaluation.estimate(set.figure));
  json[name + "_pooled"] = number_json(set.pooled);
  json["penalties"] = set.penalties;
  return json;
}

Json difference_json(const ProbeEvaluation& evaluation, const Difference& difference) {
  Json json;
  put_estimate(json, std::string(figure_name(evaluation.outcome.family)), difference.estimate);
  return json;
}

Json groups_json(const RiskGroups& groups) {
  return {{"rows", groups.test.rows},
          {"events", groups.test.observed},
          {"expected", groups.test.expected},
          {"log_rank_chi_squared", groups.test.chi_squared},
          {"degrees_of_freedom", groups.test.degrees},
          {"p_value", groups.test.p_value}};
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(width, text.size() + 1), ' ');
  return text;
}

std::string p_value_text(double p) { return p < 1e-4 ? "p < 0.0001" : "p = " + rate_text(p); }

std::string percent(double confidence) { return number_text(100 * confidence) + " %"; }

std::string interval_text(const evaluate::Interval& interval, std::string (*text)(double, int)) {
  return text(interval.low, 4) + " to " + text(interval.high, 4);
}

std::string difference_line(const std::string& what, const Difference& difference, const std::string& verdict) {
  return padded(what, 36) + padded(difference_text(difference.estimate.value), 10) +
         padded(interval_text(difference.estimate.interval, difference_text), 22) + verdict + "\n";
}

std::string heading(const ProbeEvaluation& e) {
  std::string text = std::string(family_name(e.outcome.family)) + ": " + counted(e.ids.size(), "rows");
  if (e.outcome.family == Family::cox) text += ", " + counted(e.outcome.scarcest(), "events");
  if (e.outcome.family == Family::logistic) text += ", " + std::to_string(e.outcome.class_names.size()) + " classes";
  if (e.without_outcome > 0) text += ", " + std::to_string(e.without_outcome) + " left out without an outcome";
  text += "; " + counted(e.latent_columns, "columns");
  if (e.controls > 0) text += " and " + counted(e.controls, "controls");
  return text + "; " + std::to_string(e.options.folds) + " folds, " + counted(e.options.repeats, "times") + "; " +
         std::string(validity(e)) + "\n";
}

// The outcome of a row, as columns of a CSV file.
std::string outcome_header(Family family) {
  return family == Family::cox ? "time,event" : family == Family::logistic ? "label" : "target";
}

void append_outcome(std::string& out, const Outcome& outcome, std::size_t row) {
  switch (outcome.family) {
    case Family::cox:
      append_number(out, outcome.times[row]);
      out += outcome.events[row] != 0 ? ",1" : ",0";
      break;
    case Family::logistic:
      append_csv_field(out, outcome.class_names[static_cast<std::size_t>(outcome.classes[row])]);
      break;
    case Family::ridge:
      append_number(out, outcome.values[row]);
      break;
  }
}

std::vector<std::string> answer_names(const Outcome& outcome, const std::string& set) {
  const std::string of_set = set == "latent" ? "" : "_" + set;
  if (outcome.class_names.size() <= 2) return {"prediction" + of_set};
  std::vector<std::string> names;
  for (const auto& of_class : outcome.class_names) names.push_back("probability" + of_set + "_" + of_class);
  return names;
}

Eigen::MatrixXd mean_answers(const SetResult& set) {
  Eigen::MatrixXd mean = set.answers.front();
  for (std::size_t r = 1; r < set.answers.size(); ++r) mean += set.answers[r];
  return mean / static_cast<double>(set.answers.size());
}

// The columns of a set, in the order of its coefficients.
std::vector<std::string> columns_of(const SetResult& set, const Columns& columns, const Columns& against) {
  if (set.name == "controls") return columns.only(true).names;
  if (set.name == "both" || set.name == "both_against") return (set.name == "both" ? columns : against).names;
  return (set.name == "latent" ? columns : against).only(false).names;
}

void append_cells(std::string& out, std::initializer_list<double> numbers) {
  for (const double number : numbers) {
    out += ',';
    if (std::isfinite(number)) append_number(out, number);
  }
}

// "" for models of one output, whose coefficients need no class.
std::string class_cell(const std::vector<std::string>& classes, Index outputs, Index output) {
  std::string cell = ",";
  if (outputs > 1) append_csv_field(cell, classes[static_cast<std::size_t>(output)]);
  return cell;
}

}  // namespace

bool Increment::significant() const { return test && test->p_value <= (1 - confidence) / 2; }
std::string Increment::verdict() const {
  const bool found = test ? significant() && difference.estimate.value > 0 : difference.positive();
  return found ? "increment" : "no increment";
}
std::string Increment::note() const {
  if (!test || significant() == difference.positive()) return {};
  if (!significant()) return "the interval is above 0, but the test does not bear it out";
  if (difference.estimate.value > 0) return "its size is uncertain: the interval reaches 0";
  return "the test finds that the codes tell something, but held-out predictions do not gain";
}
std::string Increment::words() const {
  std::string text = verdict();
  if (test) text += ", " + p_value_text(test->p_value);
  const auto more = note();
  return more.empty() ? text : text + " (" + more + ")";
}
std::string CodeComparison::verdict() const {
  const auto& interval = difference.estimate.interval;
  if (interval.low > 0) return "better";
  if (interval.low > -margin) return "not worse by more than " + number_text(margin);
  return interval.high < 0 ? "worse" : "undecided";
}
std::string Leak::verdict() const { return difference.positive() ? "leak" : "no leak seen"; }

evaluate::Estimate ProbeEvaluation::estimate(const Figure& figure) const {
  constexpr double kNoBound = -std::numeric_limits<double>::infinity();
  return fit::estimate(figure, confidence, outcome.family == Family::ridge ? kNoBound : 0, 1);
}

std::string_view validity(const ProbeEvaluation& evaluation) { return evaluation.nested ? "nested" : "transductive"; }

void conclude(ProbeEvaluation& e) {
  const auto minus = [&](const SetResult& of, const SetResult& over) {
    return difference(of.figure, over.figure, e.confidence);
  };
  const auto &latent = e.result.sets.front(), *controls = e.result.find("controls"), *both = e.result.find("both");
  if (controls != nullptr)
    for (const auto* of : {both, &latent})
      e.increments.push_back({of->name, controls->name, minus(*of, *controls), e.confidence,
                              of == both ? e.result.increment : std::nullopt});
  const std::pair<const SetResult*, const SetResult*> pairs[] = {{&latent, e.result.find("against")},
                                                                 {both, e.result.find("both_against")}};
  for (const auto& [of, over] : pairs)
    if (over != nullptr) e.comparisons.push_back({of->name, over->name, minus(*of, *over), e.margin});
  if (e.outcome.family != Family::cox) return;
  const auto& groups = latent.risk_groups;
  RiskGroups result;
  for (std::int32_t group = 0; group < e.options.risk_groups; ++group) {
    std::vector<std::int64_t> rows;
    for (std::size_t row = 0; row < groups.size(); ++row)
      if (groups[row] == group) rows.push_back(static_cast<std::int64_t>(row));
    const Outcome some = e.outcome.subset(rows);
    result.curves.push_back(survival_curve({some.times, some.events}, e.confidence));
  }
  result.test = log_rank({e.outcome.times, e.outcome.events}, groups, e.options.risk_groups);
  e.groups = std::move(result);
}

std::string summary_json(const ProbeEvaluation& e, const std::string& made_by,
                         const std::vector<std::string>& command) {
  Json json = {{"made_by", made_by},   {"command", command},
               {"table", e.table},     {"family", family_name(e.outcome.family)},
               {"rows", e.ids.size()}, {"without_outcome", e.without_outcome}};
  if (e.outcome.family == Family::cox) json["events"] = e.outcome.scarcest();
  if (e.outcome.family == Family::logistic) json["classes"] = e.outcome.class_names;
  json["columns"] = e.latent_columns;
  json["controls"] = e.controls;
  json["validity"] = validity(e);
  json["folds"] = e.options.folds;
  json["repeats"] = e.options.repeats;
  json["seed"] = e.options.seed;
  json["confidence"] = e.confidence;
  json["interval_method"] = kMethod;
  const std::string name(figure_name(e.outcome.family));
  put_estimate(json, name, e.estimate(e.result.sets.front().figure));
  for (const auto& set : e.result.sets) json["sets"][set.name] = set_json(e, set);
  if (!e.increments.empty()) {
    for (const auto& increment : e.increments) {
      Json entry = {{"of", increment.of}, {"over", increment.over}};
      entry.update(difference_json(e, increment.difference));
      if (increment.test) {
        entry["z"] = number_json(increment.test->z);
        entry["p_value"] = number_json(increment.test->p_value);
      }
      entry["verdict"] = increment.verdict();
      if (const auto note = increment.note(); !note.empty()) entry["note"] = note;
      json["increments"].push_back(std::move(entry));
    }
    json["increment"] = e.increments.front().verdict();
    json["increment_test"] = kTest;
  }
  if (!e.comparisons.empty()) {
    json["against"] = e.against;
    for (const auto& comparison : e.comparisons) {
      Json entry = {{"of", comparison.of}, {"over", comparison.over}};
      entry.update(difference_json(e, comparison.difference));
      entry["margin"] = comparison.margin;
      entry["verdict"] = comparison.verdict();
      json["comparisons"].push_back(std::move(entry));
    }
    json["comparison"] = e.comparisons.front().verdict();
  }
  if (e.leak) {
    json["leak"] = {{"transductive", e.leak->transductive}};
    json["leak"].update(difference_json(e, e.leak->difference));
    json["leak"]["verdict"] = e.leak->verdict();
  }
  if (e.groups) json["risk_groups"] = groups_json(*e.groups);
  for (const auto& [key, sentence] : conventions(e.outcome.family, e.options.ties)) json["conventions"][key] = sentence;
  json["warnings"] = e.warnings;
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string summary_text(const ProbeEvaluation& e) {
  std::string text = heading(e);
  text += "\n" + padded("", 36) + padded(std::string(figure_title(e.outcome.family)), 10) + percent(e.confidence) +
          " interval\n";
  for (const auto& set : e.result.sets) {
    const auto estimate = e.estimate(set.figure);
    text += padded(set.name, 36) + padded(rate_text(estimate.value), 10) + interval_text(estimate.interval, rate_text) +
            "\n";
  }
  for (const auto& increment : e.increments)
    text += difference_line(increment.of + " - " + increment.over, increment.difference, increment.words());
  for (const auto& comparison : e.comparisons)
    text += difference_line(comparison.of + " - " + comparison.over, comparison.difference, comparison.verdict());
  if (e.leak) text += difference_line("transductive - nested", e.leak->difference, e.leak->verdict());
  if (e.groups) {
    text += "\nrisk groups, lowest first: log-rank p = " + rate_text(e.groups->test.p_value) + "\n";
    for (std::size_t g = 0; g < e.groups->test.rows.size(); ++g)
      text += "  " + std::to_string(g + 1) + "  " + counted(e.groups->test.rows[g], "rows") + ", " +
              std::to_string(e.groups->test.observed[g]) + " events\n";
  }
  return text;
}

std::string predictions_csv(const ProbeEvaluation& e) {
  std::string text = "id,fold," + outcome_header(e.outcome.family);
  std::vector<Eigen::MatrixXd> answers;
  for (const auto& set : e.result.sets) {
    for (const auto& name : answer_names(e.outcome, set.name)) {
      text += ',';
      append_csv_field(text, name);
    }
    answers.push_back(mean_answers(set));
  }
  if (e.groups) text += ",risk_group";
  text += '\n';
  for (std::size_t row = 0; row < e.ids.size(); ++row) {
    append_csv_field(text, e.ids[row]);
    text += ',' + std::to_string(e.result.folds.front()[row]) + ',';
    append_outcome(text, e.outcome, row);
    for (const auto& of_set : answers)
      for (Index a = 0; a < of_set.cols(); ++a) append_cells(text, {of_set(static_cast<Index>(row), a)});
    if (e.groups) text += ',' + std::to_string(e.result.sets.front().risk_groups[row] + 1);
    text += '\n';
  }
  return text;
}

std::string fold_coefficients_csv(const ProbeEvaluation& e, const Columns& columns, const Columns& against) {
  std::string text = "set,column,class,standardised,standard_deviation,same_sign\n";
  for (const auto& set : e.result.sets) {
    std::vector<const Eigen::MatrixXd*> all;
    for (const auto& repeat : set.standardised)
      for (const auto& fold : repeat) all.push_back(&fold);
    const double count = static_cast<double>(all.size());
    const auto names = columns_of(set, columns, against);
    const Index outputs = all.front()->cols();
    for (Index c = 0; c < all.front()->rows(); ++c) {
      for (Index o = 0; o < outputs; ++o) {
        double sum = 0, squares = 0, same = 0;
        for (const auto* fold : all) sum += (*fold)(c, o);
        const double mean = sum / count;
        for (const auto* fold : all) {
          squares += std::pow((*fold)(c, o) - mean, 2);
          same += (*fold)(c, o) * mean > 0;
        }
        text += set.name + ',';
        append_csv_field(text, names[static_cast<std::size_t>(c)]);
        text += class_cell(e.outcome.class_names, outputs, o);
        append_cells(text, {mean, std::sqrt(squares / std::max(1.0, count - 1)), same / count});
        text += '\n';
      }
    }
  }
  return text;
}

std::string coefficients_csv(const LinearModel& model) {
  std::string text = "column,class,coefficient,standard_error,standardised,mean,standard_deviation\n";
  const auto coefficients = model.coefficients();
  const Index outputs = coefficients.cols();
  if (model.family != Family::cox) {
    for (Index o = 0; o < outputs; ++o) {
      text += "(intercept)" + class_cell(model.class_names, outputs, o);
      append_cells(text, {model.intercepts[o] - model.means.dot(coefficients.col(o)),
                          std::numeric_limits<double>::quiet_NaN(), model.intercepts[o]});
      text += ",,\n";
    }
  }
  for (Index c = 0; c < coefficients.rows(); ++c) {
    for (Index o = 0; o < outputs; ++o) {
      append_csv_field(text, model.columns[static_cast<std::size_t>(c)]);
      text += class_cell(model.class_names, outputs, o);
      const bool known = model.standard_errors && model.deviations[c] > 0;
      append_cells(text, {coefficients(c, o),
                          known ? (*model.standard_errors)(c, o) / model.deviations[c]
                                : std::numeric_limits<double>::quiet_NaN(),
                          model.standardised(c, o), model.means[c], model.deviations[c]});
      text += '\n';
    }
  }
  return text;
}

}  // namespace ae::fit
