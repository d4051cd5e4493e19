// Folders as Cell Ranger writes them: matrix.mtx, genes x cells, with features.tsv (before version 3 genes.tsv) and
// barcodes.tsv, each also compressed; and Matrix Market files by themselves.
#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <system_error>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/bytes/lines.hpp"
#include "data/counts/matrix_market.hpp"
#include "data/counts/readers.hpp"

namespace ae::data {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 3> kCompressions{"", ".gz", ".zst"};
constexpr std::array<std::string_view, 2> kFeatures{"features.tsv", "genes.tsv"};
constexpr std::array<std::string_view, 1> kBarcodes{"barcodes.tsv"};

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

// The file called so, perhaps compressed.
std::optional<fs::path> find(const fs::path& folder, const std::string& name) {
  for (const auto compression : kCompressions) {
    fs::path path = folder / (name + std::string(compression));
    if (is_there(path)) return path;
  }
  return std::nullopt;
}

bool is_matrix_name(const std::string& name, std::string_view stem) {
  return std::ranges::any_of(kCompressions,
                             [&](auto end) { return name.ends_with(std::string(stem) + std::string(end)); });
}

// What stands before "matrix.mtx" in a name, as in "GSM1_matrix.mtx.gz".
std::string prefix_of(const fs::path& matrix) {
  const std::string name = matrix.filename().string();
  const auto at = name.rfind("matrix.mtx");
  return at == std::string::npos ? "" : name.substr(0, at);
}

// matrix.mtx, or the only file whose name ends so.
fs::path matrix_of(const fs::path& folder) {
  if (auto plain = find(folder, "matrix.mtx")) return *plain;
  std::vector<std::string> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (is_matrix_name(name, "matrix.mtx")) found.push_back(name);
  }
  std::ranges::sort(found);
  if (found.size() == 1) return folder / found.front();
  if (found.empty()) {
    throw InputError(folder.string() +
                     ": has no matrix.mtx or matrix.mtx.gz; expected a 10x folder with that, "
                     "features.tsv or genes.tsv, and barcodes.tsv");
  }
  throw InputError(folder.string() + ": has several matrices: " + join(found) + "; give the name of one of them");
}

// The names beside a matrix: with its prefix, or plain.
std::optional<fs::path> beside(const fs::path& matrix, std::span<const std::string_view> names) {
  for (const auto& prefix : {prefix_of(matrix), std::string()}) {
    for (const auto name : names)
      if (auto path = find(matrix.parent_path(), prefix + std::string(name))) return path;
  }
  return std::nullopt;
}

std::vector<std::string_view> cells_of(std::string_view line) {
  std::vector<std::string_view> cells;
  for (;;) {
    const auto tab = line.find('\t');
    cells.push_back(line.substr(0, tab));
    if (tab == std::string_view::npos) return cells;
    line.remove_prefix(tab + 1);
  }
}

std::vector<std::string> read_barcodes(const fs::path& path) {
  Lines lines(ByteSource::open(path));
  std::vector<std::string> barcodes;
  for (std::string_view line; lines.next(line);) barcodes.emplace_back(cells_of(line).front());
  return barcodes;
}

// Identifier, symbol, type; files of one column have identifiers only, of two no types.
Features read_features(const fs::path& path) {
  Lines lines(ByteSource::open(path));
  Features features;
  std::size_t width = 0;
  for (std::string_view line; lines.next(line);) {
    const auto cells = cells_of(line);
    const std::size_t used = std::min<std::size_t>(cells.size(), 3);
    if (width == 0) width = used;
    if (used != width) {
      throw InputError(lines.place() + ": found " + std::to_string(used) + " columns, expected " +
                       std::to_string(width) + " as in the lines above");
    }
    features.ids.emplace_back(cells[0]);
    features.symbols.emplace_back(cells[width > 1 ? 1 : 0]);
    if (width > 2) features.types.emplace_back(cells[2]);
  }
  return features;
}

std::string size_text(std::int64_t rows, std::int64_t columns) {
  return std::to_string(rows) + " x " + std::to_string(columns);
}

