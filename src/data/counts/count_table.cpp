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

// Names of one direction, of which some are genes that the model knows.
class Direction {
 public:
  void add(std::string_view name, bool known) {
    if (examples_.size() < kExamples) examples_.emplace_back(name);
    ++names_;
    known_ += known ? 1 : 0;
  }
  std::int64_t names() const { return names_; }
  bool any() const { return known_ > 0; }
  double share() const { return static_cast<double>(known_) / static_cast<double>(std::max<std::int64_t>(1, names_)); }
  std::string examples() const { return examples_of(examples_); }

 private:
  static constexpr std::size_t kExamples = 2;
  std::int64_t names_ = 0, known_ = 0;
  std::vector<std::string> examples_;
};

// Where the genes that a model knows stand in a table.
struct KnownGenes {
  Direction columns, rows;  // of the rows as many of the first ones as tell
};

// Nothing without such genes.
KnownGenes known_genes(const std::filesystem::path& path, const TableFormat& table,
                       const std::vector<std::string>& across, const CountFormat& format) {
  KnownGenes found;
  if (format.known_genes.empty()) return found;
  const std::unordered_set<std::string_view> genes(format.known_genes.begin(), format.known_genes.end());
  for (const auto& name : across) found.columns.add(name, genes.contains(name));
  constexpr std::int64_t kRowsLookedAt = 1000;
  // That there are none is not told by the first ones.
  const auto tells = [&] { return found.rows.names() >= kRowsLookedAt && (found.columns.any() || found.rows.any()); };
  for (const auto rows = open_rows(path, table); !tells() && rows->next();) {
    if (found.rows.names() % kRowsBetweenChecks == 0) throw_if_stopped("reading the table");
    const auto name = rows->text(0);
    found.rows.add(name, genes.contains(name));
  }
  return found;
}

// As the format says, unless the genes that the model knows stand clearly in the other direction; where nothing is
// said, where they stand.
std::string orientation_of(const std::filesystem::path& path, const KnownGenes& known, const CountFormat& format) {
  if (format.known_genes.empty()) return format.orientation;
  const double of_columns = known.columns.share(), of_rows = known.rows.share();
  if (of_columns == 0 && of_rows == 0) {
    throw InputError(path.string() + ": neither its columns (" + known.columns.examples() + ") nor its lines (" +
                     known.rows.examples() + ") have names of genes that the model knows (" +
                     examples_of(format.known_genes) + "); " + std::string(kOtherGenes));
  }
  const bool told = format.orientation != "auto";
  if (!told && of_columns != of_rows) return of_columns > of_rows ? "cells_by_genes" : "genes_by_cells";
  constexpr double kMost = 0.5, kFew = 0.1;
  const auto clearly = [&](double here, double there) {
    return (here >= kMost && there <= kFew) || (here > 0 && there == 0);
  };
  if (clearly(of_columns, of_rows)) return "cells_by_genes";
  if (clearly(of_rows, of_columns)) return "genes_by_cells";
  if (!told) throw untold(path);
  return format.orientation;
}

std::unique_ptr<CountSource> open_table(const std::filesystem::path& path, const CountFormat& format,
                                        Reporter& reporter) {
  if (format.orientation == "auto" && format.known_genes.empty()) throw untold(path);
  TableFormat table;
  table.header = "yes";
  const auto rows = open_rows(path, table);
  if (rows->has_numbers()) throw InputError(rows->name() + ": is an array without names, expected a text table");
  std::vector<std::string> across(rows->columns().begin() + 1, rows->columns().end());
  const auto known = known_genes(path, table, across, format);
  if (across.empty() && !known.rows.any()) {  // else genes of no cells
    throw InputError(rows->name() + ": has one column, expected the rows' names and counts beside them");
  }
  const auto orientation = orientation_of(path, known, format);
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
