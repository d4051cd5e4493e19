#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/utf8.hpp"

namespace ae {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equals_ignoring_case(std::string_view text, std::string_view lower_case) {
  return text.size() == lower_case.size() &&
         std::equal(text.begin(), text.end(), lower_case.begin(), [](char a, char b) { return lower(a) == b; });
}

// Characters that move the cursor, break the line or reorder what a reader sees.
bool is_deceptive(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xad || (c >= 0x200b && c <= 0x200f) ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

void append_escaped_bytes(std::string& out, std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += "\\x";
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
}

void append_printable(std::string& out, std::string_view bytes, const Utf8Character& character) {
  if (bytes == "\n") {
    out += "\\n";
  } else if (bytes == "\r") {
    out += "\\r";
  } else if (bytes == "\t") {
    out += "\\t";
  } else if (character.length == 0 || is_deceptive(character.code_point)) {
    append_escaped_bytes(out, bytes);
  } else {
    out += bytes;
  }
}

// Damerau-Levenshtein distance (optimal string alignment: no substring is edited twice), case-insensitive.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]);
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

constexpr std::array<double, 23> powers_of_ten = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

// A decimal number taken apart: value = mantissa * 10^exponent when digits <= 19.
struct Decimal {
  std::uint64_t mantissa = 0;
  std::int64_t exponent = 0;
  int digits = 0;              // significant digits taken into the mantissa, at most 19
  bool exact = true;           // false: there were more digits
  std::int64_t magnitude = 0;  // power of ten of the first significant digit
};

// Reads `[digits][.digits][e[+-]digits]`; false unless all of `text` is one such number.
bool parse_decimal(std::string_view text, Decimal& out) {
  const char* p = text.data();
  const char* const end = p + text.size();
  std::int64_t integer_digits = 0;  // after leading zeros
  const auto take = [&out](char c) {
    if (out.digits == 0 && c == '0') return;
    if (out.digits < 19) {
      out.mantissa = out.mantissa * 10 + static_cast<std::uint64_t>(c - '0');
      ++out.digits;
    } else {
      out.exact = false;
    }
  };
  const char* const integer = p;
  for (; p != end && is_digit(*p); ++p) {
    take(*p);
    integer_digits += out.digits > 0;
  }
  std::int64_t all_digits = p - integer;
  std::int64_t leading_zeros = 0;  // of the fraction, when the integer part is zero
  if (p != end && *p == '.') {
    const char* const fraction = ++p;
    for (; p != end && is_digit(*p); ++p) {
      take(*p);
      leading_zeros += out.digits == 0;
    }
    all_digits += p - fraction;
    out.exponent = fraction - p;
  }
  if (all_digits == 0) return false;
  std::int64_t power = 0;
  if (p != end && (*p == 'e' || *p == 'E')) {
    ++p;
    const bool negative = p != end && *p == '-';
    if (p != end && (*p == '-' || *p == '+')) ++p;
    if (p == end) return false;  // "1e", "1e+"
    for (; p != end && is_digit(*p); ++p) power = std::min<std::int64_t>(power * 10 + (*p - '0'), 1ll << 50);
    if (negative) power = -power;
  }
  out.exponent += power;
  out.magnitude = power + (integer_digits > 0 ? integer_digits - 1 : -1 - leading_zeros);
  return p == end;
}

// Correctly rounded by the standard library; called for numbers that the exact path cannot hold.
double parse_by_library(std::string_view text, const Decimal& decimal) {
  if (decimal.digits == 0) return 0.0;
  double value = 0.0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc()) return value;
  return decimal.magnitude > 0 ? std::numeric_limits<double>::infinity() : 0.0;
}

// Eight characters as a little-endian word: the first one in the lowest byte.
std::uint64_t load_8(const char* p) {
  std::uint64_t word = 0;
  std::memcpy(&word, p, 8);
  return word;
}
std::uint64_t load_4(const char* p) {
  std::uint32_t word = 0;
  std::memcpy(&word, p, 4);
  return word;
}

constexpr std::uint64_t bytes_of(unsigned char c) { return 0x0101010101010101ull * c; }

// `text`, 1 to 16 characters, as two words, moved to the right end with '0' in front. A word shifted by 64 is 0.
struct RightAligned {
  std::uint64_t high = bytes_of('0');
  std::uint64_t low = bytes_of('0');
};
RightAligned right_aligned(std::string_view text) {
  const auto moved = [](std::uint64_t word, std::size_t characters) {  // its first `characters` ones
    const std::size_t bits = 8 * (8 - characters);
    return bits == 64 ? bytes_of('0') : word << bits | bytes_of('0') >> 1 >> (63 - bits);
  };
  const char* const p = text.data();
  const std::size_t size = text.size();
  RightAligned out;
  if (size >= 8) {
    out.low = load_8(p + size - 8);
    out.high = moved(load_8(p), size - 8);
  } else if (size >= 4) {
    out.low = moved(load_4(p) | load_4(p + size - 4) << (8 * (size - 4)), size);
  } else {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < size; ++i) word |= std::uint64_t{static_cast<unsigned char>(p[i])} << (8 * i);
    out.low = moved(word, size);
  }
  return out;
}

