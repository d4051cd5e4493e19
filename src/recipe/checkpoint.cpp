#include "recipe/checkpoint.hpp"

#include <torch/version.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "base/version.hpp"
#include "config/document.hpp"
#include "evaluate/model_file.hpp"
#include "model/threads.hpp"
#include "recipe/makers.hpp"

namespace ae::recipe {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kDigestDigits = 8;

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

// What every file has.
Metadata common_metadata(const char* format, Config& config, const Kind& kind, const std::string& training) {
  const Json versions{{"aetools", version()}, {"libtorch", TORCH_VERSION}};
  Metadata metadata{
      {"format", format},
      {"version", evaluate::kModelVersion},
      {"config", config::to_json(config, config::Paths::as_written)},
      {"training", training},
      {"versions", versions.dump()},
  };
  kind.save(metadata);
  return metadata;
}

}  // namespace

Checkpoint Checkpoint::open(const std::filesystem::path& model) {
  Checkpoint checkpoint;
  const auto path = evaluate::model_file(model);
  const std::string name = checkpoint.name_ = path.string();
  auto file = evaluate::read_model(path);
  checkpoint.sha256_ = sha256_of_file(path);
  checkpoint.digest_ = checkpoint.sha256_.substr(0, kDigestDigits);
  const auto in_file = [&](auto&& function) { return evaluate::in_model(name, function); };
  checkpoint.config_ = std::make_unique<Config>();
  Config& config = *checkpoint.config_;
  in_file([&] {
    config::read_text(config, entry(file.metadata, "config"), name, ".");
    checkpoint.kind_ = config.data->restore(file.metadata);
    checkpoint.calibration_ = evaluate::calibration_of(file.metadata);
  });
  const std::string matters = in_file([&] { return entry(file.metadata, "observed_matters"); });
  if (matters != "true" && matters != "false") {
    throw InputError(name + ": metadata \"observed_matters\" is " + ae::quoted(matters) + ", expected true or false");
  }

  const model::Domain& domain = checkpoint.kind_->domain();
  std::error_code ignored;
  // What can be read but once is read now.
  if (!std::filesystem::is_regular_file(path, ignored)) checkpoint.profile_ = checkpoint.profile_in(file.metadata);
  file.metadata.clear();
  const auto weights = data::arrays_under(file.arrays, "model.");
  in_file([&] {
    const loss::Composition composition(config.loss.terms, domain, config.model->variational());
    check_size(config, {domain, composition.outputs(), matters == "true", composition.constants()}, weights, name);
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

Profile Checkpoint::profile_in(const Metadata& metadata) const {
  std::vector<std::int64_t> levels;
  for (const auto& element : kind_->domain().elements)
    levels.push_back(element.categorical() ? element.codes - 1 : evaluate::kNumeric);
  return {evaluate::in_model(name_, [&] { return evaluate::profiles_of(metadata, levels); })};
}

const Profile& Checkpoint::profile() const {
  if (!profile_) {
    if (sha256_of_file(name_) != sha256_)
      throw InputError(name_ + ": is another file than when it was opened; run again with the model that is there now");
    profile_ = profile_in(evaluate::read_model(name_).metadata);
  }
  return *profile_;
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

void write_classifier(const std::filesystem::path& path, const ClassifierContents& contents) {
  data::Safetensors file;
  file.metadata = common_metadata(evaluate::kClassifierFormat, contents.config, contents.kind, contents.training_json);
  file.metadata["classes"] = Json(contents.classes).dump();
  for (const auto& [name, array] : contents.weights) file.arrays["model." + name] = array;
  data::seal(file);
  write_file(path, data::to_bytes(file));
}

void write_checkpoint(const std::filesystem::path& path, const CheckpointContents& contents) {
  data::Safetensors file;
  Json calibration = Json::array();
  std::vector<double> sorted = contents.calibration;
  std::sort(sorted.begin(), sorted.end());
  for (const double score : sorted) calibration.push_back(score);
  file.metadata = common_metadata(evaluate::kModelFormat, contents.config, contents.kind, contents.training_json);
  file.metadata["observed_matters"] = contents.observed_matters ? "true" : "false";
  file.metadata["calibration"] = calibration.dump();
  if (contents.profile.known()) file.metadata["profile"] = evaluate::profiles_json(contents.profile.columns);
  for (const auto& [name, array] : contents.weights) file.arrays["model." + name] = array;
  for (const auto& [name, array] : contents.head.state()) file.arrays["head." + name] = array;
  data::seal(file);
  write_file(path, data::to_bytes(file));
}

}  // namespace ae::recipe
