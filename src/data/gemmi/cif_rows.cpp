#include "data/gemmi/cif_rows.hpp"

#include <gemmi/cif.hpp>

namespace ae::data::molecules {

CifRows for_each_cif_row(const std::string& text, const std::string& name, const std::string& category,
                         const std::vector<std::string>& tags,
                         const std::function<void(const std::vector<std::string>&)>& take) {
  namespace cif = gemmi::cif;
  auto document = cif::read_memory(text.data(), text.size(), name.c_str());
  CifRows rows;
  std::vector<std::string> cells(tags.size());
  for (auto& block : document.blocks) {
    auto table = block.find(category, tags);
    if (!table.ok() || table.length() == 0) continue;
    rows.more_blocks = rows.count > 0;
    if (rows.more_blocks) break;
    rows.count = table.length();
    for (std::size_t i = 0; i < rows.count; ++i) {
      const auto row = table[i];
      for (std::size_t c = 0; c < cells.size(); ++c) cells[c] = row.has(c) ? cif::as_string(row[c]) : std::string();
      take(cells);
    }
  }
  return rows;
}

}  // namespace ae::data::molecules
