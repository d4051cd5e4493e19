// What a cell's text says: nothing, a number, or a word. Shared by fitting and scoring, so that both read alike.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/text.hpp"
#include "data/tables/numbers.hpp"
#include "data/tables/rows.hpp"

namespace ae::data {

enum class CellKind {
  missing,
  number,
  text,
  unclear,  // missing in a column of numbers, text in another
};

struct Cell {
  CellKind kind = CellKind::missing;
  double value = 0;  // of a number; "inf", "1e400" and an undeclared "nan" are numbers too, and not finite
};

// Reads cells by a list of texts that mean "not observed", one of those that mean so only in columns of numbers, and
// how numbers are written.
class CellReader {
 public:
  explicit CellReader(std::vector<std::string> missing, std::vector<std::string> missing_in_numbers = {},
                      NumberFormat numbers = {});
  // The cell `column` of the current row. In a source of numbers a NaN is missing, and so is a number equal to one of
  // the missing texts ("-999").
  Cell read(const RowSource& source, std::size_t column) const {
    return source.has_numbers() ? read(source.number(column)) : read(source.text(column));
  }
  // Blanks that break no line are trimmed as well: they pad numbers, and are never part of one at its ends.
  // Numbers come first because they are most cells: the list of texts is searched only for what could be one of them.
  Cell read(std::string_view text) const {
    text = trimmed(text);
    const auto value = plain_ ? ae::parse_number(text) : number_of(text, numbers_);
    if (value && std::isfinite(*value) && !has_value(*value)) [[likely]]
      return {CellKind::number, *value};
    if (is_missing(text)) return {};
    if (is_unclear(text)) return {CellKind::unclear, 0};
    if (const auto inner = without_padding(text); inner.size() != text.size()) return read(inner);
    return value ? Cell{CellKind::number, *value} : Cell{CellKind::text, 0};
  }
  Cell read(double value) const {
    if (std::isnan(value) || has_value(value)) return {};
    return {CellKind::number, value};
  }
  bool is_missing(std::string_view trimmed_text) const;
  const std::vector<std::string>& missing() const { return missing_; }
  const NumberFormat& numbers() const { return numbers_; }

 private:
  bool has_value(double value) const {
    for (const double missing : missing_numbers_)
      if (value == missing) return true;
    return false;
  }

  bool is_unclear(std::string_view trimmed_text) const;

  std::vector<std::string> missing_;
  std::vector<std::string> unclear_;
  std::vector<double> missing_numbers_;  // of both
  NumberFormat numbers_;
  bool plain_ = true;
};

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
// Level codes travel as float32, which counts exactly up to here.
inline constexpr std::size_t kMostLevels = (1u << 24) - 1;

using TextCodes = std::unordered_map<std::string, std::int32_t, TextHash, std::equal_to<>>;

}  // namespace ae::data
