// Columns that name or count rows instead of describing them, and columns that give the label away: told from every
// cell of the file.
//
// A column of more than kRowsThatShow rows is unsuitable when, without a declared role, it holds
// - whole numbers, or text, that differ in every row (ids);
// - numbers that never fall, or never rise, with more than kRowsThatShow different ones (counters, times);
// - points in time, as text or as numbers;
// - text with more than max_levels values, or of which most cells occur only once (free text).
// Text that differs in every row, or in more than nine tenths of them, needs kRowsThatName: no level would be learned
// from more than one of them, and ten cells of as many levels all differ once in 2800 times. A first column without a
// name needs no more than two rows: it is what pandas and R write for row names.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

namespace ae::data {

inline constexpr std::int64_t kRowsThatShow = 50;
inline constexpr std::int64_t kRowsThatName = 10;

// Whether numbers in file order only rise, or only fall.
class Order {
 public:
  void add(double value) {
    if (count_++ == 0) {
      last_ = value;
      return;
    }
    if (value == last_) return;
    (value > last_ ? falls_ : rises_) = false;
    ++changes_;
    last_ = value;
  }
  // "rises" or "falls" of at least `values` different numbers; "" else.
  std::string_view told(std::int64_t values) const {
    if (count_ == 0 || changes_ + 1 < values) return {};
    return rises_ ? "rises" : falls_ ? "falls" : std::string_view{};
  }
  std::int64_t changes() const { return changes_; }

 private:
  double last_ = 0;
  std::int64_t count_ = 0;
  std::int64_t changes_ = 0;
  bool rises_ = true;
  bool falls_ = true;
};

// Whether all of many values differ, by 64-bit digests of them: 8 bytes each as long as they do, else none.
class AllDifferent {
 public:
  bool watches() const { return holds_; }
  void add(std::uint64_t digest) {
    if (!holds_) return;
    digests_.push_back(digest);
    if (digests_.size() == next_look_) look();
  }
  void give_up() {
    holds_ = false;
    digests_ = {};
  }
  bool holds() {
    look();
    return holds_;
  }

 private:
  void look();

  std::vector<std::uint64_t> digests_;
  std::size_t next_look_ = 32;
  bool holds_ = true;
};

// Whether all numbers are points in time: seconds since 1970, or their thousandths, millionths or billionths, of the
// years 2001 to 2039, or dates written as 20260131 or 202601.
class TimeNumbers {
 public:
  void add(double value) {
    if (holds_) holds_ = is_time(value);
  }
  bool holds() const { return holds_; }

 private:
  static bool is_time(double value);
  bool holds_ = true;
};

// How a column's cells go with the label of their row.
class LabelTie {
 public:
  static constexpr std::int32_t kMostLabels = 64;
  // `label`: the number of the row's label, counted from 0 in order of appearance; `value`: of a cell that is a number.
  void add(std::int32_t label, std::uint64_t digest, std::optional<double> value);
  bool watches_digests() const { return tied_; }
  // Whether every label goes with one value of the column, and the other way round. False for fewer than two labels or
  // too few rows.
  bool one_to_one() const;
  // Whether a threshold parts the rows with one of the labels for which `normal` is true from the others.
  bool parts(const std::vector<bool>& normal) const;

 private:
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  struct Label {
    std::uint64_t digest = 0;
    std::int64_t rows = 0;  // 0: not seen with an observed cell
    double least = kInfinity;
    double most = -kInfinity;
  };
  std::vector<Label> labels_;
  bool tied_ = true;
  bool numbers_ = true;
};

}  // namespace ae::data
