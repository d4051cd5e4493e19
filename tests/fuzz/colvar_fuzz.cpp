// COLVAR files from any bytes: the first byte says how the reads are cut. Rows of numbers or one clear error, the same
// however the reads are cut.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "../unit/support/byte_sources.hpp"
#include "base/error.hpp"
#include "data/colvar/reader.hpp"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

struct Outcome {
  std::string error;
  std::vector<std::uint64_t> bits;  // of all values, as nan is not equal to itself
  std::int64_t incomplete = 0;
  bool operator==(const Outcome&) const = default;
};

void keep(Outcome& outcome, double value) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  outcome.bits.push_back(bits);
}

Outcome read(const std::string& document, std::size_t read_size) {
  Outcome outcome;
  try {
    ae::data::ColvarReader reader(std::make_unique<ae::test::MemorySource>(document, [read_size] { return read_size; }),
                                  {"s", "bias"});
    std::vector<double> values(2);
    while (reader.next(values)) {
      for (const double value : values) keep(outcome, value);
      if (reader.time()) keep(outcome, *reader.time());
      outcome.bits.push_back(reader.restarted());
    }
    outcome.incomplete = reader.incomplete();
    if (const auto period = reader.period("s")) require(period->first < period->second);
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
