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
#include "recipe/makers.hpp"

namespace ae::recipe {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "aetools autoencoder";
constexpr const char* kVersion = "1";
constexpr std::size_t kDigestDigits = 8;

std::vector<double> parse_calibration(const data::Safetensors& file) {
  const auto json = Json::parse(entry(file.metadata, "calibration"), nullptr, false);
  if (json.is_discarded()) throw InputError("metadata \"calibration\" is not JSON; the file is damaged");
  std::vector<double> scores;
  const auto bad = [&] {
    return InputError("metadata \"calibration\" is not a sorted array of finite numbers; the file is damaged");
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

const std::string& entry(const Metadata& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) {
    throw InputError("metadata " + ae::quoted(key) + " is missing; expected a model written by ae-train");
  }
  return found->second;
}

Checkpoint Checkpoint::open(const std::filesystem::path& path) {
  Checkpoint checkpoint;
  std::error_code ignored;
  const auto file_path = std::filesystem::is_directory(path, ignored) ? path / "model.safetensors" : path;
  const std::string name = checkpoint.name_ = file_path.string();
  auto file = data::read_safetensors(file_path);
  checkpoint.digest_ = sha256_of_file(file_path).substr(0, kDigestDigits);
  const auto in_file = [&](auto&& function) { return as_input_error(name, function); };
  const auto format = file.metadata.find("format");
  if (format == file.metadata.end() || format->second != kFormat) {
    throw InputError(name + ": not an aetools model (metadata \"format\" is " +
                     (format == file.metadata.end() ? "missing" : ae::quoted(format->second)) + ", expected " +
                     ae::quoted(kFormat) + "); use the model.safetensors that ae-train wrote");
  }
  if (const auto& version = in_file([&] { return entry(file.metadata, "version"); }); version != kVersion) {
    throw InputError(name + ": model format version " + ae::quoted(version) + "; this program reads version " +
                     kVersion + ": use the aetools version that wrote it, or train again");
  }
  checkpoint.config_ = std::make_unique<Config>();
  Config& config = *checkpoint.config_;
  in_file([&] {
    config::read_text(config, entry(file.metadata, "config"), name, ".");
    checkpoint.kind_ = config.data->restore(file.metadata);
    checkpoint.calibration_ = stats::ConformalCalibration(parse_calibration(file));
  });
  const std::string matters = in_file([&] { return entry(file.metadata, "observed_matters"); });
  if (matters != "true" && matters != "false") {
    throw InputError(name + ": metadata \"observed_matters\" is " + ae::quoted(matters) + ", expected true or false");
  }

  const model::Domain& domain = checkpoint.kind_->domain();
  if (const auto profile = file.metadata.find("profile"); profile != file.metadata.end()) {
    in_file([&] { checkpoint.profile_ = Profile::from_json(profile->second, domain.elements); });
    file.metadata.erase(profile);  // of many columns it is the largest text
  }
  const auto weights = data::arrays_under(file.arrays, "model.");
  in_file([&] {
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
  in_file([&] {
    score::resolve(config.score, domain, config.model->has_network());
    config.score->restore(data::arrays_under(file.arrays, "head."), *checkpoint.autoencoder_);
  });
  return checkpoint;
}

int Checkpoint::use_threads(int requested, int processes) const {
  constexpr double kRowsAtOnce = 256;
  constexpr double kTilesAtOnce = 32;
  // Heads that do not ask the network share out their work themselves, and have enough of it.
  if (!head().asks_network()) return model::use_threads(requested, 1e9, model::Pool::openmp, processes);
  const model::Domain& domain = kind_->domain();
  const model::Network& network = autoencoder_->network();
  return model::use_threads(requested, (domain.gridded() ? kTilesAtOnce : kRowsAtOnce) * network.operations(domain),
                            network.pool(), processes);
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
  if (contents.profile.known()) file.metadata["profile"] = contents.profile.to_json();
  contents.kind.save(file.metadata);
  for (const auto& [name, array] : contents.weights) file.arrays["model." + name] = array;
  for (const auto& [name, array] : contents.head.state()) file.arrays["head." + name] = array;
  data::seal(file);
  write_file(path, data::to_bytes(file));
}

}  // namespace ae::recipe
