// Masks as PNG or BMP from any bytes: either a mask of the size it says or one line that names the problem.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.hpp"
#include "evaluate/pixel_maps.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto mask = ae::evaluate::decode_mask({reinterpret_cast<const char*>(data), size}, "mask");
    if (mask.width < 1 || mask.height < 1 ||
        mask.defect.size() != static_cast<std::size_t>(mask.width) * static_cast<std::size_t>(mask.height))
      std::abort();
    for (const auto pixel : mask.defect)
      if (pixel > 1) std::abort();
  } catch (const ae::Error& error) {
    if (error.lines().size() != 1 || error.lines().front().empty()) std::abort();
  }
  return 0;
}
