// Figures by name, for a terminal and for a page.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace ae::evaluate {

using Figures = std::vector<std::pair<std::string, std::string>>;  // name, value

// A line each, values below one another where names are shorter than `width`.
inline std::string figure_lines(const Figures& figures, std::size_t width) {
  std::string out;
  for (const auto& [name, value] : figures) {
    out += name;
    out.append(std::max(width, name.size() + 1) - name.size(), ' ');
    out += value + "\n";
  }
  return out;
}

}  // namespace ae::evaluate
