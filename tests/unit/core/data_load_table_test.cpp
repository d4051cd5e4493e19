// load_table: roles, selection, fitting. Most tables are written in the test; a few go through a real file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/signals.hpp"
#include "data/tables/schema.hpp"
#include "memory_rows.hpp"
#include "support/errors.hpp"
#include "support/temporary_folder.hpp"

namespace ae::data::load_table_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Texts = std::vector<std::string>;
using Rows = std::vector<Texts>;

class LoadTable : public testing::Test {
 protected:
  Table load(Texts columns, Rows rows) {
    MemoryRows source(std::move(columns), std::move(rows));
    return load_table(source, options, reporter);
  }
  // The single line of the error that loading ends with.
  template <typename Expected>
  std::string error(Texts columns, Rows rows) {
    const auto lines = test::errors_of<Expected>([&] { load(std::move(columns), std::move(rows)); });
    EXPECT_EQ(lines.size(), 1u);
    return lines.empty() ? "no error" : lines.front();
  }
  Role role_of(const Texts& cells, std::size_t extra_rows = 0) {
    Rows rows;
    for (const auto& cell : cells) rows.push_back({cell, "1"});
    for (std::size_t i = 0; i < extra_rows; ++i) rows.push_back({cells.back(), "1"});
    return load({"x", "other"}, std::move(rows)).schema.columns[0].role;
  }
  static Rows column(std::size_t count, const std::function<std::string(std::size_t)>& cell) {
    Rows rows;
    for (std::size_t i = 0; i < count; ++i) rows.push_back({cell(i)});
    return rows;
  }

  TableOptions options;
  RecordingReporter reporter;
};

TEST_F(LoadTable, ColumnsOfNumbersAreNumericAndColumnsOfWordsCategorical) {
  EXPECT_EQ(role_of({"1", "2.5", "-3e4"}), Role::numeric);
  EXPECT_EQ(role_of({"1", "", "NA"}), Role::numeric);
  EXPECT_EQ(role_of({" 1", "2 ", "\t3"}), Role::numeric);
  EXPECT_EQ(role_of({"red", "green", "?"}), Role::categorical);
  EXPECT_EQ(role_of({"1", "red", "2"}), Role::categorical);  // two thirds numbers
  EXPECT_EQ(role_of({"0", "1", "0", "1"}), Role::numeric);
  EXPECT_EQ(role_of({"1", "2", "3", "4", "5", "6", "7", "8", "8", "red"}), Role::categorical);  // exactly 90 %
}

TEST_F(LoadTable, MostlyNumbersAreRefusedWithTheFirstOtherCell) {
  Rows rows = column(20, [](std::size_t i) { return std::to_string(i); });
  rows[6] = {"unknown"};
  EXPECT_EQ(error<InputError>({"age"}, rows),
            "t.csv:8:1: column \"age\": found \"unknown\", but 19 of its 20 observed cells are numbers; if it "
            "means that nothing was observed, --set '/data/also_missing=[\"unknown\"]'; or set the column's role in "
            "/data/columns");
  options.missing.push_back("unknown");
  EXPECT_EQ(load({"age"}, rows).schema.columns[0].role, Role::numeric);
  options = {};
  options.columns = {{"age", "categorical"}};
  EXPECT_EQ(load({"age"}, rows).schema.columns[0].levels.size(), 20u);
}

TEST_F(LoadTable, MostlyNumbersAreRefusedAlsoBeyondTheLevelLimit) {
  Rows rows = column(3000, [](std::size_t i) { return std::to_string(i * 0.5); });
  rows[2999] = {"lost"};
  EXPECT_THAT(error<InputError>({"age"}, rows), HasSubstr("t.csv:3001:1: column \"age\": found \"lost\", but 2999 of"));
  rows[1] = {"gone"};
  EXPECT_THAT(error<InputError>({"age"}, rows), HasSubstr("t.csv:3:1: column \"age\": found \"gone\", but 2998 of"));
}

TEST_F(LoadTable, EveryBadColumnIsNamedAtOnce) {
  Rows rows;
  for (int i = 0; i < 20; ++i) rows.push_back({std::to_string(i), "1", std::to_string(i)});
  rows[0][0] = "x";
  rows[3][2] = "y";
  EXPECT_THAT(test::errors_of<InputError>([&] {
                load({"a", "b", "c"}, rows);
              }),
              ElementsAre(HasSubstr("t.csv:2:1: column \"a\""), HasSubstr("t.csv:5:3: column \"c\"")));
}

TEST_F(LoadTable, ARowOfUnitsIsOneLine) {
  const auto with = [](const Texts& row, std::size_t at, std::size_t count) {
    Rows rows;
    for (std::size_t i = 0; i < count; ++i)
      rows.push_back(
          {std::to_string(0.5 + static_cast<double>(i)), std::to_string(i * 7 % 11), i % 2 == 0 ? "on" : "off"});
    rows.insert(rows.begin() + static_cast<std::ptrdiff_t>(at), row);
    return rows;
  };
  for (const std::size_t count : {5u, 8u, 300u}) {  // with few numbers they would else be taken for levels
    EXPECT_EQ(
        error<InputError>({"temp", "p", "state"}, with({"[degC]", "[bar]", ""}, 0, count)),
        "t.csv:2: looks like a row of units: \"[degC]\" in \"temp\", \"[bar]\" in \"p\", where numbers belong; "
        "remove the line, or correct its cells if they are no units, or set their columns' roles in /data/columns");
    EXPECT_EQ(error<InputError>({"temp", "p", "state"}, with({"temp", "p", "state"}, 3, count)),
              "t.csv:5: is the header once more, \"temp\", \"p\", where numbers belong; remove the line, or set their "
              "columns' roles in /data/columns");
  }
  auto twice = with({"temp", "p", "state"}, 100, 200);
  twice.insert(twice.begin() + 150, {"temp", "p", "state"});
  EXPECT_THAT(error<InputError>({"temp", "p", "state"}, twice), HasSubstr("t.csv:102: is the header once more, "));
  // In one column, further down, and among numbers that are written in another way, texts may be anything.
  const auto lines = [&](const Texts& row, std::size_t at) {
    return test::errors_of<InputError>([&] { load({"temp", "p", "state"}, with(row, at, 300)); });
  };
  EXPECT_THAT(lines({"[degC]", "3", ""}, 0), ElementsAre(HasSubstr("t.csv:2:1: column \"temp\": found \"[degC]\"")));
  EXPECT_THAT(lines({"lost", "lost", ""}, 7), ElementsAre(HasSubstr("t.csv:9:1: "), HasSubstr("t.csv:9:2: ")));
  EXPECT_THAT(lines({"3 %", "4 %", ""}, 0), ElementsAre(HasSubstr("t.csv:2:1: "), HasSubstr("t.csv:2:2: ")));
  options.columns = {{"temp", "categorical"}, {"p", "ignore"}};
  EXPECT_EQ(load({"temp", "p", "state"}, with({"[degC]", "[bar]", ""}, 0, 8)).schema.columns[0].levels.size(), 9u);
}

