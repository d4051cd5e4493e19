// How a file writes its numbers, found out from all of their cells.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/tables/numbers.hpp"

namespace ae::data {

struct TableOptions;

// What the options leave open.
struct NumberChoice {
  // `delimiter`: of the table, when it is a text.
  explicit NumberChoice(const TableOptions& options, char delimiter = ',');
  bool point = true;  // whether the decimal mark may be a point, a comma
  bool comma = true;
  std::optional<std::string> thousands;  // "" = none
  // Whether the file was written where the decimal mark is a comma as like as not: a point may then part groups.
  bool semicolons = false;
};

// A text as a number with either decimal mark.
struct NumberLook {
  std::optional<double> point, comma;
  std::string_view point_thousands, comma_thousands;  // "" = none in this text
  bool plain = false;                                 // parse_number() reads it
  bool pointed = false;                               // it holds a point
  bool number() const { return point || comma; }
};

// `plain`: what parse_number() reads in `text`.
NumberLook look_at(std::string_view text, std::optional<double> plain, const NumberChoice& choice);

// The looks of one column's cells.
class NumberEvidence {
 public:
  void add(std::string_view text, const NumberLook& look, std::int64_t cells);

  struct Sample {
    std::string text;  // the first
    std::int64_t cells = 0;
    bool empty() const { return cells == 0; }
  };
  struct Mark {
    std::string_view mark;
    std::string text;  // the first with it
  };
  std::int64_t numbers() const { return numbers_; }  // cells that are a number with one of the marks
  // Cells that are a number with that decimal mark.
  std::int64_t numbers(char decimal) const { return decimal == '.' ? point_ : comma_; }
  const Sample& only_point() const { return only_point_; }
  const Sample& only_comma() const { return only_comma_; }
  const Sample& either() const { return either_; }              // "1,234": numbers with both, but not the same
  const Sample& either_point() const { return either_point_; }  // "1.234"
  // Whether a cell has a point and an exponent, "1.234e5", which no number with groups has.
  bool shows_point_exponent() const { return shows_point_exponent_; }
  // Whether a cell can be read only with a point between its groups: "1.234,5".
  bool shows_point_groups() const { return shows_point_groups_; }
  const std::vector<Mark>& thousands(char decimal) const { return decimal == '.' ? point_marks_ : comma_marks_; }
  const Sample& leading_zero() const { return leading_zero_; }  // "01067", as codes are written
  bool plain() const { return plain_; }                         // parse_number() reads all that are numbers

 private:
  std::int64_t numbers_ = 0, point_ = 0, comma_ = 0;
  Sample only_point_, only_comma_, either_, either_point_, leading_zero_;
  std::vector<Mark> point_marks_, comma_marks_;
  bool plain_ = true;
  bool shows_point_groups_ = false;
  bool shows_point_exponent_ = false;
};

struct ColumnEvidence {
  const std::string* name = nullptr;
  const NumberEvidence* evidence = nullptr;
  std::int64_t observed = 0;  // cells
};
// The format that all columns of numbers follow. InputError, beginning with `file`, when it cannot be told or there is
// none, with what was seen and the setting that decides.
NumberFormat number_format(std::span<const ColumnEvidence> columns, const NumberChoice& choice,
                           const std::string& file);

// "97 %" of cells, or "1 of 3000" where a percentage would say 0.
std::string share_text(std::int64_t cells, std::int64_t of);

}  // namespace ae::data
