#include "data/tables/numbers.hpp"

#include <time.h>  // strptime is POSIX

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <span>
#include <string>

#include "base/text.hpp"

namespace ae::data {

namespace {

constexpr std::string_view kBlanks[] = {" ", "\u00a0", "\u2009", "\u202f", "'", "\u2019"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::size_t digits_at(std::string_view text, std::size_t at) {
  std::size_t end = at;
  while (end < text.size() && is_digit(text[end])) ++end;
  return end - at;
}

// Whether a group of three digits behind `mark` stands at `at`.
bool group_at(std::string_view text, std::size_t at, std::string_view mark) {
  return text.substr(at).starts_with(mark) && digits_at(text, at + mark.size()) == 3;
}

// Reads a number with `decimal`, whose groups may be parted by one of `marks`.
std::optional<ReadNumber> read_grouped(std::string_view text, char decimal, std::span<const std::string_view> marks) {
  std::string plain;
  ReadNumber number;
  std::size_t at = 0;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) plain += text[at++];
  const std::size_t first = digits_at(text, at);
  plain += text.substr(at, first);
  const bool may_be_grouped = first >= 1 && first <= 3 && text[at] != '0';
  at += first;
  if (may_be_grouped) {
    const auto mark = std::ranges::find_if(marks, [&](std::string_view one) { return group_at(text, at, one); });
    if (mark != marks.end()) {
      number.thousands = *mark;
      for (; group_at(text, at, *mark); at += mark->size() + 3) plain += text.substr(at + mark->size(), 3);
    }
  }
  if (at < text.size() && text[at] == decimal) {
    plain += '.';
    ++at;
  }
  const std::string_view rest = text.substr(at);
  if (rest.find_first_of(".,") != std::string_view::npos) return std::nullopt;
  const auto value = ae::parse_number(plain.append(rest));
  if (!value) return std::nullopt;
  number.value = *value;
  return number;
}

// --- decorations -----------------------------------------------------------------------------------------------------

bool is_number_somehow(std::string_view text) { return read_number(text, '.') || read_number(text, ','); }

// Digits, signs and marks alone: neither "nan" nor "1e5".
bool is_digit_or_mark(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return is_digit(c) || std::string_view(".,-+ '").find(c) != std::string_view::npos ||
           static_cast<unsigned char>(c) >= 0x80;
  });
}

// What is left of `text` without `mark` at either end; nullopt when it is at none.
std::optional<std::string_view> without(std::string_view text, std::string_view mark) {
  std::string_view sign;
  if (text.starts_with('-') || text.starts_with('+')) sign = text.substr(0, 1);
  const std::string_view unsigned_text = text.substr(sign.size());
  if (unsigned_text.starts_with(mark)) return trimmed(unsigned_text.substr(mark.size()));
  if (unsigned_text.ends_with(mark)) return trimmed(text.substr(0, text.size() - mark.size()));
  return std::nullopt;
}

bool is_number_with(std::string_view text, std::span<const std::string_view> marks) {
  return std::ranges::any_of(marks, [&](std::string_view mark) {
    const auto rest = without(text, mark);
    return rest && is_number_somehow(*rest);
  });
}

constexpr std::string_view kPercent[] = {"%", "\u2030"};
constexpr std::string_view kMoney[] = {
    "$",   "\u20ac", "\u00a3", "\u00a5", "\u20b9", "\u20bd", "\u20a9", "USD",     "EUR",     "GBP", "CHF", "JPY",
    "CNY", "INR",    "US$",    "kr",     "kr.",    "SEK",    "NOK",    "DKK",     "PLN",     "R$",  "A$",  "C$",
    "Fr.", "Rs",     "Rs.",    ",-",     ".-",     ",--",    ".--",    "z\u0142", "K\u010d", "Ft"};
constexpr std::string_view kBounds[] = {"<=", ">=", "<", ">", "\u2264", "\u2265", "~", "\u00b1"};

bool is_bound(std::string_view text) {
  return std::ranges::any_of(kBounds, [&](std::string_view mark) {
    return text.starts_with(mark) && is_number_somehow(trimmed(text.substr(mark.size())));
  });
}

