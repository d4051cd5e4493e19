// A table written in the test itself, and a reporter that remembers what it was told.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/text.hpp"
#include "data/tables/rows.hpp"
#include "data/tables/schema.hpp"
#include "support/recording_reporter.hpp"

namespace ae::data {

using test::RecordingReporter;

// Text cells; cell (row r, column c) stands at line r + 2, character column c + 1.
class MemoryRows : public RowSource {
 public:
  MemoryRows(std::vector<std::string> columns, std::vector<std::vector<std::string>> rows)
      : columns_(std::move(columns)), rows_(std::move(rows)) {}

  const std::string& name() const override { return name_; }
  const std::vector<std::string>& columns() const override { return columns_; }
  bool next() override { return ++row_ < static_cast<std::int64_t>(rows_.size()); }
  std::int64_t row() const override { return row_; }
  std::string_view text(std::size_t column) const override { return rows_[static_cast<std::size_t>(row_)][column]; }
  bool has_numbers() const override { return false; }
  double number(std::size_t) const override { return 0; }
  std::string_view raw(std::size_t column) const override { return text(column); }
  std::string where(std::size_t column) const override {
    return name_ + ":" + std::to_string(row_ + 2) + ":" + std::to_string(column + 1);
  }
  bool ready() override { return !pauses_before.contains(row_ + 1); }
  std::uint64_t position() const override { return static_cast<std::uint64_t>(row_ + 1); }
  std::uint64_t size() const override { return rows_.size(); }
  const Layout& layout() const override { return layout_; }

  std::set<std::int64_t> pauses_before;  // rows a slow writer has not sent yet
  Layout layout_;

 protected:
  std::string name_ = "t.csv";
  std::vector<std::string> columns_;
  std::vector<std::vector<std::string>> rows_;
  std::int64_t row_ = -1;
};

// The same, as a source of numbers (like NPY): cells are read as numbers, "nan" is missing.
class MemoryNumbers : public MemoryRows {
 public:
  using MemoryRows::MemoryRows;
  bool has_numbers() const override { return true; }
  double number(std::size_t column) const override { return *parse_number(text(column)); }
};

}  // namespace ae::data
