// A model's facts as text, as JSON and as a page.
#include <algorithm>

#include "base/text.hpp"
#include "report/assets.hpp"
#include "report/info_words.hpp"
#include "report/page.hpp"
#include "report/roc_text.hpp"

namespace ae::report {
namespace {

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}

OrderedJson arrays_json(const std::vector<ModelInfo::Array>& arrays) {
  OrderedJson all = OrderedJson::array();
  for (const auto& array : arrays) {
    all.push_back({{"name", array.name}, {"type", data::dtype_name(array.dtype)}, {"shape", array.shape}});
  }
  return all;
}

OrderedJson calibration_json(const stats::ConformalCalibration& calibration) {
  OrderedJson json{
      {"scores", calibration.size()}, {"smallest_p_value", calibration.smallest()}, {"tail", calibration.has_tail()}};
  if (calibration.size() > 0) {
    const auto& scores = calibration.sorted();
    json["lowest"] = scores.front();
    json["median"] = scores[scores.size() / 2];
    json["highest"] = scores.back();
  }
  return json;
}

OrderedJson curve_json(const ModelInfo& info) {
  if (!info.curve) return nullptr;
  return {{"train_loss", info.curve->training},
          {"validation_loss", info.curve->held_out},
          {"best_epoch", info.curve->best_epoch}};
}

std::string cell(std::string_view content) {
  return joined("<td class=\"hostile\">", markup_escaped(content), "</td>");
}

std::string panel(std::string_view heading, const std::string& content) {
  return joined("<section class=\"panel\">\n<h2>", heading, "</h2>\n", content, "</section>\n");
}

std::string facts_panel(const ModelInfo& info, const std::string& command) {
  constexpr std::size_t kLongest = 2000;
  std::string list;
  const auto add = [&](std::string_view name, const std::string& text) {
    list += joined("<dt>", markup_escaped(name), "</dt><dd class=\"hostile\">",
                   markup_escaped(shortened(text, kLongest)), "</dd>\n");
  };
  for (const auto& [name, text] : facts_of(info)) add(name, text);
  add("this page", command);
  return panel("The model", "<dl>\n" + list + "</dl>\n");
}

std::string curve_panel(const ModelInfo& info) {
  if (!info.curve) return {};
  return panel("Training", joined("<img class=\"curve-picture\" alt=\"Training and held-out loss by epoch\" "
                                  "src=\"data:image/svg+xml;base64,",
                                  base64(training_svg(*info.curve)), "\">\n"));
}

std::string columns_panel(const ModelInfo& info) {
  const auto columns = columns_of(info);
  if (columns.empty()) return {};
  std::string rows;
  for (const auto& column : columns)
    rows += "<tr>" + cell(column.name) + cell(column.role) + cell(column.detail) + "</tr>\n";
  return panel("Columns",
               "<div class=\"scroll\"><table>\n<tr><th>name</th><th>role</th><th>scaling or levels</th></tr>\n" + rows +
                   "</table></div>\n");
}

}  // namespace

std::string info_text(const ModelInfo& info) {
  std::string text;
  const auto facts = facts_of(info);
  std::size_t width = 0;
  for (const auto& [name, fact] : facts) width = std::max(width, name.size());
  for (const auto& [name, fact] : facts) text += padded(name, width) + "  " + printable(fact) + "\n";
  const auto columns = columns_of(info);
  std::size_t longest = 0;
  for (const auto& column : columns) longest = std::max(longest, column.name.size());
  constexpr std::size_t kRoleWidth = 11, kWidest = 40;
  if (!columns.empty()) text += "\ncolumns\n";
  for (const auto& column : columns) {
    text += "  " + padded(printable(column.name), std::min(longest, kWidest)) + "  " +
            padded(column.role, column.detail.empty() ? 0 : kRoleWidth) +
            (column.detail.empty() ? "" : "  " + printable(column.detail)) + "\n";
  }
  return text + "\nrecipe\n" + info.config.dump(2) + "\n";
}

OrderedJson info_json(const ModelInfo& info) {
  OrderedJson json{{"model", info.name()},
                   {"file", info.file},
                   {"bytes", info.bytes},
                   {"sha256", info.sha256},
                   {"versions", info.versions},
                   {"kind", info.kind()},
                   {"schema", info.schema ? info.schema->to_json() : OrderedJson()},
                   {"geometry", info.geometry},
                   {"recipe", info.config},
                   {"network", arrays_json(info.network)},
                   {"head", arrays_json(info.head)},
                   {"calibration", calibration_json(info.calibration)},
                   {"training", info.training},
                   {"run", info.run},
                   {"curve", curve_json(info)}};
  if (!info.classes.empty()) json["classes"] = info.classes;
  return json;
}

std::string info_page(const ModelInfo& info, const std::string& command) {
  const std::string body = "<div class=\"info\">\n" + facts_panel(info, command) + curve_panel(info) +
                           columns_panel(info) +
                           panel("Recipe", "<pre>" + markup_escaped(info.config.dump(2)) + "</pre>\n") + "</div>\n";
  const nlohmann::json nothing = nlohmann::json::object();
  return html_page({"Model " + info.name(), "What it was made for, what its scores rest on, and how it was trained.",
                    body, assets::info_css, "", nothing});
}

}  // namespace ae::report
