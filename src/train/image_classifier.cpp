#include "train/image_classifier.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace ae::train {

std::int64_t ClassifierShape::grid(std::int64_t pixels) { return std::min(halved_twice(pixels), kMostGrid); }

bool ClassifierShape::averages() const {
  return grid(height) != halved_twice(height) || grid(columns) != halved_twice(columns);
}

ImageClassifier::ImageClassifier(const ClassifierShape& shape, std::uint64_t seed) : shape_(shape) {
  torch::manual_seed(seed);
  const auto add = [&](const std::string& name, const std::vector<std::int64_t>& weight) {
    std::int64_t inputs = 1;
    for (std::size_t i = 1; i < weight.size(); ++i) inputs *= weight[i];
    const double bound = 1 / std::sqrt(static_cast<double>(inputs));
    for (const auto& [part, sizes] : {std::pair{".weight", weight}, std::pair{".bias", std::vector{weight.front()}}})
      parameters_.emplace_back(name + part, torch::empty(sizes).uniform_(-bound, bound).requires_grad_(true));
  };
  const std::int64_t hidden = ClassifierShape::kHiddenUnits * shape.width;
  if (shape.convolutional) {
    constexpr auto kKernel = ClassifierShape::kKernel;
    add("convolution1", {shape.width, shape.channels, kKernel, kKernel});
    add("convolution2", {2 * shape.width, shape.width, kKernel, kKernel});
    add("hidden",
        {hidden, 2 * shape.width * ClassifierShape::grid(shape.height) * ClassifierShape::grid(shape.columns)});
  } else {
    add("hidden1", {hidden, shape.channels * shape.height * shape.columns});
    add("hidden2", {hidden, hidden});
  }
  add("outputs", {shape.classes, hidden});
}

at::Tensor ImageClassifier::logits(const at::Tensor& images) const {
  std::size_t layer = 0;
  const auto next = [&] {
    const auto &weight = parameters_[2 * layer].second, &bias = parameters_[2 * layer + 1].second;
    ++layer;
    return std::pair(weight, bias);
  };
  const auto linear = [&](const at::Tensor& x) {
    const auto [weight, bias] = next();
    return at::linear(x, weight, bias);
  };
  if (!shape_.convolutional) return linear(at::relu(linear(at::relu(linear(images.flatten(1))))));
  constexpr std::int64_t kBeside = ClassifierShape::kKernel / 2;
  // The order of the memory in which convolutions of few channels are faster.
  auto x = images.contiguous(at::MemoryFormat::ChannelsLast);
  for (int i = 0; i < 2; ++i) {
    const auto [weight, bias] = next();
    x = at::conv2d(x, weight, bias, {1, 1}, {kBeside, kBeside});
    x = at::max_pool2d(at::relu(x), {2, 2}, {2, 2}, {0, 0}, {1, 1}, true);
  }
  if (shape_.averages())
    x = at::adaptive_avg_pool2d(x, {ClassifierShape::grid(shape_.height), ClassifierShape::grid(shape_.columns)});
  return linear(at::relu(linear(x.flatten(1))));
}

double ImageClassifier::operations() const {
  double sum = 0;
  for (const auto& [name, tensor] : parameters_) {
    double places = 1;
    if (name == "convolution1.weight") places = static_cast<double>(shape_.height * shape_.columns);
    if (name == "convolution2.weight") places = static_cast<double>(shape_.height * shape_.columns) / 4;
    sum += 2 * places * static_cast<double>(tensor.numel());
  }
  return sum;
}

}  // namespace ae::train
