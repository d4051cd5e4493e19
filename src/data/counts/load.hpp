// The cells that a network is trained on, as it sees them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/reporter.hpp"
#include "data/counts/options.hpp"

namespace ae::data {

struct PreparedCounts {
  CountSchema schema;  // fitted on `training` alone
  // All cells that are used, in the file's order; instead of genes those of schema.selected, counted from 0, instead of
  // counts values in network units. `owner` keeps them where they are.
  CountView cells;
  std::shared_ptr<const void> owner;
  std::vector<float> factors;                    // of each of `cells`: its size factor
  std::vector<std::int64_t> training, held_out;  // of `cells`, ascending
  std::vector<std::int64_t> numbers;             // of each of `cells` in the file
  std::string data_sha256;                       // of the names and counts of `cells`
};

// Cells with the same counts are held out together. With options.cache the prepared cells are kept there, and mapped.
// Errors: open_counts()'s; UsageError when options.rows or options.normal leave no cell.
PreparedCounts load_counts(const CountOptions& options, std::span<const CountReader* const> readers, Reporter& reporter,
                           HoldOut hold_out);

}  // namespace ae::data
