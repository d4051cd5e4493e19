#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "base/error.hpp"
#include "base/random.hpp"
#include "data/tables/schema.hpp"
#include "memory_rows.hpp"
#include "support/errors.hpp"

namespace ae::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Texts = std::vector<std::string>;
using Rows = std::vector<Texts>;

class Reading : public testing::Test {
 protected:
  Reading() {
    options.id = "name";
    options.label = "y";
    MemoryRows source(columns, training);
    table = load_table(source, options, training_reporter);
  }
  std::unique_ptr<TableReader> reader(Texts names, Rows rows) {
    return std::make_unique<TableReader>(std::make_unique<MemoryRows>(std::move(names), std::move(rows)), table.schema,
                                         reporter);
  }
  // All rows in one block.
  Block read(Texts names, Rows rows) {
    Block block;
    const auto all = reader(std::move(names), std::move(rows));
    EXPECT_TRUE(all->next(1'000'000, block));
    all->report(reporter);
    return block;
  }
  std::vector<std::string> errors(Texts names, Rows rows) {
    return test::errors_of<InputError>([&] { read(std::move(names), std::move(rows)); });
  }

  Texts columns{"name", "a", "color", "fixed", "y", "b"};
  Rows training{{"r0", "1", "red", "7", "B", "0.5"},
                {"r1", "2", "blue", "7", "M", "NA"},
                {"r2", "", "red", "7", "B", "-1.25"},
                {"r3", "6", "?", "7", "B", "3e2"}};
  TableOptions options;
  RecordingReporter training_reporter, reporter;
  Table table;
};

TEST_F(Reading, GivesTheBlockTheTableWasLoadedInto) {
  const Block block = read(columns, training);
  EXPECT_EQ(block.values, table.training.values);
  EXPECT_EQ(block.observed, table.training.observed);
  EXPECT_EQ(block.row_numbers, table.training.row_numbers);
  EXPECT_EQ(block.ids, table.training.ids);
  EXPECT_EQ(block.labels, table.training.labels);
  EXPECT_EQ(block.rows, 4);
  EXPECT_EQ(block.elements, 4);
  EXPECT_THAT(reporter.warnings, IsEmpty());
}

TEST_F(Reading, DoesNotDependOnTheOrderOfColumns) {
  std::vector<std::size_t> order{0, 1, 2, 3, 4, 5};
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    shuffle(std::span(order), Random(seed));
    Texts names;
    Rows rows(training.size());
    for (const std::size_t column : order) {
      names.push_back(columns[column]);
      for (std::size_t row = 0; row < rows.size(); ++row) rows[row].push_back(training[row][column]);
    }
    const Block block = read(names, rows);
    EXPECT_EQ(block.values, table.training.values);
    EXPECT_EQ(block.observed, table.training.observed);
    EXPECT_EQ(block.ids, table.training.ids);
  }
}

TEST_F(Reading, ListsMissingColumnsInOneLineWithTheNearestName) {
  EXPECT_THAT(errors({"name", "colour", "zzzz", "fixed"}, {{"r", "red", "1", "7"}}),
              ElementsAre("t.csv: columns \"a\", \"color\", \"b\" are missing, which the model was trained on; for "
                          "\"color\" did you mean \"colour\"?"));
  EXPECT_THAT(errors({"name", "a", "colour", "b", "fixed"}, {{"r", "1", "red", "1", "7"}}),
              ElementsAre("t.csv: column \"color\" is missing, which the model was trained on; did you mean "
                          "\"colour\"?"));
}

TEST_F(Reading, AFileWithoutHeaderSaysWhyItsColumnsAreMissing) {
  auto source = std::make_unique<MemoryRows>(Texts{"f0", "f1"}, Rows{{"1", "2"}});
  source->layout_.header = false;
  const auto errors = test::errors_of<InputError>([&] { TableReader(std::move(source), table.schema, reporter); });
  ASSERT_FALSE(errors.empty());
  EXPECT_THAT(errors.back(), HasSubstr("has no header line, so its columns were named f0, f1, ..."));
}

TEST_F(Reading, IgnoresExtraColumnsWithOneWarning) {
  Texts names = columns;
  Rows rows{training[0]};
  for (int i = 0; i < 7; ++i) {
    names.push_back("extra" + std::to_string(i));
    rows[0].push_back("junk");
  }
  const Block block = read(names, rows);
  EXPECT_EQ(block.elements, 4);
  EXPECT_THAT(reporter.warnings,
              ElementsAre("t.csv: ignoring 7 columns that the model was not trained on: \"extra0\", \"extra1\", "
                          "\"extra2\", \"extra3\", \"extra4\" and 2 more"));
}

TEST_F(Reading, NeedsNeitherIdNorLabel) {
  const auto without = reader({"b", "fixed", "color", "a"}, {{"1", "7", "red", "2"}});
  Block block;
  ASSERT_TRUE(without->next(10, block));
  EXPECT_FALSE(without->has_id());
  EXPECT_FALSE(without->has_label());
  EXPECT_THAT(block.ids, IsEmpty());
  EXPECT_THAT(block.labels, IsEmpty());
  EXPECT_EQ(without->element_of(0), 3);
  EXPECT_EQ(without->element_of(3), 0);
  const auto with = reader(columns, training);
  EXPECT_TRUE(with->has_id());
  EXPECT_TRUE(with->has_label());
  EXPECT_EQ(with->element_of(0), -1);
}

