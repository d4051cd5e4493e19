// What brings an image nearer to natural ones, and controls that a model has to beat.
//
// Adding one: a class in purifiers.cpp, and one line in purifier_kinds().
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apply/named_choice.hpp"
#include "recipe/checkpoint.hpp"
#include "score/maps.hpp"

namespace ae::apply {

// Of each image one, from which its random numbers follow.
using Keys = std::vector<std::uint64_t>;
// Keys of the `draw`-th answer for images of these numbers in the input. Another purpose: independent ones.
Keys draw_keys(std::uint64_t seed, std::string_view purpose, std::span<const std::int64_t> numbers, std::int64_t draw);

// Images [channels, height, width] float32 in network pixels, which may have different sizes, and their reconstructions
// by the first model, which are made once.
class ImageSet {
 public:
  // `keys`: as many, or none, where nothing is drawn.
  explicit ImageSet(std::vector<at::Tensor> images = {}, Keys keys = {})
      : images_(std::move(images)), keys_(std::move(keys)) {}
  const std::vector<at::Tensor>& all() const { return images_; }
  const Keys& keys() const { return keys_; }
  // By which of several models each is purified, where a purifier chooses; else none.
  std::vector<std::int64_t> chosen;
  const std::vector<at::Tensor>& reconstructions(const score::Reconstructor& reconstruct) {
    if (reconstructions_.empty()) reconstructions_ = reconstruct(images_);
    return reconstructions_;
  }

 private:
  std::vector<at::Tensor> images_, reconstructions_;
  Keys keys_;
};

// How images are purified with gradients: which function stands on the way back, and what is drawn, as of ImageSet.
struct Pass {
  std::size_t surrogate = 0;
  Keys keys;
};

class Purifier {
 public:
  virtual ~Purifier() = default;
  // An image's answer does not depend on the others. Fills in ImageSet::chosen where chooses().
  virtual std::vector<at::Tensor> operator()(ImageSet& images) const = 0;
  // The same of images [n, channels, height, width] of one size, not tiled, for automatic differentiation. Where its
  // own gradient leads nowhere, another function's stands for it on the way back (backward pass differentiable
  // approximation, Athalye et al. 2018): one of surrogates(), by its number. An answer may differ in the last bits.
  virtual at::Tensor differentiable(const at::Tensor& images, const Pass& pass) const = 0;
  virtual bool random() const { return false; }  // draws, and answers otherwise by other keys
  // An optimisation runs inside: gradients are those of something else, and an attack through them is no measure of who
  // attacks the optimisation itself.
  virtual bool optimises() const { return false; }
  virtual bool chooses() const { return false; }  // one of several models for each image
  virtual std::vector<std::string_view> surrogates() const { return {"exact"}; }  // names of the backward passes
};

// What a purifier is made of. It must outlive it.
struct PurifierSource {
  const recipe::Checkpoint& checkpoint;
  std::function<at::Tensor()> clean{};  // images [n, channels, height, width] that nobody has changed; may be empty
  std::span<const recipe::Checkpoint> among{};  // further models
};

struct PurifierKind {
  std::string_view name;
  ChoiceValues values;
  std::string_view help;
  std::unique_ptr<Purifier> (*make)(const PurifierSource& source, const ChosenValues& values);
  bool fitted = false;    // to clean images
  bool compares = false;  // several models
};
std::span<const PurifierKind> purifier_kinds();

// Several, one after another.
class PurifierChain {
 public:
  // Each as "reconstruction:2": UsageError for an unknown name or a value out of range, for one that is fitted to clean
  // images, or compares models, where there are none, for models that read images otherwise than the first one, and for
  // a model that a purifier cannot use. InputError where clean images are too few. At least one.
  PurifierChain(std::span<const std::string> texts, const PurifierSource& source);
  // Whether one of them is fitted to clean images; compares models. UsageError likewise.
  static bool fitted(std::span<const std::string> texts);
  static bool compares(std::span<const std::string> texts);
  // ImageSet::chosen is that of the last purifier that chooses.
  std::vector<at::Tensor> operator()(ImageSet& images) const;
  // As of one purifier; those that have fewer surrogates take their last one, and each draws for itself.
  at::Tensor differentiable(const at::Tensor& images, const Pass& pass) const;
  // Of each pass the names of those purifiers that have several: "sigmoid+soft".
  std::vector<std::string> surrogates() const;
  bool random() const;
  bool optimises() const;
  bool chooses() const;

 private:
  std::vector<std::unique_ptr<Purifier>> purifiers_;
};

// Of classes [n] int64 that were answered several times.
class Votes {
 public:
  Votes(std::int64_t images, std::int64_t classes);
  void add(const at::Tensor& answers);
  const at::Tensor& counts() const { return counts_; }  // [n, classes] int64
  at::Tensor winners() const;                           // [n], of equally many the first class

 private:
  at::Tensor counts_;
};

constexpr std::int64_t kUsualVotes = 16;
// How many answers decide: one, unless something is drawn at random. UsageError for --votes where nothing is.
std::int64_t votes_of(std::optional<std::int64_t> asked, bool random);

}  // namespace ae::apply
