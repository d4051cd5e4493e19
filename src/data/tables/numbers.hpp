// How a table's numbers are written, and what a text looks like that is none.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ae::data {

// Without the blanks that do not break a line (U+00A0, U+2007, U+202F), with which numbers are padded, and the others
// around them.
std::string_view without_padding(std::string_view text);

struct NumberFormat {
  char decimal = '.';
  std::string thousands;  // what stands between groups of three digits, one character in UTF-8; "" = nothing
  bool plain() const { return decimal == '.' && thousands.empty(); }
  bool operator==(const NumberFormat&) const = default;
};

// The whole text as a number written so; ae::parse_number() when `format` is plain. Groups must be complete: "1,234"
// and "12,345,678.9", but neither "1,23" nor "0,123".
std::optional<double> number_of(std::string_view text, const NumberFormat& format);

// A text read with one decimal mark.
struct ReadNumber {
  double value = 0;
  std::string_view thousands;  // what stood between its groups; "" when it has none
};
// `decimal`: '.' or ','. Between groups may stand the other one, a blank (also U+00A0, U+2009, U+202F) or an apostrophe
// (also U+2019).
std::optional<ReadNumber> read_number(std::string_view text, char decimal);

// What to make of a column of such texts.
enum class DecorationKind {
  measure,   // a number that half of the cells may leave undecorated, or a category: "5 %", "250 ml"
  notation,  // a number in another way of writing: "5.1D+01"
  of_few,    // the same, or the name of a category when there are few of them: "18-25"
  time,      // a date or a time of day
  duration,  // "51:30": may be a time of day when there are few minutes
};

// A text that people read as a number, or as a point in time, and parse_number() does not.
struct Decoration {
  std::string_view what;       // "a percentage", "a date", ...; static
  std::string_view unit = {};  // part of the text: "kg"
  DecorationKind kind = DecorationKind::measure;
};
std::optional<Decoration> decoration_of(std::string_view trimmed_text);
// Whether a unit may stand beside others in one column: "kg" beside "lbs", "k" beside "M".
bool is_known_unit(std::string_view unit);

inline constexpr std::string_view kThousandsMark = "a number with a thousands mark";
inline constexpr std::string_view kTooLarge = "a number too large for double precision";
// "a decimal comma", "a percentage", ... of a text that is no number of `format`; "" when it looks like none.
std::string_view looks_like(std::string_view trimmed_text, const NumberFormat& format);

}  // namespace ae::data
