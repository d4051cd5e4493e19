#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "base/error.hpp"
#include "base/random.hpp"
#include "data/tables/schema.hpp"
#include "memory_rows.hpp"
#include "support/errors.hpp"

namespace ae::data::table_reader_test {
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

TEST_F(Reading, TextsTakenForMissingAreToldOnceWithTheirNumber) {
  Rows rows(7, training[0]);
  rows[2][1] = rows[3][1] = "None";
  rows[5][1] = "-";
  rows[6][5] = "n.a.";
  const Block block = read(columns, rows);
  EXPECT_EQ(std::ranges::count(block.observed, 0), 4);
  EXPECT_THAT(
      reporter.infos,
      ElementsAre("t.csv: taken for missing among numbers: \"None\" in \"a\" (3 rows), \"n.a.\" in \"b\" (1 row)"));
  EXPECT_THAT(reporter.warnings, IsEmpty());
}

TEST_F(Reading, NumbersThatMayStandForMissingOnesAreTold) {
  Rows rows(40, training[0]);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i][1] = i % 10 == 3 ? "-9999" : std::to_string(i);
  const Block block = read(columns, rows);
  EXPECT_THAT(block.observed, testing::Each(1));
  EXPECT_THAT(reporter.infos, ElementsAre("t.csv: far from all other numbers: \"-9999\" in \"a\" (4 rows); if it means "
                                          "that nothing was observed, --missing reads it so"));
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

TEST_F(Reading, ARowOfUnitsAndASecondHeaderAreToldAsWhatTheyAre) {
  const Texts names{"a", "color", "fixed", "b"};
  const Texts row{"1", "red", "7", "1"};
  EXPECT_THAT(errors(names, {{"mm", "", "1/min", "kPa"}, row}),
              ElementsAre("t.csv:2: looks like a row of units: \"mm\" in \"a\", \"1/min\" in \"fixed\", \"kPa\" in "
                          "\"b\", where numbers belong; remove the line, or correct its cells if they are no units"));
  EXPECT_THAT(errors(names, {row, names, row}),
              ElementsAre("t.csv:3: is the header once more, \"a\", \"fixed\", \"b\", where numbers belong; remove the "
                          "line"));
  EXPECT_THAT(errors(names, {row, {"mm", "", "1/min", "kPa"}}), ElementsAre(HasSubstr("t.csv:3:1: column \"a\"")));
  EXPECT_THAT(errors(names, {{"mm", "red", "7", "1"}}), ElementsAre(HasSubstr("t.csv:2:1: column \"a\"")));
  EXPECT_THAT(errors(names, {{"1,5", "red", "7,5", "1"}}), ElementsAre(HasSubstr("t.csv:2:1: column \"a\"")));
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

// Rows whose first cell is "ragged" have another number of cells, as CSV would tell.
class TornRows final : public MemoryRows {
 public:
  using MemoryRows::MemoryRows;
  bool next() override {
    if (!MemoryRows::next()) return false;
    if (text(0) == "ragged") throw BadRow("t.csv:" + std::to_string(row() + 2), "t.csv: found 1 cell");
    return true;
  }
};

class ReadingBadRows : public Reading {
 protected:
  TableReader reader(data::Reading reading) {
    return {std::make_unique<TornRows>(columns, rows), table.schema, reporter, reading};
  }
  Rows rows{{"n0", "1", "red", "7", "B", "0"},
            {"n1", "warm", "red", "7", "M", "0"},
            {"ragged", "", "", "", "", ""},
            {"n3", "2", "red", "7", "B", "inf"},
            {"n4", "3", "blue", "7", "M", "1"}};
};

TEST_F(ReadingBadRows, StopAtTheFirst) {
  auto all = reader({});
  Block block;
  EXPECT_THROW(all.next(100, block), InputError);
}

TEST_F(ReadingBadRows, AreThereWithAProblemAndNothingObserved) {
  auto all = reader({.missing = {}, .label = "", .keep = {"fixed"}, .bad_rows = BadRows::report});
  Block block;
  ASSERT_TRUE(all.next(100, block, true));
  EXPECT_EQ(block.rows, 5);
  EXPECT_THAT(block.row_numbers, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(block.ids, ElementsAre("n0", "n1", "", "n3", "n4"));
  EXPECT_THAT(block.labels, ElementsAre("B", "M", "", "B", "M"));
  EXPECT_THAT(block.kept, ElementsAre("7", "7", "", "7", "7"));
  EXPECT_EQ(block.raw(1, 1), "warm");
  EXPECT_EQ(block.raw(2, 1), "");
  EXPECT_EQ(block.raw(4, 1), "3");
  ASSERT_EQ(block.problems.size(), 5u);
  for (const std::size_t row : {0u, 4u}) EXPECT_EQ(block.problems[row], "");
  EXPECT_THAT(block.problems[1], HasSubstr("t.csv:3:2: column \"a\": found \"warm\""));
  EXPECT_THAT(block.problems[3], HasSubstr("t.csv:5:6"));
  const auto elements = static_cast<std::size_t>(block.elements);
  for (std::size_t cell = 0; cell < 5 * elements; ++cell) {
    const std::size_t row = cell / elements;
    EXPECT_EQ(block.observed[cell], row == 0 || row == 4);
    if (row != 0 && row != 4) {
      EXPECT_EQ(block.values[cell], 0);
    }
  }
  EXPECT_EQ(all.rows(), 5);
  EXPECT_EQ(all.bad_rows(), 3);
  EXPECT_EQ(all.first_bad_place(), "t.csv:3:2");
  EXPECT_FALSE(all.next(100, block));
}

TEST_F(ReadingBadRows, AreLeftOutAndStillHaveNumbers) {
  auto all = reader({.missing = {}, .label = "", .keep = {}, .bad_rows = BadRows::skip});
  Block block;
  std::vector<std::int64_t> numbers;
  while (all.next(2, block)) {
    EXPECT_THAT(block.problems, IsEmpty());
    EXPECT_EQ(block.values.size(), static_cast<std::size_t>(block.rows * block.elements));
    numbers.insert(numbers.end(), block.row_numbers.begin(), block.row_numbers.end());
  }
  EXPECT_THAT(numbers, ElementsAre(0, 4));
  EXPECT_EQ(all.rows(), 5);
  EXPECT_EQ(all.bad_rows(), 3);
  auto half = reader({.missing = {}, .label = "", .keep = {}, .bad_rows = BadRows::skip});
  EXPECT_EQ(half.skip(4), 4);
  ASSERT_TRUE(half.next(100, block));
  EXPECT_THAT(block.row_numbers, ElementsAre(4));
}

TEST_F(ReadingBadRows, FurtherTextsAreMissing) {
  rows[2] = rows[4];
  auto all = reader({.missing = {"warm", "inf", "red"}, .label = "color", .keep = {}, .bad_rows = BadRows::stop});
  Block block;
  ASSERT_TRUE(all.next(100, block));
  EXPECT_THAT(block.labels, ElementsAre("red", "red", "blue", "red", "blue"));
  const auto elements = static_cast<std::size_t>(block.elements);
  EXPECT_EQ(block.observed[0], 1);                 // a of the first row
  EXPECT_EQ(block.observed[1], 0);                 // its color
  EXPECT_EQ(block.observed[elements], 0);          // a of the second
  EXPECT_EQ(block.observed[3 * elements + 3], 0);  // b of the fourth
}

TEST_F(ReadingBadRows, ColumnsThatCannotPassThroughAreNamed) {
  const auto error = [&](data::Reading reading) { return test::errors_of<UsageError>([&] { reader(reading); }); };
  EXPECT_THAT(error({.missing = {}, .label = "colour", .keep = {}}), ElementsAre(HasSubstr("did you mean \"color\"?")));
  EXPECT_THAT(error({.missing = {}, .label = "", .keep = {"zzzzzzzz"}}), ElementsAre(HasSubstr("its columns are")));
  columns.push_back("id");  // beside the id "name"
  EXPECT_THAT(error({.missing = {}, .label = "", .keep = {"id"}}), ElementsAre(HasSubstr("\"name\"")));
}

// A schema of one column that saw whole numbers.
Schema whole_numbers() {
  Schema schema;
  Column column;
  column.name = "x";
  column.scaler = Scaler::fit("none", {1, 2, 3});
  column.decimals = 0;
  schema.columns = {column};
  return schema;
}

std::string error_of(const Schema& schema, const std::string& cell, char delimiter) {
  auto rows =
      std::make_unique<MemoryRows>(std::vector<std::string>{"x"}, std::vector<std::vector<std::string>>{{cell}});
  rows->layout_.delimiter = delimiter;
  test::RecordingReporter reporter;
  TableReader reader(std::move(rows), schema, reporter);
  Block block;
  return test::error_of<BadRow>([&] { reader.next(1, block); });
}

TEST(TableReader, APointAmongSemicolonsIsUnclearToAModelOfWholeNumbers) {
  Schema schema = whole_numbers();
  EXPECT_THAT(error_of(schema, "2.000", ';'),
              HasSubstr("found \"2.000\", which could have a thousands mark or a decimal "
                        "point, where the model was trained on whole numbers"));
  for (const char* fine : {"2", "2.5", "0.125", "2.000e3", "2.0000"})
    EXPECT_EQ(error_of(schema, fine, ';'), "no error") << fine;
  EXPECT_EQ(error_of(schema, "2.000", ','), "no error");
  schema.columns[0].decimals = 2;
  EXPECT_EQ(error_of(schema, "2.000", ';'), "no error") << "training told";
}

TEST(TableReader, SaysWhatANumberLooksLikeThatIsWrittenOtherwise) {
  Schema schema = whole_numbers();
  EXPECT_THAT(error_of(schema, "1e999", ','),
              HasSubstr("looks like a number too large for double precision, expected"));
  EXPECT_THAT(error_of(schema, "2 000", ','),
              HasSubstr("looks like a number with a thousands mark, where the model was "
                        "trained with none (/data/thousands)"));
  EXPECT_THAT(error_of(schema, "2,5", ','),
              HasSubstr("looks like a decimal comma, where the model was trained on numbers "
                        "with a decimal point"));
  schema.numbers = {',', "."};
  EXPECT_THAT(error_of(schema, "2 000", ';'), HasSubstr("trained with the thousands mark \".\" (/data/thousands)"));
}

}  // namespace
}  // namespace ae::data::table_reader_test
