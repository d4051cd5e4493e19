// A training table in network units in a file of its own, mapped instead of held: for tables larger than memory.
//
// The key covers the data file's bytes and everything that decides what becomes of them (columns, roles, missing texts,
// scaling, selected and held-out rows, the file's name). Sections: values, then observed, of the training rows, then of
// the held-out rows, as float32; row numbers as int64 (of both). The description is the schema. See cache_file.hpp.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "data/tables/schema.hpp"

namespace ae::data {

// See model::Batch. Valid while the table's `file` is held.
struct MappedRows {
  std::int64_t rows = 0;
  const float* values = nullptr;              // [rows, elements]
  const float* observed = nullptr;            // [rows, elements]: 1 or 0
  const std::int64_t* row_numbers = nullptr;  // [rows], 0-based in the file, ascending
};

struct CachedTable {
  Schema schema;
  std::int64_t elements = 0;
  MappedRows training;
  MappedRows held_out;
  std::string data_sha256;
  std::shared_ptr<const void> file;
};

// The table by options.path from its file in the folder options.cache, which is made when there is none and made again,
// with a warning, when it is damaged. Same rows, same schema, same messages and errors as load_table(); making it takes
// about 25 bytes of memory a row besides (50 where rows repeat). UsageError when options.path is no regular file,
// RunError when the folder cannot be written.
CachedTable open_cached_table(const TableOptions& options, Reporter& reporter, HoldOut hold_out = {});

}  // namespace ae::data
