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
#include "data/tables/rows.hpp"

namespace ae::data {

bool is_utf8(std::string_view text);  // what JSON, and so a schema, can hold

enum class CellKind { missing, number, text };

struct Cell {
  CellKind kind = CellKind::missing;
  double value = 0;  // of a number; "inf", "1e400" and an undeclared "nan" are numbers too, and not finite
};

// Reads cells by a list of texts that mean "not observed".
class CellReader {
 public:
  explicit CellReader(std::vector<std::string> missing);
  // The cell `column` of the current row. In a source of numbers a NaN is missing, and so is a number equal to one of
  // the missing texts ("-999").
  Cell read(const RowSource& source, std::size_t column) const {
    return source.has_numbers() ? read(source.number(column)) : read(source.text(column));
  }
  // Numbers come first because they are most cells: the list of texts is searched only for what could be one of them.
  Cell read(std::string_view text) const {
    text = trimmed(text);
    const auto value = parse_number(text);
    if (value && std::isfinite(*value) && !has_value(*value)) [[likely]]
      return {CellKind::number, *value};
    if (is_missing(text)) return {};
    return value ? Cell{CellKind::number, *value} : Cell{CellKind::text, 0};
  }
  Cell read(double value) const {
    if (std::isnan(value) || has_value(value)) return {};
    return {CellKind::number, value};
  }
  bool is_missing(std::string_view trimmed_text) const;
  const std::vector<std::string>& missing() const { return missing_; }

 private:
  bool has_value(double value) const {
    for (const double missing : missing_numbers_)
      if (value == missing) return true;
    return false;
  }

  std::vector<std::string> missing_;
  std::vector<double> missing_numbers_;
};

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
// Level codes travel as float32, which counts exactly up to here.
inline constexpr std::size_t kMostLevels = (1u << 24) - 1;

using TextCodes = std::unordered_map<std::string, std::int32_t, TextHash, std::equal_to<>>;

}  // namespace ae::data
