#include "apply/purifiers.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <opencv2/imgproc.hpp>
#include <type_traits>
#include <utility>

#include "apply/image_batches.hpp"
#include "apply/named_choice.hpp"
#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/random.hpp"
#include "model/threads.hpp"

namespace ae::apply {
namespace {

class Reconstruction final : public Purifier {
 public:
  Reconstruction(const recipe::Checkpoint& checkpoint, double times)
      : autoencoder_(checkpoint.autoencoder()),
        reconstruct_(autoencoder_, image_kind(checkpoint).geometry()),
        times_(static_cast<int>(times)) {}
  std::vector<at::Tensor> operator()(ImageSet& images) const override {
    auto purified = images.reconstructions(reconstruct_);
    for (int i = 1; i < times_; ++i) purified = reconstruct_(purified);
    return purified;
  }
  at::Tensor differentiable(const at::Tensor& images, const Pass&) const override {
    auto purified = images;
    const auto observed = torch::ones_like(images);
    for (int i = 0; i < times_; ++i) purified = autoencoder_.differentiable_expected({purified, observed});
    return purified;
  }

 private:
  const loss::Autoencoder& autoencoder_;
  score::Reconstructor reconstruct_;
  int times_;
};

class Noise final : public Purifier {
 public:
  explicit Noise(double sigma) : sigma_(sigma) {}
  std::vector<at::Tensor> operator()(ImageSet& images) const override {
    std::vector<at::Tensor> noisy;
    for (std::size_t i = 0; i < images.all().size(); ++i) noisy.push_back(of(images.all()[i], images.keys().at(i)));
    return noisy;
  }
  at::Tensor differentiable(const at::Tensor& images, const Pass& pass) const override {
    std::vector<at::Tensor> noise;
    for (const auto key : pass.keys) noise.push_back(of(torch::zeros(images[0].sizes()), key));
    return images + torch::stack(noise);
  }
  bool random() const override { return true; }

 private:
  at::Tensor of(const at::Tensor& image, std::uint64_t key) const {
    auto noise = torch::empty(image.sizes());
    fill_normal(key, {noise.data_ptr<float>(), static_cast<std::size_t>(noise.numel())});
    return image + sigma_ * noise;
  }
  double sigma_;
};

// A control: of each image by itself.
class Filter : public Purifier {
 public:
  std::vector<at::Tensor> operator()(ImageSet& images) const override {
    std::vector<at::Tensor> filtered(images.all().size());
    model::share_out(std::ssize(filtered), 1, [&](std::int64_t begin, std::int64_t) {
      const auto i = static_cast<std::size_t>(begin);
      filtered[i] = of(images.all()[i]);
    });
    return filtered;
  }

 private:
  virtual at::Tensor of(const at::Tensor& image) const = 0;
};

class Identity final : public Filter {
 public:
  at::Tensor differentiable(const at::Tensor& images, const Pass&) const override { return images; }

 private:
  at::Tensor of(const at::Tensor& image) const override { return image; }
};

class Threshold final : public Filter {
 public:
  explicit Threshold(double level) : level_(level) {}
  // Each of the two finds what the other overlooks: measured on digits, an attack of l2 by the identity left three in
  // five of those right that the sigmoid's gets wrong.
  at::Tensor differentiable(const at::Tensor& images, const Pass& pass) const override {
    const auto on_the_way_back = pass.surrogate == 0 ? images : at::sigmoid(kSteepness * (images - level_));
    return on_the_way_back + (of(images) - on_the_way_back).detach();
  }
  std::vector<std::string_view> surrogates() const override { return {"identity", "sigmoid"}; }

 private:
  at::Tensor of(const at::Tensor& image) const override { return (image >= level_).to(at::kFloat); }
  static constexpr double kSteepness = 10;
  double level_;
};

class Blur final : public Filter {
 public:
  explicit Blur(double sigma) : sigma_(sigma) {}
  at::Tensor differentiable(const at::Tensor& images, const Pass&) const override { return along(along(images, 3), 2); }

