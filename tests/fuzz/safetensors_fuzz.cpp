// Any bytes are either refused with an InputError or read into arrays that write and read back to the same contents.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.hpp"
#include "data/bytes/safetensors.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ae::data;
  Safetensors contents;
  try {
    contents = parse_safetensors({reinterpret_cast<const char*>(data), size}, "fuzz");
  } catch (const ae::InputError&) {
    return 0;
  }
  const Safetensors again = parse_safetensors(to_bytes(contents), "again");
  if (again.metadata != contents.metadata || again.arrays.size() != contents.arrays.size()) std::abort();
  for (const auto& [name, array] : contents.arrays) {
    const NamedArray& other = again.arrays.at(name);
    if (other.dtype != array.dtype || other.shape != array.shape || other.bytes != array.bytes) std::abort();
  }
  return 0;
}
