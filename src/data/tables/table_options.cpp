// The declaration of the config section "/data" and its own consistency; what only the table can tell is load_table's.
#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "data/tables/cells.hpp"
#include "data/tables/schema.hpp"

namespace ae::data {

namespace {

constexpr std::array<config::Choice, 3> kHeaders{{
    {"auto", "a first line in which no cell is a number is a header"},
    {"yes", "the first line names the columns"},
    {"no", "the first line is data; columns are named f0, f1, ..."},
}};

std::span<const config::Choice> format_choices() {
  static const std::vector<config::Choice> choices = [] {
    std::vector<config::Choice> all{{"auto", "told by the file's first bytes, then by its name"}};
    for (const auto& format : formats()) all.push_back({format.name, format.help});
    return all;
  }();
  return choices;
}

bool declares(const TableOptions& options, std::string_view role) {
  return std::ranges::any_of(options.columns, [&](const auto& entry) { return entry.second == role; });
}

}  // namespace

void TableOptions::fields(config::Fields& f) {
  f.path("path", path, "The table to read, \"-\" for standard input; plain, gzip or Zstandard.");
  f.choice("format", format, format_choices(), "How the table is written.");
  f.text("delimiter", delimiter, "The character between cells of a text table; empty finds it out.");
  f.choice("header", header, kHeaders, "Whether the first line of a text table names the columns.");
  f.text("array", array, "The member of an NPZ file to read; empty takes the only two-dimensional one.");
  declare_cache(f);
  f.path("rows", rows, "A file with one 0-based row number a line; only these rows are used.");
  f.text("label", label, "The column with the known class of each row; it is passed through, never learned from.");
  f.scalars("normal", normal, "The label value or values that mean normal; only rows with one of them are used.");
  f.text("id", id, "The column that names each row in outputs; without one it is the row number.");
  f.choice_map("columns", columns, roles(),
               "Roles by column name, with * and ? as wildcards; later entries win, other columns are inferred.");
  f.texts("missing", missing, "Cell texts that mean \"not observed\", compared after trimming blanks.");
  f.choice("scaling", scaling, scaling_methods(),
           "How numbers are brought to a common scale, fitted on training rows.");
  f.integer("max_levels", max_levels, {1, static_cast<std::int64_t>(kMostLevels)},
            "A text column with more distinct values is refused unless /data/columns declares it categorical.");
}

void TableOptions::check(std::vector<config::Problem>& problems) const {
  const bool bad_delimiter =
      delimiter.size() == 1 && std::string_view("\"\r\n").find(delimiter[0]) != std::string::npos;
  if (delimiter.size() > 1 || bad_delimiter) {
    problems.push_back({"/delimiter", "found " + ae::quoted(delimiter) +
                                          ", expected one character that is neither a quote nor a line end, or \"\""});
  }
  if (!normal.empty() && label.empty() && !declares(*this, "label")) {
    problems.push_back({"/normal", "there is no label to compare with; set /data/label to the label's column"});
  }
  if (!label.empty() && label == id) {
    problems.push_back({"/id", "column " + ae::quoted(id) + " is already the label; choose another column, or none"});
  }
  for (std::size_t i = 0; i < normal.size(); ++i) {
    if (trimmed(normal[i]).empty()) {
      problems.push_back({normal.size() == 1 ? "/normal" : "/normal/" + std::to_string(i),
                          "an empty label never means normal; name a label value"});
    }
  }
  for (std::size_t i = 0; i < missing.size(); ++i) {
    if (trimmed(missing[i]).size() == missing[i].size()) continue;
    problems.push_back({"/missing/" + std::to_string(i), "found " + ae::quoted(missing[i]) +
                                                             " with blanks around it, which no trimmed cell equals; "
                                                             "remove the blanks"});
  }
}

TableFormat TableOptions::table_format() const { return {format, delimiter, header, array}; }

}  // namespace ae::data