// "90+" and "ca. 50", which may be the name of a category as well.
bool is_open_bound(std::string_view text) {
  constexpr std::string_view kBefore[] = {"ca.",   "ca ",    "approx.", "approx ", "about ",     "\u2248",
                                          "over ", "under ", "up to ",  "above ",  "less than ", "more than "};
  constexpr std::string_view kBehind[] = {"+", " or more", " or less", " and over", " and under"};
  return std::ranges::any_of(kBefore,
                             [&](std::string_view mark) {
                               return text.starts_with(mark) && is_number_somehow(trimmed(text.substr(mark.size())));
                             }) ||
         std::ranges::any_of(kBehind, [&](std::string_view mark) {
           return text.ends_with(mark) && is_number_somehow(trimmed(text.substr(0, text.size() - mark.size())));
         });
}

bool has_blank_behind_sign(std::string_view text) {
  return (text.starts_with("- ") || text.starts_with("+ ")) && is_number_somehow(trimmed(text.substr(1)));
}

bool has_underscores(std::string_view text) {
  constexpr std::string_view kMark[] = {"_"};
  const auto number = read_grouped(text, '.', kMark);
  return number && !number->thousands.empty();
}

// "4.6x10^3", "4,6 \u00d7 10\u00b3".
bool has_power_of_ten(std::string_view text) {
  constexpr std::string_view kTimes[] = {"x", "X", "*", "\u00d7", "\u00b7", "\u22c5"};
  return std::ranges::any_of(kTimes, [&](std::string_view mark) {
    const auto at = text.find(mark);
    if (at == std::string_view::npos || !is_number_somehow(trimmed(text.substr(0, at)))) return false;
    auto power = trimmed(text.substr(at + mark.size()));
    if (!power.starts_with("10")) return false;
    power = trimmed(power.substr(2));
    for (const std::string_view raised : {"**", "^"})
      if (power.starts_with(raised)) return is_number_somehow(trimmed(power.substr(raised.size())));
    return !power.empty() && static_cast<unsigned char>(power[0]) >= 0x80;  // raised digits
  });
}

// "12.5 \u00b1 0.3", "12.5 (0.3)".
bool has_uncertainty(std::string_view text) {
  for (const std::string_view mark : {"\u00b1", "+/-", "+-"}) {
    const auto at = text.find(mark);
    if (at == std::string_view::npos || at == 0) continue;
    return is_number_somehow(trimmed(text.substr(0, at))) && is_number_somehow(trimmed(text.substr(at + mark.size())));
  }
  const auto open = text.find('(');
  return open != std::string_view::npos && open > 0 && text.ends_with(')') &&
         is_number_somehow(trimmed(text.substr(0, open))) &&
         is_number_somehow(trimmed(text.substr(open + 1, text.size() - open - 2)));
}

bool has_footnote(std::string_view text) {
  constexpr std::string_view kMarks[] = {"*", "#", "?", "\u2020", "\u2021"};
  bool any = false;
  for (bool found = true; found;) {
    found = false;
    for (const std::string_view mark : kMarks) {
      if (!text.ends_with(mark)) continue;
      text.remove_suffix(mark.size());
      any = found = true;
    }
  }
  return any && is_number_somehow(trimmed(text));
}

struct Marks {
  std::string_view open, close;
};
constexpr Marks kQuotes[] = {{"=\"", "\""},
                             {"'", "'"},
                             {"\"", "\""},
                             {"\u201c", "\u201d"},
                             {"\u201d", "\u201d"},
                             {"\u201e", "\u201c"},
                             {"\u201e", "\u201d"},
                             {"\u2018", "\u2019"},
                             {"\u2019", "\u2019"},
                             {"\u201a", "\u2018"},
                             {"\u00ab", "\u00bb"},
                             {"\u00bb", "\u00ab"},
                             {"'", ""},
                             {"`", ""},
                             {"\u2019", ""}};
constexpr Marks kBrackets[] = {{"[", "]"}, {"{", "}"}};

bool is_number_within(std::string_view text, std::span<const Marks> pairs) {
  return std::ranges::any_of(pairs, [&](const Marks& pair) {
    if (text.size() <= pair.open.size() + pair.close.size()) return false;
    if (!text.starts_with(pair.open) || !text.ends_with(pair.close)) return false;
    text.remove_prefix(pair.open.size());
    text.remove_suffix(pair.close.size());
    return is_number_somehow(trimmed(text));
  });
}

bool is_within_quotes(std::string_view text) { return is_number_within(text, kQuotes); }
bool is_within_brackets(std::string_view text) { return is_number_within(text, kBrackets); }

