#include "apply/purifiers.hpp"

#include <torch/types.h>

#include <array>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "apply/image_batches.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "model/threads.hpp"

namespace ae::apply {
namespace {

class Reconstruction final : public Purifier {
 public:
  Reconstruction(const recipe::Checkpoint& checkpoint, double times)
      : reconstruct_(checkpoint.autoencoder(), image_kind(checkpoint).geometry()), times_(static_cast<int>(times)) {}
  std::vector<at::Tensor> operator()(ImageSet& images) const override {
    auto purified = images.reconstructions(reconstruct_);
    for (int i = 1; i < times_; ++i) purified = reconstruct_(purified);
    return purified;
  }

 private:
  score::Reconstructor reconstruct_;
  int times_;
};

// A control: of each image by itself.
class Filter final : public Purifier {
 public:
  using Of = at::Tensor (*)(const at::Tensor& image, double value);
  Filter(Of of, double value) : of_(of), value_(value) {}
  std::vector<at::Tensor> operator()(ImageSet& images) const override {
    std::vector<at::Tensor> filtered(images.images().size());
    model::share_out(std::ssize(filtered), 1, [&](std::int64_t begin, std::int64_t) {
      const auto i = static_cast<std::size_t>(begin);
      filtered[i] = of_(images.images()[i], value_);
    });
    return filtered;
  }

 private:
  Of of_;
  double value_;
};

at::Tensor unchanged(const at::Tensor& image, double) { return image; }
at::Tensor thresholded(const at::Tensor& image, double level) { return (image >= level).to(at::kFloat); }
at::Tensor blurred(const at::Tensor& image, double sigma) {
  auto blurred = image.contiguous().clone();
  const auto height = static_cast<int>(image.size(1)), width = static_cast<int>(image.size(2));
  for (std::int64_t c = 0; c < image.size(0); ++c) {
    cv::Mat plane(height, width, CV_32F, blurred.data_ptr<float>() + c * height * width);
    cv::GaussianBlur(plane.clone(), plane, {0, 0}, sigma, sigma, cv::BORDER_REFLECT_101);
  }
  return blurred;
}

template <Filter::Of kOf>
std::unique_ptr<Purifier> filter(const recipe::Checkpoint&, double value) {
  return std::make_unique<Filter>(kOf, value);
}

constexpr std::array kKinds{
    PurifierKind{"reconstruction", "TIMES", "the model's reconstruction, so many times one after another", 1, 10000, 1,
                 [](const recipe::Checkpoint& checkpoint, double times) -> std::unique_ptr<Purifier> {
                   return std::make_unique<Reconstruction>(checkpoint, times);
                 }},
    PurifierKind{"identity", "", "nothing, a control", 0, 0, 0, filter<unchanged>},
    PurifierKind{"blur", "SIGMA", "a Gaussian blur of so many pixels, a control", 0.05, 100, 1, filter<blurred>},
    PurifierKind{"threshold", "LEVEL", "1 where a pixel is at least this and 0 elsewhere, a control", 0, 1, 0.5,
                 filter<thresholded>},
};

}  // namespace

std::span<const PurifierKind> purifier_kinds() { return kKinds; }

std::unique_ptr<Purifier> make_purifier(std::string_view text, const recipe::Checkpoint& checkpoint) {
  const auto colon = text.find(':');
  const auto name = text.substr(0, colon);
  std::vector<std::string> known;
  for (const auto& kind : kKinds) {
    known.emplace_back(std::string(kind.name) + (kind.value.empty() ? "" : ":" + std::string(kind.value)));
    if (kind.name != name) continue;
    double value = kind.usual;
    if (colon != std::string_view::npos) {
      const auto number = kind.value.empty() ? std::nullopt : parse_number(text.substr(colon + 1));
      const bool whole = kind.value != "TIMES" || (number && *number == std::floor(*number));
      if (!number || !(*number >= kind.low && *number <= kind.high) || !whole)
        throw UsageError("--purifier: found " + ae::quoted(std::string(text)) + "; expected " + known.back() +
                         (kind.value.empty() ? ""
                                             : " with a " + std::string(whole ? "number" : "whole number") + " from " +
                                                   number_text(kind.low) + " to " + number_text(kind.high)));
      value = *number;
    }
    return kind.make(checkpoint, value);
  }
  throw UsageError("--purifier: found " + ae::quoted(std::string(text)) + "; expected one of " + ae::join(known));
}

}  // namespace ae::apply