TEST_F(LoadTable, TextWithTooManyDifferentValuesIsUnsuitable) {
  options.max_levels = 10;
  const auto rows = column(40, [](std::size_t i) { return "w" + std::to_string(i % 11); });
  EXPECT_EQ(error<InputError>({"word"}, rows),
            "t.csv: no column is fit to be learned from: \"word\" (holds text with more than 10 different values); to "
            "learn from one all the same give it a role, as in /data/columns/word = \"numeric\" or \"categorical\"");
  options.columns = {{"word", "categorical"}};
  EXPECT_EQ(load({"word"}, rows).schema.columns[0].levels.size(), 11u);
}

// A column of whole numbers with repeats, to learn from beside others.
Rows beside(const Rows& rows) {
  Rows wider = rows;
  for (std::size_t i = 0; i < wider.size(); ++i) wider[i].push_back(std::to_string(i * 7 % 13));
  return wider;
}

struct Unfit {
  const char* what;
  std::string (*cell)(std::size_t row);
  const char* reason;  // "" = learned from
  std::size_t least = 51;
};

std::string padded(std::size_t i) { return std::string(i % 60 < 10 ? "0" : "") + std::to_string(i % 60); }

class Unsuitable : public LoadTable, public testing::WithParamInterface<Unfit> {};

TEST_P(Unsuitable, IsSetAsideFromItsLeastRowsOnUnlessItHasARole) {
  const Unfit& unfit = GetParam();
  const std::string reason = unfit.reason;
  const auto role = [&](std::size_t count) {
    return load({"it", "x"}, beside(column(count, unfit.cell))).schema.columns[0].role;
  };
  for (const std::size_t many : {unfit.least, std::size_t{1500}}) {
    reporter.warnings.clear();
    const Role found = role(many);
    EXPECT_EQ(found == Role::ignore, !reason.empty()) << many;
    if (reason.empty()) {
      EXPECT_TRUE(reporter.warnings.empty());
    } else {
      ASSERT_EQ(reporter.warnings.size(), 1u);
      EXPECT_THAT(reporter.warnings[0], HasSubstr("t.csv: set aside, not learned from: \"it\" ("));
    }
  }
  reporter.warnings.clear();
  EXPECT_NE(role(unfit.least - 1), Role::ignore);
  EXPECT_TRUE(reporter.warnings.empty());
  if (reason.empty()) return;
  role(60);
  EXPECT_THAT(reporter.warnings.back(), HasSubstr("\"it\" (" + reason + "); to learn from one all the same"));
  options.unsuitable = "refuse";
  EXPECT_THAT(test::errors_of<InputError>([&] { role(60); }), ElementsAre(HasSubstr("column \"it\" " + reason)));
  options.columns = {{"it", load({"it", "x"}, beside(column(9, unfit.cell))).schema.columns[0].role == Role::numeric
                                ? "numeric"
                                : "categorical"}};
  EXPECT_NE(role(60), Role::ignore) << "a role always wins";
}

INSTANTIATE_TEST_SUITE_P(
    Columns, Unsuitable,
    testing::Values(
        Unfit{"shuffled ids", [](std::size_t i) { return std::to_string(i * 1009 % 10007); },
              "holds a whole number that differs in every row, like an id"},
        Unfit{"long ids", [](std::size_t i) { return "90071992547409" + std::to_string(90000 - i * 7 % 1511); },
              "holds a whole number that differs in every row, like an id"},
        Unfit{"a counter", [](std::size_t i) { return std::to_string(i); }, "only rises, like a counter or a time"},
        Unfit{"a countdown", [](std::size_t i) { return std::to_string(99.5 - 0.25 * static_cast<double>(i)); },
              "only falls, like a counter or a time"},
        Unfit{"seconds in no order", [](std::size_t i) { return std::to_string(1700000000 + i * 7919 % 40); },
              "holds times or dates as numbers"},
        Unfit{"days", [](std::size_t i) { return "2024-01-" + std::to_string(10 + i % 20); }, "holds dates or times"},
        Unfit{"times of day", [](std::size_t i) { return padded(i * 7 % 8) + ":" + padded(i * 13 % 5); },
              "holds dates or times"},
        Unfit{"names", [](std::size_t i) { return "n" + std::to_string(i); }, "holds text that differs in every row",
              10},
        Unfit{"streets", [](std::size_t i) { return "s" + std::to_string(i == 1 ? 0 : i); },
              "holds text that seldom occurs twice", 21},
        Unfit{"serials of rising pairs",
              [](std::size_t i) { return std::to_string(10 + i % 90) + "-" + std::to_string(100 + i); },
              "holds text that differs in every row", 10},
        Unfit{"serials over years",
              [](std::size_t i) { return std::to_string(1 + i * 37 % 1511) + "/" + std::to_string(2020 + i % 4); },
              "holds text that differs in every row", 10},
        Unfit{"readings", [](std::size_t i) { return std::to_string(0.5 + static_cast<double>(i * 37 % 1511)); }, ""},
        Unfit{"counts", [](std::size_t i) { return std::to_string(i * i % 37); }, ""},
        Unfit{"a switch", [](std::size_t i) { return std::string(i < 30 ? "0" : "1"); }, ""},
        Unfit{"steps", [](std::size_t i) { return std::to_string(std::min<std::size_t>(i, 49)); }, ""},
        Unfit{"a constant", [](std::size_t) { return std::string("1700000000"); }, ""},
        Unfit{"words", [](std::size_t i) { return "w" + std::to_string(i % 9); }, ""}),
    [](const auto& info) {
      std::string name = info.param.what;
      std::ranges::replace(name, ' ', '_');
      return name;
    });

TEST_F(LoadTable, ColumnsOfANumberSourceAreSetAsideToo) {
  Rows rows;
  for (int i = 0; i < 60; ++i) rows.push_back({std::to_string(i), std::to_string(i * 7 % 13), std::to_string(i * 0.1)});
  MemoryNumbers source({"f0", "f1", "f2"}, rows);
  const auto table = load_table(source, options, reporter);
  EXPECT_THAT(table.schema.features(), ElementsAre(1u));
  EXPECT_THAT(reporter.warnings, ElementsAre(HasSubstr("\"f0\" (only rises, like a counter or a time), \"f2\" (only")));
}

