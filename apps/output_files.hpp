// The files that one run writes beside each other.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"

namespace ae::apps {

// Opens them before any work is done. UsageError for one that is an input of the run, or that another option writes.
class OutputFiles {
 public:
  OutputFiles(std::vector<std::string> inputs, bool overwrite) : inputs_(std::move(inputs)), overwrite_(overwrite) {}

  // Nothing when the option was not given.
  std::optional<Output> open(const std::string& path, const std::string& option) {
    if (path.empty()) return std::nullopt;
    for (const auto& input : inputs_) {
      std::error_code ignored;
      if (input != "-" && path != "-" && std::filesystem::equivalent(input, path, ignored))
        throw UsageError(option + " " + ae::quoted(path, 200) + " is an input file; choose another name");
    }
    for (const auto& [other_option, other] : opened_) {
      if (std::filesystem::path(other).lexically_normal() == std::filesystem::path(path).lexically_normal())
        throw UsageError(ae::join(std::vector<std::string>{other_option, option}, " and ") + " both write to " +
                         ae::quoted(path, 200) + "; choose different names");
    }
    opened_.emplace_back(option, path);
    stdout_taken_ = stdout_taken_ || path == "-";
    return Output::open(path, overwrite_);
  }
  bool stdout_taken() const { return stdout_taken_; }

 private:
  std::vector<std::string> inputs_;
  bool overwrite_;
  std::vector<std::pair<std::string, std::string>> opened_;
  bool stdout_taken_ = false;
};

}  // namespace ae::apps
