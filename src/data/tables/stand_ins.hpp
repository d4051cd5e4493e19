// Numbers that stand for "not observed", such as -999: told by how they are written and how far they lie from all
// others of their column.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace ae::data {

class StandIns {
 public:
  // `text`: of the cells, or "" in a source of numbers.
  void add(double value, std::string_view text, std::int64_t cells = 1) {
    if (is_candidate(value)) {
      add_candidate(value, text, cells);
    } else {
      add_other(value);
    }
  }

  struct Found {
    double value = 0;
    std::string text;  // the first cell's
    std::int64_t cells = 0;
  };
  // Those in at least three cells that are farther from all other numbers than these are from each other, or the only
  // ones below 0. Empty for a column with few other numbers, which may be codes.
  std::vector<Found> found() const;

 private:
  static constexpr double kLeast = 90;  // no smaller one is told from a measurement, but -1
  static constexpr std::size_t kFewNumbers = 10;

  static bool is_candidate(double value) {
    if (value > -kLeast && value < kLeast) return value == -1;
    return is_known(value);
  }
  static bool is_known(double value);
  void add_candidate(double value, std::string_view text, std::int64_t cells);
  void add_other(double value) {
    if (value < least_) least_ = value;
    if (value > most_) most_ = value;
    if (few_.size() <= kFewNumbers) add_few(value);
  }
  void add_few(double value);

  std::vector<Found> candidates_;
  double least_ = std::numeric_limits<double>::infinity();  // of the others
  double most_ = -std::numeric_limits<double>::infinity();
  std::vector<double> few_;  // different ones of the others, kFewNumbers and one more at most
};

}  // namespace ae::data
