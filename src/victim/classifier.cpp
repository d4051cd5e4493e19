#include "victim/classifier.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <array>
#include <system_error>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "evaluate/model_file.hpp"

namespace ae::victim {
namespace {

at::Tensor by_channel(const std::vector<double>& numbers, std::int64_t channels, const char* option) {
  if (numbers.empty()) return {};
  const auto count = std::ssize(numbers);
  if (count != 1 && count != channels)
    throw UsageError(std::string(option) + ": " + counted(count, "numbers") + ", but images have " +
                     counted(channels, "channels") + "; give one number for all channels, or one for each");
  return torch::tensor(numbers, at::kFloat).reshape({1, count, 1, 1});
}

constexpr const char* kNames = "classes";  // the attribute

}  // namespace

std::filesystem::path classifier_file(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) return path;
  auto file = path / evaluate::kClassifierFile;
  if (!std::filesystem::exists(file, ignored))
    throw InputError(path.string() + ": a folder without " + evaluate::kClassifierFile +
                     "; expected a TorchScript file, or the folder of an ae-train with \"objective\": {\"type\": "
                     "\"classification\"}");
  return file;
}

std::vector<std::string> names_in(const std::filesystem::path& file) { return value::ScriptFile(file).texts(kNames); }

Classifier::Classifier(const std::filesystem::path& path, const ClassifierOptions& options, const at::Tensor& examples)
    : name_(path.string()),
      network_(path),
      mean_(by_channel(options.mean, examples.size(1), "--mean")),
      deviation_(by_channel(options.deviation, examples.size(1), "--std")),
      probabilities_(options.probabilities) {
  const torch::NoGradGuard no_grad;
  choose_input(examples);
  names_ = network_.texts(kNames);
  if (std::ssize(names_) != classes_) names_.clear();
  try {
    try_out(examples);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw InputError(name_ + ": fails on another number of images than it was given first: " + value::told(error) +
                     "; expected a network from any number of them to [n, classes]");
  }
}

at::Tensor Classifier::call(const at::Tensor& images) const {
  auto input = images;
  if (mean_.defined()) input = input - mean_;
  if (deviation_.defined()) input = input / deviation_;
  if (input.is_same(images)) input = images.clone();  // networks may change what they are given
  if (input_ == Input::plane) input = input.squeeze(1);
  if (input_ == Input::flat) input = input.flatten(1);
  auto answer = network_(input);
  TORCH_CHECK(answer.dim() == 2 && answer.size(0) == images.size(0), "it gives ", answer.sizes(), " for ",
              images.size(0), " images, not [n, classes]");
  return answer.to(at::kFloat);
}

at::Tensor Classifier::logits(const at::Tensor& images) const {
  try {
    const auto answer = call(images);
    if (!answer.isfinite().all().item<bool>())
      throw InputError(name_ + ": gives numbers that are not finite for images of the input");
    return probabilities_ ? answer.clamp_min(1e-30).log() : answer;
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw InputError(name_ + ": fails on " + counted(images.size(0), "images") + ": " + value::told(error) +
                     "; expected a network from any number of them to [n, classes]");
  }
}

void Classifier::check_names(const std::vector<std::string>& names) const {
  if (!names.empty() && std::ssize(names) != classes_)
    throw UsageError("--classes: names " + counted(std::ssize(names), "classes") + ", but " + name_ + " has " +
                     std::to_string(classes_));
}

void Classifier::choose_input(const at::Tensor& examples) {
  std::string why;
  for (const auto input : {Input::grid, Input::plane, Input::flat}) {
    if (input == Input::plane && examples.size(1) != 1) continue;
    input_ = input;
    try {
      classes_ = call(examples).size(1);
      if (classes_ < 2)
        throw InputError(name_ + ": has " + counted(classes_, "outputs") +
                         "; expected one for each of two classes or more");
      return;
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      if (why.empty()) why = value::told(error);
    }
  }
  throw InputError(name_ + ": does not take images of shape [n, " + std::to_string(examples.size(1)) + ", " +
                   std::to_string(examples.size(2)) + ", " + std::to_string(examples.size(3)) + "]: " + why +
                   "; expected a network from them to [n, classes]");
}

void Classifier::try_out(const at::Tensor& examples) {
  const auto answer = call(examples);
  if (!answer.isfinite().all().item<bool>())
    throw InputError(name_ + ": gives numbers that are not finite for images of the input");
  random_ = !at::allclose(answer, call(examples), 1e-4, 1e-5);
  const bool in_range = answer.min().item<float>() >= 0 && answer.max().item<float>() <= 1.0001F;
  const bool sums = at::allclose(answer.sum(1), torch::ones({answer.size(0)}), 0, 1e-3);
  looks_like_probabilities_ = !probabilities_ && in_range && sums;
  if (probabilities_ && !(in_range && sums))
    throw InputError(name_ + ": was said to give probabilities, but the outputs for an image do not sum to 1; leave " +
                     "--outputs probabilities out");
  if (!random_ && !at::allclose(answer.narrow(0, 0, 1), call(examples.narrow(0, 0, 1)), 1e-3, 1e-3))
    throw InputError(name_ +
                     ": answers differently in another batch, as networks do that were traced while training; call "
                     "eval() before torch.jit.trace");
}

}  // namespace ae::victim
