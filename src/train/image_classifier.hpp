// A small network from images to one number a class, as plain tensors: what "classification" trains, and the same as
// TorchScript.
//
// cnn, after LeCun et al. (1998) in the sizes of Madry et al. (2018): two convolutions of 5 x 5, each followed by a
// maximum over 2 x 2, the second with twice as many channels; means over a grid of at most 7 x 7; a hidden layer of 8
// times `width` units; the outputs. mlp: two such hidden layers. Activations are rectified linear.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "model/network.hpp"

namespace ae::train {

struct ClassifierShape {
  bool convolutional = true;                           // else mlp
  std::int64_t width = 16;                             // channels of the first convolution
  std::int64_t channels = 1, height = 0, columns = 0;  // of an image
  std::int64_t classes = 0;

  static constexpr std::int64_t kKernel = 5, kMostGrid = 7, kHiddenUnits = 8;
  // What is left of so many pixels after both maxima; then of so many after the means.
  static std::int64_t halved_twice(std::int64_t pixels) { return (pixels + 3) / 4; }
  static std::int64_t grid(std::int64_t pixels);
  bool averages() const;  // the means do something
};

class ImageClassifier {
 public:
  // Weights are drawn from `seed`: uniform within 1 / sqrt(inputs of a unit), as LibTorch's layers begin.
  ImageClassifier(const ClassifierShape& shape, std::uint64_t seed);
  // Images [n, channels, height, width] float32 in [0, 1]; [n, classes], differentiable.
  at::Tensor logits(const at::Tensor& images) const;
  const ClassifierShape& shape() const { return shape_; }
  const model::NamedTensors& parameters() const { return parameters_; }  // "hidden.weight", ...
  double operations() const;                                             // floating point, of one image, about

 private:
  ClassifierShape shape_;
  model::NamedTensors parameters_;  // weight and bias of one layer after another
};

// The bytes of a file that torch.jit.load() reads: forward(x) are the logits; attributes classes: List[str], made_by:
// str.
std::string classifier_script(const ImageClassifier& classifier, const std::vector<std::string>& classes,
                              const std::string& made_by);

}  // namespace ae::train
