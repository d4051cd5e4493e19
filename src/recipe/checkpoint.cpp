#include "recipe/checkpoint.hpp"

#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "base/version.hpp"
#include "config/document.hpp"
#include "model/threads.hpp"

namespace ae::recipe {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "aetools autoencoder";
constexpr const char* kVersion = "1";

const std::string& metadata(const data::Safetensors& file, const char* key, const std::string& name) {
  const auto found = file.metadata.find(key);
  if (found == file.metadata.end()) {
    throw InputError(name + ": metadata " + ae::quoted(key) + " is missing; expected a model written by ae-train");
  }
  return found->second;
}

Json parse_json(const data::Safetensors& file, const char* key, const std::string& name) {
  auto json = Json::parse(metadata(file, key, name), nullptr, false);
  if (json.is_discarded())
    throw InputError(name + ": metadata " + ae::quoted(key) + " is not JSON; the file is damaged");
  return json;
}

std::vector<double> parse_calibration(const data::Safetensors& file, const std::string& name) {
  const auto json = parse_json(file, "calibration", name);
  std::vector<double> scores;
  const auto bad = [&] {
    return InputError(name + ": metadata \"calibration\" is not a sorted array of finite numbers; the file is damaged");
  };
  if (!json.is_array()) throw bad();
  for (const auto& item : json) {
    if (!item.is_number() || !std::isfinite(item.get<double>())) throw bad();
    scores.push_back(item.get<double>());
  }
  if (!std::is_sorted(scores.begin(), scores.end())) throw bad();
  return scores;
}

// Errors of parts that users write are usage errors; inside a checkpoint they mean a damaged file.
template <typename Function>
auto as_input_error(const std::string& name, Function&& function) {
  try {
    return function();
  } catch (const Error& error) {
    std::vector<std::string> lines;
    for (const auto& line : error.lines()) lines.push_back(line.starts_with(name) ? line : name + ": " + line);
    throw InputError(std::move(lines));
  }
}

// A damaged file must not make us take absurd amounts of memory for a tile.
void check_geometry(const data::Geometry& geometry, const std::string& name) {
  constexpr std::int64_t kMostPixels = std::int64_t{1} << 28;
  if (geometry.height > 0 && geometry.width > 0 && geometry.height * geometry.width <= kMostPixels) return;
  throw InputError(name + ": metadata \"geometry\" describes samples of " +
                   data::size_text({geometry.height, geometry.width}) + " pixels; the file is damaged");
}

// A network is only built when the file really holds as many numbers as it would allocate.
void check_size(const Config& config, const model::Interface& interface, const Arrays& weights,
                const std::string& name) {
  double held = 0;
  for (const auto& [key, array] : weights)
    held += static_cast<double>(array.bytes.size()) / data::dtype_size(array.dtype);
  const double needed = config.model->weights(interface);
  if (needed > held) {
    throw InputError(name + ": holds " + number_text(held) + " weights, its config needs at least " +
                     number_text(needed) + "; the file is damaged");
  }
}

}  // namespace