TEST_F(LoadTable, AFirstColumnWithoutANameNeedsTwoRowsOnly) {
  MemoryRows source({"index", "x"}, {{"7", "1"}, {"3", "2"}, {"5", "1"}});
  source.layout_.unnamed_first = true;
  EXPECT_EQ(load_table(source, options, reporter).schema.columns[0].role, Role::ignore);
  EXPECT_THAT(reporter.warnings, ElementsAre(HasSubstr("\"index\" (has no name and numbers the rows)")));
  MemoryRows named({"index", "x"}, {{"7", "1"}, {"3", "2"}, {"5", "1"}});
  EXPECT_EQ(load_table(named, options, reporter).schema.columns[0].role, Role::numeric);
}

TEST_F(LoadTable, OrderIsJudgedByEveryRowNotOnlyTheUsedOnes) {
  options.label = "y";
  options.normal = {"0"};
  Rows rows = column(120, [](std::size_t i) { return std::to_string(i == 119 ? 5 : i); });
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i].push_back(std::to_string(i * 7 % 13));
    rows[i].push_back(i < 100 ? "0" : "1");
  }
  EXPECT_EQ(load({"t", "x", "y"}, rows).schema.columns[0].role, Role::numeric);
}

TEST_F(LoadTable, WhatGivesTheLabelAwayIsToldAlsoWhenOnlyNormalRowsAreUsed) {
  const auto warning = [&](const std::function<std::string(std::size_t, bool)>& cell) {
    Rows rows;
    for (std::size_t i = 0; i < 80; ++i) {
      const bool anomaly = i % 8 == 0;
      rows.push_back({cell(i, anomaly), std::to_string(i * 7 % 13), anomaly ? "bad" : "good"});
    }
    reporter.warnings.clear();
    load({"z", "x", "y"}, rows);
    return reporter.warnings.empty() ? std::string() : reporter.warnings.front();
  };
  options.label = "y";
  for (const bool normal : {false, true}) {
    if (normal) options.normal = {"good"};
    EXPECT_THAT(warning([](std::size_t, bool bad) { return std::string(bad ? "1" : "0"); }),
                HasSubstr("t.csv: gives the label away: \"z\" (each of its values goes with one label)"));
    EXPECT_THAT(warning([](std::size_t, bool bad) { return std::string(bad ? "broken" : "fine"); }),
                HasSubstr("\"z\" (each of its values goes with one label)"));
    EXPECT_THAT(warning([](std::size_t i, bool bad) { return std::to_string(i * 11 % 17 + (bad ? 50 : 0)); }),
                HasSubstr("\"z\" (a threshold on it parts the labels)"));
    EXPECT_EQ(warning([](std::size_t i, bool bad) { return std::to_string(i * 11 % 17 + (bad ? 10 : 0)); }), "");
  }
}

TEST_F(LoadTable, DecimalCommasGiveWhatPointsGive) {
  const auto value = [](std::size_t i) { return std::to_string(0.25 * static_cast<double>(i * 37 % 3001) - 40); };
  for (const std::int64_t levels : {20, 100000}) {  // kept as numbers, as codes
    options.max_levels = levels;
    const auto plain = load({"x"}, column(3000, value));
    reporter.infos.clear();
    const auto comma = load({"x"}, column(3000, [&](std::size_t i) {
                              auto text = value(i);
                              std::ranges::replace(text, '.', ',');
                              return text;
                            }));
    EXPECT_EQ(plain.training.values, comma.training.values);
    EXPECT_EQ(comma.schema.numbers, (NumberFormat{',', ""}));
    EXPECT_THAT(reporter.infos, testing::Contains("t.csv: numbers have a decimal comma"));
  }
}

TEST_F(LoadTable, ACommaThatComesLateIsReadAsTheFileSays) {
  // Whole numbers fill the codes before the first comma comes.
  options.max_levels = 20;
  const auto number = [](std::size_t i) { return i * 37 % 1009; };
  const auto late = column(1000, [&](std::size_t i) { return std::to_string(number(i)) + (i < 900 ? "" : ",5"); });
  const auto table = load({"x"}, late);
  options.scaling = "none";
  const auto plain = load({"x"}, late);
  for (std::size_t i = 0; i < 1000; ++i)
    ASSERT_EQ(plain.training.values[i], static_cast<float>(number(i)) + (i < 900 ? 0.0f : 0.5f)) << i;
}

// Written with points and with commas: the same columns, and the same to be told, though "100,891" may be a whole
// number and "7,250" one that lies far above "60,5", until another column tells the mark.
TEST_F(LoadTable, WhatIsUnfitIsJudgedByTheMarkThatTheFileHas) {
  options.label = "y";
  Rows rows;
  for (std::size_t i = 0; i < 80; ++i) {
    const bool anomaly = i % 8 == 0;
    const auto different = std::to_string(100 + i * 1009 % 900);
    const auto above = std::to_string(i * 11 % 17 + (anomaly ? 50 : 0)) + (i % 3 == 0 ? ".250" : ".5");
    rows.push_back({different + ".891", above, "0." + std::to_string(50 + i % 7), anomaly ? "bad" : "good"});
  }
  const auto told = [&] {
    reporter.warnings.clear();
    std::vector<Role> found;
    for (const auto& one : load({"reading", "above", "x", "y"}, rows).schema.columns) found.push_back(one.role);
    EXPECT_THAT(found, ElementsAre(Role::numeric, Role::numeric, Role::numeric, Role::label));
    return reporter.warnings;
  };
  const auto with_points = told();
  EXPECT_THAT(with_points, ElementsAre(HasSubstr("\"above\" (a threshold on it parts the labels)")));
  for (auto& row : rows)
    for (auto& cell : row) std::ranges::replace(cell, '.', ',');
  EXPECT_EQ(told(), with_points);
}

TEST_F(LoadTable, ThousandsMarksAreReadAndKept) {
  options.scaling = "none";
  const auto table = load({"x", "y"}, {{"1,234", "0.5"}, {"12,345,678", "7"}, {"999", "0.25"}});
  EXPECT_THAT(table.training.values, ElementsAre(1234, 0.5f, 1e6f, 7, 999, 0.25f)) << "none clamps at a million";
  EXPECT_EQ(table.schema.numbers, (NumberFormat{'.', ","}));
  EXPECT_THAT(reporter.infos, testing::Contains("t.csv: numbers have a decimal point and the thousands mark \",\""));
}

