#include "data/gemmi/cif_rows.hpp"

#include <gemmi/cif.hpp>

namespace ae::data::molecules {

std::size_t for_each_cif_row(const std::string& text, const std::string& name, const std::string& category,
                             const std::vector<std::string>& tags,
                             const std::function<void(const std::vector<std::string>&)>& take) {
  namespace cif = gemmi::cif;
  auto document = cif::read_memory(text.data(), text.size(), name.c_str());
  if (document.blocks.empty()) return 0;
  auto table = document.blocks.front().find(category, tags);
  if (!table.ok()) return 0;
  std::vector<std::string> cells(tags.size());
  const std::size_t rows = table.length();
  for (std::size_t i = 0; i < rows; ++i) {
    const auto row = table[i];
    for (std::size_t c = 0; c < cells.size(); ++c) cells[c] = row.has(c) ? cif::as_string(row[c]) : std::string();
    take(cells);
  }
  return rows;
}

}  // namespace ae::data::molecules
