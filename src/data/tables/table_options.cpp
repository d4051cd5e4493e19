// The declaration of the config section "/data" and its own consistency; what only the table can tell is load_table's.
#include <algorithm>
#include <array>
#include <cctype>

#include "base/text.hpp"
#include "base/utf8.hpp"
#include "data/tables/cells.hpp"
#include "data/tables/schema.hpp"

namespace ae::data {

namespace {

constexpr std::array<config::Choice, 3> kHeaders{{
    {"auto", "a first line in which no cell is a number, or whose numbers are 0, 1, 2 and so on, is a header"},
    {"yes", "the first line names the columns"},
    {"no", "the first line is data; columns are named f0, f1, ..."},
}};

constexpr std::array<config::Choice, 3> kDecimals{{
    {"auto", "found out from all numbers of the table; what they leave open is refused"},
    {".", "a point"},
    {",", "a comma"},
}};

constexpr std::array<config::Choice, 2> kUnsuitable{{
    {"set_aside", "not learned from, as with the role \"ignore\", and named in a warning"},
    {"refuse", "an error"},
}};

std::span<const config::Choice> format_choices() {
  static const std::vector<config::Choice> choices = [] {
    std::vector<config::Choice> all{{"auto", "told by the file's first bytes, then by its name"}};
    for (const auto& format : formats()) all.push_back({format.name, format.help});
    return all;
  }();
  return choices;
}

// One character in UTF-8 that cannot be part of a number's digits, sign or exponent.
bool is_mark(std::string_view text) {
  const auto is_first = [](char c) { return (static_cast<unsigned char>(c) & 0xc0u) != 0x80u; };
  if (text.empty() || !is_utf8(text) || std::ranges::count_if(text, is_first) != 1) return false;
  return std::isalnum(static_cast<unsigned char>(text[0])) == 0 &&
         std::string_view("+-\"\r\n").find(text[0]) == std::string_view::npos;
}

void check_trimmed(const std::string& pointer, const std::vector<std::string>& texts,
                   std::vector<config::Problem>& problems) {
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (trimmed(texts[i]).size() == texts[i].size()) continue;
    problems.push_back({pointer + "/" + std::to_string(i), "found " + ae::quoted(texts[i]) +
                                                               " with blanks around it, which no trimmed cell equals; "
                                                               "remove the blanks"});
  }
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
  f.text("weight", weight,
         "The column that says how often each row counts in training, a number from 0 on, such as e^(V/kT) of a biased "
         "simulation: an epoch draws rows in proportion to it, while scaling and p-values take all alike.");
  f.choice_map("columns", columns, roles(),
               "Roles by column name, with * and ? as wildcards; later entries win, other columns are inferred.");
  f.texts("missing", missing, "Cell texts that mean \"not observed\", compared after trimming blanks.");
  f.texts("also_missing", also_missing, "Further such texts, besides those of /data/missing.");
  f.texts("missing_in_numbers", missing_in_numbers,
          "Cell texts that mean the same in columns whose other cells are numbers, and are levels in others.");
  f.choice("decimal", decimal, kDecimals, "The decimal mark of a text table's numbers.");
  f.text("thousands", thousands,
         "The character between groups of three digits, \"none\", or \"auto\": found out as the decimal mark is.");
  f.choice("unsuitable", unsuitable, kUnsuitable,
           "What becomes of a column without a role in /data/columns that names or counts rows: ids, counters, times, "
           "free text.");
  f.choice("scaling", scaling, scaling_methods(),
           "How numbers are brought to a common scale, fitted on training rows.");
  f.integer("max_levels", max_levels, {1, static_cast<std::int64_t>(kMostLevels)},
            "A text column with more distinct values is unsuitable unless /data/columns declares it categorical.");
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
  check_trimmed("/missing", missing, problems);
  check_trimmed("/also_missing", also_missing, problems);
  check_trimmed("/missing_in_numbers", missing_in_numbers, problems);
  if (thousands != "auto" && thousands != "none" && !is_mark(thousands)) {
    problems.push_back(
        {"/thousands", "found " + ae::quoted(thousands) +
                           ", expected \"auto\", \"none\" or one character that is no letter, digit, sign or "
                           "quote"});
  }
  if (decimal != "auto" && thousands == decimal)
    problems.push_back({"/thousands", "found " + ae::quoted(thousands) + ", which is the decimal mark already"});
}

std::vector<std::string> TableOptions::all_missing() const {
  std::vector<std::string> all = missing;
  all.insert(all.end(), also_missing.begin(), also_missing.end());
  return all;
}

TableFormat TableOptions::table_format() const {
  return {.type = format, .delimiter = delimiter, .header = header, .array = array};
}

}  // namespace ae::data
