#include "data/options.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace ae::data {

std::filesystem::path file_of(const config::Path& path) {
  return path.written == "-" || path.resolved.empty() ? std::filesystem::path(path.written) : path.resolved;
}

bool label_matches(std::string_view label, std::span<const std::string> values) {
  label = trimmed(label);
  if (label.empty()) return false;
  const auto same_text = [&](const std::string& value) { return trimmed(value) == label; };
  if (std::ranges::any_of(values, same_text)) return true;
  const auto number = parse_number(label);
  return number && std::ranges::any_of(values, [&](const std::string& value) {
           return parse_number(trimmed(value)) == number;  // never true for NaN
         });
}

}  // namespace ae::data
