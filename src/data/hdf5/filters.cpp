#include "data/hdf5/filters.hpp"

#include <hdf5.h>
#include <lzf.h>
#include <zstd.h>

#include <cstddef>
#include <cstdlib>
#include <limits>

namespace ae::data::hdf5 {
namespace {

// As registered with the HDF Group.
constexpr H5Z_filter_t kLzf = 32000;
constexpr H5Z_filter_t kZstandard = 32015;

// A chunk never holds more (H5Pset_chunk), nor do these compress better: what claims so is damaged.
constexpr std::size_t kMostBytes = std::numeric_limits<unsigned>::max();
constexpr std::size_t kMostRatio = 1 << 16;

// What a filter does to a chunk: replaces the buffer, whose size it tells, and returns how much of it is filled, 0 when
// that failed. The library allocates and frees buffers by malloc() and free().
// NOLINTBEGIN(cppcoreguidelines-no-malloc)
using Decompress = std::size_t (*)(const void* from, std::size_t size, void* to, std::size_t most);

std::size_t replace(Decompress decompress, std::size_t expected, std::size_t bytes, std::size_t* size, void** buffer) {
  if (expected == 0 || expected > kMostBytes || bytes > kMostBytes || expected / kMostRatio > bytes) return 0;
  void* plain = std::malloc(expected);
  if (plain == nullptr) return 0;
  const std::size_t found = decompress(*buffer, bytes, plain, expected);
  if (found == 0) {
    std::free(plain);
    return 0;
  }
  std::free(*buffer);
  *buffer = plain;
  *size = expected;
  return found;
}
// NOLINTEND(cppcoreguidelines-no-malloc)

// h5py's filter tells the bytes of a chunk as its third value.
std::size_t lzf(unsigned flags, std::size_t count, const unsigned values[], std::size_t bytes, std::size_t* size,
                void** buffer) {
  if ((flags & H5Z_FLAG_REVERSE) == 0 || count < 3) return 0;
  const auto decompress = [](const void* from, std::size_t length, void* to, std::size_t most) -> std::size_t {
    return lzf_decompress(from, static_cast<unsigned>(length), to, static_cast<unsigned>(most));
  };
  return replace(decompress, values[2], bytes, size, buffer);
}

// A frame tells how much it holds.
std::size_t zstandard(unsigned flags, std::size_t, const unsigned[], std::size_t bytes, std::size_t* size,
                      void** buffer) {
  if ((flags & H5Z_FLAG_REVERSE) == 0) return 0;
  const auto content = ZSTD_getFrameContentSize(*buffer, bytes);
  if (content == ZSTD_CONTENTSIZE_UNKNOWN || content == ZSTD_CONTENTSIZE_ERROR) return 0;
  const auto decompress = [](const void* from, std::size_t length, void* to, std::size_t most) -> std::size_t {
    const std::size_t found = ZSTD_decompress(to, most, from, length);
    return ZSTD_isError(found) != 0 ? 0 : found;
  };
  return replace(decompress, static_cast<std::size_t>(content), bytes, size, buffer);
}

}  // namespace

void register_filters() {
  constexpr H5Z_class2_t kFilters[] = {
      {H5Z_CLASS_T_VERS, kLzf, 0, 1, "LZF", nullptr, nullptr, lzf},
      {H5Z_CLASS_T_VERS, kZstandard, 0, 1, "Zstandard", nullptr, nullptr, zstandard},
  };
  for (const auto& filter : kFilters) H5Zregister(&filter);
}

}  // namespace ae::data::hdf5
