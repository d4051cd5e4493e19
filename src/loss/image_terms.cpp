#include "loss/image_terms.hpp"

#include <torch/script.h>
#include <torch/types.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <mutex>

#include "base/error.hpp"
#include "base/text.hpp"
#include "loss/ssim.hpp"

namespace ae::loss {
namespace {

// Terms of images; `prediction` comes with one output per element.
class ImageTerm : public Term {
 public:
  bool accepts(const model::Element& element) const override { return element.channel && !element.categorical(); }
  bool needs_grid() const override { return true; }
  at::Tensor masked_loss(const at::Tensor& prediction, const at::Tensor& target,
                         const at::Tensor& observed) const override {
    return image_loss(prediction.squeeze(2), target, observed);
  }
  virtual at::Tensor image_loss(const at::Tensor& prediction, const at::Tensor& target,
                                const at::Tensor& observed) const = 0;
};

class Ssim final : public ImageTerm {
 public:
  SsimWindow window;
  SsimConstants constants;
  void fields(config::Fields& f) override {
    Term::fields(f);
    window.fields(f, "window", "sigma");
    constants.fields(f);
  }
  void check(std::vector<config::Problem>& problems) const override { window.check(problems, "window"); }
  at::Tensor image_loss(const at::Tensor& prediction, const at::Tensor& target,
                        const at::Tensor& observed) const override {
    const auto factors = ssim_factors(prediction, target, observed, window, constants);
    return (1 - factors.luminance * factors.structure).clamp_min(0);
  }
};

// Multi-scale structural similarity per pixel: scales are Gaussian windows of growing width over the full resolution
// (Zhao, Gallo, Frosio, Kautz 2017, section III.C), whose structures are multiplied with equal exponents that sum to 1,
// times the luminance of the widest. Structures below `kFloor` count as `kFloor`: a root of a negative number is none.
class MultiScaleSsim final : public ImageTerm {
 public:
  std::int64_t scales = 4;
  double sigma = 0.75;
  SsimConstants constants;
  void fields(config::Fields& f) override {
    Term::fields(f);
    f.integer("scales", scales, {1, 8}, "Number of windows.");
    f.number("sigma", sigma, {0.1, 64},
             "Width of the finest window, in pixels; each further one is twice as wide, all reach 3 sigma.");
    constants.fields(f);
  }
  at::Tensor image_loss(const at::Tensor& prediction, const at::Tensor& target,
                        const at::Tensor& observed) const override {
    at::Tensor product;
    for (std::int64_t scale = 0; scale < scales; ++scale) {
      const double width = std::ldexp(sigma, static_cast<int>(scale));
      const SsimWindow window{2 * static_cast<std::int64_t>(std::ceil(3 * width)) + 1, width};
      const auto factors = ssim_factors(prediction, target, observed, window, constants);
      const auto structure = factors.structure.clamp_min(kFloor).pow(1.0 / static_cast<double>(scales));
      product = product.defined() ? product * structure : structure;
      if (scale + 1 == scales) product = product * factors.luminance;
    }
    return (1 - product).clamp_min(0);
  }

