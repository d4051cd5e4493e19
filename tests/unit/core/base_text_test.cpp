#include "base/text.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "base/random.hpp"

namespace ae::base_text_test {
namespace {

TEST(Quoted, EscapesWhatCouldDeceiveATerminal) {
  EXPECT_EQ(quoted("plain"), R"("plain")");
  EXPECT_EQ(quoted(""), R"("")");
  EXPECT_EQ(quoted("a\nb\r\t"), R"("a\nb\r\t")");
  EXPECT_EQ(quoted("\x1b[31m"), R"("\x1b[31m")");
  EXPECT_EQ(quoted(std::string_view("a\0b", 3)), R"("a\x00b")");
  EXPECT_EQ(quoted("say \"hi\" \\"), R"("say \"hi\" \\")");
  EXPECT_EQ(quoted("\x7f"), R"("\x7f")");
}

TEST(Quoted, KeepsValidUtf8AndEscapesTheRest) {
  EXPECT_EQ(quoted("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
  EXPECT_EQ(quoted("\xff"), R"("\xff")");
  EXPECT_EQ(quoted("\xc3"), R"("\xc3")");                          // cut short
  EXPECT_EQ(quoted("\xc0\xaf"), R"("\xc0\xaf")");                  // overlong
  EXPECT_EQ(quoted("\xe0\x80\x80"), R"("\xe0\x80\x80")");          // overlong
  EXPECT_EQ(quoted("\xed\xa0\x80"), R"("\xed\xa0\x80")");          // surrogate
  EXPECT_EQ(quoted("\xf4\x90\x80\x80"), R"("\xf4\x90\x80\x80")");  // beyond U+10FFFF
  EXPECT_EQ(quoted("\xc2\x85"), R"("\xc2\x85")");                  // C1 control: next line
  EXPECT_EQ(quoted("\xe2\x80\xae"), R"("\xe2\x80\xae")");          // right-to-left override
}

TEST(Quoted, CutsAtTheLimitButNotInsideACharacter) {
  EXPECT_EQ(quoted("abcdef", 3), R"("abc...")");
  EXPECT_EQ(quoted("abc", 3), R"("abc")");
  EXPECT_EQ(quoted("ab\xc3\xa9", 3), R"("ab...")");
  EXPECT_EQ(ae::quoted(std::string(1000, 'x')).size(), 40u + 5u);
}

TEST(Printable, KeepsQuotesAndBackslashes) {
  EXPECT_EQ(printable("a \"b\" \\n \n"), "a \"b\" \\n \\n");
  EXPECT_EQ(printable(std::string(500, 'x')), std::string(500, 'x'));
}

struct NearestCase {
  const char* word;
  const char* expected;  // "" = no suggestion
};

TEST(Nearest, FindsLikelyTyposOnly) {
  const std::vector<std::string> names = {"epochs", "batch_size", "learning_rate", "seed", "engine", "id", "epoch_end"};
  for (const auto& [word, expected] : std::vector<NearestCase>{{"epcohs", "epochs"},   // transposition
                                                               {"epoch", "epochs"},    // deletion
                                                               {"epochss", "epochs"},  // insertion
                                                               {"apochs", "epochs"},   // substitution
                                                               {"EPOCHS", "epochs"},   // case
                                                               {"batchsize", "batch_size"},
                                                               {"batch-size", "batch_size"},
                                                               {"learnin_rte", "learning_rate"},
                                                               {"sede", "seed"},
                                                               {"di", "id"},
                                                               {"x", ""},
                                                               {"xy", ""},
                                                               {"momentum", ""},
                                                               {"", ""}}) {
    EXPECT_EQ(nearest(word, names).value_or(""), expected) << word;
  }
}

TEST(Nearest, CountsATranspositionAsOneEdit) {
  // Three letters allow one edit: a plain Levenshtein distance of 2 would find nothing.
  EXPECT_EQ(nearest("lr1", std::vector<std::string>{"l1r"}), "l1r");
  EXPECT_EQ(nearest("lr1", std::vector<std::string>{"1rl"}), std::nullopt);
}

TEST(Nearest, TiesGoToTheFirst) {
  EXPECT_EQ(nearest("abd", std::vector<std::string>{"abc", "abe"}), "abc");
  EXPECT_EQ(nearest("abd", std::vector<std::string>{"abe", "abc"}), "abe");
}

TEST(Nearest, IgnoresWordsNobodyTypes) {
  EXPECT_EQ(nearest(std::string(1'000'000, 'a'), std::vector<std::string>{std::string(1'000'000, 'a')}), std::nullopt);
  EXPECT_EQ(nearest("abc", std::vector<std::string>{}), std::nullopt);
}

TEST(DidYouMean, IsEmptyOrASentence) {
  EXPECT_EQ(did_you_mean("epcohs", std::vector<std::string>{"epochs"}), R"(; did you mean "epochs"?)");
  EXPECT_EQ(did_you_mean("zzz", std::vector<std::string>{"epochs"}), "");
}

TEST(Join, ListsAFewAndCountsTheRest) {
  const std::vector<std::string> items = {"a", "b", "c", "d"};
  EXPECT_EQ(join(items), "a, b, c, d");
  EXPECT_EQ(join(items, " | "), "a | b | c | d");
  EXPECT_EQ(join(items, ", ", 2), "a, b and 2 more");
  EXPECT_EQ(join(items, ", ", 4), "a, b, c, d");
  EXPECT_EQ(join({}), "");
}

TEST(WildcardMatch, MatchesTheWholeName) {
  for (const auto& [pattern, name] : std::vector<std::pair<const char*, const char*>>{{"*", ""},
                                                                                      {"*", "abc"},
                                                                                      {"a*", "abc"},
                                                                                      {"*c", "abc"},
                                                                                      {"a*c", "ac"},
                                                                                      {"a?c", "abc"},
                                                                                      {"frac_*", "frac_"},
                                                                                      {"*b*", "abc"},
                                                                                      {"a*b*c", "aXbYbZc"},
                                                                                      {"?", "\xc3\xa9"},
                                                                                      {"**", "x"},
                                                                                      {"", ""},
                                                                                      {"a[b]", "a[b]"},
                                                                                      {"a\\b", "a\\b"},
                                                                                      {"*aab", "aaaab"},
                                                                                      {"???", "abc"}}) {
    EXPECT_TRUE(wildcard_match(pattern, name)) << pattern << " " << name;
  }
  for (const auto& [pattern, name] : std::vector<std::pair<const char*, const char*>>{{"", "a"},
                                                                                      {"a", ""},
                                                                                      {"a*", "ba"},
                                                                                      {"?", ""},
                                                                                      {"?", "ab"},
                                                                                      {"a*c", "abcd"},
                                                                                      {"A", "a"},
                                                                                      {"a[b]", "ab"},
                                                                                      {"*b", "abc"},
                                                                                      {"????", "abc"}}) {
    EXPECT_FALSE(wildcard_match(pattern, name)) << pattern << " " << name;
  }
}

// Exponential matchers do not return from this.
TEST(WildcardMatch, IsNotExponential) {
  std::string pattern;
  for (int i = 0; i < 200; ++i) pattern += "*a";
  EXPECT_FALSE(wildcard_match(pattern + "b", std::string(2000, 'a')));
}

TEST(NumberText, IsShortAndPlain) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(number_text(0.1), "0.1");
  EXPECT_EQ(number_text(1e-20), "1e-20");
  EXPECT_EQ(number_text(-infinity), "-inf");
  EXPECT_EQ(number_text(std::numeric_limits<double>::quiet_NaN()), "nan");
  EXPECT_EQ(number_text(-std::numeric_limits<double>::quiet_NaN()), "nan");
  EXPECT_EQ(number_text(100000), "100000");
  EXPECT_EQ(number_text(0.0001), "0.0001");
  EXPECT_EQ(number_text(1e15), "1e+15");
  EXPECT_EQ(number_text(0), "0");
  EXPECT_EQ(number_text(-0.0), "-0");
  EXPECT_EQ(number_text(123456789012345), "123456789012345");
}

TEST(NumberText, ReadsBackToTheSameBits) {
  Random random(stream_key(1, "number text"));
  for (int i = 0; i < 300'000; ++i) {
    const std::uint64_t bits = random.bits();
    const double value = i % 2 == 0 ? std::bit_cast<double>(bits) : random.uniform() * std::pow(10, bits % 20);
    if (std::isnan(value)) continue;
    const std::optional<double> again = parse_number(number_text(value));
    ASSERT_TRUE(again.has_value()) << number_text(value);
    ASSERT_EQ(std::bit_cast<std::uint64_t>(*again), std::bit_cast<std::uint64_t>(value)) << number_text(value);
  }
}

std::string random_decimal(Random& random) {
  char text[96];
  const auto word = [&] { return static_cast<unsigned long long>(random.bits() >> random.below(64)); };
  const double value = std::bit_cast<double>(random.bits());
  switch (random.below(5)) {
    case 0:
      std::snprintf(text, sizeof text, "%.*f", static_cast<int>(random.below(9)), random.uniform() * 1e4 - 5e3);
      break;
    case 1:
      std::snprintf(text, sizeof text, "%.*g", static_cast<int>(1 + random.below(25)), value);
      break;
    case 2:
      std::snprintf(text, sizeof text, "%llu.%llue%d", word(), word(), static_cast<int>(random.below(700)) - 350);
      break;
    case 3:
      std::snprintf(text, sizeof text, "0.%0*d%llu", static_cast<int>(random.below(40)), 0, word());
      break;
    default:
      std::snprintf(text, sizeof text, "%llu%llu%llu", word(), word(), word());
      break;
  }
  return text;
}

TEST(ParseNumber, AgreesWithStrtodBitForBit) {
  Random random(stream_key(2, "parse number"));
  for (int i = 0; i < 500'000; ++i) {
    const std::string text = random_decimal(random);
    const double expected = std::strtod(text.c_str(), nullptr);
    const std::optional<double> value = parse_number(text);
    ASSERT_TRUE(value.has_value()) << text;
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(*value)) << text;
    } else {
      ASSERT_EQ(std::bit_cast<std::uint64_t>(*value), std::bit_cast<std::uint64_t>(expected)) << text;
    }
  }
}

TEST(ParseNumber, AgreesWithStrtodAtTheEdges) {
  for (const std::string text : {"0",
                                 "-0",
                                 "+0",
                                 "1",
                                 "+5",
                                 ".5",
                                 "5.",
                                 "-.5e1",
                                 "1e22",
                                 "1e23",
                                 "1e-22",
                                 "1e-23",
                                 "9007199254740991",
                                 "9007199254740992",
                                 "9007199254740993",
                                 "18446744073709551615",
                                 "18446744073709551616",
                                 "4.9e-324",
                                 "2.4703282292062327e-324",
                                 "2.4703282292062328e-324",
                                 "2.2250738585072011e-308",
                                 "2.2250738585072014e-308",
                                 "1.7976931348623157e308",
                                 "1.7976931348623158e308",
                                 "1.7976931348623159e308",
                                 "1e400",
                                 "-1e400",
                                 "1e-400",
                                 "1E5",
                                 "1e+5",
                                 "1e05",
                                 "0e999999999999999999999",
                                 "1e999999999999999999999",
                                 "1e-999999999999999999999",
                                 "0.1e1",
                                 "00000000000000000000000000000000001",
                                 "0.00000000000000000000000000000000000001",
                                 "123456789012345678901234567890e-30"}) {
    const std::optional<double> value = parse_number(text);
    ASSERT_TRUE(value.has_value()) << text;
    EXPECT_EQ(std::bit_cast<std::uint64_t>(*value), std::bit_cast<std::uint64_t>(std::strtod(text.c_str(), nullptr)))
        << text;
  }
}

TEST(ParseNumber, AcceptsLongDigitStrings) {
  EXPECT_EQ(parse_number("1" + std::string(400, '0')), std::numeric_limits<double>::infinity());
  EXPECT_EQ(parse_number("0." + std::string(400, '0') + "1"), 0.0);
  EXPECT_EQ(parse_number("0." + std::string(400, '0') + "1e401"), 1.0);
  EXPECT_EQ(parse_number("1" + std::string(400, '0') + "e-400"), 1.0);
}

TEST(ParseNumber, ReadsInfinityAndNanInAnyCase) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  for (const char* text : {"inf", "INF", "+Inf", "infinity", "Infinity"})
    EXPECT_EQ(parse_number(text), infinity) << text;
  EXPECT_EQ(parse_number("-inf"), -infinity);
  for (const char* text : {"nan", "NaN", "-NAN"}) EXPECT_TRUE(std::isnan(parse_number(text).value_or(0))) << text;
}

TEST(ParseNumber, RefusesEverythingElse) {
  for (const std::string text : {"",
                                 " ",
                                 " 1",
                                 "1 ",
                                 "1\n",
                                 "0x10",
                                 "0x1p3",
                                 "1e",
                                 "1e+",
                                 "e5",
                                 ".",
                                 "-",
                                 "+",
                                 "--1",
                                 "+-1",
                                 "-+1",
                                 "1.2.3",
                                 "1,5",
                                 "1_000",
                                 "1f",
                                 "nan(1)",
                                 "infinit",
                                 "infinityx",
                                 "1e5.5",
                                 "NA",
                                 "one",
                                 "\xef\xbb\xbf"
                                 "1",
                                 "1e5 ",
                                 "- 1"}) {
    EXPECT_EQ(parse_number(text), std::nullopt) << text;
  }
  EXPECT_EQ(parse_number(std::string_view("1\0", 2)), std::nullopt);
}

std::string csv(std::string_view field, char delimiter = ',') {
  std::string out;
  append_csv_field(out, field, delimiter);
  return out;
}

TEST(CsvField, IsQuotedOnlyWhenItMustBe) {
  EXPECT_EQ(csv("plain text"), "plain text");
  EXPECT_EQ(csv(""), "");
  EXPECT_EQ(csv("a,b"), "\"a,b\"");
  EXPECT_EQ(csv("say \"hi\""), "\"say \"\"hi\"\"\"");
  EXPECT_EQ(csv("two\nlines"), "\"two\nlines\"");
  EXPECT_EQ(csv("two\r"), "\"two\r\"");
  EXPECT_EQ(csv("a,b", '\t'), "a,b");
  EXPECT_EQ(csv("a\tb", '\t'), "\"a\tb\"");
}

}  // namespace
}  // namespace ae::base_text_test
