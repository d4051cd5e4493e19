#include "report/table_page.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "report/assets.hpp"
#include "report/page.hpp"

namespace ae::report {
namespace {

using nlohmann::json;

constexpr std::size_t most_cell_text = 400;  // characters of one cell
constexpr std::size_t most_line = 2000;
constexpr std::size_t most_column_bins = 40;  // of a column's picture

std::string cell(const std::string& text) { return shortened(text, most_cell_text); }

json place(const std::optional<double>& at) { return at && std::isfinite(*at) ? json(*at) : json(nullptr); }

json reason_json(const RowReason& reason) {
  return {{"column", cell(reason.column)},
          {"observed", cell(reason.observed)},
          {"expected", cell(reason.expected)},
          {"usual", {cell(reason.usual_low), cell(reason.usual_high)}},
          {"percent", reason.percent},
          {"at", place(reason.at)},
          {"expected_at", place(reason.expected_at)},
          {"normal", {reason.low, reason.high}}};
}

json row_json(const PageRow& row) {
  json kept = json::array(), reasons = json::array();
  for (const auto& text : row.kept) kept.push_back(cell(text));
  for (const auto& reason : row.reasons) reasons.push_back(reason_json(reason));
  return {{"id", cell(row.id)},           {"label", cell(row.label)}, {"score", row.score},
          {"p_value", row.p_value},       {"flagged", row.flagged},   {"kept", std::move(kept)},
          {"reasons", std::move(reasons)}};
}

json column_json(const PageColumn& column) {
  json shares = json::array();
  for (std::size_t i = 0; i < std::min(column.shares.size(), most_column_bins); ++i)
    shares.push_back({column.shares[i].first, column.shares[i].second});
  return {{"name", cell(column.name)},
          {"p_value", column.p_value},
          {"distance", column.distance},
          {"missing", column.missing},
          {"missing_in_training", column.missing_in_training},
          {"unseen", column.unseen},
          {"drifted", column.drifted},
          {"shares", std::move(shares)},
          {"cut", column.shares.size() > most_column_bins}};
}

}  // namespace

void write_table_page(Output& output, const TablePage& page) {
  json data = {{"noun", page.noun},
               {"scored", page.scored},
               {"flagged", page.flagged},
               {"bad", page.bad},
               {"any_rule", page.any_rule},
               {"threshold", place(page.threshold)},
               {"rule", shortened(page.rule, most_line)},
               {"drifted", page.drifted},
               {"drift_p_value", page.drift_p_value},
               {"logarithmic", page.logarithmic}};
  for (const char* list : {"bins", "kept", "rows", "columns", "warnings", "facts"}) data[list] = json::array();
  for (const auto& bin : page.bins) data["bins"].push_back({bin.from, bin.to, bin.rows, bin.usual});
  for (const auto& name : page.kept) data["kept"].push_back(cell(name));
  for (const auto& row : page.rows) data["rows"].push_back(row_json(row));
  for (const auto& column : page.columns) data["columns"].push_back(column_json(column));
  for (const auto& line : page.warnings) data["warnings"].push_back(shortened(line, most_line));
  if (!page.command.empty()) data["facts"].push_back({"Command", shortened(page.command, most_line)});
  for (const auto& [name, value] : page.facts) data["facts"].push_back({name, shortened(value, most_line)});
  output.write(html_page({page.title, "Each row by its anomaly score: the strangest, and the cells that say why.",
                          assets::table_html, assets::table_css, assets::table_js, data}));
}

}  // namespace ae::report