 private:
  at::Tensor of(const at::Tensor& image) const override {
    auto blurred = image.contiguous().clone();
    const auto height = static_cast<int>(image.size(1)), width = static_cast<int>(image.size(2));
    for (std::int64_t c = 0; c < image.size(0); ++c) {
      cv::Mat plane(height, width, CV_32F, blurred.data_ptr<float>() + c * height * width);
      cv::GaussianBlur(plane.clone(), plane, {0, 0}, sigma_, sigma_, cv::BORDER_REFLECT_101);
    }
    return blurred;
  }
  // The same by a matrix: what OpenCV makes of the unit vectors of that axis.
  at::Tensor along(const at::Tensor& images, std::int64_t axis) const {
    const auto size = static_cast<int>(images.size(axis));
    auto matrix = torch::eye(size);
    cv::Mat rows(size, size, CV_32F, matrix.data_ptr<float>());
    const auto width = cv::getGaussianKernel(std::max(1, cvRound(sigma_ * 4 * 2 + 1) | 1), sigma_, CV_32F);
    cv::sepFilter2D(rows.clone(), rows, CV_32F, width, cv::Mat::ones(1, 1, CV_32F), {-1, -1}, 0,
                    cv::BORDER_REFLECT_101);
    return axis == 3 ? at::matmul(images, matrix) : at::matmul(matrix.t(), images);
  }
  double sigma_;
};

// The nearest of the images that the mean and so many principal components of the clean ones add up to: what a linear
// autoencoder of that code would make of them at its best.
class Projection final : public Filter {
 public:
  Projection(const at::Tensor& clean, std::int64_t components) : size_(clean[0].sizes().vec()) {
    const torch::NoGradGuard no_grad;
    const auto pixels = clean.flatten(1).to(at::kDouble);
    const auto count = pixels.size(0), width = pixels.size(1), most = std::min(count - 1, width);
    if (components > most)
      throw InputError("--purifier pca:" + std::to_string(components) + ": " + counted(count, "images") + " of " +
                       std::to_string(width) + " pixels, by --clean, have at most " + std::to_string(most) +
                       " components; ask for fewer, or give more images");
    const auto mean = pixels.mean(0, true), centred = pixels - mean;
    // By the smaller of the two matrices, which have the same eigenvalues but for zeros.
    const bool by_pixels = width <= count;
    const auto [values, vectors] =
        at::linalg_eigh(by_pixels ? centred.t().matmul(centred) : centred.matmul(centred.t()));
    auto largest = vectors.narrow(1, vectors.size(1) - components, components);
    auto strengths = values.narrow(0, values.size(0) - components, components);
    const auto real = (strengths > 1e-12 * values.max()).nonzero().squeeze(1);
    largest = largest.index_select(1, real);
    strengths = strengths.index_select(0, real);
    components_ = (by_pixels ? largest : centred.t().matmul(largest) / strengths.sqrt()).to(at::kFloat).contiguous();
    mean_ = mean.to(at::kFloat);
  }
  at::Tensor differentiable(const at::Tensor& images, const Pass&) const override {
    const auto step = images.flatten(1) - mean_;
    return (mean_ + step.matmul(components_).matmul(components_.t())).reshape(images.sizes());
  }

