#include "data/tables/numbers.hpp"

#include <gtest/gtest.h>

#include <iterator>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/tables/number_evidence.hpp"
#include "data/tables/schema.hpp"
#include "support/errors.hpp"

namespace ae::data {
namespace {

TEST(NumberOf, FollowsItsFormatAndNoOther) {
  const NumberFormat comma{',', ""}, german{',', "."}, english{'.', ","}, swiss{'.', "'"}, french{',', "\u202f"};
  EXPECT_EQ(number_of("-23,9", comma), -23.9);
  EXPECT_EQ(number_of("1,5e-3", comma), 0.0015);
  EXPECT_EQ(number_of(",5", comma), 0.5);
  EXPECT_EQ(number_of("7", comma), 7);
  EXPECT_EQ(number_of("23.9", comma), std::nullopt);
  EXPECT_EQ(number_of("1.234,5", comma), std::nullopt);
  EXPECT_EQ(number_of("1.234,5", german), 1234.5);
  EXPECT_EQ(number_of("1234,5", german), 1234.5);
  EXPECT_EQ(number_of("1,234", english), 1234);
  EXPECT_EQ(number_of("12,345,678.25", english), 12345678.25);
  EXPECT_EQ(number_of("+1'234'567", swiss), 1234567);
  EXPECT_EQ(number_of("12\u202f345,5", french), 12345.5);
  for (const char* broken :
       {"1,23", "0,123", "1,2345", "1234,567", "1,234,56", ",123", "1,,234", "1,234,", "1.5.5", ""})
    EXPECT_EQ(number_of(broken, english), std::nullopt) << broken;
}

TEST(ReadNumber, TellsTheMarkBetweenGroups) {
  EXPECT_EQ(read_number("1 234,5", ',')->thousands, " ");
  EXPECT_EQ(read_number("1 234,5", ',')->value, 1234.5);
  EXPECT_EQ(read_number("1.234", ',')->value, 1234);
  EXPECT_EQ(read_number("1.234", '.')->value, 1.234);
  EXPECT_EQ(read_number("1.234", '.')->thousands, "");
  EXPECT_EQ(read_number("1,234 567", '.'), std::nullopt) << "two marks";
}

TEST(DecorationOf, NamesWhatPeopleReadAsANumberOrATime) {
  const auto what = [](const char* text) {
    const auto found = decoration_of(text);
    return found ? std::string(found->what) : std::string();
  };
  for (const char* text : {"23.9%", "5 %", "-1,5%"}) EXPECT_EQ(what(text), "a percentage") << text;
  for (const char* text : {"$1,200", "-$5", "1.200,50 \u20ac", "USD 5", "5 EUR"})
    EXPECT_EQ(what(text), "an amount of money") << text;
  for (const char* text : {"<0.5", ">= 100", "~3"}) EXPECT_EQ(what(text), "a bound, not a value") << text;
  EXPECT_EQ(what("(1,200)"), "a number in parentheses");
  for (const char* text : {"12 kg", "3.5m/s", "7 \u00b0C", "1,5km"})
    EXPECT_EQ(what(text), "a number with a unit") << text;
  EXPECT_EQ(decoration_of("12 kg")->unit, "kg");
  for (const char* text :
       {"2024-01-31", "31.12.2024", "12/31/99", "2024-01-31T10:00:00Z", "2024-01-31 10:00:00.123+02:00", "31-Jan-2024",
        "Jan 31, 2024", "Mon, 05 Jan 2024 10:00:00 +0000", "2024-01", "20240131T101500", "10/Oct/2000:13:55:36 -0700"})
    EXPECT_EQ(what(text), "a date") << text;
  for (const char* text : {"10:30", "10:30:15.5", "9:05 PM"}) EXPECT_EQ(what(text), "a time") << text;
  for (const char* text : {"", "red", "5", "A12", "18-25", "1.2.3.4", "x 5 y", "12 kg and more words", "99999-99",
                           "2024-13-01", "%", "$", "<", "N/A"})
    EXPECT_EQ(what(text), "") << text;
}

// --- what a file tells
// ---------------------------------------------------------------------------------------------------

struct Told {
  std::string name;
  std::vector<std::string> cells;
};

class NumberFormats : public testing::Test {
 protected:
  NumberFormat format(const std::vector<Told>& columns) {
    const NumberChoice choice(options);
    std::vector<NumberEvidence> evidence(columns.size());
    std::vector<ColumnEvidence> told;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      for (const auto& cell : columns[i].cells) evidence[i].add(cell, look_at(cell, ae::parse_number(cell), choice), 1);
      told.push_back({&columns[i].name, &evidence[i], std::ssize(columns[i].cells)});
    }
    return number_format(told, choice, "t.csv");
  }
  std::string error(const std::vector<Told>& columns) {
    return test::error_of<InputError>([&] { format(columns); });
  }
  TableOptions options;
};

TEST_F(NumberFormats, PlainNumbersArePlain) {
  EXPECT_TRUE(format({{"x", {"1", "2.5", "1.234", "1e5"}}}).plain());
  EXPECT_TRUE(format({{"x", {"1.234", "5.678"}}}).plain()) << "as ever";
  EXPECT_TRUE(format({}).plain());
}

TEST_F(NumberFormats, AreFoundOutWhenSomeCellAllowsOneOnly) {
  EXPECT_EQ(format({{"x", {"1", "23,9"}}}), (NumberFormat{',', ""}));
  EXPECT_EQ(format({{"x", {"1,234", "23,9"}}}), (NumberFormat{',', ""}));
  EXPECT_EQ(format({{"x", {"1,234"}}, {"y", {"0,5"}}}), (NumberFormat{',', ""})) << "another column tells";
  EXPECT_EQ(format({{"x", {"1,234", "1.5"}}}), (NumberFormat{'.', ","}));
  EXPECT_EQ(format({{"x", {"1,234,567"}}}), (NumberFormat{'.', ","}));
  EXPECT_EQ(format({{"x", {"1.234,5", "1.234"}}}), (NumberFormat{',', "."}));
  EXPECT_EQ(format({{"x", {"1.234.567", "1.234"}}}), (NumberFormat{',', "."}));
  EXPECT_EQ(format({{"x", {"1 234", "5.5"}}}), (NumberFormat{'.', " "}));
  EXPECT_EQ(format({{"x", {"1'234,5"}}}), (NumberFormat{',', "'"}));
}

TEST_F(NumberFormats, AreRefusedWhenNothingOrTooMuchIsTold) {
  EXPECT_EQ(
      error({{"x", {"1,234", "5,678", "9"}}}),
      "t.csv: column \"x\": \"1,234\" in 67 % of the cells could have a decimal comma or a thousands mark, and no "
      "other number of the table tells; set /data/decimal to \",\" or \".\"");
  EXPECT_EQ(
      error({{"x", {"23,9"}}, {"y", {"1.5"}}}),
      "t.csv: column \"x\": \"23,9\" in 100 % of the cells looks like a decimal comma, but \"1.5\" in column \"y\" "
      "like a decimal point; write all numbers alike, or set /data/decimal to \",\" or \".\" and give columns that "
      "do not follow it the role \"ignore\" or \"categorical\" in /data/columns");
  EXPECT_EQ(
      error({{"x", {"23,9"}}, {"y", {"1.234"}}}),
      "t.csv: column \"y\": \"1.234\" in a table with decimal commas could have a thousands mark or a decimal point; "
      "set /data/thousands to \".\" if it is one, else write all numbers alike");
  EXPECT_EQ(
      error({{"x", {"1 234"}}, {"y", {"1'234"}}}),
      "t.csv: column \"y\": \"1 234\" and \"1'234\" have different thousands marks; write all numbers alike, or set "
      "/data/thousands to the one that is right");
}

TEST_F(NumberFormats, SettingsDecide) {
  options.decimal = ",";
  EXPECT_EQ(format({{"x", {"1,234"}}}), (NumberFormat{',', ""}));
  EXPECT_EQ(format({{"x", {"1.234"}}}), (NumberFormat{',', "."}));
  options.decimal = ".";
  EXPECT_EQ(format({{"x", {"1,234"}}}), (NumberFormat{'.', ","}));
  options.thousands = "none";
  EXPECT_EQ(format({{"x", {"1,234"}}}), (NumberFormat{'.', ""}));
  options = {};
  options.thousands = ",";
  EXPECT_EQ(format({{"x", {"1,234"}}}), (NumberFormat{'.', ","}));
  options.thousands = ".";
  EXPECT_EQ(format({{"x", {"1.234"}}}), (NumberFormat{',', "."}));
  options.thousands = "_";
  EXPECT_EQ(format({{"x", {"1_234"}}}), (NumberFormat{'.', "_"}));
}

}  // namespace
}  // namespace ae::data
