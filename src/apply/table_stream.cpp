#include "apply/table_stream.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "base/ahead.hpp"
#include "base/error.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"

namespace ae::apply {
namespace {

constexpr std::int64_t kBlockRows = 4096;
constexpr std::size_t kBlocksAhead = 2;

// A block, and how far in its input it ends.
struct Read {
  data::Block block;
  std::uint64_t position = 0;
};

InputError without_rows(const data::TableReader& reader) {
  return InputError(reader.source().name() + ": has no rows; expected at least one below the header");
}

}  // namespace

TableStream::TableStream(const recipe::Checkpoint& checkpoint, StreamOptions options, Reporter& reporter)
    : checkpoint_(checkpoint), options_(std::move(options)), reporter_(reporter) {
  if (checkpoint.geometry()) {
    throw UsageError(checkpoint.name() + ": was trained on images and cannot read tables; train a model on a table");
  }
  if (std::count(options_.inputs.begin(), options_.inputs.end(), "-") > 1) {
    throw UsageError("standard input (-) is given twice; it can be read only once");
  }
}

void TableStream::for_each(const Visit& visit) {
  const auto threads =
      options_.threads > 0 ? static_cast<unsigned>(options_.threads) : std::thread::hardware_concurrency();
  std::int64_t first_row = 0;
  Read read;
  for (std::size_t i = 0; i < options_.inputs.size(); ++i) {
    std::int64_t begin = 0, end = std::numeric_limits<std::int64_t>::max();  // in this input
    if (const auto& share = options_.share) {
      const std::int64_t input_rows = share->input_rows[i];
      begin = std::clamp<std::int64_t>(share->first - first_row, 0, input_rows);
      end = std::clamp<std::int64_t>(share->end - first_row, 0, input_rows);
      if (begin == end) {
        first_row += input_rows;
        continue;
      }
    }
    data::TableReader reader(data::open_rows(options_.inputs[i], options_.format), checkpoint_.schema(), reporter_);
    std::int64_t rows = reader.skip(begin), made = rows;
    {
      Ahead<Read> blocks(threads > 1 ? kBlocksAhead : 0, [&](Read& next) {
        if (made == end || !reader.next(std::min(kBlockRows, end - made), next.block, options_.keep_raw)) return false;
        made += next.block.rows;
        next.position = reader.source().position();
        return true;
      });
      while (blocks.next(read)) {
        throw_if_stopped("reading");
        for (auto& number : read.block.row_numbers) number += first_row;
        rows += read.block.rows;
        visit(reader, read.block);
        reporter_.progress("bytes", read.position, reader.source().size());
      }
    }
    reporter_.progress_done();
    if (rows == 0) throw without_rows(reader);
    reader.report(reporter_);
    first_row += options_.share ? options_.share->input_rows[i] : rows;
  }
}

std::vector<std::int64_t> TableStream::count_rows(const std::function<void(const data::TableReader&)>& visit) const {
  SilentReporter silent;  // for_each() tells what there is to tell
  std::vector<std::int64_t> counts;
  for (const auto& input : options_.inputs) {
    data::TableReader reader(data::open_rows(input, options_.format), checkpoint_.schema(), silent);
    visit(reader);
    counts.push_back(reader.skip(std::numeric_limits<std::int64_t>::max()));
    if (counts.back() == 0) throw without_rows(reader);
  }
  return counts;
}

std::vector<std::size_t> file_columns_of_elements(const data::TableReader& reader, std::size_t elements) {
  std::vector<std::size_t> file_columns(elements, 0);
  for (std::size_t column = 0; column < reader.source().columns().size(); ++column) {
    const auto element = reader.element_of(column);
    if (element >= 0) file_columns[static_cast<std::size_t>(element)] = column;
  }
  return file_columns;
}

std::string cell_text(std::string_view raw) {
  auto text = trimmed(raw);
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return std::string(text);
  text = text.substr(1, text.size() - 2);
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    plain += text[i];
    if (text[i] == '"' && i + 1 < text.size() && text[i + 1] == '"') ++i;
  }
  return plain;
}

std::string value_text(const data::Column& column, double value) {
  if (column.role == data::Role::categorical) return data::element_text(column, value);
  const double plain = column.scaler.unscale(value);
  const double spread = column.scaler.spread() > 0 ? column.scaler.spread() : 1;
  const double whole_digits = std::log10(std::max(1.0, std::abs(plain) / spread));
  const int digits = std::clamp(7 + static_cast<int>(std::ceil(whole_digits)), 7, 17);
  char text[40];
  std::snprintf(text, sizeof text, "%.*g", digits, plain);
  return text;
}

std::vector<const data::Column*> element_columns(const data::Schema& schema) {
  std::vector<const data::Column*> columns;
  for (const auto index : schema.features()) columns.push_back(&schema.columns[index]);
  return columns;
}

std::string header_line(const data::RowSource::Layout& layout, const std::vector<std::string>& columns) {
  std::string line = layout.byte_order_mark ? "\xEF\xBB\xBF" : "";
  if (!layout.raw_header.empty()) return line + layout.raw_header;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (i > 0) line += layout.delimiter;
    append_csv_field(line, columns[i], layout.delimiter);
  }
  return line;
}

}  // namespace ae::apply
