// Detectors of images that somebody has changed so that a classifier errs (MagNet, Meng and Chen 2017): how far an
// image lies from its reconstruction, or a classifier's answers to the two from each other.
//
// Adding one: a function in detectors.cpp, and one line in detector_kinds().
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apply/named_choice.hpp"
#include "victim/classifier.hpp"

namespace ae::apply {

// What a detector looks at.
struct Suspect {
  const at::Tensor& images;           // [n, channels, height, width]
  const at::Tensor& reconstructions;  // likewise
  const victim::Classifier& classifier;
};

struct DetectorKind {
  std::string_view name;
  ChoiceValues values;
  std::string_view help;
  at::Tensor (*score)(const Suspect& suspect, double value) = nullptr;  // [n], the higher the stranger
};
std::span<const DetectorKind> detector_kinds();

// Several; an image is flagged that any of them flags.
class Detectors {
 public:
  // "jsd" is "jsd:10". UsageError for an unknown name, a value out of range, and one that is named twice.
  explicit Detectors(std::span<const std::string> texts);
  bool empty() const { return chosen_.empty(); }
  const std::vector<std::string>& names() const { return names_; }

  // [n, detectors] float32.
  at::Tensor scores(const Suspect& suspect) const;
  // Thresholds [detectors] above which so small a share of clean images lies, all detectors together: each has the same
  // part of it. `clean`: their scores, [n, detectors]; InputError for fewer of them than detectors / share.
  void calibrate(const at::Tensor& clean, double share);
  const at::Tensor& thresholds() const { return thresholds_; }
  at::Tensor flagged(const at::Tensor& scores) const;  // [n] bool

 private:
  struct Chosen {
    const DetectorKind* kind;
    double value;
  };
  std::vector<Chosen> chosen_;
  std::vector<std::string> names_;
  at::Tensor thresholds_;
};

}  // namespace ae::apply
