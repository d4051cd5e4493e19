#include "value/script_file.hpp"

#include <torch/script.h>

#include <sstream>

#include "base/error.hpp"
#include "base/text.hpp"

namespace ae::value {

ScriptFile::ScriptFile(const std::filesystem::path& path) {
  try {
    module_ = std::make_shared<torch::jit::Module>(torch::jit::load(path.string(), torch::kCPU));
    module_->eval();
    for (const auto& parameter : module_->parameters()) parameter.requires_grad_(false);
  } catch (const std::exception& error) {
    throw InputError(path.string() + ": not a TorchScript file that can be read here (" + told(error) +
                     "); write it with torch.jit.script(...).save or torch.jit.trace(...).save");
  }
}

at::Tensor ScriptFile::operator()(const at::Tensor& input) const {
  const torch::jit::GraphOptimizerEnabledGuard as_written(false);
  const auto answer = module_->forward({input});
  TORCH_CHECK(answer.isTensor(), "it gives no tensor");
  auto values = answer.toTensor();
  TORCH_CHECK(values.is_floating_point(), "it gives no real numbers");
  return values;
}

std::vector<std::string> ScriptFile::texts(const std::string& name) const {
  std::vector<std::string> found;
  if (!module_->hasattr(name)) return found;
  const auto attribute = module_->attr(name);
  if (!attribute.isList() || attribute.toList().elementType()->kind() != c10::TypeKind::StringType) return found;
  for (const auto& text : attribute.toListRef()) found.push_back(text.toStringRef());
  return found;
}

void ScriptFile::to_double() { module_->to(at::kDouble); }

ScriptFile::Parameters ScriptFile::train_parameters() {
  Parameters found;
  for (const auto& parameter : module_->named_parameters()) {
    if (!parameter.value.is_floating_point()) continue;
    parameter.value.requires_grad_(true);
    found.emplace_back(parameter.name, parameter.value);
  }
  return found;
}

std::string ScriptFile::with(const Parameters& parameters) const {
  const torch::NoGradGuard no_grad;
  const auto copy = module_->deepcopy();
  for (const auto& parameter : copy.named_parameters()) {
    for (const auto& [name, numbers] : parameters)
      if (name == parameter.name) parameter.value.copy_(numbers);
    parameter.value.requires_grad_(false);
  }
  std::ostringstream file;
  copy.save(file);
  return file.str();
}

std::string told(const std::exception& error) {
  const auto* of_torch = dynamic_cast<const c10::Error*>(&error);
  std::string text = of_torch != nullptr ? of_torch->what_without_backtrace() : error.what();
  // Of errors within a TorchScript program the cause stands last.
  const auto cause = text.rfind("RuntimeError: ");
  if (cause != std::string::npos) text = text.substr(cause + 14);
  return printable(text.substr(0, text.find('\n')));
}

}  // namespace ae::value
