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
#include <vector>

#include "recipe/checkpoint.hpp"

namespace ae::apply {

class Purifier {
 public:
  virtual ~Purifier() = default;
  // Images [channels, height, width] float32 in network pixels, which may have different sizes. An image's answer does
  // not depend on the others.
  virtual std::vector<at::Tensor> operator()(std::span<const at::Tensor> images) const = 0;
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

// "reconstruction:2": UsageError for an unknown name or a value out of range.
std::unique_ptr<Purifier> make_purifier(std::string_view text, const recipe::Checkpoint& checkpoint);

}  // namespace ae::apply
