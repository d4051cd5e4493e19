#include "data/hdf5/count_files.hpp"

#include <algorithm>
#include <numeric>
#include <optional>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/hdf5/frame.hpp"
#include "data/hdf5/obsm.hpp"
#include "data/hdf5/sparse.hpp"

namespace ae::data {
namespace {

std::unique_ptr<Hdf5File> open_file(const std::filesystem::path& path) { return std::make_unique<Hdf5File>(path); }

void check_size(const Hdf5File& file, const std::string& place, std::int64_t cells, std::int64_t genes) {
  constexpr std::int64_t kMostCells = std::int64_t{1} << 31;
  if (cells >= 0 && genes > 0 && cells < kMostCells && genes <= kMostGenes) return;
  file.fail(place, "is of " + std::to_string(cells) + " cells x " + std::to_string(genes) +
                       " genes; expected at least one gene, and " + std::to_string(kMostGenes) + " at most");
}

class Hdf5Counts : public CountSource {
 protected:
  explicit Hdf5Counts(std::unique_ptr<Hdf5File> file) : CountSource(file->name()), file_(std::move(file)) {}
  void append(std::int64_t begin, std::int64_t end, CellCounts& counts) override {
    matrix_->append(begin, end, places_, counts);
  }
  std::unique_ptr<Hdf5File> file_;
  std::unique_ptr<Hdf5Matrix> matrix_;
  std::vector<std::int32_t> places_;  // of the matrix's genes among ours
};

class AnnData final : public Hdf5Counts {
 public:
  AnnData(std::unique_ptr<Hdf5File> file, const CountFormat& format, Reporter& reporter) : Hdf5Counts(std::move(file)) {
    const std::string place = place_of(format.layer);
    matrix_ = open_matrix(place, reporter);
    check_size(*file_, place, matrix_->cells(), matrix_->genes());
    auto cells = read_index(*file_, "obs");
    auto genes = read_index(*file_, place.starts_with("raw/") ? "raw/var" : "var");
    const auto check = [&](const std::vector<std::string>& names, std::int64_t expected, const char* what) {
      if (std::ssize(names) == expected) return;
      file_->fail(place, "has " + std::to_string(expected) + " " + what + ", but there are " +
                             std::to_string(names.size()) + " names of them; the file is damaged");
    };
    check(cells, matrix_->cells(), "cells");
    check(genes, matrix_->genes(), "genes");
    places_.resize(genes.size());
    std::iota(places_.begin(), places_.end(), 0);
    set_names(matrix_->cells(), std::move(cells), std::move(genes), reporter);
  }

  CellTexts annotation(const std::string& column) override {
    if (column.empty() || column.find('/') != std::string::npos || !file_->has("obs/" + column)) {
      auto columns = file_->members("obs");
      std::erase_if(columns, [&](const auto& other) {
        return other == "__categories" || other == file_->text_attribute("obs", "_index");
      });
      throw UsageError("/data/label: obs of " + name() + " has no column " + ae::quoted(column) +
                       did_you_mean(column, columns) + "; it has: " + (columns.empty() ? "none" : join(columns)));
    }
    CellTexts texts = read_column(*file_, "obs", column);
    if (std::ssize(texts.codes) != cells()) file_->fail("obs/" + column, "has another length than there are cells");
    return texts;
  }

 private:
  std::string place_of(const std::string& layer) const {
    if (layer.empty() && file_->has("X")) return "X";
    if (layer == "raw" && file_->has("raw/X")) return "raw/X";
    const std::string place = "layers/" + (layer.empty() ? std::string("X") : layer);
    if (layer.find('/') == std::string::npos && file_->has(place)) return place;
    std::vector<std::string> choices;
    if (file_->has("layers")) choices = file_->members("layers");
    const auto nearest = did_you_mean(layer, choices);
    for (auto& choice : choices) choice = ae::quoted(choice);
    if (file_->has("raw/X")) choices.emplace_back("\"raw\"");
    if (file_->has("X")) choices.emplace_back("\"\" (X)");
    throw UsageError("/data/layer: " + name() + " has no " + (layer.empty() ? "X" : "layer " + ae::quoted(layer)) +
                     nearest + "; it has: " + (choices.empty() ? "none" : join(choices)));
  }

