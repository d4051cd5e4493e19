// What the manifest of a store says.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "replay/latent_codec.hpp"

namespace ae::replay {

// Errors of observations: decoded less original.
struct StoreErrors {
  double rms = 0;                               // over all elements
  std::vector<double> mean;                     // [width]
  std::vector<std::vector<double>> covariance;  // [width][width]; none of observations of more than 64 elements
  std::vector<double> quantiles;                // of an observation's rms error: median, 90 %, 99 %, largest
};

struct StorePart {
  std::string file;
  std::int64_t transitions = 0, observations = 0, clipped = 0;
  std::int64_t bytes = 0;           // of the file
  std::int64_t original_bytes = 0;  // of the observations as they were
  std::int64_t once_bytes = 0;      // of those with each counted once
  StoreErrors errors;
};

struct StoreManifest {
  std::string made_by;
  std::string model, model_sha256;  // its file
  std::vector<std::int64_t> observation_shape;
  std::vector<Quantiser> latents;
  bool actions = false, rewards = false;
  std::int64_t action_width = 1;
  std::vector<StorePart> parts;

  std::int64_t width() const;
  std::int64_t bits() const;  // of an observation
  std::int64_t transitions() const;
  std::int64_t code_bytes() const;
  std::int64_t original_bytes() const;
  std::int64_t rows() const;  // observations, each once
  // Of the bytes of observations as they were, next ones included where they were stored, over those of codes; and with
  // each observation counted once. Pairs and models are not counted.
  double ratio() const;
  double ratio_once() const;
  double rms_error() const;
};

constexpr const char* kManifestFile = "manifest.json";
// The most that is counted in a store: transitions, observations, bytes. So no sum or product of counts overflows.
constexpr std::int64_t kMostTransitions = std::int64_t{1} << 40, kMostStoreBytes = std::int64_t{1} << 62,
                       kMostParts = 1 << 20;

std::string manifest_json(const StoreManifest& manifest);
// Trusts nothing, and the sums over all parts stay within the limits above: InputError, which begins with `name` and
// the pointer.
StoreManifest parse_manifest(const std::string& text, const std::string& name);

}  // namespace ae::replay
