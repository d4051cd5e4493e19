// COLVAR files from any bytes: the first byte says how the reads are cut. Rows of numbers or one clear error, the same
// however the reads are cut.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "../unit/support/byte_sources.hpp"
#include "base/error.hpp"
#include "data/tables/colvar_rows.hpp"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

struct Outcome {
  std::string error;
  std::string cells;
  std::int64_t incomplete = 0;
  bool operator==(const Outcome&) const = default;
};

Outcome read(const std::string& document, std::size_t read_size) {
  Outcome outcome;
  try {
    const auto rows =
        ae::data::open_colvar(std::make_unique<ae::test::MemorySource>(document, [read_size] { return read_size; }));
    for (bool more = true; more;) {
      try {
        more = rows->next();
        for (std::size_t c = 0; more && c < rows->columns().size(); ++c) {
          outcome.cells.append(rows->text(c)).append("\n");
          require(!rows->where(c).empty());
        }
        outcome.cells += rows->restarted() ? "again\n" : "\n";
      } catch (const ae::data::BadRow& bad) {
        outcome.cells.append(bad.place).append("\n");
      }
    }
    outcome.incomplete = rows->incomplete();
    if (const auto period = rows->period(0)) require(period->first < period->second);
  } catch (const ae::InputError& error) {
    outcome.error = error.lines().front();
    require(!outcome.error.empty());
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string document(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Outcome whole = read(document, document.size() + 1), cut = read(document, 1 + data[0]);
  // What is wrong with the first bytes is told by as many as the first reads give.
  if (whole.error.empty() && cut.error.empty()) require(whole == cut);
  return 0;
}
