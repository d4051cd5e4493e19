#include "cli/help.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

namespace ae::cli::help_test {
namespace {

using ::testing::HasSubstr;

const Program kProgram{"ae-toy",
                       "Toys with a table of numbers, of which nothing that anyone could use has ever come.",
                       {{"ae-toy configs/a.json --set /configs/b=1 'a configs/b'", "play with what lies there"}}};

std::vector<Argument> arguments() {
  Argument input{{"input"}, "Positionals", "FILE", "Tables to toy with"};
  input.positional = input.required = input.repeats = true;
  Argument rate{{"-r", "--rate"}, "Options", "NUMBER", "How much of it all is played with before it is put away again"};
  rate.default_text = "0.25";
  Argument choice{{"--unreadable"}, "Options", "{report,ignore,stop,whatever,else,there,might,be}", "What then"};
  choice.excludes = {"--rate"};
  return {input, rate, choice, {{"--quiet"}, "Common options", "", "Say less"}};
}

TEST(Help, LinesFitTheTerminal) {
  for (const std::size_t columns : {40u, 60u, 79u, 80u, 100u, 160u}) {
    std::istringstream lines(help_text(kProgram, arguments(), columns));
    for (std::string line; std::getline(lines, line);) {
      const bool copied = line.find("ae-toy configs/") != std::string::npos;
      const bool one_word = line.find("{report") != std::string::npos;
      EXPECT_TRUE(line.size() <= columns || copied || one_word) << columns << ": " << line;
      EXPECT_FALSE(line.ends_with(' ')) << line;
    }
  }
}

TEST(Help, WordsAndTheirOrderDoNotDependOnTheWidth) {
  const auto words = [](const std::string& text) {
    std::istringstream stream(text);
    std::string all;
    for (std::string word; stream >> word;) all += word + (word.ends_with(',') ? "" : " ");
    return all;
  };
  EXPECT_EQ(words(help_text(kProgram, arguments(), 40)), words(help_text(kProgram, arguments(), 160)));
}

TEST(Help, TellsDefaultsExclusionsAndWhatIsRequired) {
  const std::string text = help_text(kProgram, arguments(), 160);
  EXPECT_THAT(text, HasSubstr("Usage: ae-toy [OPTIONS] input...\n"));
  EXPECT_THAT(text, HasSubstr("  input FILE ...              Tables to toy with (required)\n"));
  EXPECT_THAT(text, HasSubstr("  -r,--rate NUMBER            How much of it all is played with before it is put away "
                              "again (default: 0.25)\n"));
  EXPECT_THAT(text, HasSubstr("What then (not with --rate)\n"));
  EXPECT_LT(text.find("\nPositionals:\n"), text.find("\nOptions:\n"));
  EXPECT_LT(text.find("\nOptions:\n"), text.find("\nCommon options:\n"));
}

TEST(Help, ExamplesNameTheInstalledConfigs) {
  EXPECT_THAT(help_text(kProgram, arguments(), 80, "/usr/share/x/configs"),
              HasSubstr("  ae-toy /usr/share/x/configs/a.json --set /configs/b=1 'a /usr/share/x/configs/b'\n"));
  EXPECT_THAT(help_text(kProgram, arguments(), 80), HasSubstr("  ae-toy configs/a.json "));
}

TEST(Help, TheEnvironmentTellsTheWidth) {
  const char* const before = std::getenv("COLUMNS");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("COLUMNS", "100", 1);
  EXPECT_EQ(help_columns(), 100u);
  ::setenv("COLUMNS", "7", 1);
  EXPECT_EQ(help_columns(), 40u);
  ::setenv("COLUMNS", "99999", 1);
  EXPECT_EQ(help_columns(), 160u);
  for (const char* nonsense : {"", "wide", "-3", "nan"}) {
    ::setenv("COLUMNS", nonsense, 1);
    EXPECT_GE(help_columns(), 40u) << nonsense;
    EXPECT_LE(help_columns(), 160u) << nonsense;
  }
  before == nullptr ? ::unsetenv("COLUMNS") : ::setenv("COLUMNS", kept.c_str(), 1);
}

}  // namespace
}  // namespace ae::cli::help_test