bool has_typographic_minus(std::string_view text) {
  constexpr std::string_view kSigns[] = {"\u2212", "\u2013", "\u2012", "\ufe63", "\uff0d"};
  return std::ranges::any_of(kSigns, [&](std::string_view sign) {
    return text.starts_with(sign) && is_digit_or_mark(trimmed(text.substr(sign.size()))) &&
           is_number_somehow(trimmed(text.substr(sign.size())));
  });
}

bool has_minus_behind(std::string_view text) {
  return text.ends_with('-') && !text.starts_with('-') && !text.starts_with('+') && is_digit_or_mark(text) &&
         is_number_somehow(trimmed(text.substr(0, text.size() - 1)));
}

// "5.1D+01", whose D stands for the exponent of a number in double precision.
bool has_fortran_exponent(std::string_view text) {
  const auto mark = text.find_first_of("dD");
  if (mark == std::string_view::npos || mark + 1 == text.size()) return false;
  if (!is_digit(text[mark + 1]) && (mark + 2 == text.size() || (text[mark + 1] != '+' && text[mark + 1] != '-')))
    return false;
  std::string usual(text);
  usual[mark] = 'e';
  return text.find_first_of(".,") < mark && is_number_somehow(usual);
}

bool is_hexadecimal(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  if (!text.starts_with("0x") && !text.starts_with("0X")) return false;
  text.remove_prefix(2);
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; });
}

// "12,34,567": groups of two digits above the thousands.
bool has_indian_groups(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  std::size_t at = digits_at(text, 0), twos = 0;
  if (at < 1 || at > 2) return false;
  for (; text.substr(at).starts_with(',') && digits_at(text, at + 1) == 2; at += 3) ++twos;
  if (twos == 0 || !group_at(text, at, ",")) return false;
  at += 4;
  return at == text.size() || (text[at] == '.' && at + 1 + digits_at(text, at + 1) == text.size());
}

struct Pair {
  double first = 0, second = 0;
};

// Two numbers with `between` them, neither with a sign or a 0 in front, as parts of an id have.
std::optional<Pair> pair_of(std::string_view text, std::string_view between) {
  const auto at = text.find(between, 1);
  if (at == std::string_view::npos) return std::nullopt;
  const auto part = [](std::string_view digits) -> std::optional<double> {
    const bool padded = digits.size() > 1 && digits[0] == '0' && is_digit(digits[1]);
    if (digits.empty() || !is_digit(digits[0]) || padded || !is_digit_or_mark(digits)) return std::nullopt;
    for (const char decimal : {'.', ','})
      if (const auto number = read_number(digits, decimal)) return number->value;
    return std::nullopt;
  };
  const auto first = part(trimmed(text.substr(0, at))), second = part(trimmed(text.substr(at + between.size())));
  return first && second ? std::optional(Pair{*first, *second}) : std::nullopt;
}

// "26/100", "3 1/2".
bool is_fraction(std::string_view text) {
  const std::size_t whole = digits_at(text, 0);
  return pair_of(text, "/") ||
         (whole > 0 && text.substr(whole).starts_with(' ') && pair_of(trimmed(text.substr(whole)), "/").has_value());
}

bool is_range(std::string_view text) {
  constexpr std::string_view kBetween[] = {"-", "\u2013", "\u2014", "..", " to "};
  return std::ranges::any_of(kBetween, [&](std::string_view between) {
    const auto ends = pair_of(text, between);
    return ends && ends->first < ends->second;
  });
}

// Of times, lengths, weights and angles, as they follow each other in one cell, and thousands and millions.
constexpr std::string_view kUnits[] = {
    "d",       "day", "days", "h",    "hr",     "hrs",     "hour",   "hours",  "m",      "min",    "mins",  "minute",
    "minutes", "s",   "sec",  "secs", "second", "seconds", "w",      "wk",     "week",   "weeks",  "mo",    "month",
    "months",  "y",   "yr",   "yrs",  "year",   "years",   "ft",     "foot",   "feet",   "in",     "inch",  "inches",
    "yd",      "st",  "lb",   "lbs",  "oz",     "mm",      "cm",     "km",     "mg",     "g",      "kg",    "k",
    "K",       "M",   "G",    "bn",   "mn",     "kB",      "KB",     "MB",     "GB",     "TB",     "ml",    "l",
    "L",       "deg", "'",    "\"",   "''",     "\u00b0",  "\u00ba", "\u2032", "\u2033", "\u2019", "\u201d"};

