// Matrices of cells x genes in files, with values for what was counted; the name's extension chooses the format.
//
// Cells are written one after another; memory does not grow with them. Adding a format: a MatrixWriter in a .cpp, and a
// MatrixFormat for whoever names the formats.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.hpp"
#include "data/counts/source.hpp"

namespace ae::data {

struct MatrixAbout {
  CountSource& counts;            // what the values are made of, with the names; must outlive the writer
  std::filesystem::path input;    // the file or folder of these
  std::string input_layer;        // CountFormat::layer by which they were read
  std::string layer = "imputed";  // what the values are called, where a file holds several matrices
  bool whole = false;             // all values are whole numbers
  bool sparse = false;            // most values are 0
};

class MatrixWriter {
 public:
  virtual ~MatrixWriter() = default;
  // The next cell: a value of each gene, in the order of about.counts. RunError for one that is not finite.
  void add(std::span<const float> values);
  // The same, of whose values all are 0 but those of `genes`, ascending.
  void add_sparse(std::span<const std::int32_t> genes, std::span<const float> values);
  // After the last cell; Output::commit() is the caller's. logic_error when not every cell was added.
  void finish();

 protected:
  explicit MatrixWriter(const MatrixAbout& about) : about_(about) {}
  virtual void write(std::span<const float> values) = 0;
  virtual void write_sparse(std::span<const std::int32_t> genes, std::span<const float> values);  // by write()
  virtual void close() = 0;
  const MatrixAbout& about() const { return about_; }
  std::int64_t genes() const { return std::ssize(about_.counts.genes()); }
  std::string cell_name(std::int64_t cell) const;  // its number where it has none
  std::int64_t added() const { return added_; }    // cells before the one that is being written

 private:
  [[noreturn]] void refuse(std::int64_t gene, float value) const;
  MatrixAbout about_;
  std::int64_t added_ = 0;
  std::vector<float> row_;
};

struct MatrixFormat {
  std::string_view extension;  // ".csv"
  bool compressible;           // ".gz" may follow
  std::string_view help;
  std::unique_ptr<MatrixWriter> (*make)(Output& output, bool gzip, const MatrixAbout& about);
};
// Text, and the arrays of others. CSV and TSV: a line a cell, names first. Matrix Market: the rows are genes where
// those of the input are; entries wait in a temporary file (TMPDIR), since their number stands first. NPY: float32.
extern const MatrixFormat kCsvMatrix, kTsvMatrix, kMatrixMarket, kNpyMatrix;

// The one of `formats` that a file's name means, in letters of any case; the first for standard output ("-").
// UsageError when it is none of them.
const MatrixFormat& matrix_format(const std::filesystem::path& path, std::span<const MatrixFormat* const> formats);

// For output.path(). UsageError also for an output that cannot hold the format.
std::unique_ptr<MatrixWriter> make_matrix_writer(Output& output, const MatrixAbout& about,
                                                 std::span<const MatrixFormat* const> formats);

}  // namespace ae::data