std::unique_ptr<CountSource> with_names(MatrixMarket& matrix, Features features, std::vector<std::string> barcodes,
                                        const CountFormat& format, Reporter& reporter) {
  const std::int64_t genes = std::ssize(features.ids), cells = std::ssize(barcodes);
  const bool as_usual = matrix.rows() == genes && matrix.columns() == cells;
  const bool genes_are_rows = format.orientation != "cells_by_genes" || (format.tells_itself && as_usual);
  const std::int64_t rows = genes_are_rows ? genes : cells, columns = genes_are_rows ? cells : genes;
  if (matrix.rows() != rows || matrix.columns() != columns) {
    const bool turned = matrix.rows() == columns && matrix.columns() == rows;
    const std::string other = genes_are_rows ? "cells_by_genes" : "genes_by_cells";
    throw InputError(matrix.name() + ": is " + size_text(matrix.rows(), matrix.columns()) + ", but beside it are " +
                     std::to_string(genes) + " genes and " + std::to_string(cells) + " barcodes; " +
                     (turned ? "set /data/orientation to " + ae::quoted(other) : "these files do not belong together"));
  }
  const auto places = wanted_features(matrix.name(), features, format, reporter);
  auto counts = matrix.read(genes_are_rows, places, reporter);
  return std::make_unique<CountsInMemory>(matrix.name(), std::move(counts), std::move(barcodes),
                                          wanted_names(std::move(features), places, format), genes_are_rows, reporter);
}

constexpr const char* kNames = "features.tsv (or genes.tsv) and barcodes.tsv";

std::unique_ptr<CountSource> open_matrix(const fs::path& path, const CountFormat& format, Reporter& reporter) {
  const auto features = beside(path, kFeatures), barcodes = beside(path, kBarcodes);
  MatrixMarket matrix(ByteSource::open(path));
  if (features && barcodes) {
    return with_names(matrix, read_features(*features), read_barcodes(*barcodes), format, reporter);
  }
  if (features || barcodes) {
    throw InputError(path.string() + ": beside it is " + (features ? *features : *barcodes).filename().string() +
                     " but no " + (features ? "barcodes.tsv" : "features.tsv or genes.tsv") +
                     "; a matrix has both beside it, or none");
  }
  const bool numbered = !format.known_genes.empty() && format.known_genes.front() == numbered_names(1).front();
  if (!format.known_genes.empty() && (!numbered || format.orientation == "auto")) {
    throw InputError(path.string() + ": has no names beside it, and the model knows genes by theirs (" +
                     examples_of(format.known_genes) + "); put its " + kNames + " there");
  }
  if (format.orientation == "auto") {
    throw UsageError("/data/orientation: " + path.string() + " (" + size_text(matrix.rows(), matrix.columns()) +
                     ") does not tell whether its rows are cells or genes; set it to \"cells_by_genes\" or "
                     "\"genes_by_cells\", or put its " +
                     kNames + " beside it");
  }
  const bool genes_are_rows = format.orientation == "genes_by_cells";
  const std::int64_t genes = genes_are_rows ? matrix.rows() : matrix.columns();
  if (genes > kMostGenes) {
    throw InputError(path.string() + ": has " + std::to_string(genes) + " genes, expected " +
                     std::to_string(kMostGenes) + " at most; is /data/orientation right?");
  }
  reporter.info(matrix.name() +
                ": has no names beside it; its genes are called f0, f1 and so on, its cells go by number");
  std::vector<std::int32_t> places(static_cast<std::size_t>(genes));
  std::iota(places.begin(), places.end(), 0);
  return std::make_unique<CountsInMemory>(matrix.name(), matrix.read(genes_are_rows, places, reporter),
                                          std::vector<std::string>(), numbered_names(genes), genes_are_rows, reporter);
}

bool is_folder(const fs::path& path, std::string_view) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

}  // namespace

std::vector<fs::path> files_of_counts(const fs::path& path) {
  std::vector<fs::path> files{is_folder(path, "") ? matrix_of(path) : path};
  if (!is_matrix_name(files.front().filename().string(), ".mtx")) return files;
  for (const auto& file : {beside(files.front(), kFeatures), beside(files.front(), kBarcodes)})
    if (file) files.push_back(*file);
  return files;
}

const CountReader kMatrixMarketFolder{
    "10x folder", "matrix.mtx with features.tsv or genes.tsv and barcodes.tsv, also compressed.", is_folder,
    [](const fs::path& path, const CountFormat& format, Reporter& reporter) {
      return open_matrix(matrix_of(path), format, reporter);
    }};

const CountReader kMatrixMarketFile{"mtx", "A Matrix Market file, with or without those beside it.",
                                    [](const fs::path& path, std::string_view head) {
                                      return head.starts_with("%%MatrixMarket") ||
                                             is_matrix_name(path.filename().string(), ".mtx");
                                    },
                                    open_matrix};

}  // namespace ae::data
