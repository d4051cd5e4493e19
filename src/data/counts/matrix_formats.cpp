// The formats that need no further library: CSV, TSV, Matrix Market, NPY.
#include <charconv>
#include <optional>

#include "base/scratch_folder.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "data/bytes/npy_writer.hpp"
#include "data/bytes/text_output.hpp"
#include "data/counts/writer.hpp"

namespace ae::data {
namespace {

TextOutput::Sink into(Output& output) {
  return [&output](std::string_view bytes) { output.write(bytes); };
}

// --- CSV, TSV --------------------------------------------------------------------------------------------------------

class MatrixTable final : public MatrixWriter {
 public:
  MatrixTable(Output& output, bool gzip, const MatrixAbout& about, char delimiter)
      : MatrixWriter(about), delimiter_(delimiter), text_(into(output), gzip) {
    line_ = "cell";
    for (const auto& gene : about.counts.genes()) append_csv_field(line_ += delimiter_, gene, delimiter_);
    end_line();
  }

 private:
  void write(std::span<const float> values) override {
    append_csv_field(line_, cell_name(added()), delimiter_);
    for (const float value : values) append_float(line_ += delimiter_, value);
    end_line();
  }
  void close() override { text_.finish(); }
  void end_line() {
    text_.write(line_ += '\n');
    line_.clear();
  }

  char delimiter_;
  TextOutput text_;
  std::string line_;
};

template <char kDelimiter>
std::unique_ptr<MatrixWriter> make_table(Output& output, bool gzip, const MatrixAbout& about) {
  return std::make_unique<MatrixTable>(output, gzip, about, kDelimiter);
}

// --- Matrix Market ---------------------------------------------------------------------------------------------------

void append_whole(std::string& text, std::int64_t number) {
  char digits[24];
  text.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

// Entries go cell by cell, as Cell Ranger writes them. Compressed they are a member of their own behind that of the
// header, so that they need not be compressed twice.
class MarketMatrix final : public MatrixWriter {
 public:
  MarketMatrix(Output& output, bool gzip, const MatrixAbout& about)
      : MatrixWriter(about),
        output_(output),
        gzip_(gzip),
        scratch_(scratch_folder()),
        text_([this](std::string_view bytes) { size_ += keep(bytes); }, gzip) {}

 private:
  void write(std::span<const float> values) override {
    for (std::size_t gene = 0; gene < values.size(); ++gene) append(static_cast<std::int64_t>(gene), values[gene]);
    end_cell();
  }
  void write_sparse(std::span<const std::int32_t> genes, std::span<const float> values) override {
    for (std::size_t i = 0; i < genes.size(); ++i) append(genes[i], values[i]);
    end_cell();
  }

  void append(std::int64_t gene, float value) {
    if (value == 0) return;
    const bool genes_are_rows = about().counts.genes_are_rows();
    append_whole(lines_, (genes_are_rows ? gene : added()) + 1);
    append_whole(lines_ += ' ', (genes_are_rows ? added() : gene) + 1);
    lines_ += ' ';
    if (about().whole) {
      append_whole(lines_, static_cast<std::int64_t>(value));
    } else {
      append_float(lines_, value);
    }
    lines_ += '\n';
    ++entries_;
  }
  void end_cell() {
    text_.write(lines_);
    lines_.clear();
  }
  std::size_t keep(std::string_view bytes) {
    if (!bytes.empty()) scratch_.append(bytes.data(), bytes.size());
    return bytes.size();
  }

  void close() override {
    text_.finish();
    const bool genes_are_rows = about().counts.genes_are_rows();
    const std::int64_t cells = about().counts.cells();
    TextOutput header(into(output_), gzip_);
    header.write(std::string("%%MatrixMarket matrix coordinate ") + (about().whole ? "integer" : "real") +
                 " general\n");
    header.write(std::string("% rows are ") +
                 (genes_are_rows ? "genes, columns are cells" : "cells, columns are genes") +
                 ", in the order of the input\n");
    header.write(std::to_string(genes_are_rows ? genes() : cells) + ' ' +
                 std::to_string(genes_are_rows ? cells : genes()) + ' ' + std::to_string(entries_) + '\n');
    header.finish();
    constexpr std::uint64_t kAtOnce = 1 << 20;
    std::string piece;
    for (std::uint64_t at = 0; at < size_; at += piece.size()) {
      throw_if_stopped("writing the matrix");
      piece.resize(static_cast<std::size_t>(std::min(kAtOnce, size_ - at)));
      scratch_.read(at, piece.data(), piece.size());
      output_.write(piece);
    }
  }

  Output& output_;
  bool gzip_;
  ScratchFile scratch_;
  std::uint64_t size_ = 0;  // of it
  TextOutput text_;
  std::string lines_;  // of the cell
  std::int64_t entries_ = 0;
};

// --- NPY -------------------------------------------------------------------------------------------------------------

class MatrixArray final : public MatrixWriter {
 public:
  MatrixArray(Output& output, const MatrixAbout& about) : MatrixWriter(about), rows_(output, genes()) {}

 private:
  void write(std::span<const float> values) override { rows_.add(values); }
  void close() override { rows_.finish(); }
  NpyWriter rows_;
};

}  // namespace

const MatrixFormat kCsvMatrix{".csv", true, "A line a cell: its name, and the values of its genes.", make_table<','>};
const MatrixFormat kTsvMatrix{".tsv", true, "The same with tabs.", make_table<'\t'>};
const MatrixFormat kMatrixMarket{
    ".mtx", true, "Matrix Market: what is not 0.", [](Output& output, bool gzip, const MatrixAbout& about) {
      return std::unique_ptr<MatrixWriter>(std::make_unique<MarketMatrix>(output, gzip, about));
    }};
const MatrixFormat kNpyMatrix{".npy", false, "The values alone: float32 [cells, genes].",
                              [](Output& output, bool, const MatrixAbout& about) {
                                return std::unique_ptr<MatrixWriter>(std::make_unique<MatrixArray>(output, about));
                              }};

}  // namespace ae::data