Checkpoint Checkpoint::open(const std::filesystem::path& path) {
  Checkpoint checkpoint;
  std::error_code ignored;
  const auto file_path = std::filesystem::is_directory(path, ignored) ? path / "model.safetensors" : path;
  const std::string name = checkpoint.name_ = file_path.string();
  const auto file = data::read_safetensors(file_path);
  const auto format = file.metadata.find("format");
  if (format == file.metadata.end() || format->second != kFormat) {
    throw InputError(name + ": not an aetools model (metadata \"format\" is " +
                     (format == file.metadata.end() ? "missing" : ae::quoted(format->second)) + ", expected " +
                     ae::quoted(kFormat) + "); use the model.safetensors that ae-train wrote");
  }
  if (const auto& version = metadata(file, "version", name); version != kVersion) {
    throw InputError(name + ": model format version " + ae::quoted(version) + "; this program reads version " +
                     kVersion + ": use the aetools version that wrote it, or train again");
  }
  checkpoint.config_ = std::make_unique<Config>();
  Config& config = *checkpoint.config_;
  as_input_error(name, [&] { config::read_text(config, metadata(file, "config", name), name, "."); });
  if (file.metadata.contains("geometry")) {
    as_input_error(name, [&] {
      config::read_text(checkpoint.geometry_.emplace(), metadata(file, "geometry", name), name + " geometry", ".");
    });
    check_geometry(*checkpoint.geometry_, name);
  } else {
    const Json schema = parse_json(file, "schema", name);
    checkpoint.schema_ = as_input_error(name + ": schema", [&] { return data::Schema::from_json(schema); });
  }
  checkpoint.calibration_ = stats::ConformalCalibration(parse_calibration(file, name));
  const std::string& matters = metadata(file, "observed_matters", name);
  if (matters != "true" && matters != "false") {
    throw InputError(name + ": metadata \"observed_matters\" is " + ae::quoted(matters) + ", expected true or false");
  }

  const model::Domain domain = checkpoint.geometry_ ? model::image_domain(*checkpoint.geometry_)
                                                    : model::Domain(model::elements_of(checkpoint.schema_));
  const auto weights = data::arrays_under(file.arrays, "model.");
  as_input_error(name, [&] {
    const loss::Composition composition(config.loss.terms, domain, config.model->variational());
    check_size(config, {domain, composition.outputs(), matters == "true"}, weights, name);
    checkpoint.autoencoder_ =
        std::make_unique<loss::Autoencoder>(*config.model, config.loss.terms, domain, matters == "true", 0);
  });
  const auto state = checkpoint.autoencoder_->network().state();
  restore_tensors("model.", state, file.arrays, name);
  if (weights.size() != state.size()) {
    throw InputError(name + ": holds " + std::to_string(weights.size()) + " model tensors, its config describes " +
                     std::to_string(state.size()) + "; the file is damaged");
  }
  as_input_error(name, [&] {
    score::check_judges(*config.score, domain);
    config.score->restore(data::arrays_under(file.arrays, "head."), *checkpoint.autoencoder_);
  });
  return checkpoint;
}

int Checkpoint::use_threads(int requested, int processes) const {
  constexpr double kRowsAtOnce = 256;
  constexpr double kTilesAtOnce = 32;
  const bool images = autoencoder_->domain().images();
  // Heads that do not ask the network share out their work themselves, and have enough of it.
  if (!head().asks_network()) return model::use_threads(requested, 1e9, model::Pool::openmp, processes);
  const double operations = autoencoder_->network().operations(autoencoder_->domain());
  return model::use_threads(requested, (images ? kTilesAtOnce : kRowsAtOnce) * operations,
                            images ? model::Pool::openmp : model::Pool::blas, processes);
}

void write_checkpoint(const std::filesystem::path& path, const CheckpointContents& contents) {
  data::Safetensors file;
  Json calibration = Json::array();
  std::vector<double> sorted = contents.calibration;
  std::sort(sorted.begin(), sorted.end());
  for (const double score : sorted) calibration.push_back(score);
  const Json versions{{"aetools", version()}, {"libtorch", TORCH_VERSION}};
  file.metadata = {
      {"format", kFormat},
      {"version", kVersion},
      {"config", config::to_json(contents.config, config::Paths::as_written)},
      {"observed_matters", contents.observed_matters ? "true" : "false"},
      {"calibration", calibration.dump()},
      {"training", contents.training_json},
      {"versions", versions.dump()},
  };
  if (contents.geometry) {
    data::Geometry geometry = *contents.geometry;
    file.metadata["geometry"] = config::to_json(geometry, config::Paths::as_written);
  } else {
    file.metadata["schema"] = contents.schema.to_json().dump();
  }
  for (const auto& [name, array] : contents.weights) file.arrays["model." + name] = array;
  for (const auto& [name, array] : contents.head.state()) file.arrays["head." + name] = array;
  data::seal(file);
  write_file(path, data::to_bytes(file));
}

}  // namespace ae::recipe
