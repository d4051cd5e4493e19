#include "data/tables/stray_rows.hpp"

#include <algorithm>
#include <vector>

#include "base/text.hpp"
#include "data/tables/numbers.hpp"

namespace ae::data {

std::string line_of_place(const std::string& where) { return where.substr(0, where.rfind(':')); }

std::string stray_row(const std::string& where, std::int64_t row, std::span<const StrayCell> cells) {
  constexpr std::size_t kNamed = 5;
  if (cells.size() < 2) return {};
  const std::string line = line_of_place(where) + ": ";
  std::vector<std::string> shown;
  if (std::ranges::all_of(cells, [](const StrayCell& cell) { return cell.text == cell.column; })) {
    for (const auto& cell : cells) shown.push_back(ae::quoted(cell.text));
    return line + "is the header once more, " + join(shown, ", ", kNamed) + ", where numbers belong; remove the line";
  }
  const auto is_word = [](const StrayCell& cell) { return !cell.text.empty() && looks_like(cell.text, {}).empty(); };
  if (row > 0 || std::ranges::count_if(cells, is_word) < 2) return {};
  for (const auto& cell : cells) shown.push_back(ae::quoted(cell.text) + " in " + ae::quoted(cell.column));
  return line + "looks like a row of units: " + join(shown, ", ", kNamed) +
         ", where numbers belong; remove the line, or correct its cells if they are no units";
}

}  // namespace ae::data
