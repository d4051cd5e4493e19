// Backbones in NPY and NPZ from any bytes: every structure's validity is finite, or one clear error.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "../unit/support/byte_sources.hpp"
#include "base/error.hpp"
#include "data/structures/structures.hpp"
#include "geometry/validity.hpp"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  try {
    const auto structures = ae::data::open_structure_arrays(
        ae::data::open_numpy_arrays(std::make_shared<ae::test::MemoryAccess>(std::move(bytes))));
    ae::geometry::Backbone backbone;
    for (int i = 0; i < 100 && structures->next(backbone); ++i) {
      const auto validity = ae::geometry::validate(backbone);
      require(validity.residues <= std::ssize(backbone.residues));
      require(std::isfinite(validity.bonds.rmsz().value_or(0)) && std::isfinite(validity.angles.rmsz().value_or(0)));
    }
  } catch (const ae::Error& error) {
    require(!error.lines().front().empty());
  }
  return 0;
}