// Not 0 when a character is no digit: its high nibble, or that of the character plus 6, is not that of '0'.
std::uint64_t not_digits(std::uint64_t word) {
  return ((word & bytes_of(0xf0)) ^ bytes_of('0')) | (((word + bytes_of(6)) & bytes_of(0xf0)) ^ bytes_of('0'));
}

// Eight digits at once: neighbours are joined to pairs, pairs to fours, fours to the number.
std::uint64_t eight_digits(std::uint64_t word) {
  word -= bytes_of('0');
  word = word * 10 + (word >> 8);
  constexpr std::uint64_t every_other = 0x000000ff000000ffull;
  constexpr std::uint64_t first = 100 + (1000000ull << 32);
  constexpr std::uint64_t second = 1 + (10000ull << 32);
  return ((word & every_other) * first + (word >> 16 & every_other) * second) >> 32;
}

// `digits[.digits]` up to 16 characters, what most cells of a table are, without a branch for each character: the fast
// path below without its bookkeeping. False: not such a number, or one that needs more care.
bool parse_short_decimal(std::string_view text, double& value) {
  if (std::endian::native != std::endian::little || text.empty() || text.size() > 16) return false;
  auto [high, low] = right_aligned(text);
  std::size_t fraction_digits = 0;
  // The lowest byte found is really a point; those above it may be carries, but then a point is left over and refused.
  const auto points = [](std::uint64_t word) {
    const std::uint64_t x = word ^ bytes_of('.');
    return (x - bytes_of(1)) & ~x & bytes_of(0x80);
  };
  // Characters before the point move right over it.
  const auto close_gap = [](std::uint64_t word, std::uint64_t point, std::uint64_t carried) {
    const std::uint64_t before = (point & (0 - point)) / 0x80 - 1;
    const std::uint64_t after = ~(before << 8 | 0xff);
    return (word & after) | (word & before) << 8 | carried;
  };
  if (const std::uint64_t point = points(low)) {
    fraction_digits = 7 - static_cast<std::size_t>(std::countr_zero(point)) / 8;
    low = close_gap(low, point, high >> 56);
    high = high << 8 | '0';
  } else if (const std::uint64_t earlier = points(high)) {
    fraction_digits = 15 - static_cast<std::size_t>(std::countr_zero(earlier)) / 8;
    high = close_gap(high, earlier, '0');
  }
  if ((not_digits(high) | not_digits(low)) != 0 || text == ".") return false;
  const std::uint64_t mantissa = eight_digits(high) * 100'000'000 + eight_digits(low);
  if (mantissa >= (1ull << 53)) return false;
  value = static_cast<double>(mantissa) / powers_of_ten[fraction_digits];
  return true;
}

std::optional<double> parse_unsigned(std::string_view text) {
  if (double value = 0; parse_short_decimal(text, value)) return value;
  Decimal decimal;
  if (parse_decimal(text, decimal)) {
    // Clinger's fast path: both factors are exact doubles, so one operation rounds once, as it must.
    if (decimal.exact && decimal.mantissa < (1ull << 53) && decimal.exponent >= -22 && decimal.exponent <= 22) {
      const auto mantissa = static_cast<double>(decimal.mantissa);
      return decimal.exponent < 0 ? mantissa / powers_of_ten[static_cast<std::size_t>(-decimal.exponent)]
                                  : mantissa * powers_of_ten[static_cast<std::size_t>(decimal.exponent)];
    }
    return parse_by_library(text, decimal);
  }
  if (equals_ignoring_case(text, "inf") || equals_ignoring_case(text, "infinity")) {
    return std::numeric_limits<double>::infinity();
  }
  if (equals_ignoring_case(text, "nan")) return std::numeric_limits<double>::quiet_NaN();
  return std::nullopt;
}

}  // namespace