 private:
  at::Tensor of(const at::Tensor& image) const override {
    if (image.sizes() != size_)
      throw InputError("--purifier pca: the images of --clean have " + data::size_text({size_[1], size_[2]}) +
                       " pixels, another one " + data::size_text({image.size(1), image.size(2)}));
    return differentiable(image.unsqueeze(0), {}).squeeze(0);
  }
  std::vector<std::int64_t> size_;
  at::Tensor components_, mean_;  // [pixels, components], [1, pixels]
};

template <typename Control>
std::unique_ptr<Purifier> control(const PurifierSource&, double value) {
  if constexpr (std::is_constructible_v<Control, double>)
    return std::make_unique<Control>(value);
  else
    return std::make_unique<Control>();
}

constexpr std::array kKinds{
    PurifierKind{"reconstruction", "TIMES", "the model's reconstruction, so many times one after another", 1, 10000, 1,
                 [](const PurifierSource& source, double times) -> std::unique_ptr<Purifier> {
                   return std::make_unique<Reconstruction>(source.checkpoint, times);
                 }},
    PurifierKind{"noise", "SIGMA",
                 "Gaussian noise of this standard deviation, which stands before others and makes answers random", 0,
                 100, 0.1, control<Noise>},
    PurifierKind{"identity", "", "nothing, a control", 0, 0, 0, control<Identity>},
    PurifierKind{"blur", "SIGMA", "a Gaussian blur of so many pixels, a control", 0.05, 100, 1, control<Blur>},
    PurifierKind{"threshold", "LEVEL", "1 where a pixel is at least this and 0 elsewhere, a control", 0, 1, 0.5,
                 control<Threshold>},
    PurifierKind{"pca", "K", "the projection on so many principal components of the images of --clean, a control", 1,
                 1e6, 25,
                 [](const PurifierSource& source, double components) -> std::unique_ptr<Purifier> {
                   return std::make_unique<Projection>(source.clean(), static_cast<std::int64_t>(components));
                 },
                 true},
};

}  // namespace

std::span<const PurifierKind> purifier_kinds() { return kKinds; }

PurifierChain::PurifierChain(std::span<const std::string> texts, const PurifierSource& source) {
  for (const auto& text : texts) {
    const auto [kind, value] = named_choice("--purifier", text, kKinds);
    if (kind->fitted && !source.clean)
      throw UsageError("--purifier " + text + ": needs images that nobody has changed, by --clean PATH");
    purifiers_.push_back(kind->make(source, value));
  }
}

bool PurifierChain::fitted(std::span<const std::string> texts) {
  return std::ranges::any_of(texts,
                             [](const auto& text) { return named_choice("--purifier", text, kKinds).first->fitted; });
}

namespace {

// Of the purifier in this place of a chain.
Keys keys_at(std::size_t place, Keys keys) {
  for (auto& key : keys) key = stream_key(key, "purifier", place);
  return keys;
}

}  // namespace

std::vector<at::Tensor> PurifierChain::operator()(ImageSet& images) const {
  auto purified = (*purifiers_.front())(images);  // by its keys as they are, as images keep their reconstructions
  for (std::size_t i = 1; i < purifiers_.size(); ++i) {
    ImageSet on_the_way(std::move(purified), keys_at(i, images.keys()));
    purified = (*purifiers_[i])(on_the_way);
  }
  return purified;
}

at::Tensor PurifierChain::differentiable(const at::Tensor& images, const Pass& pass) const {
  auto purified = images;
  for (std::size_t i = 0; i < purifiers_.size(); ++i) {
    const auto surrogate = std::min(pass.surrogate, purifiers_[i]->surrogates().size() - 1);
    purified = purifiers_[i]->differentiable(purified, {surrogate, i == 0 ? pass.keys : keys_at(i, pass.keys)});
  }
  return purified;
}

bool PurifierChain::random() const {
  return std::ranges::any_of(purifiers_, [](const auto& purifier) { return purifier->random(); });
}

Keys draw_keys(std::uint64_t seed, std::string_view purpose, std::span<const std::int64_t> numbers, std::int64_t draw) {
  Keys keys;
  for (const auto number : numbers)
    keys.push_back(stream_key(seed, purpose, static_cast<std::uint64_t>(number), static_cast<std::uint64_t>(draw)));
  return keys;
}

Votes::Votes(std::int64_t images, std::int64_t classes) : counts_(torch::zeros({images, classes}, at::kLong)) {}

void Votes::add(const at::Tensor& answers) { counts_ += at::one_hot(answers, counts_.size(1)); }

at::Tensor Votes::winners() const {
  const auto classes = counts_.size(1);
  return (counts_ * classes - torch::arange(classes)).argmax(1);
}

std::int64_t votes_of(std::optional<std::int64_t> asked, bool random) {
  if (asked && !random)
    throw UsageError("--votes: nothing is drawn at random; put --purifier noise:SIGMA before the others");
  return random ? asked.value_or(kUsualVotes) : 1;
}

std::vector<std::string_view> PurifierChain::surrogates() const {
  std::vector<std::string_view> most;
  for (const auto& purifier : purifiers_)
    if (auto names = purifier->surrogates(); names.size() > most.size()) most = std::move(names);
  return most;
}

}  // namespace ae::apply
