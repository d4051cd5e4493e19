#include "base/text.hpp"
#include "evaluate/rate_text.hpp"
#include "report/panels.hpp"
#include "report/probe.hpp"
#include "report/roc_text.hpp"

namespace ae::report {
namespace {

using evaluate::difference_text;
using evaluate::rate_text;

std::string facts(const ProbePage& page) {
  const auto& e = page.evaluation;
  evaluate::Figures list;
  const auto add = [&](const char* name, const std::string& value) { list.emplace_back(name, value); };
  add("Table", e.table);
  add("Model", std::string(fit::family_name(e.outcome.family)));
  add("Rows", std::to_string(e.ids.size()) + (e.without_outcome > 0 ? ", and " + std::to_string(e.without_outcome) +
                                                                          " without an outcome, left out"
                                                                    : std::string()));
  if (e.outcome.family == fit::Family::cox) add("Events", std::to_string(e.outcome.scarcest()));
  add("Columns", std::to_string(e.latent_columns) + (e.controls > 0 ? ", and " + std::to_string(e.controls) +
                                                                          (e.controls == 1 ? " control" : " controls")
                                                                    : std::string()));
  if (!e.against.empty()) add("Against", e.against);
  add("Folds", std::to_string(e.options.folds) + ", " + std::to_string(e.options.repeats) + " times");
  add("Validity", e.nested ? "nested: the encoder was trained again in every fold, without its held-out rows"
                           : "transductive: the columns are those of the table; codes of a model that was trained on "
                             "these rows have seen the held-out ones");
  return asked_panel(std::move(list), e.warnings, page.command, page.made_by);
}

std::string figures(const fit::ProbeEvaluation& e) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& set : e.result.sets) {
    const auto estimate = e.estimate(set.figure);
    rows.push_back({set.name, rate_text(estimate.value),
                    rate_text(estimate.interval.low) + " to " + rate_text(estimate.interval.high), ""});
  }
  const auto add = [&](const std::string& what, const fit::Difference& difference, const std::string& verdict) {
    rows.push_back({what, difference_text(difference.estimate.value),
                    difference_text(difference.estimate.interval.low) + " to " +
                        difference_text(difference.estimate.interval.high),
                    verdict});
  };
  for (const auto& increment : e.increments)
    add(increment.of + " - " + increment.over, increment.difference, increment.words());
  for (const auto& comparison : e.comparisons)
    add(comparison.of + " - " + comparison.over, comparison.difference, comparison.verdict());
  if (e.leak) add("transductive - nested", e.leak->difference, e.leak->verdict());
  return table_panel("On held-out rows",
                     {"columns", std::string(fit::figure_title(e.outcome.family)),
                      rounded_text(100 * e.confidence, 4) + " % interval", "verdict"},
                     rows);
}

std::string curves(const fit::ProbeEvaluation& e) {
  if (!e.groups) return {};
  return picture_panel("Risk groups", "Kaplan-Meier curves of the risk groups", survival_svg(e));
}

std::string conventions(const fit::ProbeEvaluation& e) {
  return facts_panel("Conventions", fit::conventions(e.outcome.family, e.options.ties));
}

}  // namespace

std::string probe_page(const ProbePage& page) {
  const auto& e = page.evaluation;
  return panels_page("What can be read from " + e.table,
                     "How well a simple model predicts rows that it has not seen, and what the columns add.",
                     figures(e) + curves(e) + facts(page) + conventions(e));
}

}  // namespace ae::report
