#include "apply/clean_images.hpp"

#include <torch/types.h>
#include <torch/utils.h>

namespace ae::apply {

CleanImages::CleanImages(const recipe::Checkpoint& checkpoint, const std::string& input, Reporter& reporter)
    : images_(checkpoint, {input}, Unreadable::stop, reporter) {}

void CleanImages::for_each(const std::vector<std::int64_t>& size, const char* doing, const Visit& visit) {
  images_.for_each(0, images_.size(), false, doing, [&](const std::vector<NetworkImage>& batch) {
    const auto& first = batch.front().network;
    visit(batch, stacked_for_classifier(batch, size.empty() ? first.sizes().vec() : size));
  });
  images_.tell_unseen();
}

at::Tensor CleanImages::all() {
  std::vector<at::Tensor> parts;
  std::vector<std::int64_t> size;  // which for_each() looks at again for each batch
  for_each(size, "reading clean images", [&](const auto&, const at::Tensor& pixels) {
    parts.push_back(pixels);
    size = pixels[0].sizes().vec();
  });
  return torch::cat(parts);
}

at::Tensor detector_scores(const Detectors& detectors, const at::Tensor& images,
                           const score::Reconstructor& reconstruct, const victim::Classifier& classifier) {
  const torch::NoGradGuard no_grad;
  return detectors.scores({images, torch::stack(reconstruct(images.unbind(0))), classifier});
}

}  // namespace ae::apply
