#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/random.hpp"
#include "base/text.hpp"

namespace ae::base_short_decimal_test {
namespace {

// The C library's strtod on the same grammar: optional sign, digits with at most one point, at least one digit.
std::optional<double> reference(const std::string& text) {
  std::size_t i = !text.empty() && (text[0] == '-' || text[0] == '+');
  int digits = 0, points = 0;
  for (; i < text.size(); ++i) {
    if (text[i] >= '0' && text[i] <= '9')
      ++digits;
    else if (text[i] == '.')
      ++points;
    else
      return std::nullopt;
  }
  if (digits == 0 || points > 1) return std::nullopt;
  return std::strtod(text.c_str(), nullptr);
}

void expect_same(const std::string& text) {
  const auto expected = reference(text);
  const auto found = parse_number(text);
  ASSERT_EQ(found.has_value(), expected.has_value()) << text;
  if (expected) {
    ASSERT_EQ(std::memcmp(&*found, &*expected, sizeof(double)), 0) << text << " " << *found;
  }
}

TEST(ShortDecimals, EveryPlaceOfThePointReadsAsTheCLibraryReadsIt) {
  const std::string digits = "98765432109876543";
  for (std::size_t length = 1; length <= digits.size(); ++length)
    for (std::size_t point = 0; point <= length + 1; ++point)
      for (const char* sign : {"", "-", "+"}) {
        std::string text = digits.substr(0, length);
        if (point <= length) text.insert(point, ".");
        expect_same(sign + text);
      }
}

TEST(ShortDecimals, RandomTextsReadAsTheCLibraryReadsThem) {
  Random random(stream_key(1, "decimals"));
  const std::string alphabet = "00123456789..-/:\x80\xff ";
  for (int i = 0; i < 300'000; ++i) {
    const std::uint64_t letters = i % 2 ? alphabet.size() : 13;  // half of them only digits and points
    std::string text;
    for (std::uint64_t n = random.below(19); n > 0; --n) text += alphabet[random.below(letters)];
    expect_same(text);
  }
}

TEST(ShortDecimals, OneStrangeByteAnywhereIsRefused) {
  for (std::size_t length = 1; length <= 16; ++length)
    for (std::size_t at = 0; at < length; ++at)
      for (int byte = 0; byte < 256; ++byte) {
        std::string text(length, '7');
        text[at] = static_cast<char>(byte);
        if (byte == 'e' || byte == 'E') continue;  // an exponent has its own rules
        expect_same(text);
      }
}

}  // namespace
}  // namespace ae::base_short_decimal_test