  std::unique_ptr<Hdf5Matrix> open_matrix(const std::string& place, Reporter& reporter) {
    if (file_->node(place) == Hdf5File::Node::dataset) return open_dense(*file_, place);
    std::string encoding = file_->text_attribute(place, "encoding-type");
    auto shape = file_->integer_attribute(place, "shape");
    if (encoding.empty()) encoding = file_->text_attribute(place, "h5sparse_format") + "_matrix";  // before 0.7
    if (shape.empty()) shape = file_->integer_attribute(place, "h5sparse_shape");
    const bool by_genes = encoding == "csc_matrix";
    if (!by_genes && encoding != "csr_matrix")
      file_->fail(place, "is encoded as " + ae::quoted(encoding) + ", expected a csr_matrix, csc_matrix or array");
    if (shape.size() != 2) file_->fail(place, "has no shape of cells x genes; the file is damaged");
    check_size(*file_, place, shape[0], shape[1]);
    return open_sparse(*file_, place, shape[0], shape[1], by_genes, reporter);
  }
};

class TenX final : public Hdf5Counts {
 public:
  TenX(std::unique_ptr<Hdf5File> file, const std::string& group, const CountFormat& format, Reporter& reporter)
      : Hdf5Counts(std::move(file)) {
    const auto at = [&](const char* member) { return group + "/" + member; };
    const auto shape = file_->dataset(at("shape")).integers();
    if (shape.size() != 2) file_->fail(at("shape"), "does not hold two numbers, genes and cells");
    check_size(*file_, group, shape[1], shape[0]);
    const bool third = file_->has(at("features"));
    Features features{texts_at(*file_, at(third ? "features/id" : "genes")),
                      texts_at(*file_, at(third ? "features/name" : "gene_names")),
                      {}};
    if (third && file_->has(at("features/feature_type")))
      features.types = texts_at(*file_, at("features/feature_type"));
    auto barcodes = texts_at(*file_, at("barcodes"));
    const auto fits = [&](const std::vector<std::string>& names) { return std::ssize(names) == shape[0]; };
    if (!fits(features.ids) || !fits(features.symbols) || (!features.types.empty() && !fits(features.types)) ||
        std::ssize(barcodes) != shape[1])
      file_->fail(group, "is of " + std::to_string(shape[0]) + " genes x " + std::to_string(shape[1]) +
                             " cells, but not their names; the file is damaged");
    places_ = wanted_features(name(), features, format, reporter);
    // By columns of genes x cells, which are cells.
    matrix_ = open_sparse(*file_, group, shape[1], shape[0], false, reporter);
    set_names(shape[1], std::move(barcodes), wanted_names(std::move(features), places_, format), reporter);
  }
};

// The group of a 10x file; nothing when this is none.
std::optional<std::string> ten_x_group(const Hdf5File& file, const CountFormat& format) {
  if (file.has("matrix/barcodes")) return "matrix";
  auto genomes = file.members("/");
  std::erase_if(genomes, [&](const auto& name) {
    return file.node(name) != Hdf5File::Node::group || !file.has(name + "/barcodes") || !file.has(name + "/genes");
  });
  if (genomes.empty()) return std::nullopt;
  const bool wanted = std::ranges::find(genomes, format.genome) != genomes.end();
  if (wanted) return format.genome;
  if (format.genome.empty() && genomes.size() == 1) return genomes.front();
  throw UsageError("/data/genome: " + file.name() + " has " +
                   (format.genome.empty() ? "several genomes" : "no genome " + ae::quoted(format.genome)) +
                   "; set it to one of: " + join(genomes));
}

std::unique_ptr<CountSource> open_counts_file(const std::filesystem::path& path, const CountFormat& format,
                                              Reporter& reporter) {
  auto file = open_file(path);
  if (file->has("obs") && file->has("var")) return std::make_unique<AnnData>(std::move(file), format, reporter);
  if (const auto group = ten_x_group(*file, format))
    return std::make_unique<TenX>(std::move(file), *group, format, reporter);
  throw InputError(path.string() + ": found an HDF5 file of " + join(file->members("/")) +
                   "; expected AnnData (X, obs, var) or a 10x file (matrix)");
}

}  // namespace

const CountReader kHdf5Counts{
    "hdf5", "AnnData's .h5ad and 10x's .h5 files.",
    [](const std::filesystem::path&, std::string_view head) { return head.starts_with("\x89HDF\r\n\x1a\n"); },
    open_counts_file, open_obsm};

}  // namespace ae::data
