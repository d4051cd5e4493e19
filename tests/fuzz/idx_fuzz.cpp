// IDX files from any bytes: a shape whose product is the number of elements, or one clear error.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "../unit/support/byte_sources.hpp"
#include "base/error.hpp"
#include "data/bytes/idx.hpp"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::size_t read_size = 1 + size % 97;
  ae::test::MemorySource source(std::string(reinterpret_cast<const char*>(data), size),
                                [read_size] { return read_size; });
  try {
    const auto array = ae::data::read_idx(source);
    std::int64_t elements = 1;
    for (const auto length : array.shape) elements *= length;
    require(elements == static_cast<std::int64_t>(array.bytes.size()));
    require(array.bytes.size() < size);
  } catch (const ae::Error& error) {
    require(!error.lines().front().empty());
  }
  return 0;
}
