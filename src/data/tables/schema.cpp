#include "data/tables/schema.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>

#include "base/error.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "data/tables/cells.hpp"

namespace ae::data {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<config::Choice, 6> kRoles{{
    {"numeric", "a number; every observed cell must be one"},
    {"categorical", "one of a set of levels"},
    {"ignore", "not used"},
    {"id", "names the row; passed through to the output"},
    {"label", "the row's known class; passed through to the output, never an input of the model"},
    {"weight", "how often the row counts in training"},
}};

[[noreturn]] void malformed_schema(const std::string& pointer, const std::string& message) {
  throw InputError(pointer + ": " + message);
}

void require_keys(const Json& json, const std::string& pointer, std::span<const std::string_view> known) {
  if (!json.is_object()) malformed_schema(pointer, "found " + std::string(json.type_name()) + ", expected an object");
  for (const auto& [key, value] : json.items()) {
    if (std::ranges::find(known, key) == known.end()) malformed_schema(pointer, "unknown key " + ae::quoted(key));
  }
}

const Json& member(const Json& json, std::string_view pointer, const char* name) {
  const auto found = json.find(name);
  if (found == json.end()) malformed_schema(std::string(pointer) + "/" + name, "missing key");
  return *found;
}

std::string text_value(const Json& json, const std::string& pointer) {
  if (!json.is_string()) malformed_schema(pointer, "found " + std::string(json.type_name()) + ", expected a text");
  auto text = json.get<std::string>();
  if (!is_utf8(text)) malformed_schema(pointer, "not valid UTF-8");
  return text;
}

const Json& array_member(const Json& json, std::string_view pointer, const char* name) {
  const Json& array = member(json, pointer, name);
  if (!array.is_array()) {
    malformed_schema(std::string(pointer) + "/" + name,
                     "found " + std::string(array.type_name()) + ", expected an array");
  }
  return array;
}

std::vector<std::string> text_array(const Json& json, const std::string& pointer, const char* name) {
  std::vector<std::string> texts;
  for (const auto& item : array_member(json, pointer, name)) {
    texts.push_back(text_value(item, pointer + "/" + name + "/" + std::to_string(texts.size())));
  }
  return texts;
}

Role role_of(const std::string& name, const std::string& pointer) {
  for (std::size_t i = 0; i < kRoles.size(); ++i)
    if (kRoles[i].name == name) return static_cast<Role>(i);
  malformed_schema(pointer, "unknown role " + ae::quoted(name));
}

Scaler scaler_of(const Json& json, const std::string& pointer) {
  try {
    return Scaler::from_json(json);
  } catch (const InputError& error) {
    throw InputError(pointer + error.lines().front());
  }
}

Column column_of(const Json& json, const std::string& pointer) {
  static constexpr std::array<std::string_view, 6> keys{"name", "role", "scaler", "levels", "decimals", "observed"};
  require_keys(json, pointer, keys);
  Column column;
  column.name = text_value(member(json, pointer, "name"), pointer + "/name");
  column.role = role_of(text_value(member(json, pointer, "role"), pointer + "/role"), pointer + "/role");
  if (json.contains("scaler") && column.role != Role::numeric)
    malformed_schema(pointer + "/scaler", "only for numeric columns");
  if (json.contains("levels") && column.role != Role::categorical) {
    malformed_schema(pointer + "/levels", "only for categorical columns");
  }
  if (column.role == Role::numeric) column.scaler = scaler_of(member(json, pointer, "scaler"), pointer + "/scaler");
  if (const auto decimals = json.find("decimals"); decimals != json.end()) {
    const bool counts = decimals->is_number_integer() && *decimals >= 0 && *decimals <= kMostDecimals;
    if (!counts || column.role != Role::numeric) {
      malformed_schema(pointer + "/decimals",
                       "expected a whole number from 0 to " + std::to_string(kMostDecimals) + ", of a numeric column");
    }
    column.decimals = decimals->get<int>();
  }
  if (const auto observed = json.find("observed"); observed != json.end()) {
    if (!observed->is_boolean()) malformed_schema(pointer + "/observed", "expected true or false");
    column.observed = observed->get<bool>();
  }
  if (column.role == Role::categorical) {
    column.levels = text_array(json, pointer, "levels");
    if (column.levels.size() > kMostLevels) malformed_schema(pointer + "/levels", "more levels than a code can count");
    if (std::ranges::adjacent_find(column.levels, std::greater_equal<>()) != column.levels.end()) {
      malformed_schema(pointer + "/levels", "expected distinct levels in increasing order");
    }
  }
  return column;
}

NumberFormat numbers_of(const Json& json, const std::string& pointer) {
  static constexpr std::array<std::string_view, 2> keys{"decimal", "thousands"};
  require_keys(json, pointer, keys);
  NumberFormat numbers;
  const auto decimal = text_value(member(json, pointer, "decimal"), pointer + "/decimal");
  if (decimal != "." && decimal != ",") malformed_schema(pointer + "/decimal", "expected \".\" or \",\"");
  numbers.decimal = decimal[0];
  numbers.thousands = text_value(member(json, pointer, "thousands"), pointer + "/thousands");
  if (numbers.thousands == decimal)
    malformed_schema(pointer + "/thousands", "expected another mark than the decimal one");
  return numbers;
}

std::string header_of(const Json& json, const std::string& pointer) {
  auto header = text_value(json, pointer);
  if (header != "yes" && header != "no") malformed_schema(pointer, "expected \"yes\" or \"no\"");
  return header;
}

void check_columns(const std::vector<Column>& columns) {
  std::unordered_set<std::string_view> names;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (!names.insert(columns[i].name).second) {
      malformed_schema("/columns/" + std::to_string(i) + "/name",
                       "a second column named " + ae::quoted(columns[i].name));
    }
  }
  for (const Role role : {Role::id, Role::label, Role::weight}) {
    if (std::ranges::count(columns, role, &Column::role) > 1) {
      malformed_schema("/columns", "more than one column with role \"" + std::string(role_name(role)) + "\"");
    }
  }
}

}  // namespace