TEST_F(Reading, UnseenLevelsHaveTheirOwnCodeAndAreCounted) {
  const Block block =
      read({"a", "color", "fixed", "b"}, {{"1", "green", "7", "1"}, {"1", " red ", "7", "1"}, {"1", "Red", "7", "1"}});
  EXPECT_EQ(block.values[1], 2);
  EXPECT_EQ(block.values[5], 1);
  EXPECT_EQ(block.values[9], 2);
  EXPECT_THAT(reporter.warnings, ElementsAre("t.csv: columns with levels that training never saw: \"color\" (2 rows)"));
}

TEST_F(Reading, AChangedConstantColumnRaisesABoundedNamedAlarm) {
  const Block block =
      read({"a", "color", "fixed", "b"}, {{"1", "red", "7", "1"}, {"1", "red", "1e9", "1"}, {"1", "red", "", "1"}});
  EXPECT_EQ(block.values[2], 0);
  EXPECT_EQ(block.values[6], 5);
  EXPECT_EQ(block.observed[10], 0);
  EXPECT_THAT(reporter.warnings,
              ElementsAre("t.csv: columns that never changed in training have other values here: \"fixed\" (1 row)"));
}

TEST_F(Reading, RefusesWordsAndInfinitiesInNumericColumnsWithTheirPlace) {
  EXPECT_THAT(
      errors({"a", "color", "fixed", "b"}, {{"1", "red", "7", "1"}, {"x", "red", "7", "1"}}),
      ElementsAre("t.csv:3:1: column \"a\": found \"x\", expected a finite number; correct the cell, or leave it "
                  "empty if the value is not known"));
  EXPECT_THAT(errors({"a", "color", "fixed", "b"}, {{"1", "red", "7", "1e400"}}),
              ElementsAre(HasSubstr("t.csv:2:4: column \"b\": found \"1e400\"")));
  table.schema.missing = {"-999"};
  EXPECT_THAT(errors({"a", "color", "fixed", "b"}, {{"", "red", "7", "1"}}),
              ElementsAre(HasSubstr("found \"\", expected a finite number; correct the cell, or write \"-999\" if")));
  table.schema.missing = {};
  EXPECT_THAT(errors({"a", "color", "fixed", "b"}, {{"", "red", "7", "1"}}),
              ElementsAre("t.csv:2:1: column \"a\": found \"\", expected a finite number; correct the cell"));
}

TEST_F(Reading, GivesBlocksOfTheAskedSize) {
  const auto blocks = reader(columns, training);
  Block block;
  ASSERT_TRUE(blocks->next(3, block));
  EXPECT_THAT(block.row_numbers, ElementsAre(0, 1, 2));
  EXPECT_EQ(block.values.size(), 12u);
  ASSERT_TRUE(blocks->next(3, block));
  EXPECT_THAT(block.row_numbers, ElementsAre(3));
  EXPECT_EQ(block.values.size(), 4u);
  EXPECT_FALSE(blocks->next(3, block));
  EXPECT_EQ(block.rows, 0);
  EXPECT_FALSE(blocks->next(3, block)) << "the end stays the end";
}

TEST_F(Reading, HandsOverWhatIsThereRatherThanWait) {
  auto source = std::make_unique<MemoryRows>(columns, training);
  source->pauses_before = {0, 1, 3};
  TableReader blocks(std::move(source), table.schema, reporter);
  Block block;
  std::vector<std::int64_t> sizes;
  while (blocks.next(100, block)) sizes.push_back(block.rows);
  EXPECT_THAT(sizes, ElementsAre(1, 2, 1));
}

TEST_F(Reading, KeepsTheExactBytesOfEveryCellWhenAsked) {
  Rows rows = training;
  rows[1][1] = " 2.00 ";
  rows[2][0] = "";
  const auto blocks = reader(columns, rows);
  Block block;
  ASSERT_TRUE(blocks->next(2, block, true));
  EXPECT_EQ(block.raw(0, 0), "r0");
  EXPECT_EQ(block.raw(1, 1), " 2.00 ");
  EXPECT_EQ(block.raw(1, 5), "NA");
  ASSERT_TRUE(blocks->next(2, block, true));
  EXPECT_EQ(block.raw(0, 0), "");
  EXPECT_EQ(block.raw(1, 2), "?");
}

TEST_F(Reading, ANumberSourceIsReadAsNumbers) {
  options = {};
  options.columns = {{"k", "categorical"}};
  MemoryNumbers source({"x", "k"}, {{"1", "4"}, {"3", "5"}});
  table = load_table(source, options, training_reporter);
  TableReader blocks(std::make_unique<MemoryNumbers>(Texts{"k", "x"}, Rows{{"5", "nan"}, {"nan", "5"}, {"6", "1"}}),
                     table.schema, reporter);
  Block block;
  ASSERT_TRUE(blocks.next(10, block));
  EXPECT_THAT(block.values, ElementsAre(0, 1, 3, 0, -1, 2));
  EXPECT_THAT(block.observed, ElementsAre(0, 1, 1, 0, 1, 1));
}

}  // namespace
}  // namespace ae::data
