#include "apply/purifiers.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <opencv2/imgproc.hpp>
#include <type_traits>
#include <utility>

#include "apply/image_batches.hpp"
#include "apply/latent_descent.hpp"
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

class NearestDecoded final : public Purifier {
 public:
  NearestDecoded(const recipe::Checkpoint& checkpoint, std::int64_t steps, std::int64_t starts)
      : autoencoder_(checkpoint.autoencoder()),
        descent_(untiled(checkpoint).autoencoder(), checkpoint.name(), steps, starts) {}
  std::vector<at::Tensor> operator()(ImageSet& images) const override {
    std::vector<at::Tensor> nearest;
    const auto& all = images.all();
    for (std::size_t begin = 0, end = 0; begin < all.size(); begin = end) {
      while (end < all.size() && all[end].sizes() == all[begin].sizes()) ++end;
      const auto alike = descent_.nearest(torch::stack(at::TensorList(all).slice(begin, end - begin)));
      std::ranges::move(alike.unbind(0), std::back_inserter(nearest));
    }
    return nearest;
  }
  // None is the gradient of the whole search, so that each is tried.
  at::Tensor differentiable(const at::Tensor& images, const Pass& pass) const override {
    if (pass.surrogate == 2) return descent_.unrolled(images);
    const auto on_the_way_back =
        pass.surrogate == 0 ? images : autoencoder_.differentiable_expected({images, torch::ones_like(images)});
    return on_the_way_back + (descent_.nearest(images) - on_the_way_back).detach();
  }
  std::vector<std::string_view> surrogates() const override { return {"identity", "reconstruction", "unrolled"}; }
  bool optimises() const override { return true; }

 private:
  static const recipe::Checkpoint& untiled(const recipe::Checkpoint& checkpoint) {
    if (image_kind(checkpoint).geometry().tiled())
      throw UsageError("--purifier latent: " + checkpoint.name() +
                       ": sees images in tiles, of which each would be given a code of its own; take a model that was "
                       "trained without /data/tile");
    return checkpoint;
  }
  const loss::Autoencoder& autoencoder_;
  LatentDescent descent_;
};

// What differs in how two models read images: "3 channels, not 1"; "" = nothing.
std::string otherwise_read(const recipe::Checkpoint& model, const recipe::Checkpoint& other) {
  const auto& a = image_kind(model).geometry();
  const auto& b = image_kind(other).geometry();
  const auto differ = [](const std::string& found, const std::string& expected) {
    return found == expected ? std::string() : found + ", not " + expected;
  };
  const auto resized = [](const data::ResizeOptions& r) {
    if (r.height > 0) return "to " + data::size_text({r.height, r.width});
    if (r.long_side > 0) return "to a long side of " + std::to_string(r.long_side);
    return "by " + number_text(r.scale);
  };
  const auto cut = [](const data::TileOptions& t) {
    return t.size == 0 ? std::string("whole images")
                       : "tiles of " + std::to_string(t.size) + ", step " + std::to_string(t.step()) + ", margin " +
                             std::to_string(t.margin);
  };
  if (const auto text = differ(counted(b.channels, "channels"), counted(a.channels, "channels")); !text.empty())
    return text;
  if (!a.tiled() && !b.tiled())
    if (const auto text =
            differ(data::size_text({b.height, b.width}) + " pixels", data::size_text({a.height, a.width}) + " pixels");
        !text.empty())
      return text;
  if (const auto text = differ("resizing " + resized(b.resize), "resizing " + resized(a.resize)); !text.empty())
    return text;
  return differ(cut(b.tile), cut(a.tile));
}

