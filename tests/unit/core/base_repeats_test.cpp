#include "base/repeats.hpp"

#include <gtest/gtest.h>

#include "base/random.hpp"

namespace ae::base_repeats_test {
namespace {

std::vector<std::int64_t> identical_to(const Repeats& repeats, std::int64_t item) {
  std::vector<std::int64_t> all;
  repeats.for_each(item, [&](std::int64_t i) { all.push_back(i); });
  return all;
}

TEST(Repeats, AreFoundWhereverTheyLie) {
  const Repeats repeats(std::vector<std::uint64_t>{7, 5, 7, 9, 5, 7});
  EXPECT_TRUE(repeats.any());
  EXPECT_EQ(repeats.distinct(6), 3);
  EXPECT_EQ(identical_to(repeats, 5), (std::vector<std::int64_t>{0, 2, 5}));
  EXPECT_EQ(identical_to(repeats, 1), (std::vector<std::int64_t>{1, 4}));
  EXPECT_EQ(identical_to(repeats, 3), (std::vector<std::int64_t>{3}));
  EXPECT_EQ(repeats.first(4), 1);
  EXPECT_EQ(repeats.count(0), 3);
}

TEST(Repeats, OfItemsThatAllDifferCostNothingAndSaySo) {
  for (const Repeats& repeats : {Repeats(), Repeats(std::vector<std::uint64_t>{4, 2, 8})}) {
    EXPECT_FALSE(repeats.any());
    EXPECT_EQ(repeats.distinct(3), 3);
    EXPECT_EQ(repeats.first(2), 2);
    EXPECT_EQ(repeats.count(2), 1);
    EXPECT_EQ(identical_to(repeats, 2), (std::vector<std::int64_t>{2}));
  }
}

TEST(Repeats, AmongSomeOfTheItemsAreThoseOfTheirHashes) {
  Random random(1);
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<std::uint64_t> hashes, chosen;
    for (int i = 0; i < 40; ++i) hashes.push_back(random.below(30));
    const Repeats all(hashes);
    std::vector<std::int64_t> items = permutation(40, Random(random.bits()));
    items.resize(12);
    for (const auto item : items) chosen.push_back(hashes[static_cast<std::size_t>(item)]);
    const Repeats some = all.among(items), expected(chosen);
    EXPECT_EQ(some.any(), expected.any());
    EXPECT_EQ(some.distinct(12), expected.distinct(12));
    for (std::int64_t i = 0; i < 12; ++i) EXPECT_EQ(identical_to(some, i), identical_to(expected, i));
  }
}

// Whether chance explains the identical rows of a table given row by row.
bool explained(const std::vector<std::vector<std::uint64_t>>& table) {
  std::vector<std::uint64_t> hashes;
  for (const auto& row : table) {
    std::uint64_t hash = 0;
    for (const auto cell : row) hash = mix64(hash ^ cell);
    hashes.push_back(hash);
  }
  const Repeats repeats(hashes);
  Coincidences chance(repeats, std::ssize(table));
  for (std::size_t column = 0; column < table.front().size(); ++column) {
    std::vector<std::uint64_t> cells;
    for (const auto row : chance.rows()) cells.push_back(table[static_cast<std::size_t>(row)][column]);
    chance.add_column(cells);
  }
  return chance.explain();
}

std::vector<std::vector<std::uint64_t>> table_of(int rows, int times, const std::vector<std::uint64_t>& values) {
  std::vector<std::vector<std::uint64_t>> table;
  Random random(static_cast<std::uint64_t>(rows));
  for (int row = 0; row < rows; ++row) {
    std::vector<std::uint64_t> cells;
    for (const auto count : values) cells.push_back(random.below(count));
    for (int time = 0; time < times; ++time) table.push_back(cells);
  }
  return table;
}

TEST(Coincidences, AreToldFromCopies) {
  constexpr std::uint64_t kMany = std::uint64_t{1} << 50;
  for (const int times : {2, 6}) {
    EXPECT_FALSE(explained(table_of(500, times, {kMany, kMany, kMany})));
    EXPECT_FALSE(explained(table_of(500, times, {kMany, 2, 3})));
    EXPECT_FALSE(explained(table_of(5000, times, {kMany, 2})));
    EXPECT_FALSE(explained(table_of(500, times, {kMany})));
    EXPECT_FALSE(explained(table_of(500, times, {10, 10, 10, 10, 10, 10})));  // 0.5 identical pairs by chance
  }
  EXPECT_FALSE(explained(table_of(500, 2, {25})));
  EXPECT_TRUE(explained(table_of(500, 1, {25})));
  EXPECT_TRUE(explained(table_of(500, 1, {4, 4, 4})));
  EXPECT_TRUE(explained(table_of(5000, 1, {20, 20, 5})));
  EXPECT_TRUE(explained(table_of(3000, 1, {2, 2, 2, 2, 2, 2, 2, 2})));
}

TEST(Coincidences, OfColumnsThatKnowOfEachOther) {
  // Most rows are all zero, as of a sparse table.
  std::vector<std::vector<std::uint64_t>> table;
  Random random(3);
  for (int row = 0; row < 2000; ++row) {
    const bool quiet = random.uniform() < 0.7;
    std::vector<std::uint64_t> cells;
    for (int column = 0; column < 6; ++column) cells.push_back(quiet ? 0 : random.below(3));
    table.push_back(cells);
  }
  EXPECT_TRUE(explained(table));
}

}  // namespace
}  // namespace ae::base_repeats_test
