#include "report/model_info.hpp"

#include <algorithm>
#include <cmath>
#include <system_error>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "data/tables/rows.hpp"

namespace ae::report {
namespace {

namespace fs = std::filesystem;
using Metadata = std::map<std::string, std::string>;

constexpr std::string_view kFormat = "aetools autoencoder";

InputError damaged(const std::string& file, const std::string& what) {
  return InputError(file + ": " + what + "; expected a model written by ae-train, or the file is damaged");
}

OrderedJson json_entry(const Metadata& metadata, const std::string& key, const std::string& file) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) throw damaged(file, "metadata " + ae::quoted(key) + " is missing");
  auto json = OrderedJson::parse(found->second, nullptr, false);
  if (json.is_discarded()) throw damaged(file, "metadata " + ae::quoted(key) + " is not JSON");
  return json;
}

void check_format(const Metadata& metadata, const std::string& file) {
  const auto text = [&](const std::string& key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string() : found->second;
  };
  if (text("format") != kFormat) {
    throw InputError(file + ": not an aetools model (metadata \"format\" is " + ae::quoted(text("format")) +
                     ", expected " + ae::quoted(kFormat) + "); use the model.safetensors that ae-train wrote");
  }
  if (text("version") != "1") {
    throw InputError(file + ": model format version " + ae::quoted(text("version")) +
                     "; this program reads version 1: use the aetools version that wrote it");
  }
}

stats::ConformalCalibration calibration_of(const OrderedJson& json, const std::string& file) {
  std::vector<double> scores;
  if (!json.is_array()) throw damaged(file, "metadata \"calibration\" is not an array");
  for (const auto& score : json) {
    if (!score.is_number() || !std::isfinite(score.get<double>())) {
      throw damaged(file, "metadata \"calibration\" holds what is no finite number");
    }
    scores.push_back(score.get<double>());
  }
  return stats::ConformalCalibration(std::move(scores));
}

std::vector<ModelInfo::Array> arrays_of(const data::Arrays& arrays, const std::string& prefix) {
  std::vector<ModelInfo::Array> all;
  for (const auto& [name, array] : arrays) {
    if (name.starts_with(prefix)) all.push_back({name.substr(prefix.size()), array.dtype, array.shape});
  }
  return all;
}

// Of the sections that are looked at, what every model has.
void check_config(const OrderedJson& config, const std::string& file) {
  for (const char* section : {"data", "model", "score"}) {
    if (config.is_object() && config.contains(section) && config.at(section).is_object() &&
        config.at(section).contains("type") && config.at(section).at("type").is_string()) {
      continue;
    }
    throw damaged(file, std::string("its config has no /") + section + "/type");
  }
}

std::size_t column_of(const data::RowSource& rows, std::string_view name) {
  const auto& columns = rows.columns();
  const auto found = std::ranges::find(columns, name);
  if (found == columns.end()) throw InputError(rows.name() + ": no column " + ae::quoted(name));
  return static_cast<std::size_t>(found - columns.begin());
}

TrainingCurve read_metrics(const fs::path& file) {
  const auto rows = data::open_rows(file, {"csv", ",", "yes", ""});
  const std::size_t training = column_of(*rows, "train_loss"), held_out = column_of(*rows, "validation_loss");
  const auto number = [&](std::size_t column) {
    const auto value = parse_number(rows->text(column));
    if (!value || !std::isfinite(*value)) {
      throw InputError(rows->where(column) + ": found " + ae::quoted(rows->text(column)) +
                       ", expected a finite number");
    }
    return *value;
  };
  TrainingCurve curve;
  while (rows->next()) {
    curve.training.push_back(number(training));
    if (!rows->text(held_out).empty()) curve.held_out.push_back(number(held_out));
  }
  if (!curve.held_out.empty() && curve.held_out.size() != curve.training.size()) {
    throw InputError(rows->name() + ": some epochs have a held-out loss and others do not");
  }
  return curve;
}

// What ae-train wrote beside the model, when it is this model's.
void look_beside(ModelInfo& info) {
  const fs::path folder = fs::path(info.file).parent_path();
  std::error_code ignored;
  if (!fs::exists(folder / "run.json", ignored)) {
    info.no_curve = "no run.json of a complete run lies beside the model";
    return;
  }
  auto run = OrderedJson::parse(read_file(folder / "run.json", FileKind::data), nullptr, false);
  if (!run.is_object() || !run.contains("model_sha256") || run.at("model_sha256") != info.sha256) {
    info.no_curve = "the run.json beside the model is another model's";
    return;
  }
  info.run = std::move(run);
  if (!fs::exists(folder / "metrics.csv", ignored)) {
    info.no_curve = "no metrics.csv lies beside the model";
    return;
  }
  TrainingCurve curve = read_metrics(folder / "metrics.csv");
  if (curve.training.empty()) {
    info.no_curve = "no network was trained";
    return;
  }
  if (info.training.is_object()) curve.best_epoch = info.training.value("best_epoch", std::int64_t{0});
  info.curve = std::move(curve);
}

}  // namespace

ModelInfo read_model_info(const fs::path& path) {
  std::error_code ignored;
  const fs::path file = fs::is_directory(path, ignored) ? path / "model.safetensors" : path;
  ModelInfo info;
  info.file = file.string();
  const auto contents = data::read_safetensors(file);
  const auto& metadata = contents.metadata;
  check_format(metadata, info.file);
  info.sha256 = sha256_of_file(file);
  info.bytes = fs::file_size(file, ignored);
  info.config = json_entry(metadata, "config", info.file);
  check_config(info.config, info.file);
  info.training = json_entry(metadata, "training", info.file);
  info.versions = json_entry(metadata, "versions", info.file);
  info.calibration = calibration_of(json_entry(metadata, "calibration", info.file), info.file);
  if (metadata.contains("schema")) {
    try {
      info.schema = data::Schema::from_json(json_entry(metadata, "schema", info.file));
    } catch (const InputError& error) {
      throw InputError(info.file + ": schema: " + error.lines().front());
    }
  }
  if (metadata.contains("geometry")) info.geometry = json_entry(metadata, "geometry", info.file);
  info.network = arrays_of(contents.arrays, "model.");
  info.head = arrays_of(contents.arrays, "head.");
  look_beside(info);
  return info;
}

}  // namespace ae::report
