// A classifier of the user's, which is attacked or asked: any TorchScript network from images to one number a class.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "value/script_file.hpp"

namespace ae::victim {

struct ClassifierOptions {
  std::vector<double> mean,
      deviation;               // its input is (pixel - mean) / deviation: one for all channels, or one for each
  bool probabilities = false;  // it answers with probabilities, of which the logarithm is taken
};

// `path` is a classifier's file, or the folder that ae-train wrote with the objective "classification". InputError for
// a folder without a classifier.
std::filesystem::path classifier_file(const std::filesystem::path& path);

// The names of its classes that such a file holds, as the attribute classes: List[str]; none when it has no such list.
// InputError for what is no TorchScript.
std::vector<std::string> names_in(const std::filesystem::path& file);

// Images [n, channels, height, width] float32 in [0, 1]. It is given them so; where it does not take that, [n, height,
// width] of one channel, or [n, channels * height * width]. From several threads at once.
class Classifier {
 public:
  // `examples`: some images, on which it is tried. InputError for what is no such network, gives fewer than two classes
  // or numbers that are not finite, or answers otherwise in another batch, as networks do that were traced while
  // training. UsageError for as many means as there are neither channels nor one.
  Classifier(const std::filesystem::path& path, const ClassifierOptions& options, const at::Tensor& examples);

  // [n, classes], differentiable. InputError where it fails, or gives what is not finite.
  at::Tensor logits(const at::Tensor& images) const;
  // See ScriptFile: to train it, and the file of what it has become.
  value::ScriptFile::Parameters train_parameters() { return network_.train_parameters(); }
  std::string with(const value::ScriptFile::Parameters& parameters) const { return network_.with(parameters); }
  std::int64_t classes() const { return classes_; }
  void check_names(const std::vector<std::string>& names) const;  // UsageError unless none, or one for each class
  // Of its outputs, as the file tells them; none when it does not, or not as many.
  const std::vector<std::string>& names() const { return names_; }
  const std::string& name() const { return name_; }
  // What was seen of the examples: it answers otherwise when asked again, or as if it gave probabilities, though that
  // is not what was said of it.
  bool random() const { return random_; }
  bool looks_like_probabilities() const { return looks_like_probabilities_; }

 private:
  at::Tensor call(const at::Tensor& images) const;
  void choose_input(const at::Tensor& examples);
  void try_out(const at::Tensor& examples);

  std::string name_;
  value::ScriptFile network_;
  at::Tensor mean_, deviation_;  // [1, channels or 1, 1, 1]; undefined: none
  bool probabilities_;
  enum class Input { grid, plane, flat } input_ = Input::grid;
  std::int64_t classes_ = 0;
  std::vector<std::string> names_;
  bool random_ = false, looks_like_probabilities_ = false;
};

}  // namespace ae::victim
