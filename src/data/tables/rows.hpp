// A table as a stream of rows of cells, whatever the file format. Registry of formats: formats() below.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "data/bytes/source.hpp"

namespace ae::data {

// How to read a table file; every member has a "detect" value.
struct TableFormat {
  std::string type = "auto";   // a name from formats(), or "auto": by content (magic bytes), then by name
  std::string delimiter = "";  // one character; "" = by name/first line (comma, tab, semicolon), refused when ambiguous
  std::string header = "auto";  // "yes" | "no" | "auto": as open_csv() tells; without one, names are f0, f1, ...
  std::string array = "";       // NPZ: the member to read; "" = the only 2-D one
  // What is known from a table that was read before, for "auto": a first line that holds all of these names is a
  // header, and this delimiter goes before others when the first line holds it.
  std::vector<std::string> names = {};
  std::string former_delimiter = "";
};

// A row that cannot be used while those after it can: it has a number like any other, and next() goes on behind it.
struct BadRow : InputError {
  BadRow(std::string at, const std::string& line) : InputError(line), place(std::move(at)) {}
  std::string place;  // "FILE:LINE" or "FILE:LINE:COLUMN"
};

// Forward-only reader. Rows are counted from 0, header excluded. Not thread-safe.
class RowSource {
 public:
  virtual ~RowSource() = default;
  virtual const std::string& name() const = 0;                  // for messages: the path or "<stdin>"
  virtual const std::vector<std::string>& columns() const = 0;  // unique names, in file order
  virtual bool next() = 0;  // moves to the next row; false at the end. BadRow for a row of another number of cells
  virtual std::int64_t row() const = 0;  // 0-based number of the current row
  // Text of cell `column` in the current row, unquoted; valid until the next call of next().
  virtual std::string_view text(std::size_t column) const = 0;
  // Value of the cell when the source holds numbers (NPY); false for text sources.
  virtual bool has_numbers() const = 0;
  virtual double number(std::size_t column) const = 0;  // only when has_numbers(); NaN is a missing cell
  // The current row's exact bytes without its line end and, per cell, its exact bytes with quotes: what a program that
  // passes cells through unchanged writes back. Number sources give the shortest round-trip text.
  virtual std::string_view raw(std::size_t column) const = 0;
  // `FILE:LINE:COLUMN` of a cell for messages (1-based line and character column; number sources: `FILE: row R, column
  // "NAME"`).
  virtual std::string where(std::size_t column) const = 0;
  virtual bool ready() = 0;                    // false when next() would wait for a slow writer
  virtual std::uint64_t position() const = 0;  // bytes consumed / in all (0 unknown), for progress
  virtual std::uint64_t size() const = 0;
  // How the text was laid out, so that an output can look the same.
  struct Layout {
    char delimiter = ',';
    std::string line_end = "\n";
    bool header = true;
    bool byte_order_mark = false;
    std::string raw_header;      // exact bytes of the header line without its line end; "" when there is none
    std::string preamble;        // exact bytes of the lines above it: "sep=;" and comments
    bool unnamed_first = false;  // the header gave the first column no name
  };
  virtual const Layout& layout() const = 0;
  // What was found out about how the rows so far are written and is not plain to see, one line each.
  virtual std::vector<std::string> notes() const { return {}; }
  // What was decided about the table and may be wrong, one line each, for warnings.
  virtual std::vector<std::string> doubts() const { return {}; }
  // What simulations tell besides, as far as it was read until now. The period of a column, as its bounds, in order;
  // InputError when they are none.
  virtual std::optional<std::pair<double, double>> period(std::size_t) const { return std::nullopt; }
  virtual bool restarted() const { return false; }       // whether the simulation began again above the current row
  virtual std::int64_t incomplete() const { return 0; }  // lines left out as their writer was not done with them
};

// Opens `path` ("-" = standard input). InputError, from here or from next(), for everything that can be wrong with the
// data: missing, a folder, a file of another kind, empty, ragged row (where, found and expected number of cells),
// duplicate or empty column names, NUL bytes of a binary file, unterminated quote, a line over 64 MiB. UsageError for a
// wrong `format`. A file with a header only has no rows: next() is false at once; who needs rows throws no_rows().
std::unique_ptr<RowSource> open_rows(const std::filesystem::path& path, const TableFormat& format = {});

// "FILE: no data rows after the header; ..."
InputError no_rows(const RowSource& source);

// One entry of the registry of formats: all there is to do for a new one, besides its reader.
struct FormatEntry {
  std::string_view name;
  std::string_view help;
  bool (*begins)(std::string_view head);  // whether these first bytes can only be this format; null: none can
  std::string_view extension;             // of files that are this format or damaged; "" when names tell nothing
  // `source`: the decompressed bytes of `path`, from the first on.
  std::unique_ptr<RowSource> (*open)(std::unique_ptr<ByteSource> source, const std::filesystem::path& path,
                                     const TableFormat& format);
};
std::span<const FormatEntry> formats();  // csv, tsv, colvar, npy, npz

}  // namespace ae::data
