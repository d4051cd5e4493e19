// One or several tables streamed through a checkpoint, block by block, at constant memory.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/reporter.hpp"
#include "data/tables/schema.hpp"
#include "recipe/checkpoint.hpp"

namespace ae::apply {

struct StreamOptions {
  std::vector<std::string> inputs;  // files; "-" is standard input
  data::TableFormat format;
  bool keep_raw = false;  // keep the exact bytes of the cells
  // Only some rows of several inputs, whose numbers of rows are then known.
  struct Share {
    std::int64_t first = 0, end = 0;  // counted over all inputs
    std::vector<std::int64_t> input_rows;
  };
  std::optional<Share> share;
  int threads = 0;  // 0 = as many as there are; with more than one, blocks are read while others are visited
};

class TableStream {
 public:
  using Visit = std::function<void(data::TableReader& reader, const data::Block& block)>;

  TableStream(const recipe::Checkpoint& checkpoint, StreamOptions options, Reporter& reporter);

  // Calls `visit` on this thread for every block, in order; meanwhile `reader` may be asked for nothing but what does
  // not depend on the row it is at. Row numbers count on from file to file. A block ends early when the input
  // would make us wait, so that what is there can be answered at once. InputError when an input has no rows. Stop
  // signals end it by Interrupted.
  void for_each(const Visit& visit);

  // Opens every input, as for_each() does, and counts its rows. InputError for what is wrong with the rows, but not
  // with their cells.
  std::vector<std::int64_t> count_rows(const std::function<void(const data::TableReader& reader)>& visit) const;

 private:
  const recipe::Checkpoint& checkpoint_;
  StreamOptions options_;
  Reporter& reporter_;
};

// Column of the table -> file column of one input, in element order.
std::vector<std::size_t> file_columns_of_elements(const data::TableReader& reader, std::size_t elements);

// The exact bytes of a CSV cell as the text they stand for: without quotes and surrounding blanks.
std::string cell_text(std::string_view raw);

// A value restored from network units as text: enough digits to tell a millionth of the column's spread, no more; a
// category by its level's name.
std::string value_text(const data::Column& column, double value);

// The schema's feature columns, in element order.
std::vector<const data::Column*> element_columns(const data::Schema& schema);

// A CSV line's pieces, looking as the input did.
std::string header_line(const data::RowSource::Layout& layout, const std::vector<std::string>& columns);

}  // namespace ae::apply
