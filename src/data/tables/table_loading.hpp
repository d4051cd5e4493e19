// A training table on its way from a file's rows to where they are kept.
#pragma once

#include <cstdint>

#include "data/tables/schema.hpp"

namespace ae {
class ScratchFile;
}

namespace ae::data {

// Where the selected rows of a training table go.
class RowTaker {
 public:
  virtual ~RowTaker() = default;
  virtual void begin(const Schema& schema, std::int64_t training, std::int64_t held_out) = 0;
  // Row `row` of `block`, in file order.
  virtual void take(const Block& block, std::int64_t row, bool trains) = 0;
};

// load_table() with a free hand: `scratch`, if given, keeps the cells while they are read, so that memory grows by
// about 25 bytes a row (50 where rows repeat) however many columns there are, and blocks then have neither ids nor
// labels. Returns the rows in the file.
std::int64_t load_rows(RowSource& source, const TableOptions& options, Reporter& reporter, HoldOut hold_out,
                       ScratchFile* scratch, RowTaker& taker);

}  // namespace ae::data
