#include "data/counts/matrix_market.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"

namespace ae::data {
namespace {

constexpr std::int64_t kLinesBetweenChecks = 1 << 16;
constexpr std::int64_t kMostCells = std::numeric_limits<std::int32_t>::max();

std::string lower(std::string_view text) {
  std::string low(text);
  for (char& c : low)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return low;
}

std::string_view next_word(std::string_view& line) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  std::size_t begin = 0;
  while (begin < line.size() && is_blank(line[begin])) ++begin;
  std::size_t end = begin;
  while (end < line.size() && !is_blank(line[end])) ++end;
  const auto word = line.substr(begin, end - begin);
  line.remove_prefix(end);
  return word;
}

// A whole number of at least `least`, or -1.
std::int64_t whole(std::string_view word, std::int64_t least) {
  std::int64_t value = -1;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  const bool read = !word.empty() && error == std::errc() && end == word.data() + word.size();
  return read && value >= least ? value : -1;
}

}  // namespace

MatrixMarket::MatrixMarket(std::unique_ptr<ByteSource> source) : lines_(std::move(source)) {
  read_header();
  read_sizes();
}

void MatrixMarket::refuse(const std::string& found) const { throw InputError(lines_.place() + ": found " + found); }

void MatrixMarket::read_header() {
  std::string_view line;
  if (!lines_.next(line)) throw InputError(name() + ": is empty; expected \"%%MatrixMarket matrix coordinate ...\"");
  if (line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
  const std::string header(line);
  std::array<std::string, 5> words;
  for (auto& word : words) word = lower(next_word(line));
  if (words[0] != "%%matrixmarket" || words[1] != "matrix")
    refuse(ae::quoted(header) + ", expected \"%%MatrixMarket matrix coordinate integer general\" or the like");
  dense_ = words[2] == "array";
  if (!dense_ && words[2] != "coordinate") refuse(ae::quoted(words[2]) + ", expected \"coordinate\" or \"array\"");
  constexpr std::array<std::string_view, 4> kNumbers{"integer", "unsigned-integer", "real", "double"};
  field_ = words[3] == "pattern" ? Field::pattern : Field::number;
  if (field_ == Field::number && std::ranges::find(kNumbers, words[3]) == kNumbers.end())
    refuse(ae::quoted(words[3]) + " numbers, expected \"integer\", \"real\" or \"pattern\" ones: counts are no others");
  if (field_ == Field::pattern && dense_) refuse("an array of a pattern, which the format does not have");
  symmetric_ = words[4] == "symmetric";
  if (!symmetric_ && words[4] != "general")
    refuse("a matrix that is " + ae::quoted(words[4]) +
           ", expected \"general\" or \"symmetric\": counts are no others");
}

bool MatrixMarket::next_content(std::string_view& line) {
  while (lines_.next(line)) {
    line = trimmed(line);
    if (!line.empty() && line.front() != '%') return true;
  }
  return false;
}

// How many entries to make room for: no more than can stand in the file, compressed as such files are.
std::int64_t MatrixMarket::expected_entries() const {
  constexpr std::uint64_t kLeastBytes = 4, kUsualRatio = 16;  // "1 1" and a line's end
  const auto& source = lines_.source();
  const std::uint64_t bytes = source.content_size().value_or(source.size() * kUsualRatio);
  return std::min(entries_, static_cast<std::int64_t>(bytes / kLeastBytes + 1)) * (symmetric_ ? 2 : 1);
}

void MatrixMarket::read_sizes() {
  std::string_view line;
  if (!next_content(line)) throw InputError(name() + ": ends before the line with its sizes; fetch or write it again");
  const std::string sizes(line);
  rows_ = whole(next_word(line), 0);
  columns_ = whole(next_word(line), 0);
  if (!dense_) entries_ = whole(next_word(line), 0);
  if (rows_ < 0 || columns_ < 0 || entries_ < 0 || !next_word(line).empty()) {
    refuse(ae::quoted(sizes) + ", expected " +
           (dense_ ? "two whole numbers: rows and columns" : "three whole numbers: rows, columns and entries"));
  }
  // Cells without any count need no line, but no file is nearly all of those.
  constexpr std::uint64_t kCellsFreely = 1 << 20, kCellsAByte = 64;
  const auto most = std::min<std::uint64_t>(static_cast<std::uint64_t>(kMostCells),
                                            kCellsFreely + lines_.source().size() * kCellsAByte);
  if (static_cast<std::uint64_t>(std::max(rows_, columns_)) > most) {
    refuse("a matrix of " + std::to_string(rows_) + " x " + std::to_string(columns_) +
           ", which is larger than this file can be; fetch or write it again");
  }
  if (symmetric_ && rows_ != columns_) refuse(ae::quoted(sizes) + ", but a symmetric matrix is square");
  if (!dense_) return;
  entries_ = symmetric_ ? rows_ * (rows_ + 1) / 2 : rows_ * columns_;
}

MatrixMarket::Entry MatrixMarket::parse_entry(std::string_view line) const {
  const std::string_view all = line;
  Entry entry;
  if (!dense_) {
    entry.row = whole(next_word(line), 1) - 1;
    entry.column = whole(next_word(line), 1) - 1;
    if (entry.row < 0 || entry.column < 0 || entry.row >= rows_ || entry.column >= columns_) {
      refuse(ae::quoted(all) + ", expected a row from 1 to " + std::to_string(rows_) + ", a column from 1 to " +
             std::to_string(columns_) + (field_ == Field::pattern ? "" : " and a number"));
    }
  }
  if (field_ == Field::number) {
    const auto word = next_word(line);
    const auto value = parse_number(word);
    if (!value) refuse(ae::quoted(all) + ", expected a number" + (dense_ ? "" : " as the third word"));
    entry.value = static_cast<float>(*value);
  }
  if (!next_word(line).empty()) refuse(ae::quoted(all) + ", which has a word too many");
  return entry;
}

CellCounts MatrixMarket::read(bool genes_are_rows, std::span<const std::int32_t> places, Reporter& reporter) {
  EntryCollector collector(genes_are_rows ? columns_ : rows_, expected_entries());
  const auto add = [&](std::int64_t row, std::int64_t column, float value) {
    const std::int32_t gene = places[static_cast<std::size_t>(genes_are_rows ? row : column)];
    if (gene >= 0 && value != 0) collector.add(genes_are_rows ? column : row, gene, value);
  };
  std::string_view line;
  std::int64_t row = 0, column = 0;  // of the next number of an array, which goes down the columns
  for (std::int64_t entry_number = 0; entry_number < entries_; ++entry_number) {
    if (!next_content(line)) {
      throw InputError(name() + ": ends after " + std::to_string(entry_number) + " of " + std::to_string(entries_) +
                       " entries; fetch or write it again");
    }
    Entry entry = parse_entry(line);
    if (dense_) {
      entry.row = row++;
      entry.column = column;
      if (row == rows_) row = symmetric_ ? ++column : (++column, 0);
    }
    add(entry.row, entry.column, entry.value);
    if (symmetric_ && entry.row != entry.column) add(entry.column, entry.row, entry.value);
    if (entry_number % kLinesBetweenChecks == 0) {
      throw_if_stopped("reading the matrix");
      reporter.progress("bytes", lines_.source().position(), lines_.source().size());
    }
  }
  if (next_content(line)) {
    refuse(ae::quoted(line) + " behind the last of " + std::to_string(entries_) +
           " entries; fetch or write the file again");
  }
  reporter.progress_done();
  return collector.finish();
}

}  // namespace ae::data
