// The formats that matrices of counts come in. Each is one CountReader; those that need no further library are here.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/reporter.hpp"
#include "data/bytes/source.hpp"
#include "data/counts/source.hpp"

namespace ae::data {

// What a file does not tell of itself.
struct CountFormat {
  std::string orientation = "auto";              // "cells_by_genes", "genes_by_cells", or as the format has it
  std::string layer;                             // of AnnData; "" = X, "raw" = raw/X
  std::string gene_names = "symbol";             // or "id", where a file has both
  std::string feature_type = "Gene Expression";  // of 10x features; "" = all
  std::string genome;                            // the group of a 10x .h5 file of version 2; "" = the only one
  bool tells_itself = false;  // of a 10x folder whose sizes show it, its own orientation counts instead
  // Names of the genes that a model knows, by which a text table shows whether its lines are cells or genes, whatever
  // `orientation` says; must outlive the format. Empty: it does not.
  std::span<const std::string> known_genes = {};
  std::string other_than;  // instead of a feature type: all but this one, where there are others
};

// What to ask of a file whose genes the model does not know.
inline constexpr std::string_view kOtherGenes =
    "is it of another panel or species, or are its genes named otherwise than in training (symbols or identifiers, "
    "/data/gene_names)?";

// What was measured in cells beside their counts: columns of any numbers.
struct MeasuredCells {
  std::string name;                                               // for messages: the file, and where in it
  std::vector<std::string> cells, columns;                        // their names
  std::function<std::vector<double>(std::size_t column)> values;  // one a cell; NaN: missing. InputError
};

struct CountReader {
  std::string_view name;
  std::string_view help;
  // Whether `path`, a folder or a file with this beginning (decompressed, "" of a folder), is in this format.
  bool (*reads)(const std::filesystem::path& path, std::string_view head);
  std::unique_ptr<CountSource> (*open)(const std::filesystem::path& path, const CountFormat& format,
                                       Reporter& reporter);
  // What is kept so in AnnData's obsm; null for formats without such a thing. UsageError where there is none of the
  // name, or its columns have no names.
  MeasuredCells (*open_obsm)(const std::filesystem::path& path, const std::string& name) = nullptr;
};
extern const CountReader kMatrixMarketFolder;  // 10x, versions 2 and 3
extern const CountReader kMatrixMarketFile;
extern const CountReader kCountTable;  // CSV, TSV

// By the first of `readers` that reads `path`. InputError, from here and from CountSource::read(), for all that can be
// wrong with the file; UsageError for what `format` asks of it in vain.
std::unique_ptr<CountSource> open_counts(const std::filesystem::path& path, std::span<const CountReader* const> readers,
                                         const CountFormat& format, Reporter& reporter);

// The files that such a folder or file is made of.
std::vector<std::filesystem::path> files_of_counts(const std::filesystem::path& path);

// Features of a 10x file: of which kind of names which are wanted.
struct Features {
  std::vector<std::string> ids, symbols, types;  // types may be empty
};
// The place of each feature among those of the wanted type, -1: it is not. Told in one line when some are not.
// UsageError when all are not.
std::vector<std::int32_t> wanted_features(const std::string& file, const Features& features, const CountFormat& format,
                                          Reporter& reporter);
// Their names.
std::vector<std::string> wanted_names(Features features, const std::vector<std::int32_t>& places,
                                      const CountFormat& format);

// A matrix that was read as a whole.
class CountsInMemory final : public CountSource {
 public:
  CountsInMemory(std::string name, CellCounts counts, std::vector<std::string> cell_names,
                 std::vector<std::string> genes, bool genes_are_rows, Reporter& reporter);

 private:
  void append(std::int64_t begin, std::int64_t end, CellCounts& counts) override;
  CellCounts counts_;
};

}  // namespace ae::data
