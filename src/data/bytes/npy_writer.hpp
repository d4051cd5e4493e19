// NPY files of float32 whose number of rows is known last. Memory does not grow with them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/files.hpp"

namespace ae::data {

class NpyWriter {
 public:
  // UsageError for standard output, which cannot be written at its beginning once there is more.
  NpyWriter(Output& output, std::int64_t columns);
  NpyWriter(Output& output, std::vector<std::int64_t> row_shape);  // [rows, ...]
  void add(std::span<const float> row);                            // of that shape
  void flush();                                                    // hands on what was added
  void finish();  // after the last row; Output::commit() is the caller's

 private:
  std::string header() const;
  Output& output_;
  std::vector<std::int64_t> shape_;  // of all, as far as it is known
  std::size_t header_size_ = 0;
  std::uint64_t end_ = 0;
  std::string bytes_;  // not handed on yet
};

}  // namespace ae::data