TEST_F(LoadTable, DecoratedNumbersAreRefusedWithWhatWasSeen) {
  const auto refused = [&](const char* before, const char* after) {
    return error<InputError>({"x"}, column(30, [&](std::size_t i) { return before + std::to_string(i) + after; }));
  };
  const std::string fix =
      "; write plain numbers, or in /data/columns give it the role \"ignore\", or \"categorical\" if "
      "these are categories";
  EXPECT_EQ(refused("", "%"), "t.csv:2:1: column \"x\": \"0%\" in 100 % of the cells looks like a percentage" + fix);
  EXPECT_EQ(refused("$", ""),
            "t.csv:2:1: column \"x\": \"$0\" in 100 % of the cells looks like an amount of money" + fix);
  EXPECT_EQ(refused("", " kg"),
            "t.csv:2:1: column \"x\": \"0 kg\" in 100 % of the cells looks like a number with a unit" + fix);
  EXPECT_EQ(role_of({"250 ml", "500 ml"}, 60), Role::categorical) << "few of them may be levels";
  options.decimal = ".";
  EXPECT_EQ(refused("0,", "1"),
            "t.csv:2:1: column \"x\": \"0,01\" in 100 % of the cells looks like a decimal comma; set /data/decimal to "
            "\",\"");
}

TEST_F(LoadTable, NumbersInOtherNotationsAreRefusedWithWhatTheyLookLike) {
  const auto numbers = [](const std::string& before, const std::string& behind) {
    return column(200, [=](std::size_t i) { return before + std::to_string(i * 37 % 101) + behind; });
  };
  const auto looks = [&](const Rows& rows, const char* kind) {
    EXPECT_THAT(error<InputError>({"x"}, rows), testing::AllOf(testing::StartsWith("t.csv:2:1: column \"x\": "),
                                                               HasSubstr(std::string("looks like ") + kind)));
  };
  looks(numbers("\u2212", ".5"), "a number with a typographic minus");
  looks(numbers("", "-"), "a number with its minus behind it");
  looks(numbers("", ".5D+01"), "a number with a Fortran exponent");
  looks(numbers("'", ""), "a number within quotes");
  looks(numbers("=\"", "\""), "a number within quotes");
  looks(column(200, [](std::size_t i) { return "1,23," + std::to_string(100 + i) + ".5"; }),
        "a number in Indian grouping");
  looks(numbers("\u0665", "\u0662"), "a number in other than ASCII digits");
  looks(numbers("0x", "f"), "a hexadecimal number");
  looks(numbers("[", "]"), "a number in brackets");
  looks(numbers("", "/100"), "a fraction");
  looks(numbers("", "-200"), "a range of numbers");
  looks(column(200, [](std::size_t i) { return std::to_string(i) + ".5-" + std::to_string(i + 7) + ".5"; }),
        "a range of numbers");
  looks(numbers("", " (0.5)"), "a number with its uncertainty");
  looks(column(200, [](std::size_t i) { return std::to_string(i * 37 % 101) + (i % 3 == 0 ? " kg" : " lbs"); }),
        "a number with a unit");
  looks(column(200, [](std::size_t i) { return std::to_string(i * 37 % 50) + (i % 2 == 0 ? "*" : ""); }),
        "a number with a mark behind it");
  // As in a column of which half is positive.
  EXPECT_THAT(error<InputError>({"x"}, column(200,
                                              [](std::size_t i) {
                                                return (i % 2 == 0 ? "\u2212" : "") + std::to_string(i * 37 % 101) +
                                                       ".5";
                                              })),
              HasSubstr("looks like a number with a typographic minus"));
}

TEST_F(LoadTable, NamesThatLookLikeOtherNotationsStayCategories) {
  const std::vector<std::function<std::string(std::size_t)>> names = {
      [](std::size_t i) { return std::to_string(5 * (i % 18)) + "-" + std::to_string(5 * (i % 18) + 4); },  // ages
      [](std::size_t i) { return "1/" + std::to_string(i % 9 + 1); },
      [](std::size_t i) { return "[" + std::to_string(i % 4) + "]"; },
      [](std::size_t i) { return "A-" + std::to_string(i % 12); },
      [](std::size_t i) { return std::to_string(i % 4) + "+"; },
      [](std::size_t i) { return std::to_string(28 + 2 * (i % 6)) + "ABCD"[i % 4]; },
      [](std::size_t i) { return i % 3 == 0 ? "'quoted'" : "0x33"; },
  };
  for (const auto& name : names) {
    Rows rows = column(300, name);
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i].push_back(std::to_string(i % 7));
    EXPECT_EQ(load({"x", "y"}, rows).schema.columns[0].role, Role::categorical) << rows[1][0];
  }
}

TEST_F(LoadTable, MinutesAreToldFromTimesOfDay) {
  const auto of = [](int hours, std::size_t i) {
    const auto two = [](std::size_t n) { return (n < 10 ? "0" : "") + std::to_string(n); };
    return two(i * 7 % static_cast<std::size_t>(hours)) + ":" + two(i * 13 % 60);
  };
  EXPECT_THAT(error<InputError>({"x"}, column(200, [&](std::size_t i) { return of(60, i); })),
              HasSubstr("looks like a duration"));
  EXPECT_THAT(error<InputError>({"x"}, column(200, [&](std::size_t i) { return i == 9 ? "24:00" : of(24, i); })),
              HasSubstr("holds dates or times"));
}

TEST_F(LoadTable, BlanksThatBreakNoLinePadNumbers) {
  options.scaling = "none";
  const auto table =
      load({"x", "c"}, {{"\u00a018.5", "a"}, {"7\u202f", "b"}, {"\u2007 -2 \u00a0", "\u00a0"}, {"\u00a0", "a"}});
  ASSERT_EQ(table.schema.columns[0].role, Role::numeric);
  EXPECT_EQ(table.schema.columns[0].decimals, 1);
  EXPECT_THAT(table.training.values, ElementsAre(18.5f, 0, 7, 1, -2, 0, 0, 0));
  EXPECT_THAT(table.training.observed, ElementsAre(1, 1, 1, 1, 1, 0, 0, 1));
  MemoryRows rows({"x", "c"}, {{"\u00a05", "\u00a0"}});
  TableReader reader(std::make_unique<MemoryRows>(rows), table.schema, reporter);
  Block scored;
  ASSERT_TRUE(reader.next(100, scored));
  EXPECT_THAT(scored.values, ElementsAre(5, 0));
  EXPECT_THAT(scored.observed, ElementsAre(1, 0)) << "scoring reads as training did";
}

