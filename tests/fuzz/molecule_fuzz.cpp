// PDB and mmCIF from any bytes: chains of which every observed atom is a point, and whose validity is finite, or one
// clear error. The library's headers are instrumented with ours.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "../unit/support/byte_sources.hpp"
#include "base/error.hpp"
#include "data/gemmi/molecules.hpp"
#include "geometry/validity.hpp"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check(const ae::geometry::Backbone& backbone) {
  require(!backbone.residues.empty() && !backbone.residues.front().follows);
  for (const auto& residue : backbone.residues)
    for (std::size_t a = 0; a < ae::geometry::kBackboneAtoms; ++a)
      for (const double axis : residue.atoms[a])
        require(!residue.observed[a] || std::abs(axis) <= ae::geometry::kMostCoordinate);
  const auto validity = ae::geometry::validate(backbone);
  require(validity.residues > 0 && validity.residues <= std::ssize(backbone.residues));
  require(std::isfinite(validity.bonds.rmsz().value_or(0)) && std::isfinite(validity.angles.rmsz().value_or(0)));
  (void)ae::geometry::verdict(validity);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  ae::SilentReporter silent;
  try {
    const std::size_t read_size = 1 + size % 97;
    auto source = std::make_unique<ae::test::MemorySource>(bytes, [read_size] { return read_size; });
    for (const auto& backbone : ae::data::read_molecules(std::move(source), bytes.substr(0, 4096), silent))
      check(backbone);
  } catch (const ae::Error& error) {
    require(!error.lines().front().empty() && error.lines().front().find('\n') == std::string::npos);
  }
  return 0;
}
