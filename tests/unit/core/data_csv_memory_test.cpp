#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>

#include "data/tables/csv.hpp"

namespace ae::data::csv_memory_test {
namespace {

// The same two lines again and again, without end in sight.
class EndlessRows final : public ByteSource {
 public:
  explicit EndlessRows(std::size_t bytes) : left_(bytes) {}
  std::size_t read(char* buffer, std::size_t capacity) override {
    const std::size_t count = std::min(capacity, left_);
    for (std::size_t i = 0; i < count; ++i, ++at_) buffer[i] = kText[at_ % kText.size()];
    left_ -= count;
    return count;
  }
  bool ready() override { return true; }
  const std::string& name() const override { return name_; }
  std::uint64_t position() const override { return at_; }
  std::uint64_t size() const override { return 0; }
  static inline const std::string kText = "a,\"b \"\"quoted\"\"\",12.5\nlonger text,,-3e7\n";

 private:
  std::size_t left_;
  std::size_t at_ = 0;
  std::string name_ = "rows";
};

std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t pages = 0, resident = 0;
  file >> pages >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// Asking whether more is ready reads ahead while the current row is in use; that must neither move the row nor keep
// what was read.
TEST(CsvMemory, DoesNotGrowWithTheRowsWhoeverAsksWhetherMoreIsReady) {
  constexpr std::size_t kBytes = std::size_t{24} << 20;
  const auto rows =
      open_csv(std::make_unique<EndlessRows>(kBytes / EndlessRows::kText.size() * EndlessRows::kText.size()));
  ASSERT_EQ(rows->columns().size(), 3u);  // a line with a number is a row, not a header
  [[maybe_unused]] std::size_t before = 0;
  std::int64_t count = 0;
  while (rows->ready() && rows->next()) {
    const auto first = rows->text(0);
    const auto second = rows->text(1);
    const auto third = rows->raw(2);
    rows->ready();
    const bool first_kind = count % 2 == 0;
    ASSERT_EQ(first, first_kind ? "a" : "longer text") << count;
    ASSERT_EQ(second, first_kind ? "b \"quoted\"" : "") << count;
    ASSERT_EQ(third, first_kind ? "12.5" : "-3e7") << count;
    ASSERT_EQ(rows->text(0), first);
    if (++count == 50'000) before = resident_bytes();
  }
  EXPECT_EQ(count, static_cast<std::int64_t>(2 * (kBytes / EndlessRows::kText.size())));
#ifndef __SANITIZE_ADDRESS__  // which keeps what was freed for a while
  EXPECT_LT(resident_bytes(), before + (std::size_t{8} << 20));
#endif
}

}  // namespace
}  // namespace ae::data::csv_memory_test
