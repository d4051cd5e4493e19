#include "data/tables/numbers.hpp"

#include <gtest/gtest.h>

#include <iterator>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/tables/number_evidence.hpp"
#include "data/tables/schema.hpp"
#include "support/errors.hpp"

namespace ae::data::numbers_test {
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
  for (const char* text : {"Fr. 5.50", "468,-", "5.-", "Rs. 5"}) EXPECT_EQ(what(text), "an amount of money") << text;
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
  for (const char* text : {"", "red", "5", "A12", "A-12", "12-A", "1.2.3.4", "x 5 y", "12 kg and more words",
                           "99999-99", "2024-13-01", "%", "$", "<", "N/A"})
    EXPECT_EQ(what(text), "") << text;
}

TEST(DecorationOf, NamesNumbersInOtherNotations) {
  const auto what = [](const char* text) {
    const auto found = decoration_of(text);
    return found ? std::string(found->what) : std::string();
  };
  const std::vector<std::pair<const char*, std::vector<const char*>>> kinds = {
      {"a number with a typographic minus", {"\u221251.9", "\u2212 7", "\u20131,5"}},
      {"a number with its minus behind it", {"51.9-", "1.234,5-", "7 -"}},
      {"a number with a Fortran exponent", {"5.1D+01", "-5.189D-01", "0.5d3"}},
      {"a number within quotes",
       {"'51.9", "=\"51.9\"", "\u201c51.9\u201d", "\u201e51,9\u201c", "'7'", "\u00ab5\u00bb"}},
      {"a number in Indian grouping", {"12,34,567", "1,23,456.5", "-72,23,850"}},
      {"a number in other than ASCII digits", {"\u0665\u0662", "\u06f5\u066b\u06f2", "\uff15.\uff12", "\u0967\u0968"}},
      {"a hexadecimal number", {"0x33", "-0XfF"}},
      {"a number in brackets", {"[51.9]", "{7}"}},
      {"a fraction", {"26/100", "1 / 3"}},
      {"a range of numbers", {"25-30", "18\u201325", "1.5 - 2.5", "3 to 7"}},
      {"a duration", {"51:51", "75:03.5", "100:15:00"}},
      {"a fraction", {"3 1/2"}},
      {"a number with a blank behind its sign", {"- 5", "+ 7.5"}},
      {"a number with underscores", {"1_000", "-7_590_669.5"}},
      {"a number times a power of ten", {"4.6x10^3", "4,6 * 10**-2", "4.6\u00d710\u00b3", "2\u00b710^-5"}},
      {"a number with its uncertainty", {"12.5 \u00b1 0.3", "12,5+/-1", "12.5 (0.3)"}},
      {"a quantity in several units",
       {"1h 20m", "6 ft 11 in", "5'11\"", "52\u00b031'12\"N", "52\u00b0 31.2' N", "2 days, 03:04:05", "1 day 3:04:05",
        "PT1H20M", "P3D", "P1DT12H"}},
      {"a bound or an estimate", {"90+", "ca. 50", "approx 7.5", "65 and over"}},
      {"a number with a mark behind it", {"12.5*", "7**", "3 \u2020"}},
  };
  for (const auto& [kind, texts] : kinds)
    for (const char* text : texts) EXPECT_EQ(what(text), kind) << text;
  for (const char* text :
       {"\u2212", "-",     "D+01",    "'",        "''",          "'a'",     "1,2,345", "12,34", "[]",
        "[a]",    "1_00",  "x_1",     "10 (x)",   "P",           "PT",      "P1X",     "2m x",  "1z 2z",
        "a+",     "ca. x", "*",       "2024-W54", "Q0 2024",     "1_234_5", "a/b",     "1/2/x", "1-2-3",
        "-5-",    "51:61", "\u0665a", "10.0.0.1", "555-12-3456", "30-25",   "12-034"})
    EXPECT_EQ(what(text), "") << text;
  for (const char* text : {"4/16/2024", "2024-04", "16-04-2024", "2024Q3", "2024-Q1", "Q4 1999", "2024-W05", "2024W53"})
    EXPECT_EQ(what(text), "a date") << text;
  EXPECT_EQ(what("10:30"), "a time");
}

TEST(WithoutPadding, TakesOffAllBlanksAroundANumber) {
  EXPECT_EQ(without_padding("\u00a018 \u202f\t"), "18");
  EXPECT_EQ(without_padding("\u2007\u2007 5"), "5");
  EXPECT_EQ(without_padding("1\u00a0234"), "1\u00a0234");
  EXPECT_EQ(without_padding("\u00a0"), "");
  EXPECT_EQ(without_padding("\u00e9"), "\u00e9") << "its last byte is not a blank's";
}

TEST(LooksLike, TellsAThousandsMarkFromADecimalMarkAndNumbersTooLarge) {
  const NumberFormat point{'.', ""}, comma{',', ""};
  EXPECT_EQ(looks_like("2.000", comma), "a number with a thousands mark");
  EXPECT_EQ(looks_like("2 000", comma), "a number with a thousands mark");
  EXPECT_EQ(looks_like("2 000", point), "a number with a thousands mark");
  EXPECT_EQ(looks_like("2.5", comma), "a decimal point");
  EXPECT_EQ(looks_like("2,5", point), "a decimal comma");
  for (const char* text : {"1e999", "-1e999"}) {
    EXPECT_EQ(looks_like(text, point), "a number too large for double precision");
    EXPECT_EQ(looks_like(text, comma), "a number too large for double precision");
  }
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
    const NumberChoice choice(options, delimiter);
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
  char delimiter = ',';
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

TEST_F(NumberFormats, ThreeDigitsBehindAPointTellNothingAmongSemicolons) {
  delimiter = ';';
  EXPECT_EQ(error({{"n", {"30", "17"}}, {"x", {"389.404", "-12.500", "7"}}}),
            "t.csv: column \"x\": \"389.404\" in 67 % of the cells could have a decimal point or, as in many files "
            "with \";\" between cells, a thousands mark, and no other number of the table tells; set /data/decimal to "
            "\".\" or /data/thousands to \".\"");
  for (const char* telling : {"1.5", "0.123", "1234.567", "1.2345", "1.234e+05", ".125"})
    EXPECT_TRUE(format({{"x", {"389.404"}}, {"y", {telling}}}).plain()) << telling;
  EXPECT_EQ(format({{"x", {"389.404"}}, {"y", {"1.234,5"}}}), (NumberFormat{',', "."}));
  EXPECT_TRUE(format({{"x", {"389", "12"}}}).plain());
  options.decimal = ".";
  EXPECT_TRUE(format({{"x", {"389.404"}}}).plain());
  options.decimal = "auto";
  options.thousands = ".";
  EXPECT_EQ(format({{"x", {"389.404"}}}), (NumberFormat{',', "."}));
  options.thousands = "none";
  EXPECT_TRUE(format({{"x", {"389.404"}}}).plain());
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
}  // namespace ae::data::numbers_test
