#include "report/info_words.hpp"

#include <algorithm>

#include "base/counted.hpp"
#include "base/text.hpp"
#include "evaluate/model_file.hpp"
#include "report/roc_text.hpp"

namespace ae::report {
namespace {

constexpr std::size_t kMostLevels = 8;  // shown of a column

std::string number(double value) { return rounded_text(value, 5); }

std::string scalar(const OrderedJson& value) {
  return value.is_string()         ? value.get<std::string>()
         : value.is_number_float() ? number(value.get<double>())
                                   : value.dump();
}

bool is_list_of_objects(const OrderedJson& value) {
  return value.is_array() && !value.empty() && value.front().is_object();
}

// "neighbours (judge normalized, k 5)"; what such an object holds in lists stands behind a colon.
std::string described(const OrderedJson& object) {
  std::string settings, parts;
  for (const auto& [key, value] : object.items()) {
    if (key == "type" || value.is_null()) continue;
    if (value.is_object()) {
      settings += (settings.empty() ? "" : ", ") + key + " " + described(value);
    } else if (is_list_of_objects(value)) {
      for (const auto& part : value) parts += (parts.empty() ? ": " : "; ") + described(part);
    } else if (!value.is_array() || !value.empty()) {
      settings += (settings.empty() ? "" : ", ") + key + " " + scalar(value);
    }
  }
  const std::string type = object.value("type", std::string());
  const std::string blank = type.empty() || settings.empty() ? "" : " ";
  return type + blank + (settings.empty() ? "" : "(" + settings + ")") + parts;
}

std::int64_t elements(const std::vector<ModelInfo::Array>& arrays) {
  std::int64_t sum = 0;
  for (const auto& array : arrays) {
    std::int64_t count = 1;
    for (const std::int64_t extent : array.shape) count *= extent;
    sum += count;
  }
  return sum;
}

std::string data_words(const ModelInfo& info) {
  if (!info.schema) return info.kind() + (info.geometry.is_object() ? " " + described(info.geometry) : "");
  const auto& columns = info.schema->columns;
  const auto count = [&](data::Role role) { return std::ranges::count(columns, role, &data::Column::role); };
  std::string text = "table: " + counted(count(data::Role::numeric), "numeric column", "numeric columns") + ", " +
                     std::to_string(count(data::Role::categorical)) + " categorical";
  if (const auto ignored = count(data::Role::ignore)) text += ", " + std::to_string(ignored) + " not learned from";
  if (const auto id = info.schema->find(data::Role::id)) text += "; id " + ae::quoted(columns[*id].name);
  if (const auto label = info.schema->find(data::Role::label)) {
    text += "; label " + ae::quoted(columns[*label].name);
    if (!info.schema->normal.empty()) text += " (normal: " + ae::join(info.schema->normal) + ")";
  }
  return text;
}

std::string classes_words(const ModelInfo& info) {
  if (info.classes.empty()) return {};
  return counted(std::ssize(info.classes), "class", "classes") + ": " + ae::join(info.classes) + "; " +
         std::string(evaluate::kClassifierFile) + " beside this file is for ae-attack and ae-purify --classifier";
}

std::string network_words(const ModelInfo& info) {
  if (info.network.empty()) return "none";
  return described(info.config.at(info.classes.empty() ? "model" : "objective")) + ", " +
         std::to_string(elements(info.network)) + " weights";
}

std::string loss_words(const ModelInfo& info) {
  std::string text;
  const auto terms = info.config.value("/loss/terms"_json_pointer, OrderedJson::array());
  if (!terms.is_array()) return text;
  for (const auto& term : terms) text += (text.empty() ? "" : " + ") + described(term);
  return text;
}

std::string score_words(const ModelInfo& info) {
  std::string text = described(info.config.at("score"));
  if (info.head.empty()) return text;
  std::vector<std::string> kept;
  for (const auto& array : info.head) kept.push_back(array.name + " " + data::shape_text(array.shape));
  return text + "; it keeps " + ae::join(kept);
}

std::string calibration_words(const ModelInfo& info) {
  const auto& calibration = info.calibration;
  const auto size = static_cast<std::int64_t>(calibration.size());
  if (size == 0) return "none: there are no p-values";
  const auto& scores = calibration.sorted();
  return counted(size, "score of a normal row", "scores of normal rows") + " from " + number(scores.front()) + " to " +
         number(scores.back()) + ", median " + number(scores[scores.size() / 2]) + "; the smallest p-value is " +
         number(calibration.smallest()) +
         (calibration.has_tail() ? ", below which tail_p_value goes on"
                                 : ", and there are too few scores for a tail_p_value");
}

std::string training_words(const ModelInfo& info) {
  const auto& training = info.training;
  if (!training.is_object()) return {};
  std::string text = counted(training.value("training_rows", std::int64_t{0}), "sample", "samples") + ", " +
                     std::to_string(training.value("held_out_rows", std::int64_t{0})) + " held out";
  const auto epochs = training.value("epochs", std::int64_t{0});
  if (epochs == 0) return text + "; no network trained";
  text += "; weights of epoch " + std::to_string(training.value("best_epoch", std::int64_t{0})) + " of " +
          std::to_string(epochs);
  if (training.contains("training_loss")) text += ", training loss " + scalar(training.at("training_loss"));
  if (training.contains("validation_loss")) text += ", held-out loss " + scalar(training.at("validation_loss"));
  return text;
}

std::string version_words(const ModelInfo& info) {
  std::string text;
  if (!info.versions.is_object()) return text;
  for (const auto& [program, version] : info.versions.items()) {
    text += (text.empty() ? "" : ", ") + program + " " + scalar(version);
  }
  return text;
}

std::string run_words(const ModelInfo& info) {
  if (!info.run.is_object()) return {};
  std::string text = info.run.value("finished", std::string());
  if (info.run.contains("seconds") && info.run.at("seconds").is_number()) {
    text += ", after " + rounded_text(info.run.at("seconds").get<double>(), 3) + " s";
  }
  if (info.run.contains("from") && info.run.at("from").is_object()) {
    text += ", beginning with the weights of " + info.run.at("from").value("sha256", std::string()).substr(0, 8);
  }
  return text;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> facts_of(const ModelInfo& info) {
  const bool is_classifier = !info.classes.empty();
  std::vector<std::pair<std::string, std::string>> facts{
      {"model", info.name()},
      {"file", info.file + ", " + std::to_string(info.bytes) + " bytes"},
      {"SHA-256", info.sha256},
      {"written by", version_words(info)},
      {"data", data_words(info)},
      {"classes", classes_words(info)},
      {"network", network_words(info)},
      {"loss", info.network.empty() || is_classifier ? "" : loss_words(info)},
      {"score", is_classifier ? "" : score_words(info)},
      {"calibration", is_classifier ? "" : calibration_words(info)},
      {"training", training_words(info)},
      {"trained", run_words(info)},
      {"curve", info.curve ? "" : info.no_curve},
  };
  std::erase_if(facts, [](const auto& fact) { return fact.second.empty(); });
  return facts;
}

std::vector<ColumnWords> columns_of(const ModelInfo& info) {
  std::vector<ColumnWords> words;
  if (!info.schema) return words;
  for (const data::Column& column : info.schema->columns) {
    std::string detail;
    if (column.role == data::Role::numeric) {
      const data::Scaler& scaler = column.scaler;
      detail = scaler.constant() ? "constant " + number(scaler.center())
                                 : scaler.to_json().value("method", std::string()) + ": centre " +
                                       number(scaler.center()) + ", spread " + number(scaler.spread());
    } else if (column.role == data::Role::categorical) {
      detail = counted(static_cast<std::int64_t>(column.levels.size()), "level", "levels") + ": " +
               ae::join(column.levels, ", ", kMostLevels);
    }
    words.push_back({column.name, std::string(data::role_name(column.role)), detail});
  }
  return words;
}

}  // namespace ae::report