TEST_F(LoadTable, AnAdviceFitsTheTextAmongNumbers) {
  const auto with = [&](std::size_t row, const std::string& text) {
    Rows rows = column(20, [](std::size_t i) { return std::to_string(i * 7 % 20); });
    rows[row] = {text};
    return error<InputError>({"age"}, rows);
  };
  EXPECT_THAT(with(5, "age"), HasSubstr("; remove the line if it is a second header; or set the column's role"));
  EXPECT_THAT(with(19, "Total:"), HasSubstr("; remove the line if it sums up those above it; "));
  EXPECT_THAT(with(0, "yr"), HasSubstr("; remove the line if it holds units, else correct the cell; or set"));
  for (const char* decorated : {"<40", "68.0%"})
    EXPECT_THAT(with(5, decorated),
                testing::AllOf(HasSubstr("write a plain number"), testing::Not(HasSubstr("missing"))));
  options.also_missing = {"n.d."};
  EXPECT_THAT(with(5, "it's"), HasSubstr("--set '/data/also_missing=[\"n.d.\",\"it'\\''s\"]'"));
  options.also_missing.push_back("TBD");
  Rows rows = column(20, [](std::size_t i) { return std::to_string(i * 7 % 20); });
  rows[5] = {"TBD"};
  const auto table = load({"age"}, rows);
  EXPECT_EQ(table.training.observed[5], 0);
  EXPECT_EQ(table.schema.missing.back(), "TBD") << "scoring knows it";
  EXPECT_EQ(table.schema.missing.size(), options.missing.size() + 2);
}

TEST_F(LoadTable, AllColumnsOfALongListAreNamed) {
  Texts names;
  Rows rows(60);
  for (std::size_t c = 0; c < 40; ++c) {
    names.push_back("category number " + std::to_string(c));
    for (std::size_t r = 0; r < rows.size(); ++r) rows[r].push_back(r % 2 == 0 ? "a" : "b");
  }
  for (std::size_t c = 0; c < 40; ++c) {
    names.push_back("counter number " + std::to_string(c));
    for (std::size_t r = 0; r < rows.size(); ++r) rows[r].push_back(std::to_string(r));
  }
  load(names, rows);
  const auto& infos = reporter.infos;
  const auto begins = [&](const std::string& what) {
    const auto found = std::ranges::find_if(infos, [&](const auto& line) { return line.starts_with(what); });
    return found == infos.end() ? std::string() : *found;
  };
  EXPECT_LT(begins("t.csv: categorical columns: ").size(), 400u);
  EXPECT_THAT(begins("t.csv: categorical columns: "), testing::EndsWith(" more"));
  ASSERT_EQ(reporter.warnings.size(), 1u);
  EXPECT_LT(reporter.warnings[0].size(), 600u);
  for (std::size_t c = 0; c < 40; ++c) {
    EXPECT_THAT(begins("t.csv: all categorical columns: "), HasSubstr(ae::quoted(names[c]) + " (2 levels)"));
    EXPECT_THAT(begins("t.csv: all that were set aside: "), HasSubstr(ae::quoted(names[40 + c]) + " (only rises"));
  }
}

TEST_F(LoadTable, MostlyNumbersWithOtherTextsAreRefusedAsSoonAsTheyAreMany) {
  const auto cell = [](std::size_t i) { return i % 7 == 3 ? std::string("lost") : std::to_string(i % 40); };
  EXPECT_EQ(error<InputError>({"x"}, column(200, cell)),
            "t.csv:5:1: column \"x\": found \"lost\", but 171 of its 200 observed cells are numbers; if it "
            "means that nothing was observed, --set '/data/also_missing=[\"lost\"]'; or set the column's role in "
            "/data/columns");
}

TEST_F(LoadTable, TokensThatMayBeLevelsAreMissingInColumnsOfNumbersOnly) {
  const auto table = load({"x", "c"}, {{"1", "None"}, {"None", "-"}, {"3", "a"}, {"-", "a"}});
  EXPECT_THAT(table.training.observed, ElementsAre(1, 1, 0, 1, 1, 1, 0, 1));
  EXPECT_THAT(table.schema.columns[1].levels, ElementsAre("-", "None", "a"));
  EXPECT_THAT(reporter.infos,
              testing::Contains("t.csv: taken for missing among numbers: \"None\", \"-\" in \"x\" (50 % "
                                "of its cells)"));
  MemoryRows rows({"x", "c"}, {{"None", "None"}, {"2", ""}});
  TableReader reader(std::make_unique<MemoryRows>(rows), table.schema, reporter);
  Block scored;
  ASSERT_TRUE(reader.next(100, scored));
  EXPECT_THAT(scored.observed, ElementsAre(0, 1, 1, 0)) << "scoring reads as training did";
  EXPECT_EQ(load({"x", "y"}, {{"None", "1"}, {"None", "2"}}).schema.columns[0].role, Role::categorical);
}

TEST_F(LoadTable, RowsWithoutAnyCellAreLeftOutAndCounted) {
  options.scaling = "none";
  const auto table = load({"x", "c"}, {{"1", "a"}, {"", ""}, {"3", "b"}});
  EXPECT_THAT(table.training.row_numbers, ElementsAre(0, 2));
  EXPECT_EQ(table.rows_in_file, 3);
  EXPECT_THAT(reporter.infos, testing::Contains("t.csv: left out 1 row without any cell"));
}

TEST_F(LoadTable, InferredCategoriesAreNamedWithTheirNumberOfLevels) {
  options.columns = {{"d", "categorical"}};
  load({"c", "d", "x"}, {{"a", "u", "1"}, {"b", "u", "2"}, {"b", "v", "3"}});
  EXPECT_THAT(reporter.infos, testing::Contains("t.csv: categorical columns: \"c\" (2 levels)"));
}

TEST_F(LoadTable, NumbersMustBeFinite) {
  EXPECT_EQ(error<InputError>({"x"}, {{"1"}, {"1e400"}, {"inf"}}),
            "t.csv:3:1: column \"x\": found \"1e400\", expected a finite number; correct the cell; or if it means "
            "that nothing was observed, --set '/data/also_missing=[\"1e400\"]'");
  options.missing = {};
  EXPECT_THAT(error<InputError>({"x"}, {{"1"}, {"nan"}}), HasSubstr("t.csv:3:1: column \"x\": found \"nan\""));
  options.columns = {{"x", "numeric"}};
  EXPECT_THAT(error<InputError>({"x"}, {{"-inf"}}), HasSubstr("t.csv:2:1: column \"x\": found \"-inf\""));
}

