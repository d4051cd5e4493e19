// What a model file tells without its network, and what all who read one check alike. Its layout: docs/model-file.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "data/bytes/safetensors.hpp"
#include "stats/conformal.hpp"
#include "stats/shift.hpp"

namespace ae::evaluate {

inline constexpr const char* kModelFormat = "aetools autoencoder";
inline constexpr const char* kModelVersion = "1";
// Of the same layout, but with classes, and without loss, score and calibration; beside it lies what programs use.
inline constexpr const char* kClassifierFormat = "aetools classifier";
inline constexpr const char* kClassifierFile = "classifier.pt";
inline std::filesystem::path classifier_beside(const std::filesystem::path& model) {
  return model.parent_path() / kClassifierFile;
}

// `path` is a model file or the folder that ae-train wrote.
std::filesystem::path model_file(const std::filesystem::path& path);

// All of it. InputError for what is damaged, no model, or of another version than this program reads.
// A classifier is refused, with what takes it instead.
data::Safetensors read_model(const std::filesystem::path& file);
// The same, or a classifier.
data::Safetensors read_model_or_classifier(const std::filesystem::path& file);

// --- entries of its metadata -----------------------------------------------------------------------------------------
// InputError, without the file's name, when there is none, or it is not what ae-train writes.

using ModelMetadata = std::map<std::string, std::string>;

const std::string& entry(const ModelMetadata& metadata, const std::string& key);
nlohmann::ordered_json json_entry(const ModelMetadata& metadata, const std::string& key);
stats::ConformalCalibration calibration_of(const ModelMetadata& metadata);
bool is_classifier(const ModelMetadata& metadata);
std::vector<std::string> classes_of(const ModelMetadata& metadata);  // of a classifier

inline constexpr std::int64_t kNumeric = -1;
// `levels`: of each element how many categories it has, or kNumeric. Empty when the model keeps none.
std::vector<stats::ColumnProfile> profiles_of(const ModelMetadata& metadata, std::span<const std::int64_t> levels);
std::string profiles_json(std::span<const stats::ColumnProfile> profiles);

// What function() returns. Its errors are of input, whatever they would be elsewhere, and begin with `place`: the name
// of the file, or of an entry.
template <typename Function>
auto in_model(const std::string& place, Function&& function) {
  try {
    return function();
  } catch (const Error& error) {
    std::vector<std::string> lines;
    for (const auto& line : error.lines()) lines.push_back(line.starts_with(place) ? line : place + ": " + line);
    throw InputError(std::move(lines));
  }
}

}  // namespace ae::evaluate
