#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "evaluate/rate_text.hpp"
#include "report/assets.hpp"
#include "report/page.hpp"
#include "report/probe.hpp"
#include "report/roc_text.hpp"

namespace ae::report {
namespace {

using evaluate::difference_text;
using evaluate::rate_text;

std::string cell(std::string_view content) {
  return joined("<td class=\"hostile\">", markup_escaped(content), "</td>");
}

std::string panel(std::string_view heading, const std::string& content) {
  return joined("<section class=\"panel\">\n<h2>", heading, "</h2>\n", content, "</section>\n");
}

std::string table(std::string_view head, const std::string& rows) {
  return joined("<div class=\"scroll\"><table>\n<tr>", head, "</tr>\n", rows, "</table></div>\n");
}

std::string facts(const ProbePage& page) {
  const auto& e = page.evaluation;
  std::string list;
  const auto add = [&](std::string_view name, std::string_view value) {
    list += joined("<dt>", markup_escaped(name), "</dt><dd class=\"hostile\">", markup_escaped(shortened(value, 2000)),
                   "</dd>\n");
  };
  add("Table", e.table);
  add("Model", fit::family_name(e.outcome.family));
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
  for (const auto& warning : e.warnings) add("Warning", warning);
  add("Command", page.command);
  add("Made by", page.made_by);
  return panel("What was asked", "<dl>\n" + list + "</dl>\n");
}

std::string figures(const fit::ProbeEvaluation& e) {
  std::string rows;
  for (const auto& set : e.result.sets) {
    const auto estimate = e.estimate(set.figure);
    rows += "<tr>" + cell(set.name) + cell(rate_text(estimate.value)) +
            cell(rate_text(estimate.interval.low) + " to " + rate_text(estimate.interval.high)) + cell("") + "</tr>\n";
  }
  const auto add = [&](const std::string& what, const fit::Difference& difference, const std::string& verdict) {
    rows += "<tr>" + cell(what) + cell(difference_text(difference.estimate.value)) +
            cell(difference_text(difference.estimate.interval.low) + " to " +
                 difference_text(difference.estimate.interval.high)) +
            cell(verdict) + "</tr>\n";
  };
  for (const auto& increment : e.increments)
    add(increment.of + " - " + increment.over, increment.difference, increment.words());
  for (const auto& comparison : e.comparisons)
    add(comparison.of + " - " + comparison.over, comparison.difference, comparison.verdict());
  if (e.leak) add("transductive - nested", e.leak->difference, e.leak->verdict());
  return panel("On held-out rows",
               table(joined("<th>columns</th><th>", fit::figure_title(e.outcome.family), "</th><th>",
                            rounded_text(100 * e.confidence, 4), " % interval</th><th>verdict</th>"),
                     rows));
}

std::string curves(const fit::ProbeEvaluation& e) {
  if (!e.groups) return {};
  return panel("Risk groups", joined("<img class=\"curve-picture\" alt=\"Kaplan-Meier curves of the risk groups\" "
                                     "src=\"data:image/svg+xml;base64,",
                                     base64(survival_svg(e)), "\">\n"));
}

std::string conventions(const fit::ProbeEvaluation& e) {
  std::string list;
  for (const auto& [name, sentence] : fit::conventions(e.outcome.family, e.options.ties))
    list += joined("<dt>", markup_escaped(name), "</dt><dd>", markup_escaped(sentence), "</dd>\n");
  return panel("Conventions", "<dl>\n" + list + "</dl>\n");
}

}  // namespace

std::string probe_page(const ProbePage& page) {
  const auto& e = page.evaluation;
  const std::string body =
      "<div class=\"info\">\n" + figures(e) + curves(e) + facts(page) + conventions(e) + "</div>\n";
  const nlohmann::json nothing = nlohmann::json::object();
  return html_page({"What can be read from " + e.table,
                    "How well a simple model predicts rows that it has not seen, and what the columns add.", body,
                    assets::info_css, "", nothing});
}

}  // namespace ae::report
