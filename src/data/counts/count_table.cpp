// Counts as text tables: the first line names the columns, the first cell of each line names the row.
#include <algorithm>
#include <numeric>
#include <string_view>
#include <unordered_set>

#include "base/error.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "data/counts/readers.hpp"
#include "data/tables/rows.hpp"

namespace ae::data {
namespace {

constexpr std::int64_t kRowsBetweenChecks = 64;

float count_of(const RowSource& rows, std::size_t column) {
  if (const auto number = parse_number(rows.text(column))) return static_cast<float>(*number);
  throw InputError(rows.where(column) + ": found " + ae::quoted(rows.text(column)) + ", expected a count");
}

// Visits every cell but those of the first column, which it returns.
template <typename Visit>
std::vector<std::string> read_rows(RowSource& rows, Reporter& reporter, Visit&& visit) {
  std::vector<std::string> names;
  while (rows.next()) {
    if (rows.row() % kRowsBetweenChecks == 0) {
      throw_if_stopped("reading the table");
      reporter.progress("bytes", rows.position(), rows.size());
    }
    names.emplace_back(rows.text(0));
    for (std::size_t column = 1; column < rows.columns().size(); ++column) {
      const float count = count_of(rows, column);
      if (count != 0) visit(static_cast<std::int32_t>(column - 1), count);
    }
    visit(-1, 0.0f);
  }
  reporter.progress_done();
  return names;
}

UsageError untold(const std::filesystem::path& path) {
  return UsageError("/data/orientation: " + path.string() +
                    " does not tell whether its lines are cells or genes; set it to \"cells_by_genes\" or "
                    "\"genes_by_cells\" in training");
}

// As the format says, unless the genes that the model knows stand clearly in the other direction; where nothing is
// said, where they stand.
std::string orientation_of(const std::filesystem::path& path, const TableFormat& table,
                           const std::vector<std::string>& across, const CountFormat& format) {
  if (format.known_genes.empty()) return format.orientation;
  const std::unordered_set<std::string_view> genes(format.known_genes.begin(), format.known_genes.end());
  constexpr std::size_t kRowsLookedAt = 1000;
  std::vector<std::string> down;
  for (const auto rows = open_rows(path, table); down.size() < kRowsLookedAt && rows->next();)
    down.emplace_back(rows->text(0));
  const auto share = [&](const std::vector<std::string>& names) {
    const auto known = std::ranges::count_if(names, [&](const auto& name) { return genes.contains(name); });
    return static_cast<double>(known) / static_cast<double>(std::max<std::size_t>(1, names.size()));
  };
  const double of_columns = share(across), of_rows = share(down);
  constexpr double kMost = 0.5, kFew = 0.1;
  if (format.orientation == "auto" && of_columns != of_rows)
    return of_columns > of_rows ? "cells_by_genes" : "genes_by_cells";
  if (of_columns >= kMost && of_rows <= kFew) return "cells_by_genes";
  if (of_rows >= kMost && of_columns <= kFew) return "genes_by_cells";
  if (format.orientation == "auto") throw untold(path);
  return format.orientation;
}

std::unique_ptr<CountSource> open_table(const std::filesystem::path& path, const CountFormat& format,
                                        Reporter& reporter) {
  if (format.orientation == "auto" && format.known_genes.empty()) throw untold(path);
  TableFormat table;
  table.header = "yes";
  const auto rows = open_rows(path, table);
  if (rows->columns().size() < 2) {
    throw InputError(rows->name() + ": has one column, expected the rows' names and counts beside them");
  }
  if (rows->has_numbers()) throw InputError(rows->name() + ": is an array without names, expected a text table");
  std::vector<std::string> across(rows->columns().begin() + 1, rows->columns().end());
  const auto orientation = orientation_of(path, table, across, format);
  CellCounts counts;
  if (orientation == "cells_by_genes") {
    auto cells = read_rows(*rows, reporter, [&](std::int32_t gene, float count) {
      if (gene < 0) return counts.end_cell();
      counts.genes.push_back(gene);
      counts.counts.push_back(count);
    });
    return std::make_unique<CountsInMemory>(rows->name(), std::move(counts), std::move(cells), std::move(across), false,
                                            reporter);
  }
  EntryCollector collector(std::ssize(across), 0);
  std::int32_t gene = 0;
  auto genes = read_rows(*rows, reporter, [&](std::int32_t cell, float count) {
    if (cell < 0) {
      ++gene;
    } else {
      collector.add(cell, gene, count);
    }
  });
  return std::make_unique<CountsInMemory>(rows->name(), collector.finish(), std::move(across), std::move(genes), true,
                                          reporter);
}

}  // namespace

const CountReader kCountTable{
    "csv", "A text table of counts whose first line and first column are names.",
    [](const std::filesystem::path& path, std::string_view head) {
      const std::string name = path.filename().string();
      constexpr std::string_view kNames[] = {".csv", ".tsv", ".tab", ".txt"};
      constexpr std::string_view kCompressions[] = {"", ".gz", ".zst"};
      return head.find('\0') == std::string_view::npos && std::ranges::any_of(kNames, [&](auto end) {
               return std::ranges::any_of(
                   kCompressions, [&](auto also) { return name.ends_with(std::string(end) + std::string(also)); });
             });
    },
    open_table};

}  // namespace ae::data
