// What image files say of themselves, from any bytes: a turn that there is and counts that are sensible, or one line
// that names the problem.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "base/error.hpp"
#include "data/images/image_header.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto require = [](bool condition) {
    if (!condition) std::abort();
  };
  try {
    const auto header = ae::data::read_image_header({data, data + size}, "image");
    require(header.orientation >= 1 && header.orientation <= 8);
    require(header.further >= 0);
    require(header.tiff_orientation == 0 || header.tiff_orientation + 2 <= size);
  } catch (const ae::Error& error) {
    require(error.lines().size() == 1 && error.lines().front().starts_with("image: "));
  }
  return 0;
}
