#include "report/model_info.hpp"

#include <algorithm>
#include <cmath>
#include <system_error>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "data/tables/rows.hpp"
#include "evaluate/model_file.hpp"

namespace ae::report {
namespace {

namespace fs = std::filesystem;

InputError damaged(const std::string& file, const std::string& what) {
  return InputError(file + ": " + what + "; expected a model written by ae-train, or the file is damaged");
}

// Of each element of a table's rows: see evaluate::profiles_of().
std::vector<std::int64_t> levels_of(const data::Schema& schema) {
  std::vector<std::int64_t> levels;
  for (const std::size_t i : schema.features()) {
    const auto& column = schema.columns[i];
    levels.push_back(column.role == data::Role::categorical ? std::ssize(column.levels) : evaluate::kNumeric);
  }
  return levels;
}

data::Schema schema_of(const evaluate::ModelMetadata& metadata) {
  const auto json = evaluate::json_entry(metadata, "schema");
  return evaluate::in_model("schema", [&] { return data::Schema::from_json(json); });
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
  const fs::path file = evaluate::model_file(path);
  ModelInfo info;
  info.file = file.string();
  const auto contents = evaluate::read_model_or_classifier(file);
  const auto& metadata = contents.metadata;
  info.sha256 = sha256_of_file(file);
  std::error_code ignored;
  info.bytes = fs::file_size(file, ignored);
  evaluate::in_model(info.file, [&] {
    info.config = evaluate::json_entry(metadata, "config");
    check_config(info.config, info.file);
    info.training = evaluate::json_entry(metadata, "training");
    info.versions = evaluate::json_entry(metadata, "versions");
    if (evaluate::is_classifier(metadata))
      info.classes = evaluate::classes_of(metadata);
    else
      info.calibration = evaluate::calibration_of(metadata);
    if (metadata.contains("geometry")) info.geometry = evaluate::json_entry(metadata, "geometry");
    if (metadata.contains("schema")) info.schema = schema_of(metadata);
    if (info.schema) evaluate::profiles_of(metadata, levels_of(*info.schema));  // not told, but checked
  });
  info.network = arrays_of(contents.arrays, "model.");
  info.head = arrays_of(contents.arrays, "head.");
  look_beside(info);
  return info;
}

}  // namespace ae::report
