// IDX files, the format of MNIST: yann.lecun.com/exdb/mnist (0, 0, type, dimensions, big-endian sizes, elements).
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "data/bytes/source.hpp"

namespace ae::data {

struct IdxArray {
  std::vector<std::int64_t> shape;  // 1 to 4 sizes
  std::vector<std::uint8_t> bytes;  // row-major
};

// Unsigned bytes only, the one type the format is used with. InputError for anything else, and for a file that is
// shorter or longer than its header says. No more memory is taken than the file has bytes.
IdxArray read_idx(ByteSource& source);

// The same without the elements, which are the rest of the file.
struct IdxLayout {
  std::vector<std::int64_t> shape;
  std::uint64_t offset = 0;  // of the first element in the file
};
IdxLayout find_idx(const std::shared_ptr<RandomAccess>& file);

// Whether a file that begins with these (at least 4) bytes is an IDX file.
bool is_idx(std::string_view start);

}  // namespace ae::data