bool is_unit(std::string_view text) { return std::ranges::find(kUnits, text) != std::end(kUnits); }

// "51:30", "51:30.5", "100:15:00".
bool is_duration(std::string_view text) {
  std::size_t at = digits_at(text, 0);
  if (at < 1 || at > 4 || !text.substr(at).starts_with(':')) return false;
  for (; text.substr(at).starts_with(':'); at += 3)
    if (digits_at(text, at + 1) != 2 || text[at + 1] > '5') return false;
  return at == text.size() || (text[at] == '.' && at + 1 + digits_at(text, at + 1) == text.size());
}

// "1h 20m", "6 ft 11 in", "5'11\"", "52\u00b031'12\"N", "2 days, 03:04:05", "PT1H20M".
bool has_several_units(std::string_view text) {
  constexpr std::string_view kOfIso = "YMWDHS";
  const bool iso = text.starts_with('P');
  if (iso) text.remove_prefix(text.starts_with("PT") ? 2 : 1);
  if (text.size() > 2 && !iso && std::string_view("NSEW").find(text.back()) != std::string_view::npos)
    text = trimmed(text.substr(0, text.size() - 1));
  int parts = 0;
  while (!text.empty()) {
    if (parts > 0 && is_duration(text)) return true;
    if (parts > 0 && text.front() == 'T') text.remove_prefix(1);
    std::size_t end = digits_at(text, 0);
    if (end == 0) return false;
    if (end < text.size() && (text[end] == '.' || text[end] == ',')) end += 1 + digits_at(text, end + 1);
    text = trimmed(text.substr(end));
    end = std::min(text.find_first_of(" ,0123456789T"), text.size());
    if (!is_unit(text.substr(0, end)) && !(iso && end == 1 && kOfIso.find(text[0]) != std::string_view::npos))
      return false;
    ++parts;
    text.remove_prefix(end);
    while (text.starts_with(' ') || text.starts_with(',')) text.remove_prefix(1);
  }
  return parts > 1 || (iso && parts == 1);
}

