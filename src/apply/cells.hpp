// Lines of scores cell by cell, as CSV or as JSON, one object a line.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ae::apply {

enum class LineFormat { csv, jsonl };

// Some neighbouring cells of a line, filled in order.
class Cells {
 public:
  Cells(LineFormat format, const std::vector<std::string>& names);
  void clear();
  void text(std::string_view value);
  void number(double value);
  void nothing();  // an empty cell, null in JSON
  void nothing_left();
  // What was filled so far, each cell behind a comma.
  std::string_view written() const { return text_; }

 private:
  std::string& next();

  LineFormat format_;
  std::vector<std::string> leads_;  // what stands before each value
  std::size_t filled_ = 0;
  std::string text_;
};

}  // namespace ae::apply