TEST_F(LoadTable, ADeclaredNumericColumnRefusesWords) {
  options.columns = {{"x", "numeric"}};
  EXPECT_EQ(error<InputError>({"x"}, {{"1"}, {"two"}}),
            "t.csv:3:1: column \"x\": found \"two\", expected a number, which its role in /data/columns asks for; "
            "correct the cell or change the role; or if it means that nothing was observed, --set "
            "'/data/also_missing=[\"two\"]'");
}

TEST_F(LoadTable, ADeclaredCategoricalColumnKeepsNumbersAsLevels) {
  options.columns = {{"grade", "categorical"}};
  const auto table = load({"grade"}, {{"2"}, {"10"}, {"2.0"}, {""}});
  EXPECT_THAT(table.schema.columns[0].levels, ElementsAre("10", "2", "2.0"));
  EXPECT_THAT(table.training.values, ElementsAre(1, 0, 2, 0));
  EXPECT_THAT(table.training.observed, ElementsAre(1, 1, 1, 0));
}

TEST_F(LoadTable, LaterPatternsWinAndNamedColumnsWinOverPatterns) {
  options.columns = {{"f_*", "ignore"}, {"f_b", "categorical"}, {"*d", "numeric"}};
  options.label = "f_c";
  options.id = "rid";
  const auto table = load({"rid", "f_a", "f_b", "f_c", "x"}, {{"7", "1", "1", "B", "3"}});
  std::vector<Role> found;
  for (const auto& one : table.schema.columns) found.push_back(one.role);
  EXPECT_THAT(found, ElementsAre(Role::id, Role::ignore, Role::categorical, Role::label, Role::numeric));
  EXPECT_THAT(table.training.ids, ElementsAre("7"));
  EXPECT_THAT(table.training.labels, ElementsAre("B"));
}

TEST_F(LoadTable, ALabelIsNeverGuessedFromItsName) {
  const auto table = load({"label", "x"}, {{"B", "1"}, {"M", "2"}});
  EXPECT_EQ(table.schema.columns[0].role, Role::categorical);
  EXPECT_TRUE(table.training.labels.empty());
}

TEST_F(LoadTable, OptionsThatNameNoColumnAreListedWithTheNearestName) {
  options.label = "diagnossis";
  options.id = "qqqqqqqq";
  options.columns = {{"radius_maen", "ignore"}, {"frac/*", "ignore"}};
  EXPECT_THAT(
      test::errors_of<UsageError>([&] {
        load({"diagnosis", "radius_mean"}, {{"B", "1"}});
      }),
      ElementsAre("/data/columns/radius_maen: no column of t.csv matches; did you mean \"radius_mean\"?",
                  "/data/columns/frac~1*: no column of t.csv matches; its columns are \"diagnosis\", \"radius_mean\"",
                  "/data/label: no column \"diagnossis\" in t.csv; did you mean \"diagnosis\"?; name the column that "
                  "holds it by "
                  "--set /data/label=NAME, or learn from all rows without one by --set /data/label= --set "
                  "'/data/normal=[]'",
                  "/data/id: no column \"qqqqqqqq\" in t.csv; its columns are \"diagnosis\", \"radius_mean\""));
}

TEST_F(LoadTable, OnlyOneColumnCanBeTheLabel) {
  options.columns = {{"y*", "label"}};
  EXPECT_EQ(error<UsageError>({"y1", "y2", "x"}, {{"0", "0", "1"}}),
            "/data/columns: columns \"y1\", \"y2\" all have the role \"label\", expected one; give the others the role "
            "\"ignore\"");
}

TEST_F(LoadTable, ATableWithoutFeaturesIsRefused) {
  options.columns = {{"*", "ignore"}};
  EXPECT_THAT(error<UsageError>({"x"}, {{"1"}}), HasSubstr("/data/columns: leaves t.csv without a numeric"));
}

TEST_F(LoadTable, NormalWithoutALabelColumnIsRefused) {
  options.normal = {"B"};
  EXPECT_THAT(error<UsageError>({"x"}, {{"1"}}), HasSubstr("/data/normal: there is no label to compare with"));
}

TEST_F(LoadTable, MissingCellsAreMaskedAndDoNotEnterTheFit) {
  const auto table = load({"a", "b"}, {{"1", "x"}, {"NA", " "}, {"3", "?"}, {" null ", "y"}});
  EXPECT_EQ(table.schema.columns[0].scaler.center(), 2);
  EXPECT_EQ(table.schema.columns[0].scaler.spread(), 1);
  EXPECT_THAT(table.schema.columns[1].levels, ElementsAre("x", "y"));
  EXPECT_THAT(table.training.values, ElementsAre(-1, 0, 0, 0, 1, 0, 0, 1));
  EXPECT_THAT(table.training.observed, ElementsAre(1, 1, 0, 0, 1, 0, 0, 1));
}

TEST_F(LoadTable, ANumberCanMeanMissing) {
  options.missing = {"-999"};
  const auto table = load({"a"}, {{"1"}, {"-999"}, {"3"}, {"-999.0"}});
  EXPECT_THAT(table.training.observed, ElementsAre(1, 0, 1, 1)) << "a token is compared as text";
}

TEST_F(LoadTable, ANumberSourceIsNumericWithNanMissing) {
  MemoryNumbers source({"a", "b"}, {{"1", "7"}, {"nan", "7"}, {"3", "-999"}});
  options.missing = {"-999"};
  const auto table = load_table(source, options, reporter);
  EXPECT_THAT(table.training.observed, ElementsAre(1, 1, 0, 1, 1, 0));
  EXPECT_EQ(table.schema.columns[0].scaler.center(), 2);
  MemoryNumbers infinite({"a"}, {{"1"}, {"inf"}});
  EXPECT_THROW(load_table(infinite, options, reporter), InputError);
}

TEST_F(LoadTable, ANumberSourceCanHaveCategoricalColumns) {
  MemoryNumbers source({"a", "b"}, {{"1", "7"}, {"nan", "7"}, {"3", "8"}});
  options.columns = {{"a", "categorical"}};
  const auto table = load_table(source, options, reporter);
  EXPECT_THAT(table.schema.columns[0].levels, ElementsAre("1", "3"));
  EXPECT_EQ(table.training.observed[2], 0);
}

