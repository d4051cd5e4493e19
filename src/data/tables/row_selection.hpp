// Which rows of a training table are used: those listed in an index file and labelled normal.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/tables/rows.hpp"
#include "data/tables/schema.hpp"

namespace ae::data {

class RowSelection {
 public:
  // `label_column` must be given when options.normal is not empty. InputError for a bad index file.
  RowSelection(const TableOptions& options, std::optional<std::size_t> label_column);
  // Whether the source's current row is used. Call once per row, in order.
  bool take(const RowSource& source);
  // Instead of take(), for a row without any cell.
  void pass_over(const RowSource& source);
  // After the last row: UsageError naming the cause when nothing was taken, InputError for an empty table or
  // an index file with rows that do not exist; tells how many listed rows were not normal.
  void finish(const RowSource& source, std::int64_t rows_in_file, Reporter& reporter) const;
  std::int64_t taken() const { return taken_; }

 private:
  bool lists(const RowSource& source);
  void remember(std::string_view label);
  [[noreturn]] void throw_nothing_taken(const RowSource& source) const;

  std::filesystem::path file_;
  bool by_index_ = false;
  std::vector<std::int64_t> wanted_;  // sorted
  std::size_t next_wanted_ = 0;
  std::vector<std::string> normal_;
  std::size_t label_column_ = 0;
  std::int64_t taken_ = 0;
  std::int64_t not_normal_ = 0;            // among the listed rows
  std::vector<std::string> other_labels_;  // the first few distinct ones, for messages
};

}  // namespace ae::data
