// What may be wrong with a structure, by what was found out about it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ae::geometry {

// One thing that may be wrong.
template <typename Validity>
struct Flag {
  std::string_view name;
  std::string_view meaning;
  bool (*holds)(const Validity& validity);
};

// Names of those that hold, in the order of the table.
template <typename Validity>
std::vector<std::string> verdict(const std::vector<Flag<Validity>>& flags, const Validity& validity) {
  std::vector<std::string> names;
  for (const auto& flag : flags)
    if (flag.holds(validity)) names.emplace_back(flag.name);
  return names;
}

}  // namespace ae::geometry