TEST_F(LoadTable, NumbersThatMayStandForMissingOnesAreToldAndKept) {
  options.also_missing = {"TBD"};
  const auto rows = column(200, [](std::size_t i) { return i % 20 == 7 ? "-999.0" : std::to_string(i * 37 % 101); });
  const auto table = load({"x"}, rows);
  EXPECT_THAT(table.training.observed, testing::Each(1));
  EXPECT_THAT(
      reporter.warnings,
      ElementsAre("t.csv: far from all other numbers: \"-999.0\" in 5 % of the cells of \"x\"; if it means that "
                  "nothing was observed, --set '/data/also_missing=[\"TBD\",\"-999.0\"]'"));
  reporter.warnings.clear();
  options.also_missing.push_back("-999.0");
  load({"x"}, rows);
  EXPECT_THAT(reporter.warnings, testing::IsEmpty());
}

TEST_F(LoadTable, AColumnNeverObservedIsConstantZeroAndNamed) {
  const auto table = load({"a", "b"}, {{"1", ""}, {"2", "NA"}});
  EXPECT_TRUE(table.schema.columns[1].scaler.constant());
  EXPECT_EQ(table.schema.columns[1].scaler.scale(0), 0);
  EXPECT_THAT(reporter.warnings,
              ElementsAre("t.csv: no training row has a value in \"b\"; nothing can be learned about it, give it the "
                          "role \"ignore\" in /data/columns"));
}

TEST_F(LoadTable, LooksAtEveryRowButFitsOnNormalRows) {
  options.label = "y";
  options.normal = {"0"};
  const auto table =
      load({"x", "c", "y"}, {{"1", "a", "0"}, {"100", "z", "1"}, {"3", "b", "0.0"}, {"50", "q", ""}, {"5", "a", " 0"}});
  EXPECT_EQ(table.rows_in_file, 5);
  EXPECT_THAT(table.training.row_numbers, ElementsAre(0, 2, 4));
  EXPECT_THAT(table.training.labels, ElementsAre("0", "0.0", " 0"));
  EXPECT_EQ(table.schema.columns[0].scaler.center(), 3);
  EXPECT_THAT(table.schema.columns[1].levels, ElementsAre("a", "b")) << "levels of other rows stay unseen";
  EXPECT_EQ(table.schema.normal, options.normal);
  EXPECT_THAT(reporter.infos, ElementsAre("t.csv: using 3 of 5 rows; columns: 1 numeric, 1 categorical, 0 ignored, "
                                          "label \"y\"",
                                          "t.csv: categorical columns: \"c\" (2 levels)"));
}

TEST_F(LoadTable, ABadCellCountsEvenInARowThatIsNotUsed) {
  options.label = "y";
  options.normal = {"0"};
  EXPECT_THAT(error<InputError>({"x", "y"}, {{"1", "0"}, {"1e999", "1"}}), HasSubstr("t.csv:3:1"));
}

TEST_F(LoadTable, AMisspeltNormalValueNamesTheValuesSeen) {
  options.label = "diagnosis";
  options.normal = {"bening"};
  const Rows rows{{"1", "benign"}, {"2", "malignant"}, {"3", "benign"}};
  EXPECT_EQ(error<UsageError>({"x", "diagnosis"}, rows),
            "/data/normal: no row of t.csv has diagnosis = \"bening\"; values seen: \"benign\", \"malignant\"; did you "
            "mean \"benign\"?");
}

TEST_F(LoadTable, WordsInUtf8AreLevelsAndOtherBytesAreRefused) {
  EXPECT_THAT(load({"a"}, {{"blå"}, {"rød"}}).schema.columns[0].levels, ElementsAre("blå", "rød"));
  EXPECT_THAT(error<InputError>({"a"}, {{"x"}, {"bl\xe5"}}),
              HasSubstr("t.csv:3:1: column \"a\": found \"bl\\xe5\", which is not UTF-8"));
  EXPECT_THAT(error<InputError>({"\xe5"}, {{"x"}}),
              HasSubstr("t.csv: column 1 is named \"\\xe5\", which is not UTF-8"));
}

TEST_F(LoadTable, ManyDistinctNumbersFitAsFewDo) {
  // More distinct texts than max_levels switch the way cells are kept; the outcome must not change.
  const auto rows = column(500, [](std::size_t i) { return i % 7 == 3 ? "" : std::to_string(i % 90); });
  options.max_levels = 1000;
  const auto few = load({"x"}, rows);
  options.max_levels = 20;
  const auto many = load({"x"}, rows);
  EXPECT_EQ(few.training.values, many.training.values);
  EXPECT_EQ(few.training.observed, many.training.observed);
  EXPECT_EQ(few.schema.to_json(), many.schema.to_json());
}

TEST_F(LoadTable, ReportsProgressInBytes) {
  load({"x"}, column(9000, [](std::size_t i) { return std::to_string(i % 100); }));
  EXPECT_THAT(reporter.units, ElementsAre("bytes", "bytes"));
}

TEST_F(LoadTable, ATableWithoutRowsIsRefused) {
  EXPECT_EQ(error<InputError>({"x", "y"}, {}), "t.csv: no data rows after the header; expected at least one");
  options.label = "y";
  options.normal = {"0"};
  EXPECT_THAT(error<InputError>({"x", "y"}, {}), HasSubstr("no data rows"));
}

TEST_F(LoadTable, HeldOutRowsAreReadAsScoringWillReadThem) {
  // Every level appears once or twice, so that some are held out and unknown to the fit, between known ones.
  Rows rows;
  for (int i = 0; i < 40; ++i) rows.push_back({std::string(1, static_cast<char>('a' + i % 25)), std::to_string(i * i)});
  MemoryRows source({"c", "x"}, rows);
  const auto table = load_table(source, options, reporter, {0.5, 3});
  ASSERT_EQ(table.held_out.rows, 20);
  ASSERT_LT(table.schema.columns[0].levels.size(), 25u);
  Rows held;
  for (const auto row : table.held_out.row_numbers) held.push_back(rows[static_cast<std::size_t>(row)]);
  TableReader reader(std::make_unique<MemoryRows>(Texts{"c", "x"}, held), table.schema, reporter);
  Block scored;
  ASSERT_TRUE(reader.next(100, scored));
  EXPECT_EQ(table.held_out.values, scored.values);
  EXPECT_EQ(table.held_out.observed, scored.observed);
}