// Digits of Arabic, Persian, Devanagari, Bengali, Thai or full width, with the marks of a number.
bool has_other_digits(std::string_view text) {
  // The others follow in the last byte.
  static constexpr std::string_view kZeros[] = {"\u0660", "\u06f0", "\u0966", "\u09e6", "\u0e50", "\uff10"};
  constexpr std::string_view kMarks[] = {".", ",", "-", "+", " ", "\u066b", "\u066c", "\u2212", "\u00a0"};
  const auto digit_length = [](std::string_view rest) -> std::size_t {
    for (const std::string_view zero : kZeros) {
      if (rest.size() < zero.size() || !rest.starts_with(zero.substr(0, zero.size() - 1))) continue;
      const int value = static_cast<unsigned char>(rest[zero.size() - 1]) - static_cast<unsigned char>(zero.back());
      if (value >= 0 && value <= 9) return zero.size();
    }
    return 0;
  };
  bool any = false;
  while (!text.empty()) {
    std::size_t length = digit_length(text);
    any = any || length > 0;
    if (length == 0) {
      const auto* mark = std::ranges::find_if(kMarks, [&](std::string_view one) { return text.starts_with(one); });
      length = mark != std::end(kMarks) ? mark->size() : is_digit(text[0]) ? 1 : 0;
    }
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return any;
}

bool is_in_parentheses(std::string_view text) {
  return text.size() > 2 && text.front() == '(' && text.back() == ')' &&
         is_number_somehow(trimmed(text.substr(1, text.size() - 2)));
}

// The unit of "12 kg", "3.5m/s" or "7 \u00b0C"; "" when there is none.
std::string_view unit_of(std::string_view text) {
  const auto begins_unit = [](char c) {
    return std::isalpha(static_cast<unsigned char>(c)) != 0 || static_cast<unsigned char>(c) >= 0x80;
  };
  std::size_t begin = 1;
  while (begin < text.size() && !(begins_unit(text[begin]) && is_number_somehow(trimmed(text.substr(0, begin)))))
    ++begin;
  if (begin >= text.size()) return {};
  const std::string_view unit = text.substr(begin);
  const auto may_be_in_unit = [&](char c) {
    return begins_unit(c) || is_digit(c) || std::string_view("/*^.-%").find(c) != std::string_view::npos;
  };
  return std::ranges::all_of(unit, may_be_in_unit) ? unit : std::string_view{};
}

// --- dates -----------------------------------------------------------------------------------------------------------

constexpr const char* kDates[] = {"%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y",  "%d/%m/%Y", "%m/%d/%Y",
                                  "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%y", "%d/%m/%y",  "%m/%d/%y", "%d-%b-%Y",
                                  "%d-%b-%y", "%d %b %Y", "%d/%b/%Y", "%b %d, %Y", "%b %d %Y", "%Y-%m",
                                  "%Y/%m",    "%b %Y",    "%b-%Y",    "%Y%m%d"};
constexpr const char* kTimes[] = {"%I:%M:%S %p", "%I:%M %p", "%H:%M:%S", "%H:%M", "%H%M%S"};
constexpr const char* kZones[] = {"Z", "UTC", "GMT", "%z", " %z", " UTC", " GMT"};

// The text behind what `format` matched at its front; null when it does not match.
const char* match(const char* text, const char* format, tm& parts) { return strptime(text, format, &parts); }

bool ends_time(const char* text) {
  if (*text == '.' || *text == ',')  // parts of a second
    do ++text;
    while (is_digit(*text));
  if (*text == '\0') return true;
  return std::ranges::any_of(kZones, [&](const char* zone) {
    tm parts{};
    const char* const rest = match(text, zone, parts);
    return rest != nullptr && *rest == '\0';
  });
}

bool is_time_of_day(const char* text) {
  return std::ranges::any_of(kTimes, [&](const char* format) {
    tm parts{};
    const char* const rest = match(text, format, parts);
    return rest != nullptr && ends_time(rest);
  });
}

bool is_date(const char* text) {
  constexpr int kFirstYear = 1500 - 1900, kLastYear = 2500 - 1900;
  return std::ranges::any_of(kDates, [&](const char* format) {
    tm parts{};
    const char* rest = match(text, format, parts);
    if (rest == nullptr || parts.tm_year < kFirstYear || parts.tm_year > kLastYear) return false;
    if (*rest == '\0') return true;
    if (*rest == ',' || *rest == ':') ++rest;  // a web server's log: 10/Oct/2000:13:55:36
    while (*rest == ' ' || *rest == 'T') ++rest;
    return is_time_of_day(rest);
  });
}

// Quarters and weeks: "2024Q3", "Q3 2024", "2024-W05".
bool is_period(std::string_view text) {
  const auto is_quarter = [](std::string_view part) {
    return part.size() == 2 && (part[0] == 'Q' || part[0] == 'q') && part[1] >= '1' && part[1] <= '4';
  };
  const auto is_week = [](std::string_view part) {
    return part.size() == 3 && part[0] == 'W' && digits_at(part, 1) == 2 && part.substr(1) >= "01" &&
           part.substr(1) <= "53";
  };
  const auto without_mark = [](std::string_view part) {
    return part.find_first_of("-/ ") == 0 ? part.substr(1) : part;
  };
  const auto is_year = [](std::string_view part) {
    return part.size() == 4 && digits_at(part, 0) == 4 && part >= "1500" && part <= "2500";
  };
  if (text.size() < 6) return false;
  const auto behind_year = without_mark(text.substr(4));
  return (is_year(text.substr(0, 4)) && (is_quarter(behind_year) || is_week(behind_year))) ||
         (is_quarter(text.substr(0, 2)) && is_year(without_mark(text.substr(2))));
}

// Without the day of the week that some dates begin with.
const char* behind_weekday(const char* text) {
  tm parts{};
  const char* rest = match(text, "%a", parts);
  if (rest == nullptr || (*rest != ',' && *rest != ' ')) return text;
  while (*rest == ',' || *rest == ' ') ++rest;
  return rest;
}

// --- the registry of notations; before them go the decorations above ------------------------------------------------

struct Notation {
  bool (*holds)(std::string_view text);
  Decoration decoration;
};

constexpr Notation kNotations[] = {
    {has_typographic_minus, {"a number with a typographic minus", {}, DecorationKind::notation}},
    {has_minus_behind, {"a number with its minus behind it", {}, DecorationKind::notation}},
    {has_fortran_exponent, {"a number with a Fortran exponent", {}, DecorationKind::notation}},
    {is_within_quotes, {"a number within quotes", {}, DecorationKind::notation}},
    {has_blank_behind_sign, {"a number with a blank behind its sign", {}, DecorationKind::notation}},
    {has_underscores, {"a number with underscores", {}, DecorationKind::notation}},
    {has_power_of_ten, {"a number times a power of ten", {}, DecorationKind::notation}},
    {has_indian_groups, {"a number in Indian grouping", {}, DecorationKind::notation}},
    {has_other_digits, {"a number in other than ASCII digits", {}, DecorationKind::notation}},
    {is_hexadecimal, {"a hexadecimal number", {}, DecorationKind::of_few}},
    {is_within_brackets, {"a number in brackets", {}, DecorationKind::of_few}},
    {is_fraction, {"a fraction", {}, DecorationKind::of_few}},
    {has_uncertainty, {"a number with its uncertainty", {}, DecorationKind::of_few}},
    {has_several_units, {"a quantity in several units", {}, DecorationKind::of_few}},
    {is_open_bound, {"a bound or an estimate", {}, DecorationKind::of_few}},
    {has_footnote, {"a number with a mark behind it", {}, DecorationKind::of_few}},
    {is_range, {"a range of numbers", {}, DecorationKind::of_few}},
    {is_duration, {"a duration", {}, DecorationKind::duration}},
};

constexpr std::string_view kPadding[] = {"\u00a0", "\u2007", "\u202f"};

}  // namespace

