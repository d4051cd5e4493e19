// What the columns of a table mean. Fitted on training data, kept in the checkpoint, matched by name when scoring.
//
// The cells of feature columns (numeric and categorical) are the table's *elements*: one element per feature column,
// however many network inputs or outputs it takes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "data/options.hpp"
#include "data/tables/numbers.hpp"
#include "data/tables/rows.hpp"
#include "data/tables/scaling.hpp"

namespace ae {
class Reporter;
}

namespace ae::data {

enum class Role { numeric, categorical, ignore, id, label, weight };
std::span<const config::Choice> roles();
std::string_view role_name(Role role);

inline constexpr int kMostDecimals = 9;  // more are a number's own digits, not its column's

struct Column {
  std::string name;
  Role role = Role::numeric;
  Scaler scaler;  // numeric
  std::vector<std::string>
      levels;  // categorical: levels seen in training, sorted; code of an unseen one = levels.size()
  // Numeric: the most digits behind the decimal point that a training cell had; 0: all were whole numbers. Nothing when
  // that tells nothing (exponents, binary files), or in models that do not know it yet.
  std::optional<int> decimals = std::nullopt;
  bool observed = true;  // some training row had a value
  std::int64_t unseen_code() const { return static_cast<std::int64_t>(levels.size()); }
};

struct Schema {
  std::vector<Column> columns;                  // every column of the training table, in its order
  std::vector<std::string> missing;             // cell texts that mean "not observed"
  std::vector<std::string> normal;              // label values that mean normal; empty = labels not used for selection
  std::vector<std::string> missing_in_numbers;  // the same in numeric columns only
  NumberFormat numbers;                         // of all numeric columns
  std::string delimiter;                        // as options gave it; "" = none
  std::string header = "auto";                  // as options gave it