TEST_F(LoadTable, AStopSignalEndsReading) {
  const auto rows = column(5000, [](std::size_t i) { return std::to_string(i); });
  EXPECT_EXIT(
      {
        install_stop_signals();
        std::raise(SIGTERM);
        try {
          load({"x"}, rows);
        } catch (const Interrupted& stopped) {
          std::_Exit(stopped.signal == SIGTERM ? 7 : 8);
        }
        std::_Exit(9);
      },
      testing::ExitedWithCode(7), "");
}

class LoadTableFile : public LoadTable {
 protected:
  config::Path file(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return {name, folder_ / name};
  }
  const test::TemporaryFolder temporary_;
  const std::filesystem::path& folder_ = temporary_.path();
};

TEST_F(LoadTableFile, RemembersTheHashOfTheFile) {
  options.path = file("t.csv", "x,y\n1,2\n3,4\n");
  const auto table = load_table(options, reporter);
  EXPECT_EQ(table.data_sha256, sha256_of("x,y\n1,2\n3,4\n"));
  EXPECT_EQ(table.training.rows, 2);
  EXPECT_EQ(table.training.elements, 2);
}

TEST_F(LoadTableFile, WithoutAPathSaysHowToGiveOne) {
  EXPECT_THAT(test::errors_of<UsageError>([&] { load_table(options, reporter); }),
              ElementsAre(HasSubstr("/data/path: not set")));
}

TEST_F(LoadTableFile, UsesListedRowsThatAreNormal) {
  options.path = file("t.csv", "x,y\n0,B\n10,M\n20,B\n30,B\n40,M\n");
  options.rows = file("rows.idx", "3\n0\r\n\n 4 \n");
  EXPECT_THAT(load_table(options, reporter).training.row_numbers, ElementsAre(0, 3, 4));
  options.label = "y";
  options.normal = {"B"};
  reporter.infos.clear();
  EXPECT_THAT(load_table(options, reporter).training.row_numbers, ElementsAre(0, 3));
  EXPECT_EQ(reporter.infos.front(), "/data/rows: left out 1 of 3 listed rows because their y is not \"B\"");
}

TEST_F(LoadTableFile, NoListedRowThatIsNormalNamesBothCauses) {
  options.path = file("t.csv", "x,y\n0,B\n10,M\n20,B\n");
  options.rows = file("rows.idx", "1\n");
  options.label = "y";
  options.normal = {"B"};
  EXPECT_THAT(test::errors_of<UsageError>([&] { load_table(options, reporter); }),
              ElementsAre(testing::MatchesRegex("/data/normal: no row of .*t.csv listed in .*rows.idx has y = \"B\"; "
                                                "values seen: \"M\".*")));
}

TEST_F(LoadTableFile, BadRowListsAreRefusedWithTheirLine) {
  options.path = file("t.csv", "x\n0\n10\n20\n");
  const auto line = [&](const std::string& list) {
    options.rows = file("rows.idx", list);
    try {
      load_table(options, reporter);
    } catch (const Error& error) {
      const std::string text = error.what();
      return std::to_string(static_cast<int>(error.code())) + " " +
             error.lines().front().substr(folder_.string().size() + 1);
    }
    return std::string("fine");
  };
  const std::string expected = ", expected one 0-based row number a line and nothing else";
  EXPECT_EQ(line("0\nx\n"), "4 rows.idx:2: found \"x\"" + expected);
  EXPECT_EQ(line("-1\n"), "4 rows.idx:1: found \"-1\"" + expected);
  EXPECT_EQ(line("1 2\n"), "4 rows.idx:1: found \"1 2\"" + expected);
  EXPECT_EQ(line("1.0\n"), "4 rows.idx:1: found \"1.0\"" + expected);
  EXPECT_EQ(line("99999999999999999999\n"), "4 rows.idx:1: found \"99999999999999999999\"" + expected);
  EXPECT_EQ(line("0\n2\n\n2\n"), "4 rows.idx:4: row 2 is listed twice, first in line 2; remove one of them");
  EXPECT_EQ(line("0\n3\n1\n"), "4 rows.idx:2: row 3 does not exist; the table has 3 rows, numbered from 0");
  EXPECT_EQ(line("2\n0"), "fine");
  options.rows = file("empty.idx", "\n\n");
  EXPECT_THROW(load_table(options, reporter), InputError);
  options.rows = {"nowhere.idx", folder_ / "nowhere.idx"};
  EXPECT_THAT(test::errors_of<InputError>([&] { load_table(options, reporter); }),
              ElementsAre(HasSubstr("nowhere.idx: ")));
}

TEST_F(LoadTable, IdenticalRowsFallOnTheSameSide) {
  // 60 different rows, each up to four times, written in several ways.
  Rows rows;
  for (std::size_t copy = 0; copy < 4; ++copy) {
    for (std::size_t i = 0; i < 60; ++i) {
      if (i % 4 < copy) continue;
      const std::string number = std::to_string(i);
      rows.push_back({copy % 2 == 0 ? number : number + ".0", i % 3 == 0 ? "red" : "blue", i % 5 == 0 ? "" : "2"});
    }
  }
  MemoryRows source({"x", "colour", "y"}, rows);
  const Table table = load_table(source, options, reporter, {0.25, 3});
  std::set<std::vector<float>> training, held_out;
  const auto collect = [](const Block& block, std::set<std::vector<float>>& into) {
    for (std::int64_t row = 0; row < block.rows; ++row) {
      const auto begin = block.values.begin() + row * block.elements;
      into.insert({begin, begin + block.elements});
    }
  };
  collect(table.training, training);
  collect(table.held_out, held_out);
  EXPECT_EQ(training.size() + held_out.size(), 60u);
  EXPECT_NEAR(static_cast<double>(table.held_out.rows), 0.25 * static_cast<double>(rows.size()), 3);
  for (const auto& row : held_out) EXPECT_FALSE(training.contains(row));
  EXPECT_THAT(reporter.infos, testing::Contains(HasSubstr("90 of these rows repeat another one")));
}

TEST_F(LoadTable, HoldsOutOneKindOfRowWhenAllAreMoreThanWereAskedFor) {
  Rows rows;
  for (int copy = 0; copy < 20; ++copy)
    for (const auto* x : {"1", "2", "3"}) rows.push_back({x});
  MemoryRows source({"x"}, rows);
  const Table table = load_table(source, options, reporter, {0.1, 0});
  EXPECT_EQ(table.held_out.rows, 20);
  MemoryRows one({"x"}, Rows(20, {"1"}));
  EXPECT_EQ(load_table(one, options, reporter, {0.1, 0}).held_out.rows, 0);
}

}  // namespace
}  // namespace ae::data::load_table_test
