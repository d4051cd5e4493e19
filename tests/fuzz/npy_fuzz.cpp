// NPY files and NPZ archives from any bytes, told apart by their first ones. Every number must read back from its text.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "../unit/support/byte_sources.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "data/images/npy_stack.hpp"
#include "data/tables/npy_rows.hpp"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check_cell(const ae::data::RowSource& rows, std::size_t column) {
  const double number = rows.number(column);
  const auto text = ae::parse_number(rows.text(column));
  require(text.has_value());
  // float32 text has the digits that float32 needs.
  require(std::isnan(number) ? std::isnan(*text)
                             : number == *text || static_cast<float>(number) == static_cast<float>(*text));
}

std::unique_ptr<ae::data::RowSource> open(std::string bytes) {
  if (bytes.starts_with("PK")) return ae::data::open_npz(std::make_unique<ae::test::MemoryAccess>(std::move(bytes)));
  const std::size_t read_size = 1 + bytes.size() % 97;
  return ae::data::open_npy(
      std::make_unique<ae::test::MemorySource>(std::move(bytes), [read_size] { return read_size; }));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto rows = open(std::string(reinterpret_cast<const char*>(data), size));
    for (int row = 0; row < 1000 && rows->next(); ++row) {
      rows->ready();
      for (std::size_t i = 0; i < std::min<std::size_t>(rows->columns().size(), 100); ++i) check_cell(*rows, i);
    }
  } catch (const ae::Error& error) {
    require(!error.lines().front().empty());
  }
  return 0;
}
