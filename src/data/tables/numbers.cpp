#include "data/tables/numbers.hpp"

#include <time.h>  // strptime is POSIX

#include <algorithm>
#include <array>
#include <cctype>
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
constexpr std::string_view kMoney[] = {"$",   "\u20ac", "\u00a3", "\u00a5", "\u20b9", "\u20bd", "\u20a9",
                                       "USD", "EUR",    "GBP",    "CHF",    "JPY",    "CNY",    "INR",
                                       "US$", "kr",     "SEK",    "NOK",    "DKK",    "PLN",    "R$"};
constexpr std::string_view kBounds[] = {"<=", ">=", "<", ">", "\u2264", "\u2265", "~", "\u00b1"};

bool is_bound(std::string_view text) {
  return std::ranges::any_of(kBounds, [&](std::string_view mark) {
    return text.starts_with(mark) && is_number_somehow(trimmed(text.substr(mark.size())));
  });
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

// Without the day of the week that some dates begin with.
const char* behind_weekday(const char* text) {
  tm parts{};
  const char* rest = match(text, "%a", parts);
  if (rest == nullptr || (*rest != ',' && *rest != ' ')) return text;
  while (*rest == ',' || *rest == ' ') ++rest;
  return rest;
}

}  // namespace

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
  const auto has_digit = [&] { return text.find_first_of("0123456789") != std::string_view::npos; };
  if (text.empty() || text.size() > kLongest || !has_digit()) return std::nullopt;
  if (is_number_with(text, kPercent)) return Decoration{"a percentage", {}, false};
  if (is_number_with(text, kMoney)) return Decoration{"an amount of money", {}, false};
  if (is_bound(text)) return Decoration{"a bound, not a value", {}, false};
  if (is_in_parentheses(text)) return Decoration{"a number in parentheses", {}, false};
  const std::string whole(text);
  if (is_date(behind_weekday(whole.c_str()))) return Decoration{"a date", {}, true};
  if (is_time_of_day(whole.c_str())) return Decoration{"a time", {}, true};
  if (const auto unit = unit_of(text); !unit.empty()) return Decoration{"a number with a unit", unit, false};
  return std::nullopt;
}

std::string_view looks_like(std::string_view text, const NumberFormat& format) {
  if (read_number(text, '.')) return format.decimal == ',' ? "a decimal point" : "a number with a thousands mark";
  if (const auto number = read_number(text, ','))
    return format.decimal == ',' ? "a number with a thousands mark" : "a decimal comma";
  const auto decoration = decoration_of(text);
  return decoration ? decoration->what : std::string_view{};
}

}  // namespace ae::data