// The reconstruction by whichever of several models errs least on the image: of models that know one class each, by
// that of the class it most looks like (as of PuVAE, Hwang et al. 2019, and of analysis by synthesis, Schott et al.
// 2019, both of which also choose by what a model of each class makes of the image).
class NearestModel final : public Purifier {
 public:
  explicit NearestModel(const PurifierSource& source) {
    models_.push_back(&source.checkpoint);
    for (const auto& other : source.among) {
      if (!other.kind().domain().gridded())
        throw UsageError("--among " + other.name() + ": was trained on " + std::string(other.kind().domain().noun()) +
                         "; --purifier nearest compares models of images");
      if (!other.autoencoder().has_network())
        throw UsageError("--among " + other.name() +
                         ": holds no network (/model/type \"none\"), by which images would be reconstructed");
      if (const auto text = otherwise_read(source.checkpoint, other); !text.empty())
        throw UsageError("--among " + other.name() + ": reads images otherwise than " + source.checkpoint.name() +
                         ": " + text + "; take models that were trained on images of one kind");
      models_.push_back(&other);
    }
    for (const auto* model : models_) reconstruct_.emplace_back(model->autoencoder(), image_kind(*model).geometry());
  }
  std::vector<at::Tensor> operator()(ImageSet& images) const override {
    auto nearest = images.reconstructions(reconstruct_.front());
    std::vector<double> errors;
    for (std::size_t i = 0; i < nearest.size(); ++i) errors.push_back(error(nearest[i], images.all()[i]));
    images.chosen.assign(nearest.size(), 0);
    for (std::size_t m = 1; m < models_.size(); ++m) {
      const auto others = reconstruct_[m](images.all());
      for (std::size_t i = 0; i < nearest.size(); ++i) {
        const double other = error(others[i], images.all()[i]);
        if (!(other < errors[i])) continue;
        nearest[i] = others[i];
        errors[i] = other;
        images.chosen[i] = static_cast<std::int64_t>(m);
      }
    }
    return nearest;
  }
  // The gradient of the one that was chosen is exact, and blind to that others would be; a mean of all, weighted by
  // their errors, sees them.
  at::Tensor differentiable(const at::Tensor& images, const Pass& pass) const override {
    const auto observed = torch::ones_like(images);
    std::vector<at::Tensor> made, errors;
    const auto exact = [&] {
      {
        const torch::NoGradGuard no_grad;
        for (const auto* model : models_)
          errors.push_back(squared(model->autoencoder().differentiable_expected({images, observed}), images));
      }
      const auto choice = torch::stack(errors).argmin(0);
      auto nearest = torch::zeros_like(images);
      for (std::size_t m = 0; m < models_.size(); ++m) {
        const auto rows = (choice == static_cast<std::int64_t>(m)).nonzero().squeeze(1);
        if (rows.size(0) == 0) continue;
        const auto own = images.index_select(0, rows);
        nearest = nearest.index_copy(0, rows,
                                     models_[m]->autoencoder().differentiable_expected({own, torch::ones_like(own)}));
      }
      return nearest;
    };
    if (pass.surrogate == 0) return exact();
    for (const auto* model : models_) {
      made.push_back(model->autoencoder().differentiable_expected({images, observed}));
      errors.push_back(squared(made.back(), images));
    }
    const auto all = torch::stack(errors);  // [models, n]
    const auto temperature = kTemperature * all.detach().amin(0).clamp_min(1e-12);
    const auto weights = (-all / temperature).softmax(0);
    const auto soft = (torch::stack(made) * weights.view({all.size(0), all.size(1), 1, 1, 1})).sum(0);
    const auto choice = all.argmin(0);
    const auto nearest =
        torch::stack(made, 1).detach().index({torch::arange(images.size(0)), choice});  // [n, models, ...]
    return soft + (nearest - soft).detach();
  }
  std::vector<std::string_view> surrogates() const override { return {"exact", "soft"}; }
  bool chooses() const override { return true; }

