#include "evaluate/model_file.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/text.hpp"

namespace ae::evaluate {
namespace {

using Json = nlohmann::ordered_json;

InputError damaged_entry(const std::string& key, const std::string& what) {
  return InputError("metadata " + ae::quoted(key) + what + "; the file is damaged");
}

void check_format(const ModelMetadata& metadata, const std::string& name) {
  const auto format = metadata.find("format");
  if (!is_classifier(metadata) && (format == metadata.end() || format->second != kModelFormat)) {
    throw InputError(name + ": not an aetools model (metadata \"format\" is " +
                     (format == metadata.end() ? "missing" : ae::quoted(format->second)) + ", expected " +
                     ae::quoted(kModelFormat) + "); use the model.safetensors that ae-train wrote");
  }
  if (const std::string version = entry(metadata, "version"); version != kModelVersion) {
    throw InputError(name + ": model format version " + ae::quoted(version) + "; this program reads version " +
                     kModelVersion + ": use the aetools version that wrote it, or train again");
  }
}

template <typename T>
std::vector<T> profile_numbers(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end()) return {};
  std::vector<T> values;
  values.reserve(found->size());
  for (const auto& item : *found) {
    if (!item.is_number() || !std::isfinite(item.get<double>())) throw InputError("not a finite number");
    values.push_back(item.get<T>());
  }
  return values;
}

stats::ColumnProfile profile_of(const Json& json, std::int64_t levels) {
  stats::ColumnProfile column;
  column.rows = json.at("rows").get<std::int64_t>();
  column.observed = json.at("observed").get<std::int64_t>();
  column.knots = profile_numbers<double>(json, "knots");
  column.below = profile_numbers<std::int64_t>(json, "below");
  column.at_most = profile_numbers<std::int64_t>(json, "at_most");
  column.levels = profile_numbers<std::int64_t>(json, "levels");
  const auto residual = profile_numbers<double>(json, "residual");
  const bool increasing = std::ranges::adjacent_find(column.knots, std::greater_equal<>()) == column.knots.end();
  const auto in_rows = [&](std::int64_t count) { return count >= 0 && count <= column.observed; };
  if (column.rows < 0 || column.observed < 0 || column.observed > column.rows || !increasing ||
      column.below.size() != column.knots.size() || column.at_most.size() != column.knots.size() ||
      !std::ranges::all_of(column.below, in_rows) || !std::ranges::all_of(column.at_most, in_rows) ||
      !std::ranges::all_of(column.levels, in_rows) || std::ssize(column.levels) != std::max<std::int64_t>(levels, 0) ||
      (levels != kNumeric && !column.knots.empty()) || (!residual.empty() && residual.size() != 2)) {
    throw InputError("counts that contradict each other");
  }
  if (!residual.empty()) column.residual = {residual[0], residual[1]};
  if (const auto found = json.find("hidden_error"); found != json.end()) {
    if (!found->is_number() || !(found->get<double>() >= 0) || !std::isfinite(found->get<double>()))
      throw InputError("an error that is no number from 0 on");
    column.hidden_error = found->get<double>();
  }
  return column;
}

}  // namespace

std::filesystem::path model_file(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored) ? path / "model.safetensors" : path;
}

data::Safetensors read_model_or_classifier(const std::filesystem::path& file) {
  auto contents = data::read_safetensors(file);
  in_model(file.string(), [&] { check_format(contents.metadata, file.string()); });
  return contents;
}

data::Safetensors read_model(const std::filesystem::path& file) {
  auto contents = read_model_or_classifier(file);
  if (is_classifier(contents.metadata)) {
    throw InputError(file.string() + ": is a classifier (/objective/type \"classification\"), which reconstructs and " +
                     "scores nothing; ae-attack and ae-purify --classifier take " + classifier_beside(file).string() +
                     ", and ae-info shows it");
  }
  return contents;
}

bool is_classifier(const ModelMetadata& metadata) {
  const auto format = metadata.find("format");
  return format != metadata.end() && format->second == kClassifierFormat;
}

std::vector<std::string> classes_of(const ModelMetadata& metadata) {
  const auto json = json_entry(metadata, "classes");
  const auto is_text = [](const auto& name) { return name.is_string(); };
  if (!json.is_array() || !std::all_of(json.begin(), json.end(), is_text))
    throw damaged_entry("classes", " is no array of texts");
  return json.get<std::vector<std::string>>();
}

const std::string& entry(const ModelMetadata& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  if (found == metadata.end())
    throw InputError("metadata " + ae::quoted(key) + " is missing; expected a model written by ae-train");
  return found->second;
}

nlohmann::ordered_json json_entry(const ModelMetadata& metadata, const std::string& key) {
  auto json = Json::parse(entry(metadata, key), nullptr, false);
  if (json.is_discarded()) throw damaged_entry(key, " is not JSON");
  return json;
}

stats::ConformalCalibration calibration_of(const ModelMetadata& metadata) {
  const auto json = json_entry(metadata, "calibration");
  const auto bad = [] { return damaged_entry("calibration", " is not a sorted array of finite numbers"); };
  if (!json.is_array()) throw bad();
  std::vector<double> scores;
  scores.reserve(json.size());
  for (const auto& item : json) {
    if (!item.is_number() || !std::isfinite(item.get<double>())) throw bad();
    scores.push_back(item.get<double>());
  }
  if (!std::is_sorted(scores.begin(), scores.end())) throw bad();
  return stats::ConformalCalibration(std::move(scores));
}

std::vector<stats::ColumnProfile> profiles_of(const ModelMetadata& metadata, std::span<const std::int64_t> levels) {
  const auto text = metadata.find("profile");
  if (text == metadata.end()) return {};
  const auto malformed = [](const std::string& why) { return damaged_entry("profile", ": " + why); };
  // A column at a time: the objects of all would take many times their text.
  std::vector<stats::ColumnProfile> profiles;
  profiles.reserve(levels.size());
  bool is_array = false;
  const auto take = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth == 0 && event == Json::parse_event_t::array_start) is_array = true;
    if (depth != 1 || event != Json::parse_event_t::object_end) return true;
    if (profiles.size() == levels.size()) throw InputError("describes another number of columns");
    profiles.push_back(profile_of(parsed, levels[profiles.size()]));
    return false;
  };
  try {
    const auto rest = Json::parse(text->second, take);
    if (!is_array) throw InputError("is not a JSON array");
    if (!rest.empty()) throw InputError("does not hold what it should");
    if (!profiles.empty() && profiles.size() != levels.size()) throw InputError("describes another number of columns");
  } catch (const nlohmann::json::exception&) {
    throw malformed(is_array ? "does not hold what it should" : "is not a JSON array");
  } catch (const InputError& error) {
    throw malformed(error.lines().front());
  }
  return profiles;
}

std::string profiles_json(std::span<const stats::ColumnProfile> profiles) {
  Json all = Json::array();
  for (const auto& column : profiles) {
    Json one{{"rows", column.rows}, {"observed", column.observed}};
    if (!column.knots.empty()) {
      one["knots"] = column.knots;
      one["below"] = column.below;
      one["at_most"] = column.at_most;
    }
    if (!column.levels.empty()) one["levels"] = column.levels;
    if (column.residual) one["residual"] = {column.residual->first, column.residual->second};
    if (column.hidden_error) one["hidden_error"] = *column.hidden_error;
    all.push_back(std::move(one));
  }
  return all.dump();
}

}  // namespace ae::evaluate
