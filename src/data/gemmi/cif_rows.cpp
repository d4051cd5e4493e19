#include "data/gemmi/cif_rows.hpp"

#include <gemmi/cif.hpp>

namespace ae::data::molecules {
namespace {

namespace cif = gemmi::cif;

class Block final : public CifBlock {
 public:
  explicit Block(cif::Block& block) : block_(&block) {}
  const std::string& name() const override { return block_->name; }
  std::size_t rows(const std::string& category, const std::vector<std::string>& tags,
                   const std::function<void(const Cells&)>& take) const override {
    auto table = block_->find(category, tags);
    if (!table.ok()) return 0;
    Cells cells(tags.size());
    for (const auto row : table) {
      for (std::size_t c = 0; c < cells.size(); ++c) cells[c] = row.has(c) ? cif::as_string(row[c]) : std::string();
      take(cells);
    }
    return table.length();
  }

 private:
  cif::Block* block_;  // which the library does not search when it is const
};

}  // namespace

void for_each_cif_block(const std::string& text, const std::string& name,
                        const std::function<bool(const CifBlock&)>& take) {
  auto document = cif::read_memory(text.data(), text.size(), name.c_str());
  for (auto& block : document.blocks)
    if (!take(Block(block))) return;
}

}  // namespace ae::data::molecules
