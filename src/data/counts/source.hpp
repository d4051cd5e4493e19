// A matrix of counts in a file, with the names of its cells and genes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/reporter.hpp"
#include "data/counts/matrix.hpp"

namespace ae::data {

// A text for each cell, of which many are equal.
struct CellTexts {
  std::vector<std::string> levels;
  std::vector<std::int32_t> codes;  // one a cell; -1: none
  std::string_view text(std::int64_t cell) const {
    const auto code = codes[static_cast<std::size_t>(cell)];
    return code < 0 ? std::string_view() : std::string_view(levels[static_cast<std::size_t>(code)]);
  }
};

class CountSource {
 public:
  virtual ~CountSource() = default;
  const std::string& name() const { return name_; }  // for messages: the path
  std::int64_t cells() const { return cells_; }
  // In the file's order, unique: of equal ones the second has "-1" behind it, the third "-2" and so on.
  const std::vector<std::string>& genes() const { return genes_; }
  // In the file's order, as they are; empty when it has none.
  const std::vector<std::string>& cell_names() const { return cell_names_; }
  // What the file says of each cell in a column of its annotation (AnnData's obs). UsageError when there is no such
  // column.
  virtual CellTexts annotation(const std::string& column);
  // Whether the file's rows are genes, where its format lets them be either.
  bool genes_are_rows() const { return genes_are_rows_; }
  // Appends the cells from `begin` to before `end`. InputError for what is no count: below 0, not finite.
  void read(std::int64_t begin, std::int64_t end, CellCounts& counts);
  // The same of cells that were read before, without looking at them again.
  void read_again(std::int64_t begin, std::int64_t end, CellCounts& counts) { append(begin, end, counts); }
  // One warning, when something that was read was no whole number or too large to be held exactly.
  void report(Reporter& reporter) const;

 protected:
  explicit CountSource(std::string name) : name_(std::move(name)) {}
  // All names that the file has; warns of those that are there twice. `cell_names` may be empty.
  void set_names(std::int64_t cells, std::vector<std::string> cell_names, std::vector<std::string> genes,
                 Reporter& reporter);
  void set_genes_are_rows(bool genes_are_rows) { genes_are_rows_ = genes_are_rows; }
  virtual void append(std::int64_t begin, std::int64_t end, CellCounts& counts) = 0;

 private:
  void check(const CellCounts& counts, std::int64_t first_cell, std::int64_t of_file);
  std::string place(std::int64_t cell, std::int32_t gene) const;

  std::string name_;
  std::int64_t cells_ = 0;
  std::vector<std::string> genes_;
  std::vector<std::string> cell_names_;
  bool genes_are_rows_ = false;
  std::int64_t fractions_ = 0, inexact_ = 0;
  std::string first_fraction_, first_inexact_;
};

// The names "f0", "f1", ..., as columns of tables without a header have them.
std::vector<std::string> numbered_names(std::int64_t count);

// The first two, as an error shows whose names they are; "none" where there are none.
std::string examples_of(std::span<const std::string> names);

// Equal names become "NAME-1", "NAME-2", ... from the second on, as AnnData's var_names_make_unique() has it. Returns
// how many were changed, and the first of them.
struct Renamed {
  std::int64_t count = 0;
  std::string first;
};
Renamed make_unique(std::vector<std::string>& names);

}  // namespace ae::data
