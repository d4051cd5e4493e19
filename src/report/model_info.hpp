// What can be said of a model without applying it: read from the metadata of its file alone, so that no LibTorch is
// needed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/bytes/safetensors.hpp"
#include "data/tables/schema.hpp"
#include "report/training.hpp"
#include "stats/conformal.hpp"

namespace ae::report {

using OrderedJson = nlohmann::ordered_json;

struct ModelInfo {
  struct Array {
    std::string name;
    data::Dtype dtype = data::Dtype::f32;
    std::vector<std::int64_t> shape;
  };
  std::string file;
  std::string sha256;  // of the file
  std::uint64_t bytes = 0;
  OrderedJson config;                  // resolved
  std::optional<data::Schema> schema;  // of a table
  OrderedJson geometry;                // of images, else null
  std::vector<std::string> classes;    // of a classifier, which has no loss, score and calibration
  OrderedJson training, versions;      // as ae-train wrote them
  OrderedJson run;                     // the run's manifest beside the model, when it is this model's; else null
  stats::ConformalCalibration calibration;
  std::vector<Array> network, head;    // without their prefixes
  std::optional<TrainingCurve> curve;  // of the metrics beside the model
  std::string no_curve;                // why there is none

  std::string name() const { return sha256.substr(0, 8); }  // as score files and summaries name the model
  std::string kind() const { return config.at("data").at("type"); }
};

// `path`: a model file or the folder that ae-train wrote. InputError for anything else, or a damaged one.
ModelInfo read_model_info(const std::filesystem::path& path);

std::string info_text(const ModelInfo& info);
OrderedJson info_json(const ModelInfo& info);
// One self-contained HTML file. `command`: the command line that made it.
std::string info_page(const ModelInfo& info, const std::string& command);

}  // namespace ae::report
