// NPY files and NPZ archives from any bytes, told apart by their first ones, as rows and as stacks of images. Every
// number must read back from its text; a stack is the same in memory and in its file, and its float pixels lie in [0,
// 1].
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

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

void check_stack(const std::string& bytes) {
  using namespace ae::data;
  const NpyStack stack = bytes.starts_with("PK") ? read_npz_stack(std::make_unique<ae::test::MemoryAccess>(bytes))
                                                 : open_npy_stack(std::make_shared<ae::test::MemoryAccess>(bytes));
  require(stack.images > 0 && stack.image_bytes() > 0);
  std::vector<std::uint8_t> pixels(stack.image_bytes());
  for (std::int64_t i = 0; i < std::min<std::int64_t>(stack.images, 100); ++i) {
    stack.read(i, pixels.data());
    if (stack.type != PixelType::f32) continue;
    for (std::size_t at = 0; at < pixels.size(); at += sizeof(float)) {
      float pixel = 0;
      std::memcpy(&pixel, pixels.data() + at, sizeof pixel);
      require(pixel >= -1e-5f && pixel <= 1.00001f);
    }
  }
  if (stack.file) require(read_npy_stack(std::make_unique<ae::test::MemorySource>(bytes)).images == stack.images);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  try {
    check_stack(bytes);
  } catch (const ae::Error& error) {
    require(!error.lines().front().empty());
  }
  try {
    const auto rows = open(bytes);
    for (int row = 0; row < 1000 && rows->next(); ++row) {
      rows->ready();
      for (std::size_t i = 0; i < std::min<std::size_t>(rows->columns().size(), 100); ++i) check_cell(*rows, i);
    }
  } catch (const ae::Error& error) {
    require(!error.lines().front().empty());
  }
  return 0;
}
