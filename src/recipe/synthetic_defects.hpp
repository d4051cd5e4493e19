// Made-up defects on images: to train restoration (the target stays clean) and, with their masks, as labelled
// validation data where no real defects are known. After CutPaste (Li et al. 2021) and DRAEM (Zavrtanik et al. 2021).
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "base/random.hpp"
#include "config/fields.hpp"
#include "recipe/corruption.hpp"

namespace ae::recipe {

struct DefectSample {
  at::Tensor image;  // [channels, height, width] float32
  at::Tensor mask;   // [height, width] uint8: 1 where some channel changed, else 0
};

// One to `most` defects an image: an ellipse, an irregular blob or a scratch of one to three straight pieces; filled
// with the inverted image, another gray of the same image, or a patch of another image; opaque or translucent.
class SyntheticDefects : public config::Section {
 public:
  std::int64_t most = 3;
  double smallest = 2;
  double largest = 0.25;
  double translucent = 0.5;
  void fields(config::Fields& f) override;

  // At least one defect, unless the image leaves none visible (a blank one pasted with itself). Both [channels, height,
  // width] float32; a function of these and of the state of `random` alone.
  DefectSample draw(const at::Tensor& image, const at::Tensor& other, Random& random) const;

 protected:
  // The same in place: `image` contiguous; mask may be null. Only where `observed` (null: everywhere) is not 0.
  void paint(float* image, const float* other, const float* observed, std::int64_t channels, std::int64_t height,
             std::int64_t width, Random& random, std::uint8_t* mask) const;
};

std::unique_ptr<Corruption> make_synthetic();  // for the registry

}  // namespace ae::recipe
