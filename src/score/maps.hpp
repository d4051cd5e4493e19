// Error maps of images: where, and how strongly, an image differs from its reconstruction, and one score for all of it.
//
// Everything here is in network pixels of whole images: tensors [channels, height, width] float32 of values in [0, 1],
// maps [height, width] float32. Tiles are cut, answered and put together again by Reconstructor; a map is a function of
// the whole image and its whole reconstruction, so it does not know of tiles.
//
//   error      e = mean over channels of |x - y|, (x - y)^2 or 1 - SSIM(x, y), or the sum of the last two, each
//   relative
//              to its mean on held-out good images; Gaussian-smoothed, or the sum of two such smoothings
//   relative   e / (1 + w * (mean error of this image) / (mean error of held-out good images))
//   map        m = (e - mean) / deviation, both of held-out good images at the same place (or of all their pixels)
//   score      the mean of the largest values of another such map, smoothed less, whose errors stay absolute
// Pixels near the image's border, which the network sees without their surroundings, are 0 in maps and do not count.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/reporter.hpp"
#include "data/images/geometry.hpp"
#include "data/images/image.hpp"
#include "loss/autoencoder.hpp"
#include "loss/ssim.hpp"
#include "score/head.hpp"

namespace ae::score {

at::Tensor to_tensor(const data::ImageView& image);  // [channels, height, width]

// The network's answer to whole images. References must outlive it.
class Reconstructor {
 public:
  Reconstructor(const loss::Autoencoder& autoencoder, const data::Geometry& geometry)
      : autoencoder_(autoencoder), geometry_(geometry) {}
  // Reconstructions of images, which may have different sizes; tiles of several images share a batch. An image's answer
  // does not depend on the others.
  std::vector<at::Tensor> operator()(std::span<const at::Tensor> images) const;

 private:
  const loss::Autoencoder& autoencoder_;
  const data::Geometry& geometry_;
};

// An image that good ones are told apart from; mask [height, width] is 1 where it was changed, else 0.
struct SyntheticImage {
  at::Tensor image;
  at::Tensor mask;
};

// What a map head learns from. Held-out images are never training images.
struct GoodImages {
  data::Geometry geometry;  // by which they are cut into samples
  std::int64_t count = 0;
  std::function<at::Tensor(std::int64_t)> load;      // the i-th held-out good image
  std::function<data::Size(std::int64_t)> original;  // its size before resizing
  std::function<SyntheticImage(const at::Tensor&, std::int64_t)>
      damaged;  // with synthetic defects; the same every time
};

class MapHead final : public Head {
 public:
  enum class Kind : std::int64_t { absolute, squared, ssim, fused };

  void fields(config::Fields& f) override;
  void check(std::vector<config::Problem>& problems) const override;
  bool judges(const model::Domain& domain) const override { return domain.gridded(); }
  std::string_view stands_for(const model::Domain& domain) const override {
    return judges(domain) ? std::string_view("loss") : std::string_view();
  }
  const MapHead* for_images() const override { return this; }
  std::vector<double> calibrate(const FitContext& context) override;
  Arrays state() const override;
  void restore(const Arrays& arrays, const loss::Autoencoder& autoencoder) override;

  // Learns normaliser, kind (when "auto") and pixel quantiles. Returns the image scores of the held-out images, each
  // normalised without its own contribution, so that they are what new good images will get. Tells the chosen kind.
  std::vector<double> calibrate(const Reconstructor& reconstruct, const GoodImages& images, Reporter& reporter);

  struct Answer {
    at::Tensor map;    // [height, width]
    double score = 0;  // finite for finite input
  };
  Answer answer(const at::Tensor& image, const at::Tensor& reconstruction) const;

  // --- of held-out good images; without any, calibrated() is false ---
  bool calibrated() const { return !tail_values_.empty(); }
  // The map value that a share `alpha` of their pixels (in original pixels) exceed.
  double pixel_threshold(double alpha) const;
  // The map value that a share `alpha` of the images exceed anywhere: (1 + images that do) / (n + 1) <= alpha; above
  // all of them when alpha is smaller than 1 / (n + 1).
  double peak_threshold(double alpha) const;
  std::string_view kind_name() const;  // the one in use
  // Whether images of this network size are standardised by position, as the held-out ones were when they had one size;
  // others are standardised by all pixels.
  bool knows_positions_of(data::Size network) const;
  bool by_position() const { return pixel_.mean.defined(); }

 private:
  struct Moments;
  class Calibration;
  struct Normalizer {
    double all_mean = 0;  // of all pixels
    double all_deviation = 1;
    at::Tensor mean;       // by position, [height, width]; undefined when all positions are judged alike
    at::Tensor deviation;  // the same, > 0
  };
  at::Tensor error_map(Kind kind, const at::Tensor& image, const at::Tensor& reconstruction) const;
  at::Tensor smooth(const at::Tensor& map, double sigma) const;
  at::Tensor pixel_errors(Kind kind, const at::Tensor& error) const;  // smoothed and relative, as maps show them
  double mean_inside(const at::Tensor& map) const;                    // away from the border
  double good_level(Kind kind) const;                                 // mean error of held-out good images
  at::Tensor normalized(const at::Tensor& smooth, const Normalizer& normalizer) const;
  double reduce(const at::Tensor& map) const;
  std::int64_t border_of(const at::Tensor& map) const;
  void forget();  // what calibrate() learned

  std::string kind = "fused";
  double sigma = 1.5;
  double wide_sigma = 0;
  double relative = 0;
  double image_sigma = 1;
  std::int64_t border = 3;
  std::string normalize = "auto";
  std::string reduction = "top";
  double fraction = 0.01;
  loss::SsimWindow ssim_window;
  loss::SsimConstants ssim_constants{1e-4, 9e-3};

  Kind chosen_ = Kind::squared;
  std::array<double, 3> levels_{1, 1, 1};  // mean errors of held-out good images: absolute, squared, ssim
  Normalizer pixel_;
  Normalizer image_;
  std::vector<double> tail_values_;  // map values at the tails of kTails
  std::vector<double> peaks_;        // the largest map value of each held-out image, sorted
  std::vector<double> trials_;       // per kind: image AUROC and pixel average precision on synthetic defects
};

// A map over the image's own pixels: bilinear when enlarging, by areas when shrinking.
at::Tensor at_original_size(const at::Tensor& map, data::Size original);

std::unique_ptr<Head> make_map();

}  // namespace ae::score
