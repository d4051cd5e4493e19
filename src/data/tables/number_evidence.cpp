#include "data/tables/number_evidence.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/tables/schema.hpp"

namespace ae::data {

namespace {

std::optional<ReadNumber> read(std::string_view text, char decimal, const NumberChoice& choice) {
  if (!choice.thousands) return read_number(text, decimal);
  const auto value = number_of(text, {decimal, *choice.thousands});
  if (!value) return std::nullopt;
  const bool marked = !choice.thousands->empty() && text.find(*choice.thousands) != std::string_view::npos;
  return ReadNumber{*value, marked ? std::string_view(*choice.thousands) : std::string_view{}};
}

void remember(NumberEvidence::Sample& sample, std::string_view text, std::int64_t cells) {
  if (sample.empty()) sample.text = text;
  sample.cells += cells;
}

void remember(std::vector<NumberEvidence::Mark>& marks, std::string_view mark, std::string_view text) {
  if (mark.empty() || std::ranges::find(marks, mark, &NumberEvidence::Mark::mark) != marks.end()) return;
  marks.push_back({mark, std::string(text)});
}

// Decides from the columns one after the other.
class Decision {
 public:
  Decision(std::span<const ColumnEvidence> columns, const NumberChoice& choice, const std::string& file)
      : columns_(columns), choice_(choice), file_(file) {}

  NumberFormat format() {
    NumberFormat format;
    format.decimal = decimal();
    format.thousands = choice_.thousands ? *choice_.thousands : thousands(format.decimal);
    return format;
  }

 private:
  using Get = const NumberEvidence::Sample& (NumberEvidence::*)() const;
  const ColumnEvidence* first(Get get) const {
    const auto found = std::ranges::find_if(
        columns_, [&](const ColumnEvidence& column) { return !(column.evidence->*get)().empty(); });
    return found == columns_.end() ? nullptr : &*found;
  }

  char decimal() const {
    if (!choice_.comma) return '.';
    if (!choice_.point) return ',';
    const ColumnEvidence* const point = first(&NumberEvidence::only_point);
    const auto all_plain = [](const ColumnEvidence& column) { return column.evidence->plain(); };
    if (std::ranges::all_of(columns_, all_plain)) {
      const ColumnEvidence* const either = first(&NumberEvidence::either_point);
      if (choice_.semicolons && either && !point && !has_point_exponent()) throw point_could_be_either(*either);
      return '.';
    }
    const ColumnEvidence* const comma = first(&NumberEvidence::only_comma);
    if (comma && point) throw both(*comma, *point);
    if (comma) return ',';
    const ColumnEvidence* const either = first(&NumberEvidence::either);
    if (either && !point) throw could_be_either(*either);
    return '.';
  }

  std::string thousands(char decimal) const {
    const NumberEvidence::Mark* found = nullptr;
    for (const auto& column : columns_) {
      for (const auto& mark : column.evidence->thousands(decimal)) {
        if (found && found->mark != mark.mark) throw several(column, *found, mark);
        if (mark.mark == "." && choice_.point && !points_are_shown()) throw point_among_commas(column, mark);
        found = &mark;
      }
    }
    return found ? std::string(found->mark) : std::string();
  }

  bool points_are_shown() const {
    return std::ranges::any_of(columns_,
                               [](const ColumnEvidence& column) { return column.evidence->shows_point_groups(); });
  }

  bool has_point_exponent() const {
    return std::ranges::any_of(columns_,
                               [](const ColumnEvidence& column) { return column.evidence->shows_point_exponent(); });
  }

  std::string begin(const ColumnEvidence& column) const {
    return file_ + ": column " + ae::quoted(*column.name) + ": ";
  }

  InputError both(const ColumnEvidence& comma, const ColumnEvidence& point) const {
    const auto& seen = comma.evidence->only_comma();
    return InputError(begin(comma) + ae::quoted(seen.text) + " in " + share_text(seen.cells, comma.observed) +
                      " of the cells looks like a decimal comma, but " + ae::quoted(point.evidence->only_point().text) +
                      " in column " + ae::quoted(*point.name) +
                      " like a decimal point; write all numbers alike, or set /data/decimal to \",\" or \".\" and give "
                      "columns that do not follow it the role \"ignore\" or \"categorical\" in /data/columns");
  }