 private:
  static constexpr double kFloor = 1e-3;
};

// The error of the finite differences to the right and to the lower neighbour, averaged over those two where both ends
// are observed; 0 for a pixel without such a neighbour.
class Gradient final : public ImageTerm {
 public:
  std::string norm = "l1";
  void fields(config::Fields& f) override {
    static constexpr std::array<config::Choice, 2> kNorms{{{"l1", "absolute error"}, {"l2", "squared error"}}};
    Term::fields(f);
    f.choice("norm", norm, kNorms, "How the error of a difference counts.");
  }
  at::Tensor image_loss(const at::Tensor& prediction, const at::Tensor& target,
                        const at::Tensor& observed) const override {
    const auto error = (prediction - target) * observed;  // differences of errors are errors of differences
    auto sum = torch::zeros_like(error);
    auto count = torch::zeros_like(observed);
    for (const std::int64_t axis : {2, 3}) {
      const std::int64_t pairs = error.size(axis) - 1;
      if (pairs < 1) continue;
      const auto both = observed.narrow(axis, 0, pairs) * observed.narrow(axis, 1, pairs);
      auto difference = (error.narrow(axis, 1, pairs) - error.narrow(axis, 0, pairs)) * both;
      difference = norm == "l1" ? difference.abs() : difference.square();
      std::vector<std::int64_t> padding(4, 0);
      padding[axis == 2 ? 3 : 1] = 1;
      sum = sum + torch::constant_pad_nd(difference, padding, 0);
      count = count + torch::constant_pad_nd(both, padding, 0);
    }
    return sum / count.clamp_min(1);
  }
};

// Mean squared distance of the features of a fixed network, in the place they describe. What is not observed is 0 in
// both images.
class Feature final : public ImageTerm {
 public:
  config::Path path;
  std::int64_t channels = 3;
  void fields(config::Fields& f) override {
    Term::fields(f);
    f.path("path", path,
           "TorchScript file of a network that takes images [n, channels, height, width] in [0, 1] and gives one or "
           "several tensors [n, features, h, w] (a distance per pixel) or [n, features] (one per image); it is a "
           "program and runs with your rights: use no file you do not trust.");
    f.integer("channels", channels, {1, 4096}, "Channels the network takes; a gray image is repeated to so many.");
  }
  void check(std::vector<config::Problem>& problems) const override {
    if (path.empty()) problems.push_back({"/path", "not set; name a TorchScript file"});
  }
  std::filesystem::path file() const override { return path.resolved; }
  // Loads the network, so that a wrong file is told before anything is trained.
  std::string complaint(const at::Tensor&) const override {
    try {
      network();
      return "";
    } catch (const Error& error) {
      return error.lines().front();
    }
  }
  at::Tensor image_loss(const at::Tensor& prediction, const at::Tensor& target,
                        const at::Tensor& observed) const override {
    const auto of_reconstruction = features((prediction * observed));
    const auto of_target = features(target * observed);
    if (of_reconstruction.size() != of_target.size()) throw unusable("gives answers of changing number");
    at::Tensor distance;
    for (std::size_t i = 0; i < of_target.size(); ++i) {
      auto map = (of_reconstruction[i] - of_target[i]).square().mean(1, true).to(target.scalar_type());
      if (map.dim() == 2) {
        map = map.view({-1, 1, 1, 1}).expand({map.size(0), 1, target.size(2), target.size(3)});
      } else {
        map =
            torch::upsample_nearest2d(map, at::IntArrayRef{target.size(2), target.size(3)}, c10::nullopt, c10::nullopt);
      }
      distance = distance.defined() ? distance + map : map;
    }
    return (distance / static_cast<double>(of_target.size())).expand_as(target);
  }

 private:
  RunError unusable(const std::string& what) const {
    return RunError(path.resolved.string() + ": the network of the feature loss " + what);
  }

  torch::jit::Module& network() const {
    const std::lock_guard lock(mutex_);
    if (network_) return *network_;
    if (std::error_code ignored; !std::filesystem::is_regular_file(path.resolved, ignored)) {
      throw InputError(path.resolved.string() + ": no such file; expected the TorchScript file of the feature loss");
    }
    try {
      network_ = std::make_unique<torch::jit::Module>(torch::jit::load(path.resolved.string(), torch::kCPU));
    } catch (const std::exception&) {
      throw InputError(path.resolved.string() + ": not a TorchScript file; write one with torch.jit.script(...).save");
    }
    network_->eval();
    for (const auto& parameter : network_->parameters()) parameter.set_requires_grad(false);
    return *network_;
  }

  std::vector<at::Tensor> features(at::Tensor images) const {
    auto& module = network();
    if (images.size(1) != channels) {
      if (images.size(1) != 1) {
        throw UsageError("/loss/terms: the feature loss takes " + std::to_string(channels) +
                         " channels, the images have " + std::to_string(images.size(1)) + "; set its \"channels\"");
      }
      images = images.expand({images.size(0), channels, images.size(2), images.size(3)});
    }
    for (const auto& parameter : module.parameters()) {
      images = images.to(parameter.scalar_type());
      break;
    }
    c10::IValue answer;
    try {
      answer = module.forward({images});
    } catch (const std::exception& error) {
      const std::string text = error.what();
      throw unusable("failed: " + ae::printable(text.substr(0, text.find('\n'))));
    }
    std::vector<at::Tensor> all;
    if (answer.isTensor()) {
      all.push_back(answer.toTensor());
    } else if (answer.isTensorList()) {
      all = answer.toTensorVector();
    } else if (answer.isTuple()) {
      for (const auto& item : answer.toTupleRef().elements()) {
        if (!item.isTensor()) throw unusable("gives something that is not a tensor");
        all.push_back(item.toTensor());
      }
    }
    if (all.empty()) throw unusable("gives no tensor; expected one or a tuple of several");
    for (const auto& item : all) {
      if ((item.dim() != 2 && item.dim() != 4) || item.size(0) != images.size(0)) {
        throw unusable("gives a tensor that is neither [n, features] nor [n, features, height, width]");
      }
    }
    return all;
  }

  mutable std::mutex mutex_;
  mutable std::unique_ptr<torch::jit::Module> network_;
};

}  // namespace

std::unique_ptr<Term> make_ssim() { return std::make_unique<Ssim>(); }
std::unique_ptr<Term> make_ms_ssim() { return std::make_unique<MultiScaleSsim>(); }
std::unique_ptr<Term> make_gradient() { return std::make_unique<Gradient>(); }
std::unique_ptr<Term> make_feature() { return std::make_unique<Feature>(); }

}  // namespace ae::loss
