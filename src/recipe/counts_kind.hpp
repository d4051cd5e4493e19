// Counts of single cells: their stream, as the programs that write counts back need it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/counts/options.hpp"
#include "data/counts/source.hpp"
#include "recipe/kind.hpp"

namespace ae::recipe {

// A stream of cells, which also shows what the file holds of those of the block being visited.
class CellStream : public SampleStream {
 public:
  // --- of the input being visited, after for_each() of the last one ---
  virtual data::CountSource& source() const = 0;
  // Of each of the file's genes the element that it is to the network, -1: none.
  virtual const std::vector<std::int32_t>& elements_of_genes() const = 0;

  // --- of the block being visited ---
  virtual data::CountView counts() const = 0;  // its cells, genes by their number in the file

  // For all blocks to come: what the network is shown of a block's cells, instead of all. `first_cell`: their first.
  using Shown = std::function<data::CellCounts(const data::CountView& counts, std::int64_t first_cell)>;
  virtual void show(Shown shown) = 0;
};

class CountsKind final : public Kind {
 public:
  CountsKind(data::CountSchema schema, data::CountOptions options);
  void save(Metadata& metadata) const override;
  std::unique_ptr<SampleStream> open(const StreamOptions& options, Reporter& reporter) const override;
  std::unique_ptr<CellStream> open_cells(const StreamOptions& options, Reporter& reporter) const;

  // Of each element whether a zero is better filled: false where a cell's own counts are reliable and cells alike tell
  // less than they do (recipe/gene_support.hpp), true where that was not told.
  std::vector<bool> supported() const;
  const data::CountScale& scale() const { return schema_.scale; }
  const data::CountOptions& options() const { return options_; }

 private:
  data::CountSchema schema_;
  data::CountOptions options_;
};

}  // namespace ae::recipe
