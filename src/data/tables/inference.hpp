// What a table's columns mean, told from the options and from every cell of the file.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/tables/cells.hpp"
#include "data/tables/column_cells.hpp"
#include "data/tables/number_evidence.hpp"
#include "data/tables/rows.hpp"
#include "data/tables/schema.hpp"
#include "data/tables/stand_ins.hpp"
#include "data/tables/unsuitable.hpp"

namespace ae::data {

// One per column of `source`: the role the options give it, or nullopt when its cells must tell. UsageError listing
// every option that names no column.
std::vector<std::optional<Role>> declared_roles(const TableOptions& options, const RowSource& source);

// A column's name as a part of a JSON pointer.
std::string pointer_token(std::string_view key);

// `--set '/data/also_missing=["TBD"]'`, for a shell.
std::string also_missing_option(const std::vector<std::string>& texts);

// Takes one feature column's cells in file order, keeps those of selected rows in 4 or 8 bytes each, and learns from
// all of them whether they are numbers or levels, how the numbers are written, and whether they are fit to be learned
// from.
//
// While the column has few distinct texts, each cell is kept as the text's code, so that every reading stays possible;
// with more than `max_levels` of them it can only be numeric, and from then on the numbers themselves are kept: read
// with a decimal point, and with a decimal comma as well where that would say something else.
class ColumnCollector {
 public:
  struct Traits {
    std::string name;
    std::size_t index = 0;         // in the source
    std::optional<Role> declared;  // numeric, categorical or nullopt (infer)
    std::int64_t max_levels = 0;
    bool unnamed = false;                        // the file has no name for it
    std::vector<std::string> also_missing = {};  // as options.also_missing has them
  };
  // `reader`: of plain numbers.
  ColumnCollector(Traits traits, const CellReader& reader, const NumberChoice& choice, CellRoom room = {});

  // The cell in the source's current row, whose label has the number `label`; -1: none. InputError when it contradicts
  // the declared role.
  void add(const RowSource& source, bool selected, std::int32_t label = -1);

  // Calls visit(row, number) for each selected cell, in order: the same number for cells that say the same (equal
  // numbers, one level, nothing). After settle().
  void for_each_meaning(const std::function<void(std::size_t row, std::uint64_t meaning)>& visit) const;

  // --- after the last row, in this order ---
  void finish();
  // What its numbers tell, when it may be a column of numbers.
  std::optional<ColumnEvidence> evidence() const;
  void settle(const NumberFormat& format);
  // Why the column cannot be used, one line with the first offending cell; nullopt when it can.
  std::optional<std::string> problem() const;
  struct Place {
    std::string where;
    std::string text;
    std::int64_t row = 0;
    bool empty() const { return where.empty(); }
  };
  // Its first cell that is no number, where a whole line of such cells may be none of the table's rows (see
  // stray_row()): the only one among numbers, or its name among many of them. Null otherwise, and for a declared
  // column.
  const Place* stray_cell() const;
  // Why it should not: "whole numbers that differ in every row"; "" when it is fit to be learned from, or declared.
  std::string unsuitable();
  // How it gives the label away: "each of its values goes with one label"; "" when it does not. `normal`: of each
  // label, whether it means normal.
  std::string gives_away(const std::vector<bool>& normal) const;

  // The column fitted on the selected cells for which `fits` (one per selected row) is true. Only without a problem.
  Column fit(const std::string& scaling, const std::vector<bool>& fits);
  // Whether any of those cells was observed.
  bool observed_any(const std::vector<bool>& fits) const;
  // Writes piece `piece` of the selected cells (see ColumnCells) in network units as element `element` of `block`,
  // whose cells are not observed yet, and releases it. `column`: as fit() gave it.
  void write(const Column& column, std::size_t piece, Block& block, std::int64_t element);

  const std::string& name() const { return traits_.name; }
  std::size_t index() const { return traits_.index; }
  bool inferred() const { return !traits_.declared; }
  // Texts that were taken for missing because the others are numbers, with how many cells hold one; "" when none.
  std::string taken_for_missing() const;
  // Numbers that may stand for missing ones, likewise; their texts are added to `texts`.
  std::string stand_ins(std::vector<std::string>& texts) const;
  // Of numbers that nobody declared and some of which begin with a 0, as codes do: `"zip" ("01067" in 12 % of the
  // cells)`; else "".
  std::string coded() const;

