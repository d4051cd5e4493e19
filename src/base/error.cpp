#include "base/error.hpp"

#include <utility>

namespace ae {
namespace {

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) {
    if (!text.empty()) text += '\n';
    text += line;
  }
  return text;
}

}  // namespace

Error::Error(ExitCode code, std::string line) : Error(code, std::vector<std::string>{std::move(line)}) {}

Error::Error(ExitCode code, std::vector<std::string> lines)
    : std::runtime_error(joined(lines)), code_(code), lines_(std::move(lines)) {}

}  // namespace ae
