#include "data/tables/table_cache.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/files.hpp"
#include "base/random.hpp"
#include "memory_rows.hpp"
#include "support/temporary_folder.hpp"

namespace ae::data::table_cache_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class TableCache : public testing::Test {
 protected:
  void SetUp() override {
    options_.path = {"table.csv", folder_ / "table.csv"};
    options_.cache = {"cache", folder_ / "cache"};
    options_.id = "name";
    options_.label = "kind";
    options_.normal = {"good"};
    options_.columns = {{"rare", "ignore"}};
    write_table(3000);
  }

  // Numbers with gaps, a column that becomes numeric only after many texts, a category, an id, a label.
  void write_table(int rows) {
    Random random(stream_key(1, "table"));
    std::string text = "name,x,many,colour,kind,rare\n";
    for (int i = 0; i < rows; ++i) {
      text += "r" + std::to_string(i) + ',';
      text += random.below(10) == 0 ? "NA" : std::to_string(random.uniform() * 5);
      text += ',' + std::to_string(random.below(1'000'000)) + ',';
      text += std::string(random.below(3) == 0 ? "red" : random.below(2) == 0 ? "blue" : "") + ',';
      text += std::string(random.below(20) == 0 ? "bad" : "good") + ",1\n";
    }
    write_file(options_.path.resolved, text);
  }
  std::vector<std::filesystem::path> caches() const {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator(options_.cache.resolved))
      found.push_back(entry.path());
    return found;
  }
  CachedTable open() { return open_cached_table(options_, reporter_, kHoldOut); }

  void expect_same(const CachedTable& cached, const Table& table) const {
    EXPECT_EQ(cached.schema.to_json().dump(), table.schema.to_json().dump());
    EXPECT_EQ(cached.data_sha256, table.data_sha256);
    const auto same = [&](const MappedRows& mapped, const Block& block) {
      ASSERT_EQ(mapped.rows, block.rows);
      ASSERT_EQ(cached.elements, block.elements);
      const auto cells = static_cast<std::size_t>(mapped.rows * cached.elements);
      EXPECT_EQ(std::vector<float>(mapped.values, mapped.values + cells), block.values);
      EXPECT_EQ(std::vector<float>(mapped.observed, mapped.observed + cells),
                std::vector<float>(block.observed.begin(), block.observed.end()));
      EXPECT_EQ(std::vector<std::int64_t>(mapped.row_numbers, mapped.row_numbers + mapped.rows), block.row_numbers);
    };
    same(cached.training, table.training);
    same(cached.held_out, table.held_out);
  }

  static constexpr HoldOut kHoldOut{0.2, 7};
  const test::TemporaryFolder temporary_;
  const std::filesystem::path& folder_ = temporary_.path();
  TableOptions options_;
  RecordingReporter reporter_;
};

TEST_F(TableCache, HoldsTheTableThatIsLoadedIntoMemory) {
  for (const auto* scaling : {"standard", "robust", "quantile", "none"}) {
    options_.scaling = scaling;
    const Table table = load_table(options_, reporter_, kHoldOut);
    expect_same(open(), table);  // made
    expect_same(open(), table);  // found
  }
  EXPECT_THAT(caches(), SizeIs(4));
}

TEST_F(TableCache, MayHaveManyPieces) {
  write_table(140'000);
  expect_same(open(), load_table(options_, reporter_, kHoldOut));
}

TEST_F(TableCache, SaysTheSameEveryTime) {
  options_.columns = {};
  options_.rows = {"rows.idx", folder_ / "rows.idx"};
  std::string rows;
  for (int i = 0; i < 400; ++i) rows += std::to_string(2 * i) + "\n";
  write_file(options_.rows.resolved, rows);
  load_table(options_, reporter_, kHoldOut);
  const auto infos = reporter_.infos;
  const auto warnings = reporter_.warnings;
  ASSERT_FALSE(infos.empty());
  for (int i = 0; i < 2; ++i) {
    reporter_ = {};
    open();
    EXPECT_EQ(reporter_.infos, infos);
    EXPECT_EQ(reporter_.warnings, warnings);
  }
}

TEST_F(TableCache, OtherDataSettingsOrRowsAreOtherTables) {
  open();
  open_cached_table(options_, reporter_, {0.2, 8});
  open_cached_table(options_, reporter_, {0.1, 7});
  options_.max_levels = 500;
  open();
  options_.rows = {"rows.idx", folder_ / "rows.idx"};
  write_file(options_.rows.resolved, "0\n1\n2\n3\n");
  open();
  write_file(options_.rows.resolved, "0\n1\n2\n4\n");
  open();
  EXPECT_THAT(caches(), SizeIs(6));
  write_table(2999);
  open();
  EXPECT_THAT(caches(), SizeIs(7));
  options_.cache = {"elsewhere", folder_ / "elsewhere"};
  open();
  EXPECT_THAT(caches(), SizeIs(1));
}

TEST_F(TableCache, ADamagedOneIsMadeAgain) {
  const Table table = load_table(options_, reporter_, kHoldOut);
  open();
  const auto path = caches().at(0);
  const std::string whole = read_file(path, FileKind::data);
  reporter_ = {};
  std::vector<std::string> damaged{"", whole.substr(0, 100), whole.substr(0, whole.size() - 1), whole + "x"};
  for (std::size_t at = 0; at < whole.size(); at += at < 300 ? 7 : 9973) {
    damaged.push_back(whole);
    damaged.back()[at] = static_cast<char>(damaged.back()[at] ^ 0x10);
  }
  for (const auto& bytes : damaged) {
    write_file(path, bytes);
    reporter_.warnings.clear();
    expect_same(open(), table);
    ASSERT_THAT(reporter_.warnings, ElementsAre(HasSubstr("damaged")));
    EXPECT_EQ(read_file(path, FileKind::data), whole);
  }
  open();
  EXPECT_THAT(caches(), ElementsAre(path));
}

TEST_F(TableCache, ManyMayMakeItAtOnce) {
  const Table table = load_table(options_, reporter_, kHoldOut);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      SilentReporter silent;
      expect_same(open_cached_table(options_, silent, kHoldOut), table);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(caches(), SizeIs(1));
}

TEST_F(TableCache, AnUnusableTableLeavesNothing) {
  write_file(options_.path.resolved, "name,x,many,colour,kind,rare\nr0,1,2,red,good,1\nr1,inf,2,red,good,1\n");
  options_.columns = {{"x", "numeric"}};
  EXPECT_THROW(open(), InputError);
  EXPECT_THAT(caches(), IsEmpty());
}

TEST_F(TableCache, NeedsAFile) {
  options_.path = {"-", "-"};
  EXPECT_THROW(open(), UsageError);
  options_.path = {"missing.csv", folder_ / "missing.csv"};
  EXPECT_THROW(open(), InputError);
}

}  // namespace
}  // namespace ae::data::table_cache_test
