// What a table's columns mean, told from the options and from every cell of the file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/tables/cells.hpp"
#include "data/tables/column_cells.hpp"
#include "data/tables/rows.hpp"
#include "data/tables/schema.hpp"

namespace ae::data {

// One per column of `source`: the role the options give it, or nullopt when its cells must tell. UsageError listing
// every option that names no column.
std::vector<std::optional<Role>> declared_roles(const TableOptions& options, const RowSource& source);

// Takes one feature column's cells in file order, keeps those of selected rows in 4 or 8 bytes each, and learns from
// all of them whether they are numbers or levels.
//
// While the column has few distinct texts, each cell is kept as the text's code, so that either reading stays possible;
// with more than `max_levels` of them it can only be numeric, and from then on the numbers themselves are kept.
class ColumnCollector {
 public:
  // `declared`: numeric, categorical or nullopt (infer).
  ColumnCollector(std::string name, std::size_t index, std::optional<Role> declared, std::int64_t max_levels,
                  const CellReader& reader, CellRoom room = {});

  // The cell in the source's current row. InputError when it contradicts the declared role.
  void add(const RowSource& source, bool selected);

  // After the last row: why the column cannot be used, one line with the first offending cell; nullopt when it can.
  std::optional<std::string> problem() const;
  // The column fitted on the selected cells for which `fits` (one per selected row) is true. Only without a problem.
  Column fit(const std::string& scaling, const std::vector<bool>& fits);
  // Whether any of those cells was observed.
  bool observed_any(const std::vector<bool>& fits) const;
  // Writes piece `piece` of the selected cells (see ColumnCells) in network units as element `element` of `block`,
  // whose cells are not observed yet, and releases it. `column`: as fit() gave it.
  void write(const Column& column, std::size_t piece, Block& block, std::int64_t element);

 private:
  struct Place {
    std::string where;
    std::string text;
    bool empty() const { return where.empty(); }
  };
  struct Text {
    std::string text;
    Cell cell;
  };
  void add_code(const RowSource& source, bool selected);
  void add_number(const RowSource& source, bool selected);
  std::int32_t code_of(std::string_view text, const RowSource& source);
  void count(const Cell& cell, const RowSource& source);
  void keep_numbers();  // from codes to numbers
  bool numeric() const { return declared_ == Role::numeric || (!declared_ && numbers_ == observed_); }
  std::string too_many_texts() const;

  std::string name_;
  std::size_t index_;
  std::optional<Role> declared_;
  std::size_t max_texts_;
  const CellReader& reader_;
  bool as_codes_;
  TextCodes codes_by_text_;
  std::vector<Text> texts_;
  CellRoom room_;
  ColumnCells<std::int32_t> codes_{room_};  // of the selected cells; -1 not observed
  ColumnCells<double> values_{room_};       // or their numbers; NaN not observed
  std::vector<float> level_of_;             // network units of each text, when fitted
  std::int64_t observed_ = 0;               // cells of the whole file
  std::int64_t numbers_ = 0;
  Place first_text_;
  Place first_infinite_;
  Place first_not_utf8_;
};

}  // namespace ae::data
