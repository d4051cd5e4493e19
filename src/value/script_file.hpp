// A network of the user's in a TorchScript file, which is a program that runs with the user's rights: read only when
// the user names it.
#pragma once

#include <ATen/core/Tensor.h>

#include <exception>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace torch::jit {
struct Module;
}

namespace ae::value {

// In evaluation mode, on the CPU, run as it was written. From several threads at once.
class ScriptFile {
 public:
  using Parameters = std::vector<std::pair<std::string, at::Tensor>>;  // by their names

  // InputError for what is no TorchScript, or cannot be read by this LibTorch.
  explicit ScriptFile(const std::filesystem::path& path);
  // The one tensor of real numbers that it gives, differentiable if the network is; throws c10::Error or what the
  // program throws, see told().
  at::Tensor operator()(const at::Tensor& input) const;
  // Its attribute of that name when that is a list of texts; else none.
  std::vector<std::string> texts(const std::string& name) const;
  void to_double();  // parameters in float64; throws likewise

  // What is learnt: its parameters of real numbers, which from now on have gradients. None of a network
  // that was frozen.
  Parameters train_parameters();
  // The bytes of such a file with these numbers in the place of parameters, which are all that train_parameters() gave.
  std::string with(const Parameters& parameters) const;

 private:
  std::shared_ptr<torch::jit::Module> module_;
};

// What went wrong in LibTorch or in a TorchScript program, as one line.
std::string told(const std::exception& error);

}  // namespace ae::value