  std::vector<std::size_t> features()
      const;  // indices into columns of numeric and categorical ones: the elements, in order
  std::optional<std::size_t> find(Role role) const;
  TableFormat format() const;  // to open other tables of these columns
  nlohmann::ordered_json to_json() const;
  // Trusts nothing: InputError `/columns/3/levels: ...` (pointer relative to `json`) on anything malformed.
  static Schema from_json(const nlohmann::ordered_json& json);
};

// The config section "/data" of a table.
struct TableOptions : DataOptions {
  std::string format = "auto";
  std::string delimiter;
  std::string header = "auto";
  std::string array;
  config::Path rows;  // index file: one 0-based row number a line; only these rows are used
  std::string label;
  std::vector<std::string> normal;  // with label: only rows with one of these values are used
  std::string id;
  std::string weight;
  std::vector<std::pair<std::string, std::string>>
      columns;  // wildcard pattern -> role; later patterns win; else inferred
  // What pandas, R, Excel and SQL write for a missing value and nobody calls a category.
  std::vector<std::string> missing = {
      "",         "NA",   "N/A",  "NaN",      "nan",     "NULL",    "null",  "?",      "n/a",     "<NA>",
      "NAN",      "-NaN", "-nan", "NaT",      "Null",    "(null)",  "\\N",   "1.#IND", "-1.#IND", "1.#QNAN",
      "-1.#QNAN", "#N/A", "#NA",  "#N/A N/A", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!",   "#NULL!"};
  std::vector<std::string> also_missing;  // further ones, so that the list above need not be repeated
  // What can also be the name of a category.
  std::vector<std::string> missing_in_numbers = {"None", "none", "NONE", "na", "Na", "nil",     "N.A.",    "n.a.",
                                                 "-",    "--",   "---",  ".",  "..", "missing", "Missing", "MISSING"};
  std::string decimal = "auto";    // "auto", "." or ","
  std::string thousands = "auto";  // "auto", "none" or one character
  std::string unsuitable = "set_aside";
  std::string scaling = "standard";
  std::int64_t max_levels = 1000;  // a text column with more distinct values is refused unless declared categorical
  void fields(config::Fields& f) override;
  void check(std::vector<config::Problem>& problems) const override;
  TableFormat table_format() const;
  std::vector<std::string> all_missing() const;  // missing and also_missing
};

// Rows in network units. `values` are float32, row-major [rows, elements]: scaled numbers, or level codes; cells
// that are not observed hold 0 and must not be looked at. `observed` is 1 or 0, same shape.
struct Block {
  std::int64_t rows = 0;
  std::int64_t elements = 0;
  std::vector<float> values;
  std::vector<std::uint8_t> observed;
  std::vector<std::int64_t> row_numbers;  // 0-based row number in the input
  std::vector<std::string> ids;           // one per row, or empty when there is no id column
  std::vector<std::string> labels;        // one per row, or empty when there is no label column
  // Of training rows: how often each counts, one per row, >= 0, or empty when there is no column of weights.
  std::vector<double> weights;
  std::string raw_bytes;              // of all cells of the file's rows, one after the other, if they were kept
  std::vector<std::size_t> raw_ends;  // where each ends in raw_bytes
  // Of rows that could not be read, whose elements are all unobserved, why not; empty when all could.
  std::vector<std::string> problems;
  std::vector<std::string> kept;  // texts of the columns that pass through, row by row (see Reading::keep)
  void clear();
  // The exact bytes of a cell of a row of this block.
  std::string_view raw(std::int64_t row, std::size_t file_column) const {
    const std::size_t cell = static_cast<std::size_t>(row) * (raw_ends.size() / row_numbers.size()) + file_column;
    const std::size_t begin = cell == 0 ? 0 : raw_ends[cell - 1];
    return std::string_view(raw_bytes).substr(begin, raw_ends[cell] - begin);
  }
  void append_row(const Block& from, std::int64_t row);  // of the same elements
};

// A training table in memory, with its fitted schema.
struct Table {
  Schema schema;   // fitted on `training` alone
  Block training;  // selected rows, in file order
  Block held_out;  // the others
  std::int64_t rows_in_file = 0;
  std::string data_sha256;  // of the data file's bytes on disk; "" for standard input
};

// Reads the whole table, infers roles (numeric when every observed cell is a number; mostly-numeric columns are refused
// with the first offending cell; else categorical), applies options.rows and options.normal, fits scalers and levels on
// the training rows. UsageError for options that contradict the table (pointer of the field, did-you-mean among column
// names), InputError for bad cells.
//
// In order of precedence a column's role is: options.id and options.label; the last matching pattern of
// options.columns; ignore, when it names or counts rows rather than describing them (see unsuitable.hpp) and
// options.unsuitable says so; numeric when every observed cell is a number; categorical. Inference looks at every row
// of the file, fitting at the selected ones. What cannot be told safely is an InputError with the first offending cell:
// a column of numbers and other text, numbers that are decorated or written in two ways, one that is not finite. What
// was inferred is told: one line each for the categorical columns, for how numbers are written, for texts that were
// taken for missing, for columns set aside, and for columns that give the label away.
Table load_table(const TableOptions& options, Reporter& reporter, HoldOut hold_out = {});
// The same from rows already opened; options.path and the format are not looked at, data_sha256 stays "".
Table load_table(RowSource& source, const TableOptions& options, Reporter& reporter, HoldOut hold_out = {});

// What becomes of a row that cannot be read: a cell that is no number where one is needed, another number of cells.
enum class BadRows {
  stop,    // InputError
  report,  // it is there, with a problem and nothing observed
  skip,    // it is left out
};

// How new rows are read beyond what the schema says.
struct Reading {
  std::vector<std::string> missing;  // further cell texts that mean "not observed"
  std::string label;                 // the column to pass through as label; "" = the schema's
  // Columns whose cells pass through besides. "id" and "label" stand for the id and the label where there is none yet.
  std::vector<std::string> keep;
  BadRows bad_rows = BadRows::stop;
  bool any() const { return !missing.empty() || !label.empty() || !keep.empty() || bad_rows != BadRows::stop; }
};

// Streams blocks of rows through a fitted schema.
class TableReader {
 public:
  // Columns are matched by name. Missing feature columns: InputError naming them; extra columns: one warning.
  // Missing id or label columns are fine (ids, labels are then empty). UsageError when a column of `reading` is not
  // there, or would be a second one of its name.
  TableReader(std::unique_ptr<RowSource> source, const Schema& schema, Reporter& reporter, const Reading& reading = {});
  ~TableReader();
  // Up to `max_rows` rows; fewer when the input would make us wait and at least one row is there, and without those
  // that are skipped, perhaps none. False at the end. `keep_raw`: also keep the exact bytes of every cell for
  // Block::raw().
  bool next(std::int64_t max_rows, Block& block, bool keep_raw = false);
  // Passes over up to `max_rows` rows without a look at their cells; returns how many.
  std::int64_t skip(std::int64_t max_rows);
  const RowSource& source() const;
  // For a file column: the element it feeds, or -1.
  std::int64_t element_of(std::size_t file_column) const;
  bool has_id() const;
  bool has_label() const;
  std::int64_t rows() const;      // gone through so far, bad ones included
  std::int64_t bad_rows() const;  // of them could not be read; without those that skip() passed over
  // Where the first of these is, and why; "" = there is none.
  const std::string& first_bad_place() const;
  // Warns once per column and file about what only the whole input shows: constant columns that changed (name, how many
  // rows), unseen levels. Call at the end.
  void report(Reporter& reporter) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// One 0-based row number a line (blank lines ignored); InputError with line number for anything else, duplicates, or a
// number
// >= rows (rows < 0: unchecked). Returned sorted.
std::vector<std::int64_t> read_row_numbers(const std::filesystem::path& path, std::int64_t rows);

// An element's observed value as the user knows it, from network units: unscaled number text or level name; the unseen
// code (and anything that is no level) is "<unseen>".
std::string element_text(const Column& column, double value);

}  // namespace ae::data
