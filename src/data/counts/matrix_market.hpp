// Matrices in the text format Matrix Market (Boisvert, Pozo, Remington 1996, NISTIR 5935), as counts come in it.
//
// - "matrix coordinate" and "matrix array"; integer, unsigned-integer, real, double and pattern (each entry is 1);
//   general and symmetric (each entry off the diagonal stands for two). Complex, Hermitian and skew-symmetric matrices
//   are refused: no counts are.
// - The header's words in upper or lower case; comments (%) and blank lines anywhere below it.
// - An entry that is there several times means the sum.
// - As many entries as the size line says, not one less or more; places are counted from 1.
// - A size is believed only as far as the file can be of it: memory is taken for what is there.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/reporter.hpp"
#include "data/bytes/lines.hpp"
#include "data/bytes/source.hpp"
#include "data/counts/matrix.hpp"

namespace ae::data {

class MatrixMarket {
 public:
  // Reads the header and the size line. InputError, from here and from read(), with the line's number.
  explicit MatrixMarket(std::unique_ptr<ByteSource> source);
  std::int64_t rows() const { return rows_; }
  std::int64_t columns() const { return columns_; }
  const std::string& name() const { return lines_.source().name(); }

  // The matrix, once. `genes_are_rows`: else they are the columns. `places`: of each of the file's genes, the gene of
  // the result, or -1 to leave it out.
  CellCounts read(bool genes_are_rows, std::span<const std::int32_t> places, Reporter& reporter);

 private:
  enum class Field { number, pattern };
  struct Entry {
    std::int64_t row = 0, column = 0;  // from 0
    float value = 1;
  };
  void read_header();
  void read_sizes();
  bool next_content(std::string_view& line);
  Entry parse_entry(std::string_view line) const;
  [[noreturn]] void refuse(const std::string& found) const;
  std::int64_t expected_entries() const;

  Lines lines_;
  bool dense_ = false;
  bool symmetric_ = false;
  Field field_ = Field::number;
  std::int64_t rows_ = 0, columns_ = 0, entries_ = 0;
};

}  // namespace ae::data
