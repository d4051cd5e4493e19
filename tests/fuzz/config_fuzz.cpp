// Any bytes as a configuration, with or without overrides: an error or values that print and read back to the same
// text. The first line may hold overrides, separated by tabs, when it begins with '/'. What stands before a byte 0x1E
// is a recipe named "base", which the rest may extend.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "../unit/core/config_samples.hpp"
#include "base/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ae::config;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  samples::Everything first;
  try {
    std::vector<Override> overrides;
    if (text.starts_with('/')) {
      std::string_view line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(text.size(), line.size() + 1));
      while (!line.empty()) {
        const std::string_view argument = line.substr(0, line.find('\t'));
        overrides.push_back(parse_override(argument));
        line.remove_prefix(std::min(line.size(), argument.size() + 1));
      }
    }
    if (const auto end = text.find('\x1e'); end != std::string_view::npos) {
      const Recipe recipes[] = {{"base", text.substr(0, end)}, {"top", text.substr(end + 1)}};
      read_recipe(first, "top", overrides, recipes);
    } else {
      read_text(first, text, "fuzz", "/folder", overrides);
    }
  } catch (const ae::UsageError& error) {
    if (error.lines().empty()) std::abort();
    for (const std::string& line : error.lines())
      if (line.find('\n') != std::string::npos) std::abort();  // one line per problem, whatever the input
    return 0;
  }
  const std::string printed = to_json(first, Paths::as_written);
  samples::Everything second;
  read_text(second, printed, "printed", "/folder");
  if (to_json(second, Paths::as_written) != printed) std::abort();
  return 0;
}
