// The CSV reader on any bytes, and what its cells look like. The first byte chooses delimiter, header mode, what is
// known from another table and how the reads are cut; the rest is the document. Rows put together again from their raw
// cells must be the document, and cutting the reads otherwise must not change anything.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "../unit/support/byte_sources.hpp"
#include "base/error.hpp"
#include "data/tables/csv.hpp"
#include "data/tables/numbers.hpp"

namespace {

using ae::data::RowSource;

void require(bool condition) {
  if (!condition) std::abort();
}

struct Outcome {
  std::string error;
  std::vector<std::string> texts;
  bool operator==(const Outcome&) const = default;
};

std::size_t skip_line_end(const std::string& document, std::size_t at) {
  if (document.compare(at, 2, "\r\n") == 0) return at + 2;
  if (at < document.size()) require(document[at] == '\n');
  return std::min(at + 1, document.size());
}

// A text that can be read in several ways must read the same as a plain number of one of them.
void look_at(std::string_view text) {
  ae::data::decoration_of(text);
  for (const char decimal : {'.', ','}) {
    const auto read = ae::data::read_number(text, decimal);
    if (!read) continue;
    const auto again = ae::data::number_of(text, {decimal, std::string(read->thousands)});
    require(again && (*again == read->value || (std::isnan(*again) && std::isnan(read->value))));
  }
}

// Moves `at` behind the current row, which must stand there.
std::size_t match_row(const RowSource& rows, const std::string& document, std::size_t at, Outcome& outcome) {
  std::string line;
  for (std::size_t i = 0; i < rows.columns().size(); ++i) {
    if (i > 0) line += rows.layout().delimiter;
    line += rows.raw(i);
    outcome.texts.emplace_back(rows.text(i));
    look_at(rows.text(i));
    require(rows.where(i).starts_with("table.csv:"));
  }
  require(document.compare(at, line.size(), line) == 0);
  return skip_line_end(document, at + line.size());
}

Outcome read(const std::string& document, const ae::data::TableFormat& format, std::size_t read_size, bool ask_ready) {
  Outcome outcome;
  try {
    const auto rows = ae::data::open_csv(
        std::make_unique<ae::test::MemorySource>(document, [read_size] { return read_size; }), format);
    std::size_t at = rows->layout().byte_order_mark ? 3 : 0;
    require(document.compare(at, rows->layout().preamble.size(), rows->layout().preamble) == 0);
    at += rows->layout().preamble.size();
    if (rows->layout().header) at = skip_line_end(document, at + rows->layout().raw_header.size());
    while (rows->next()) {
      if (ask_ready) rows->ready();
      at = match_row(*rows, document, at, outcome);
    }
    // Blank lines and rows of delimiters only may follow.
    require(document.find_first_not_of(std::string(" \t\r\n") + rows->layout().delimiter, at) == std::string::npos);
    for (const auto& note : rows->notes()) outcome.texts.push_back(note);
  } catch (const ae::InputError& error) {
    outcome.error = error.lines().front();
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const unsigned choice = data[0];
  ae::data::TableFormat format;
  static const char* const delimiters[] = {"", ",", "\t", ";"};
  static const char* const headers[] = {"auto", "yes", "no", "auto"};
  format.delimiter = delimiters[choice & 3];
  format.header = headers[choice >> 2 & 3];
  if (choice & 0x80) format.names = {"a", "index"};
  if (choice & 0x40) format.former_delimiter = "|";
  const std::string document(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Outcome whole = read(document, format, document.size() + 1, false);
  const Outcome cut = read(document, format, 1 + (choice >> 4), true);
  // A NUL byte in the first read is found before any row is given, and in a comment only there.
  if (whole.error.find("NUL byte") == std::string::npos) require(whole == cut);
  return 0;
}