std::string_view without_padding(std::string_view text) {
  for (bool found = true; found;) {
    found = false;
    text = trimmed(text);
    for (const std::string_view blank : kPadding) {
      if (text.starts_with(blank)) {
        text.remove_prefix(blank.size());
        found = true;
      }
      if (text.ends_with(blank)) {
        text.remove_suffix(blank.size());
        found = true;
      }
    }
  }
  return text;
}

std::optional<double> number_of(std::string_view text, const NumberFormat& format) {
  if (format.plain()) return ae::parse_number(text);
  const std::string_view mark = format.thousands;
  const auto number = read_grouped(text, format.decimal, std::span(&mark, mark.empty() ? 0 : 1));
  return number ? std::optional(number->value) : std::nullopt;
}

std::optional<ReadNumber> read_number(std::string_view text, char decimal) {
  static constexpr std::array<std::string_view, 1 + std::size(kBlanks)> with_comma = [] {
    std::array<std::string_view, 1 + std::size(kBlanks)> marks{","};
    std::ranges::copy(kBlanks, marks.begin() + 1);
    return marks;
  }();
  static constexpr auto with_point = [] {
    auto marks = with_comma;
    marks[0] = ".";
    return marks;
  }();
  return read_grouped(text, decimal, decimal == '.' ? with_comma : with_point);
}

std::optional<Decoration> decoration_of(std::string_view text) {
  constexpr std::size_t kLongest = 48;
  if (text.empty() || text.size() > kLongest) return std::nullopt;
  const auto found = std::ranges::find_if(kNotations, [&](const Notation& one) { return one.holds(text); });
  const bool has_digit = text.find_first_of("0123456789") != std::string_view::npos;
  if (!has_digit) return found == std::end(kNotations) ? std::nullopt : std::optional(found->decoration);
  if (is_number_with(text, kPercent)) return Decoration{"a percentage"};
  if (is_number_with(text, kMoney)) return Decoration{"an amount of money"};
  if (is_bound(text)) return Decoration{"a bound, not a value"};
  if (is_in_parentheses(text)) return Decoration{"a number in parentheses"};
  const std::string whole(text);
  if (is_date(behind_weekday(whole.c_str())) || is_period(text)) return Decoration{"a date", {}, DecorationKind::time};
  if (is_time_of_day(whole.c_str())) return Decoration{"a time", {}, DecorationKind::time};
  if (found != std::end(kNotations)) return found->decoration;
  if (const auto unit = unit_of(text); !unit.empty()) return Decoration{"a number with a unit", unit};
  return std::nullopt;
}

bool is_known_unit(std::string_view unit) { return is_unit(unit); }

std::string_view looks_like(std::string_view text, const NumberFormat& format) {
  const char other = format.decimal == ',' ? '.' : ',';
  const auto own = read_number(text, format.decimal);
  const auto number = own ? own : read_number(text, other);
  if (number && !std::isfinite(number->value))
    return text.find_first_of("123456789") == std::string_view::npos ? std::string_view{} : kTooLarge;
  if (own) return kThousandsMark;
  if (number) return other == '.' ? "a decimal point" : "a decimal comma";
  const auto decoration = decoration_of(text);
  return decoration ? decoration->what : std::string_view{};
}

}  // namespace ae::data
