#include "report/panels.hpp"

#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "report/assets.hpp"
#include "report/page.hpp"
#include "report/roc_text.hpp"

namespace ae::report {
namespace {

std::string panel(std::string_view heading, const std::string& content) {
  return joined("<section class=\"panel\">\n<h2>", markup_escaped(heading), "</h2>\n", content, "</section>\n");
}

}  // namespace

std::string table_panel(std::string_view heading, const std::vector<std::string>& columns,
                        const std::vector<std::vector<std::string>>& rows) {
  std::string table = "<div class=\"scroll\"><table>\n<tr>";
  for (const auto& column : columns) table += joined("<th>", markup_escaped(column), "</th>");
  table += "</tr>\n";
  for (const auto& row : rows) {
    table += "<tr>";
    for (const auto& cell : row) table += joined("<td class=\"hostile\">", markup_escaped(cell), "</td>");
    table += "</tr>\n";
  }
  return panel(heading, table + "</table></div>\n");
}

std::string picture_panel(std::string_view heading, std::string_view description, std::string_view svg) {
  return panel(heading, joined("<img class=\"curve-picture\" alt=\"", markup_escaped(description),
                               "\" src=\"data:image/svg+xml;base64,", base64(svg), "\">\n"));
}

std::string pictures_panel(std::string_view heading, std::string_view description,
                           const std::vector<std::string>& columns, const std::vector<PictureRow>& rows) {
  auto table = joined("<p class=\"muted\">", markup_escaped(description), "</p>\n<div class=\"scroll\"><table>\n<tr>");
  for (const auto& column : columns) table += joined("<th>", markup_escaped(column), "</th>");
  table += "</tr>\n";
  for (const auto& row : rows) {
    table += "<tr>";
    for (const auto& cell : row.texts)
      table += joined("<td class=\"hostile\">", markup_escaped(shortened(cell, 200)), "</td>");
    for (std::size_t i = 0; i < row.pictures.size(); ++i)
      table += joined("<td><img class=\"small-picture\" alt=\"", markup_escaped(columns.at(row.texts.size() + i)),
                      "\" src=\"data:image/png;base64,", base64(row.pictures[i]), "\"></td>");
    table += "</tr>\n";
  }
  return panel(heading, table + "</table></div>\n");
}

std::string facts_panel(std::string_view heading, const evaluate::Figures& facts) {
  std::string list = "<dl>\n";
  for (const auto& [name, value] : facts)
    list += joined("<dt>", markup_escaped(name), "</dt><dd class=\"hostile\">", markup_escaped(shortened(value, 2000)),
                   "</dd>\n");
  return panel(heading, list + "</dl>\n");
}

std::string asked_panel(evaluate::Figures facts, const std::vector<std::string>& warnings, const std::string& command,
                        const std::string& made_by) {
  for (const auto& warning : warnings) facts.emplace_back("Warning", warning);
  facts.emplace_back("Command", command);
  facts.emplace_back("Made by", made_by);
  return facts_panel("What was asked", facts);
}

std::string panels_page(std::string_view title, std::string_view description, const std::string& panels) {
  const nlohmann::json nothing = nlohmann::json::object();
  return html_page(
      {std::string(title), description, "<div class=\"info\">\n" + panels + "</div>\n", assets::info_css, "", nothing});
}

}  // namespace ae::report
