#include "data/counts/writer.hpp"

#include <cctype>
#include <cmath>
#include <stdexcept>

#include "base/error.hpp"
#include "base/text.hpp"

namespace ae::data {
namespace {

constexpr std::string_view kGzip = ".gz";

std::string in_small_letters(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

void MatrixWriter::refuse(std::int64_t gene, float value) const {
  throw RunError(about_.counts.name() + ": cell " + ae::quoted(cell_name(added_)) + ", gene " +
                 ae::quoted(about_.counts.genes()[static_cast<std::size_t>(gene)]) + " would get " +
                 number_text(static_cast<double>(value)) + "; the model is not usable for such counts");
}

void MatrixWriter::add(std::span<const float> values) {
  if (std::ssize(values) != genes()) throw std::logic_error("a cell with another number of values than of genes");
  for (std::size_t gene = 0; gene < values.size(); ++gene)
    if (!std::isfinite(values[gene])) refuse(static_cast<std::int64_t>(gene), values[gene]);
  write(values);
  ++added_;
}

void MatrixWriter::add_sparse(std::span<const std::int32_t> genes, std::span<const float> values) {
  if (genes.size() != values.size()) throw std::logic_error("a cell with another number of values than of genes");
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i])) refuse(genes[i], values[i]);
  write_sparse(genes, values);
  ++added_;
}

void MatrixWriter::finish() {
  if (added_ != about_.counts.cells()) throw std::logic_error("another number of cells was written than read");
  close();
}

void MatrixWriter::write_sparse(std::span<const std::int32_t> genes, std::span<const float> values) {
  row_.assign(about_.counts.genes().size(), 0.0f);
  for (std::size_t i = 0; i < genes.size(); ++i) row_[static_cast<std::size_t>(genes[i])] = values[i];
  write(row_);
}

std::string MatrixWriter::cell_name(std::int64_t cell) const {
  const auto& names = about_.counts.cell_names();
  return names.empty() ? std::to_string(cell) : names[static_cast<std::size_t>(cell)];
}

const MatrixFormat& matrix_format(const std::filesystem::path& path, std::span<const MatrixFormat* const> formats) {
  if (path == "-") return *formats.front();
  const auto name = in_small_letters(path.filename().string());
  std::vector<std::string> known;
  for (const auto* format : formats) {
    const std::string extension(format->extension), compressed = extension + std::string(kGzip);
    if (name.ends_with(extension) || (format->compressible && name.ends_with(compressed))) return *format;
    known.push_back(format->compressible ? extension + "[.gz]" : extension);
  }
  throw UsageError(path.string() + ": no file of cells and genes has the extension " +
                   ae::quoted(path.extension().string()) + "; use " + join(known, " or "));
}

std::unique_ptr<MatrixWriter> make_matrix_writer(Output& output, const MatrixAbout& about,
                                                 std::span<const MatrixFormat* const> formats) {
  const auto& format = matrix_format(output.path(), formats);
  return format.make(output, in_small_letters(output.path().string()).ends_with(kGzip), about);
}

}  // namespace ae::data
