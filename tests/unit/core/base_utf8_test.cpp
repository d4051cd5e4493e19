#include "base/utf8.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace ae::base_utf8_test {
namespace {

// By the bits of RFC 3629, section 3: the other way round than the reader goes.
std::string encoded(char32_t c) {
  const auto byte = [](char32_t bits) { return static_cast<char>(static_cast<unsigned char>(bits)); };
  if (c < 0x80) return {byte(c)};
  if (c < 0x800) return {byte(0xc0 | c >> 6), byte(0x80 | (c & 0x3f))};
  if (c < 0x10000) return {byte(0xe0 | c >> 12), byte(0x80 | (c >> 6 & 0x3f)), byte(0x80 | (c & 0x3f))};
  return {byte(0xf0 | c >> 18), byte(0x80 | (c >> 12 & 0x3f)), byte(0x80 | (c >> 6 & 0x3f)), byte(0x80 | (c & 0x3f))};
}

TEST(Utf8, EveryCharacterIsReadBack) {
  for (char32_t c = 0; c <= 0x10ffff; ++c) {
    if (c == 0xd800) c = 0xe000;  // surrogates are no characters
    const std::string text = encoded(c) + "z";
    const auto read = first_character(text);
    ASSERT_EQ(read.length, text.size() - 1) << std::hex << static_cast<std::uint32_t>(c);
    ASSERT_EQ(read.code_point, c);
    ASSERT_EQ(first_character(text.substr(0, text.size() - 2) + "z").length, text.size() == 2 ? 1u : 0u);  // cut short
  }
}

// All texts of two and three bytes that begin with none of ASCII: as many are valid as there are characters.
TEST(Utf8, NothingElseIsACharacter) {
  std::int64_t two = 0, three = 0;
  for (int a = 0x80; a < 0x100; ++a) {
    for (int b = 0; b < 0x100; ++b) {
      const std::string text{static_cast<char>(a), static_cast<char>(b)};
      two += first_character(text).length == 2;
      for (int c = 0; c < 0x100; ++c) three += first_character(text + static_cast<char>(c)).length == 3;
    }
  }
  EXPECT_EQ(two, 0x800 - 0x80);
  EXPECT_EQ(three, 0x10000 - 0x800 - 0x800);
  for (const char* text : {"\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xff"})
    EXPECT_EQ(first_character(text).length, 0u) << text;
}

TEST(Utf8, TextIsValidAsAWhole) {
  EXPECT_TRUE(is_utf8(""));
  EXPECT_TRUE(is_utf8("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"));
  EXPECT_FALSE(is_utf8("gr\xfc\xdf"));
  EXPECT_FALSE(is_utf8("a\xc3"));
  EXPECT_FALSE(is_utf8("\xed\xa0\x80"));
}

}  // namespace
}  // namespace ae::base_utf8_test