  InputError could_be_either(const ColumnEvidence& column) const {
    const auto& seen = column.evidence->either();
    return InputError(begin(column) + ae::quoted(seen.text) + " in " + share_text(seen.cells, column.observed) +
                      " of the cells could have a decimal comma or a thousands mark, and no other number of the table "
                      "tells; set /data/decimal to \",\" or \".\"");
  }

  InputError point_could_be_either(const ColumnEvidence& column) const {
    const auto& seen = column.evidence->either_point();
    return InputError(begin(column) + ae::quoted(seen.text) + " in " + share_text(seen.cells, column.observed) +
                      " of the cells could have a decimal point or, as in many files with \";\" between cells, a "
                      "thousands mark, and no other number of the table tells; set /data/decimal to \".\" or "
                      "/data/thousands to \".\"");
  }

  // It may be a thousands mark, or the column is written in another way.
  InputError point_among_commas(const ColumnEvidence& column, const NumberEvidence::Mark& mark) const {
    return InputError(begin(column) + ae::quoted(mark.text) +
                      " in a table with decimal commas could have a thousands mark or a decimal point; set "
                      "/data/thousands to \".\" if it is one, else write all numbers alike");
  }

  InputError several(const ColumnEvidence& column, const NumberEvidence::Mark& one,
                     const NumberEvidence::Mark& other) const {
    return InputError(
        begin(column) + ae::quoted(one.text) + " and " + ae::quoted(other.text) +
        " have different thousands marks; write all numbers alike, or set /data/thousands to the one that "
        "is right");
  }

  std::span<const ColumnEvidence> columns_;
  const NumberChoice& choice_;
  const std::string& file_;
};

}  // namespace

NumberChoice::NumberChoice(const TableOptions& options, char delimiter)
    : point(options.decimal != "," && options.thousands != "."),
      comma(options.decimal != "." && options.thousands != ","),
      semicolons(delimiter == ';') {
  if (options.thousands == "none")
    thousands = "";
  else if (options.thousands != "auto")
    thousands = options.thousands;
}

NumberLook look_at(std::string_view text, std::optional<double> plain, const NumberChoice& choice) {
  NumberLook look;
  look.plain = plain.has_value();
  look.pointed = text.find('.') != std::string_view::npos;
  if (plain && !look.pointed) {  // says the same either way
    if (choice.point) look.point = plain;
    if (choice.comma) look.comma = plain;
    return look;
  }
  if (choice.point && plain) {
    look.point = plain;
  } else if (choice.point) {
    if (const auto number = read(text, '.', choice)) {
      look.point = number->value;
      look.point_thousands = number->thousands;
    }
  }
  if (!choice.comma) return look;
  if (const auto number = read(text, ',', choice)) {
    look.comma = number->value;
    look.comma_thousands = number->thousands;
  }
  return look;
}

void NumberEvidence::add(std::string_view text, const NumberLook& look, std::int64_t cells) {
  if (!look.number()) return;
  numbers_ += cells;
  if (look.point) point_ += cells;
  if (look.comma) comma_ += cells;
  plain_ = plain_ && look.plain;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.size() > 1 && text[0] == '0' && std::ranges::all_of(text, is_digit)) remember(leading_zero_, text, cells);
  if (!look.comma)
    remember(only_point_, text, cells);
  else if (!look.point)
    remember(only_comma_, text, cells);
  else if (*look.point != *look.comma && text.find(',') != std::string_view::npos)
    remember(either_, text, cells);
  else if (*look.point != *look.comma && text.find_first_of("eE") != std::string_view::npos)
    shows_point_exponent_ = true;
  else if (*look.point != *look.comma)
    remember(either_point_, text, cells);
  if (!look.point && look.comma_thousands == ".") shows_point_groups_ = true;
  remember(point_marks_, look.point_thousands, text);
  remember(comma_marks_, look.comma_thousands, text);
}

NumberFormat number_format(std::span<const ColumnEvidence> columns, const NumberChoice& choice,
                           const std::string& file) {
  return Decision(columns, choice, file).format();
}

std::string share_text(std::int64_t cells, std::int64_t of) {
  const auto percent = std::lround(100.0 * static_cast<double>(cells) / static_cast<double>(of));
  return percent > 0 ? std::to_string(percent) + " %" : std::to_string(cells) + " of " + std::to_string(of);
}

}  // namespace ae::data
