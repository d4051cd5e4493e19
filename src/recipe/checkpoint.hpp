// The finished model as one self-contained file: weights, and in the metadata everything needed to use them.
//
// `__metadata__` of model.safetensors (all values are text; JSON where said so):
//   format "aetools autoencoder", version "1"
//   config       JSON, the resolved configuration as to_json() writes it
//   schema       of tables: JSON, columns with roles, scaling and levels, missing texts, normal labels
//   geometry     of images: JSON, channels and size of a sample, resizing and tiles
//   observed_matters "true" | "false" (see model::Interface)
//   calibration  JSON array, the sorted scores of the held-out normal rows
//   profile      JSON array, what each element of training samples was like (see Profile); not in older models
//   training     JSON object: epochs, best_epoch, losses, rows
//   versions     JSON object: aetools, libtorch
//   sha256       digest of everything else (see data::seal)
// Tensors: "model.<parameter>", "head.<array>".
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "loss/autoencoder.hpp"
#include "recipe/config.hpp"
#include "recipe/profile.hpp"
#include "recipe/tensor_io.hpp"
#include "score/head.hpp"
#include "stats/conformal.hpp"

namespace ae::recipe {

class Checkpoint {
 public:
  // `path` is a model file or the folder that ae-train wrote. Everything is checked before it is used; InputError (exit
  // 4) for a missing, damaged or hostile file, or one of another kind.
  static Checkpoint open(const std::filesystem::path& path);

  const std::string& name() const { return name_; }  // the file, for messages
  const Config& config() const { return *config_; }
  const Kind& kind() const { return *kind_; }
  const loss::Autoencoder& autoencoder() const { return *autoencoder_; }
  const score::Head& head() const { return *config_->score; }
  const stats::ConformalCalibration& calibration() const { return calibration_; }
  // Read from the file when it is first asked for, by one thread: of many columns it is most of a model, and few
  // answers need it. InputError when it is damaged, or the file is no longer the one that was opened.
  const Profile& profile() const;
  // The first 8 hex digits of the SHA-256 of the file's bytes: whose scores and thresholds are whose.
  const std::string& digest() const { return digest_; }
  // For scoring with this model; 0 = by its size. `processes`: how many do that on this machine.
  int use_threads(int requested, int processes = 1) const;

 private:
  Checkpoint() = default;
  Profile profile_in(const Metadata& metadata) const;
  std::string name_;
  std::unique_ptr<Config> config_;
  std::unique_ptr<Kind> kind_;
  std::unique_ptr<loss::Autoencoder> autoencoder_;
  stats::ConformalCalibration calibration_;
  mutable std::optional<Profile> profile_;
  std::string sha256_, digest_;
};

// What a checkpoint is made of, at the end of (or during) training.
struct CheckpointContents {
  Config& config;  // resolved
  const Kind& kind;
  bool observed_matters;
  const Arrays& weights;  // unprefixed
  const score::Head& head;
  const std::vector<double>& calibration;
  std::string training_json;
  Profile profile = {};
};
void write_checkpoint(const std::filesystem::path& path, const CheckpointContents& contents);

// The file of a classifier's weights, which programs that reconstruct or score refuse by its format "aetools
// classifier": without score and calibration, with
//   classes      JSON array, the names of its outputs
struct ClassifierContents {
  Config& config;  // resolved
  const Kind& kind;
  const std::vector<std::string>& classes;
  const Arrays& weights;  // unprefixed
  std::string training_json;
};
void write_classifier(const std::filesystem::path& path, const ClassifierContents& contents);

}  // namespace ae::recipe