std::span<const config::Choice> roles() { return kRoles; }

std::string_view role_name(Role role) { return kRoles[static_cast<std::size_t>(role)].name; }

std::vector<std::size_t> Schema::features() const {
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].role == Role::numeric || columns[i].role == Role::categorical) indices.push_back(i);
  }
  return indices;
}

std::optional<std::size_t> Schema::find(Role role) const {
  const auto found = std::ranges::find(columns, role, &Column::role);
  if (found == columns.end()) return std::nullopt;
  return static_cast<std::size_t>(found - columns.begin());
}

Json Schema::to_json() const {
  Json all = Json::array();
  for (const auto& column : columns) {
    Json one{{"name", column.name}, {"role", role_name(column.role)}};
    if (column.role == Role::numeric) one["scaler"] = column.scaler.to_json();
    if (column.role == Role::categorical) one["levels"] = column.levels;
    if (column.decimals) one["decimals"] = *column.decimals;
    if (!column.observed) one["observed"] = false;
    all.push_back(std::move(one));
  }
  Json json{{"columns", std::move(all)}, {"missing", missing}, {"normal", normal}};
  // What a file need not say is not written, as in models from before there was a choice.
  if (!missing_in_numbers.empty()) json["missing_in_numbers"] = missing_in_numbers;
  if (!numbers.plain())
    json["numbers"] = {{"decimal", std::string(1, numbers.decimal)}, {"thousands", numbers.thousands}};
  if (!delimiter.empty()) json["delimiter"] = delimiter;
  if (header != "auto") json["header"] = header;
  return json;
}

TableFormat Schema::format() const {
  TableFormat format{.header = header, .former_delimiter = delimiter};
  for (const auto index : features()) format.names.push_back(columns[index].name);
  return format;
}

Schema Schema::from_json(const Json& json) {
  static constexpr std::array<std::string_view, 7> keys{"columns", "missing",   "normal", "missing_in_numbers",
                                                        "numbers", "delimiter", "header"};
  require_keys(json, "", keys);
  Schema schema;
  for (const auto& item : array_member(json, "", "columns")) {
    schema.columns.push_back(column_of(item, "/columns/" + std::to_string(schema.columns.size())));
  }
  check_columns(schema.columns);
  if (schema.features().empty()) malformed_schema("/columns", "no numeric or categorical column");
  schema.missing = text_array(json, "", "missing");
  schema.normal = text_array(json, "", "normal");
  if (json.contains("missing_in_numbers")) schema.missing_in_numbers = text_array(json, "", "missing_in_numbers");
  if (json.contains("numbers")) schema.numbers = numbers_of(json["numbers"], "/numbers");
  if (json.contains("delimiter")) schema.delimiter = text_value(json["delimiter"], "/delimiter");
  if (json.contains("header")) schema.header = header_of(json["header"], "/header");
  return schema;
}

void Block::clear() {
  rows = 0;
  elements = 0;
  values.clear();
  observed.clear();
  row_numbers.clear();
  ids.clear();
  labels.clear();
  weights.clear();
  problems.clear();
  kept.clear();
  raw_bytes.clear();
  raw_ends.clear();
}

void Block::append_row(const Block& from, std::int64_t row) {
  const auto r = static_cast<std::size_t>(row);
  const auto first = row * from.elements;
  values.insert(values.end(), from.values.begin() + first, from.values.begin() + first + from.elements);
  observed.insert(observed.end(), from.observed.begin() + first, from.observed.begin() + first + from.elements);
  row_numbers.push_back(from.row_numbers[r]);
  if (!from.ids.empty()) ids.push_back(from.ids[r]);
  if (!from.labels.empty()) labels.push_back(from.labels[r]);
  if (!from.weights.empty()) weights.push_back(from.weights[r]);
  ++rows;
}

std::string element_text(const Column& column, double value) {
  if (column.role != Role::categorical) return number_text(column.scaler.unscale(value));
  const double code = std::round(value);
  if (!(code >= 0) || code >= static_cast<double>(column.levels.size())) return "<unseen>";
  return column.levels[static_cast<std::size_t>(code)];
}

}  // namespace ae::data
