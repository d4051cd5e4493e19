// What brings an image nearer to natural ones, and controls that a model has to beat.
//
// Adding one: a class in purifiers.cpp, and one line in purifier_kinds().
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "recipe/checkpoint.hpp"
#include "score/maps.hpp"

namespace ae::apply {

// Images [channels, height, width] float32 in network pixels, which may have different sizes, and their reconstructions
// by the one network there is, which are made once.
class ImageSet {
 public:
  explicit ImageSet(std::vector<at::Tensor> images = {}) : images_(std::move(images)) {}
  const std::vector<at::Tensor>& all() const { return images_; }
  const std::vector<at::Tensor>& reconstructions(const score::Reconstructor& reconstruct) {
    if (reconstructions_.empty()) reconstructions_ = reconstruct(images_);
    return reconstructions_;
  }

 private:
  std::vector<at::Tensor> images_, reconstructions_;
};

class Purifier {
 public:
  virtual ~Purifier() = default;
  // An image's answer does not depend on the others.
  virtual std::vector<at::Tensor> operator()(ImageSet& images) const = 0;
  // The same of images [n, channels, height, width] of one size, not tiled, for automatic differentiation. Where its
  // own gradient leads nowhere, another function's stands for it on the way back (backward pass differentiable
  // approximation, Athalye et al. 2018): one of surrogates(), by its number. An answer may differ in the last bits.
  virtual at::Tensor differentiable(const at::Tensor& images, std::size_t surrogate) const = 0;
  virtual std::vector<std::string_view> surrogates() const { return {"exact"}; }  // names of the backward passes
};

struct PurifierKind {
  std::string_view name;
  std::string_view value;  // what stands behind a colon, "SIGMA"; "" = nothing
  std::string_view help;
  double low = 0, high = 0, usual = 0;  // of the value
  // The checkpoint must outlive it.
  std::unique_ptr<Purifier> (*make)(const recipe::Checkpoint& checkpoint, double value);
};
std::span<const PurifierKind> purifier_kinds();

// Several, one after another.
class PurifierChain {
 public:
  // Each as "reconstruction:2": UsageError for an unknown name or a value out of range. At least one; the checkpoint
  // must outlive this.
  PurifierChain(std::span<const std::string> texts, const recipe::Checkpoint& checkpoint);
  std::vector<at::Tensor> operator()(ImageSet& images) const;
  // As of one purifier; those that have fewer surrogates take their last one.
  at::Tensor differentiable(const at::Tensor& images, std::size_t surrogate) const;
  std::vector<std::string_view> surrogates() const;

 private:
  std::vector<std::unique_ptr<Purifier>> purifiers_;
};

}  // namespace ae::apply
