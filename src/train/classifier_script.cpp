#include <torch/script.h>

#include <sstream>

#include "train/image_classifier.hpp"

namespace ae::train {
namespace {

std::string script_name(std::string parameter) {
  for (char& c : parameter)
    if (c == '.') c = '_';
  return parameter;
}

// forward(x), as ImageClassifier::logits() computes it.
std::string script_source(const ClassifierShape& shape) {
  const auto number = [](std::int64_t value) { return std::to_string(value); };
  const auto layer = [](const std::string& name) { return "self." + name + "_weight, self." + name + "_bias"; };
  const auto linear = [&](const std::string& name) { return "torch.linear(x, " + layer(name) + ")"; };
  const std::string sizes = number(shape.channels) + ", " + number(shape.height) + ", " + number(shape.columns);
  std::string source = "def forward(self, x: Tensor) -> Tensor:\n";
  const auto line = [&](const std::string& statement) { source += "  " + statement + "\n"; };
  line("assert x.dim() == 4 and x.size(1) == " + number(shape.channels) + " and x.size(2) == " + number(shape.height) +
       " and x.size(3) == " + number(shape.columns) + ", \"expected images [n, " + sizes + "], pixels from 0 to 1\"");
  if (shape.convolutional) {
    const auto beside = number(ClassifierShape::kKernel / 2);
    for (const std::string name : {"convolution1", "convolution2"}) {
      line("x = torch.conv2d(x, " + layer(name) + ", [1, 1], [" + beside + ", " + beside + "])");
      line("x = torch.max_pool2d(torch.relu(x), [2, 2], [2, 2], [0, 0], [1, 1], True)");
    }
    if (shape.averages())
      line("x = torch.adaptive_avg_pool2d(x, [" + number(ClassifierShape::grid(shape.height)) + ", " +
           number(ClassifierShape::grid(shape.columns)) + "])");
    line("x = x.flatten(1)");
    line("x = torch.relu(" + linear("hidden") + ")");
  } else {
    line("x = x.flatten(1)");
    line("x = torch.relu(" + linear("hidden1") + ")");
    line("x = torch.relu(" + linear("hidden2") + ")");
  }
  line("return " + linear("outputs"));
  return source;
}

}  // namespace

std::string classifier_script(const ImageClassifier& classifier, const std::vector<std::string>& classes,
                              const std::string& made_by) {
  const torch::NoGradGuard no_grad;
  torch::jit::Module module("__torch__.aetools.Classifier");
  c10::List<std::string> names;
  for (const auto& name : classes) names.push_back(name);
  module.register_attribute("training", c10::BoolType::get(), false);
  module.register_attribute("classes", c10::ListType::create(c10::StringType::get()), names);
  module.register_attribute("made_by", c10::StringType::get(), made_by);
  for (const auto& [name, tensor] : classifier.parameters())
    module.register_parameter(script_name(name), tensor.detach().clone(), false);
  module.define(script_source(classifier.shape()));
  std::ostringstream file;
  module.save(file);
  return file.str();
}

}  // namespace ae::train