std::string quoted(std::string_view text, std::size_t limit) {
  std::string out = "\"";
  std::size_t i = 0;
  while (i < text.size()) {
    const Utf8Character character = first_character(text.substr(i));
    const std::size_t length = std::max<std::size_t>(character.length, 1);
    if (i + length > limit) break;
    if (text[i] == '"' || text[i] == '\\') out += '\\';
    append_printable(out, text.substr(i, length), character);
    i += length;
  }
  if (i < text.size()) out += "...";
  return out += '"';
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Utf8Character character = first_character(text);
    const std::size_t length = std::max<std::size_t>(character.length, 1);
    append_printable(out, text.substr(0, length), character);
    text.remove_prefix(length);
  }
  return out;
}

std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates) {
  constexpr std::size_t longest_word = 200;  // nobody mistypes a word of this length; keeps hostile names cheap
  if (word.empty() || word.size() > longest_word) return std::nullopt;
  const std::size_t limit = std::max<std::size_t>(1, word.size() / 3);
  std::optional<std::string> best;
  std::size_t best_distance = limit + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t longer = std::max(word.size(), candidate.size());
    if (longer - std::min(word.size(), candidate.size()) >= best_distance) continue;
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance && distance < longer) {  // distance == longer: nothing in common
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  const std::optional<std::string> candidate = nearest(word, candidates);
  return candidate ? "; did you mean " + quoted(*candidate, 100) + "?" : std::string();
}

std::string join(std::span<const std::string> items, std::string_view separator, std::size_t limit) {
  std::string text;
  const std::size_t shown = std::min(items.size(), limit);
  for (std::size_t i = 0; i < shown; ++i) {
    if (i > 0) text += separator;
    text += items[i];
  }
  if (shown < items.size()) {
    text += (shown > 0 ? " and " : "") + std::to_string(items.size() - shown) + " more";
  }
  return text;
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

std::string upper_case(std::string_view text) {
  std::string upper(text);
  for (char& c : upper)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return upper;
}

bool wildcard_match(std::string_view pattern, std::string_view name) {
  constexpr std::size_t none = std::string_view::npos;
  const auto next = [name](std::size_t i) {
    return i + std::max<std::size_t>(first_character(name.substr(i)).length, 1);
  };
  std::size_t p = 0, n = 0;
  std::size_t star = none, resume = 0;  // the last `*`, and the name position to retry after it takes one more
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.size() && pattern[p] == '?') {
      ++p;
      n = next(n);
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != none) {
      p = star + 1;
      n = resume = next(resume);
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

void append_number(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "nan";  // to_chars would tell the sign of a NaN
    return;
  }
  std::array<char, 40> buffer;
  const double magnitude = std::abs(value);
  const bool plain = magnitude >= 1e-5 && magnitude < 1e15;  // 100000, not 1e+05
  char* const begin = buffer.data();
  char* const end = begin + buffer.size();
  const auto result =
      plain ? std::to_chars(begin, end, value, std::chars_format::fixed) : std::to_chars(begin, end, value);
  out.append(begin, result.ptr);
}

std::string number_text(double value) {
  std::string text;
  append_number(text, value);
  return text;
}

std::optional<double> parse_number(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const bool negative = text.front() == '-';
  if (negative || text.front() == '+') text.remove_prefix(1);
  const std::optional<double> value = parse_unsigned(text);
  return value && negative ? -*value : value;
}

void append_csv_field(std::string& out, std::string_view field, char delimiter) {
  const bool plain = std::none_of(field.begin(), field.end(),
                                  [=](char c) { return c == delimiter || c == '"' || c == '\n' || c == '\r'; });
  if (plain) {
    out += field;
    return;
  }
  out += '"';
  for (const char c : field) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

}  // namespace ae