 private:
  static double error(const at::Tensor& made, const at::Tensor& image) {
    return (made - image).to(at::kDouble).square().mean().item<double>();
  }
  static at::Tensor squared(const at::Tensor& made, const at::Tensor& images) {  // [n]
    return (made - images).square().flatten(1).mean(1);
  }
  static constexpr double kTemperature = 0.25;  // by the smallest error of the image
  std::vector<const recipe::Checkpoint*> models_;
  std::vector<score::Reconstructor> reconstruct_;
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
std::unique_ptr<Purifier> control(const PurifierSource&, const ChosenValues& values) {
  if constexpr (std::is_constructible_v<Control, double>)
    return std::make_unique<Control>(values.front());
  else
    return std::make_unique<Control>();
}

constexpr std::array kPurifierKinds{
    PurifierKind{"reconstruction",
                 {{{"TIMES", 1, 10000, 1, true}}},
                 "the model's reconstruction, so many times one after another",
                 [](const PurifierSource& source, const ChosenValues& values) -> std::unique_ptr<Purifier> {
                   return std::make_unique<Reconstruction>(source.checkpoint, values.front());
                 }},
    PurifierKind{"latent",
                 {{{"STEPS", 1, 10000, 60, true}, {"STARTS", 1, 1000, 1, true}}},
                 "the nearest image that the model's decoder makes, found by so many steps of descent from the code of "
                 "the image, and from those of the image with noise if there are more starts than one",
                 [](const PurifierSource& source, const ChosenValues& values) -> std::unique_ptr<Purifier> {
                   return std::make_unique<NearestDecoded>(source.checkpoint, static_cast<std::int64_t>(values[0]),
                                                           static_cast<std::int64_t>(values[1]));
                 }},
    PurifierKind{
        "nearest",
        {},
        "the reconstruction by that model which errs least on the image, of the first one and those of --among",
        [](const PurifierSource& source, const ChosenValues&) -> std::unique_ptr<Purifier> {
          return std::make_unique<NearestModel>(source);
        },
        false,
        true},
    PurifierKind{"noise",
                 {{{"SIGMA", 0, 100, 0.1}}},
                 "Gaussian noise of this standard deviation, which stands before others and makes answers random",
                 control<Noise>},
    PurifierKind{"identity", {}, "nothing, a control", control<Identity>},
    PurifierKind{"blur", {{{"SIGMA", 0.05, 100, 1}}}, "a Gaussian blur of so many pixels, a control", control<Blur>},
    PurifierKind{"threshold",
                 {{{"LEVEL", 0, 1, 0.5}}},
                 "1 where a pixel is at least this and 0 elsewhere, a control",
                 control<Threshold>},
    PurifierKind{"pca",
                 {{{"K", 1, 1e6, 25, true}}},
                 "the projection on so many principal components of the images of --clean, a control",
                 [](const PurifierSource& source, const ChosenValues& values) -> std::unique_ptr<Purifier> {
                   return std::make_unique<Projection>(source.clean(), static_cast<std::int64_t>(values.front()));
                 },
                 true},
};

}  // namespace

std::span<const PurifierKind> purifier_kinds() { return kPurifierKinds; }

PurifierChain::PurifierChain(std::span<const std::string> texts, const PurifierSource& source) {
  for (const auto& text : texts) {
    const auto [kind, values] = named_choice("--purifier", text, kPurifierKinds);
    if (kind->compares && source.among.empty())
      throw UsageError("--purifier " + text + ": needs further models, by --among PATH");
    if (kind->fitted && !source.clean)
      throw UsageError("--purifier " + text + ": needs images that nobody has changed, by --clean PATH");
    purifiers_.push_back(kind->make(source, values));
  }
}

bool PurifierChain::fitted(std::span<const std::string> texts) {
  return std::ranges::any_of(
      texts, [](const auto& text) { return named_choice("--purifier", text, kPurifierKinds).first->fitted; });
}

bool PurifierChain::compares(std::span<const std::string> texts) {
  return std::ranges::any_of(
      texts, [](const auto& text) { return named_choice("--purifier", text, kPurifierKinds).first->compares; });
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
    if (!on_the_way.chosen.empty()) images.chosen = std::move(on_the_way.chosen);
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

bool PurifierChain::optimises() const {
  return std::ranges::any_of(purifiers_, [](const auto& purifier) { return purifier->optimises(); });
}

bool PurifierChain::chooses() const {
  return std::ranges::any_of(purifiers_, [](const auto& purifier) { return purifier->chooses(); });
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

std::vector<std::string> PurifierChain::surrogates() const {
  std::size_t most = 1;
  for (const auto& purifier : purifiers_) most = std::max(most, purifier->surrogates().size());
  std::vector<std::string> passes(most);
  for (std::size_t pass = 0; pass < most; ++pass) {
    for (const auto& purifier : purifiers_) {
      const auto names = purifier->surrogates();
      if (names.size() == 1 && most > 1) continue;
      if (most == 1 && !passes[pass].empty()) continue;
      passes[pass] += (passes[pass].empty() ? "" : "+") + std::string(names[std::min(pass, names.size() - 1)]);
    }
  }
  return passes;
}

}  // namespace ae::apply
