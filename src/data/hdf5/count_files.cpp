#include "data/hdf5/count_files.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <unordered_map>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/hdf5/sparse.hpp"

namespace ae::data {
namespace {

std::unique_ptr<Hdf5File> open_file(const std::filesystem::path& path) { return std::make_unique<Hdf5File>(path); }

std::string joined(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : folder + "/" + name;
}

void check_size(const Hdf5File& file, const std::string& place, std::int64_t cells, std::int64_t genes) {
  constexpr std::int64_t kMostCells = std::int64_t{1} << 31;
  if (cells > 0 && genes > 0 && cells < kMostCells && genes <= kMostGenes) return;
  file.fail(place, "is of " + std::to_string(cells) + " cells x " + std::to_string(genes) +
                       " genes; expected at least one of both, and " + std::to_string(kMostGenes) + " genes at most");
}

// --- columns of a data frame -----------------------------------------------------------------------------------------

std::string truth_text(bool value) { return value ? "True" : "False"; }

std::vector<std::string> texts_of(const Hdf5Dataset& values) {
  using Type = Hdf5Dataset::Type;
  std::vector<std::string> texts;
  switch (values.type()) {
    case Type::text:
      return values.texts();
    case Type::number:
      for (const double number : values.numbers()) texts.push_back(std::isnan(number) ? "" : number_text(number));
      return texts;
    case Type::integer:
      for (const auto number : values.integers()) texts.push_back(std::to_string(number));
      return texts;
    case Type::boolean:
      for (const auto number : values.integers()) texts.push_back(truth_text(number != 0));
      return texts;
    case Type::other:
      break;
  }
  values.fail("is neither text nor numbers");
}

// An array, or a group of an array and of what is missing in it.
std::vector<std::string> texts_at(const Hdf5File& file, const std::string& place) {
  if (file.node(place) != Hdf5File::Node::group) return texts_of(file.dataset(place));
  if (!file.has(place + "/values")) {
    file.fail(place, "is encoded as " + ae::quoted(file.text_attribute(place, "encoding-type")) +
                         "; expected texts, numbers, categories or truth values");
  }
  auto texts = texts_of(file.dataset(place + "/values"));
  const auto missing = file.dataset(place + "/mask").integers();
  if (missing.size() != texts.size()) file.fail(place, "has a mask of another length; the file is damaged");
  for (std::size_t i = 0; i < texts.size(); ++i)
    if (missing[i] != 0) texts[i].clear();
  return texts;
}

CellTexts with_levels(const Hdf5File& file, const std::string& place, std::vector<std::string> levels,
                      const std::vector<std::int64_t>& codes) {
  CellTexts column{std::move(levels), {}};
  for (const auto code : codes) {
    if (code < -1 || code >= std::ssize(column.levels))
      file.fail(place, "holds the code " + std::to_string(code) + " of " + std::to_string(column.levels.size()) +
                           " categories; the file is damaged");
    column.codes.push_back(static_cast<std::int32_t>(code));
  }
  return column;
}

CellTexts with_codes(std::vector<std::string> texts) {
  CellTexts column;
  std::unordered_map<std::string, std::int32_t> known;
  for (auto& text : texts) {
    if (text.empty()) {
      column.codes.push_back(-1);
      continue;
    }
    const auto [at, is_new] = known.try_emplace(std::move(text), static_cast<std::int32_t>(column.levels.size()));
    if (is_new) column.levels.push_back(at->first);
    column.codes.push_back(at->second);
  }
  return column;
}

CellTexts read_column(const Hdf5File& file, const std::string& frame, const std::string& name) {
  const std::string place = joined(frame, name), former = frame + "/__categories/" + name;
  if (file.has(place + "/categories"))
    return with_levels(file, place, texts_at(file, place + "/categories"), file.dataset(place + "/codes").integers());
  if (file.has(former)) return with_levels(file, place, texts_at(file, former), file.dataset(place).integers());
  return with_codes(texts_at(file, place));
}

std::vector<std::string> read_index(const Hdf5File& file, const std::string& frame) {
  if (file.node(frame) == Hdf5File::Node::dataset)
    file.fail(frame, "was written by an anndata before 0.7; read and write the file with a later one");
  std::string name = file.text_attribute(frame, "_index");
  if (name.empty()) name = "_index";
  const std::string place = joined(frame, name);
  if (!file.has(place)) file.fail(frame, "has no index of names; is the file whole?");
  const CellTexts index = read_column(file, frame, name);
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < std::ssize(index.codes); ++i) names.emplace_back(index.text(i));
  return names;
}

// --- sources ---------------------------------------------------------------------------------------------------------

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
    open_counts_file};

}  // namespace ae::data
