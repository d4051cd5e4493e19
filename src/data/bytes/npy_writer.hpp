// NPY files of float32 whose number of rows is known last. Memory does not grow with them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/files.hpp"

namespace ae::data {

class NpyWriter {
 public:
  // UsageError for standard output, which cannot be written at its beginning once there is more.
  NpyWriter(Output& output, std::int64_t columns);
  void add(std::span<const float> row);  // [columns]
  void flush();                          // hands on what was added
  void finish();                         // after the last row; Output::commit() is the caller's

 private:
  std::string header() const;
  Output& output_;
  std::int64_t columns_, rows_ = 0;
  std::size_t header_size_;
  std::uint64_t end_;
  std::string bytes_;  // not handed on yet
};

}  // namespace ae::data
