// Text helpers shared by messages, readers and writers.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ae {

// `text` in double quotes for an error message: control bytes and invalid UTF-8 escaped, cut to `limit` bytes with
// "...".
std::string quoted(std::string_view text, std::size_t limit = 40);

// The same escaping without quotes or cutting, for text that must stay one line on a terminal: quotes and backslashes
// stay as they are.
std::string printable(std::string_view text);

// The candidate nearest to `word` by Damerau-Levenshtein distance, if near enough to be a likely typo
// (distance <= max(1, length / 3), case-insensitive); ties go to the first.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates);

// `; did you mean "epochs"?`, or "" when nothing is near.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

// `a, b, c` ; at most `limit` items, then `and N more`.
std::string join(std::span<const std::string> items, std::string_view separator = ", ", std::size_t limit = 12);

// Without blanks and tabs around it.
inline std::string_view trimmed(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// With the other case of the letters A to Z; other bytes as they are.
std::string lower_case(std::string_view text);
std::string upper_case(std::string_view text);

// Shell-style wildcard match over the whole name: `*` any run, `?` one character. No other special characters.
bool wildcard_match(std::string_view pattern, std::string_view name);

// Shortest decimal text that reads back to exactly the same value ("0.1", "1e-20", "-inf", "nan").
void append_number(std::string& out, double value);
std::string number_text(double value);

// Whole text as a finite or non-finite double by the C locale; nullopt unless every character is consumed.
// A syntactically right number out of double's range ("1e400") gives +-infinity. No leading/trailing blanks, no hex,
// a leading '+' is accepted. Correctly rounded; the common short decimals take a fast exact path.
std::optional<double> parse_number(std::string_view text);

// One CSV field, quoted by RFC 4180 only when it must be.
void append_csv_field(std::string& out, std::string_view field, char delimiter = ',');

}  // namespace ae
