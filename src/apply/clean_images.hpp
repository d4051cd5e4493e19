// Images that nobody has changed, by which programs tell what is usual: --clean.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "apply/detectors.hpp"
#include "apply/image_batches.hpp"
#include "base/reporter.hpp"
#include "recipe/checkpoint.hpp"
#include "score/maps.hpp"
#include "victim/classifier.hpp"

namespace ae::apply {

class CleanImages {
 public:
  // Everything given must outlive this. UsageError when the model was not trained on images.
  CleanImages(const recipe::Checkpoint& checkpoint, const std::string& input, Reporter& reporter);

  std::vector<std::filesystem::path> files() const { return images_.files(); }  // that hold the pixels
  // All of them, in order, also as [n, channels, height, width]. InputError for what cannot be read, and as of
  // check_for_classifier(). `doing`: "calibrating detectors".
  using Visit = std::function<void(const std::vector<NetworkImage>& images, const at::Tensor& pixels)>;
  // `size`: [channels, height, width]; none: that of the first one.
  void for_each(const std::vector<std::int64_t>& size, const char* doing, const Visit& visit);

  at::Tensor all();  // at once

 private:
  ImageBatches images_;
};

// Scores [n, detectors] of images [n, channels, height, width], without gradients.
at::Tensor detector_scores(const Detectors& detectors, const at::Tensor& images,
                           const score::Reconstructor& reconstruct, const victim::Classifier& classifier);

}  // namespace ae::apply