 private:
  // What a text says, whatever the column turns out to be.
  struct Look {
    CellKind kind = CellKind::missing;
    NumberLook number;
  };
  struct Text {
    std::string text;
    Look look;
    std::int64_t cells = 0;  // of the whole file
  };
  // What the column's numbers tell with one of the decimal marks. Which one is right is known after the last row only.
  struct Reading {
    int decimals = 0;   // the most that a number has; above kMostDecimals: unknown
    bool whole = true;  // every cell is a whole number
    Order order;
    TimeNumbers times;
    LabelTie tie;
    StandIns stand_ins;
  };
  struct Decorated {
    Decoration decoration;  // without the unit, which is part of a text
    std::string unit;
    std::string text;  // the first
    std::int64_t cells = 0;
    bool whole = true;  // no text has a decimal or thousands mark
  };
  void add_code(const RowSource& source, bool selected, std::int32_t label);
  void add_number(const RowSource& source, bool selected, std::int32_t label);
  std::int32_t code_of(std::string_view text, const RowSource& source);
  Look look(std::string_view text) const;
  Look look(double value) const;
  void remember_first(const Look& look, const RowSource& source);
  template <typename Digest>
  void watch(const Look& look, std::int32_t label, Digest&& digest);
  void count(const Look& look, std::string_view text, std::int64_t cells);
  void count_decoration(std::string_view text, std::int64_t cells);
  void count_texts();
  void watch_decimals(const NumberLook& number, std::string_view text);
  void keep_value(const NumberLook& number);
  void keep_numbers();  // from codes to numbers
  bool numeric() const;
  bool declared(Role role) const { return traits_.declared == role; }
  std::int64_t known() const { return observed_ - unclear_; }  // cells that say something
  std::int64_t numbers() const;                                // as format_ reads them
  const Reading& reading() const { return readings_[format_ && format_->decimal == ',' ? 1 : 0]; }
  std::string begin() const;
  std::string look_of(std::string_view text) const;
  std::string advice() const;
  std::string nothing_observed(const std::string& text) const;
  std::optional<std::string> not_numeric() const;
  std::optional<std::string> mixed() const;
  std::optional<std::string> decorated() const;
  bool shows_numbers(const Decorated& one) const;
  std::int64_t times() const;     // cells that look like a date or a time of day
  std::int64_t in_units() const;  // cells with a number and a unit that may stand beside others
  std::string unsuitable_numbers();
  std::string unsuitable_texts() const;

  Traits traits_;
  std::size_t max_texts_;
  const CellReader* reader_;
  const NumberChoice* choice_;
  bool as_codes_;
  TextCodes codes_by_text_;
  std::vector<Text> texts_;
  CellRoom room_;
  ColumnCells<std::int32_t> codes_{room_};  // of the selected cells; -1 not observed
  ColumnCells<double> values_{room_};       // or their numbers; NaN not observed
  // The same read with a decimal comma, from the first cell on that says something else then.
  std::optional<ColumnCells<double>> comma_values_;
  bool pointed_ = false;         // values_ hold a number with a point, from before comma_values_
  std::vector<float> level_of_;  // network units of each text, when fitted

  // Of all cells of the file.
  std::int64_t observed_ = 0;
  std::int64_t unclear_ = 0;
  NumberEvidence numbers_;
  std::optional<NumberFormat> format_;
  std::vector<Decorated> decorated_;
  std::vector<std::string> unclear_texts_;
  // While cells were kept as codes:
  std::int64_t different_numbers_ = 0;  // texts that are one
  bool all_differ_ = false;             // every cell has a text of its own, and they are enough to be ids
  Place first_text_;
  Place first_infinite_;
  Place first_not_utf8_;
  Reading readings_[2];  // with a point, a comma
  AllDifferent different_;
};

}  // namespace ae::data
