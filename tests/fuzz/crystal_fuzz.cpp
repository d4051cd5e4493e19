// CIF and tables from any bytes: crystals that are judged and compared with themselves in finite numbers, or one clear
// error. The library's headers are instrumented with ours.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "../unit/support/byte_sources.hpp"
#include "base/error.hpp"
#include "data/crystals/crystals.hpp"
#include "data/gemmi/cif_head.hpp"
#include "data/gemmi/crystals.hpp"
#include "data/tables/csv.hpp"
#include "geometry/crystal.hpp"
#include "geometry/crystal_match.hpp"

namespace {

using ae::geometry::Crystal;

void require(bool condition) {
  if (!condition) std::abort();
}

void check(const Crystal& crystal) {
  require(crystal.sites.size() <= ae::geometry::kMostCrystalSites);
  for (const auto& site : crystal.sites) {
    require(!site.occupants.empty() && site.occupancy() > 0);
    for (const double axis : site.at) require(axis >= 0 && axis < 1);
  }
  if (crystal.sites.size() > 100) return;  // the fuzzer's time is for other bytes
  const auto validity = ae::geometry::validate(crystal);
  require(std::isfinite(validity.volume) && std::isfinite(validity.density));
  require(std::isfinite(validity.shortest_distance.value_or(0)));
  (void)ae::geometry::verdict(validity);
  (void)ae::geometry::formula(crystal);
  if (crystal.sites.size() > 8) return;
  const auto found = ae::geometry::match(crystal, crystal);
  if (found.match) require(std::isfinite(found.match->rms) && std::isfinite(found.match->strain));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  ae::SilentReporter silent;
  try {
    const std::size_t read_size = 1 + size % 97;
    auto source = std::make_unique<ae::test::MemorySource>(bytes, [read_size] { return read_size; });
    if (ae::data::begins_cif(std::string_view(bytes).substr(0, 4096))) {
      for (const auto& crystal : ae::data::read_crystals(std::move(source), silent)) check(crystal);
    } else {
      const auto table = ae::data::open_crystal_table(ae::data::open_csv(std::move(source)));
      Crystal crystal;
      while (table->next(crystal)) check(crystal);
    }
  } catch (const ae::Error& error) {
    require(!error.lines().front().empty() && error.lines().front().find('\n') == std::string::npos);
  }
  return 0;
}
