#include "recipe/table_stream.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "base/ahead.hpp"
#include "base/error.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "model/threads.hpp"

namespace ae::recipe {
namespace {

constexpr std::size_t kBlocksAhead = 2;

// A block, and how far in its input it ends.
struct Read {
  data::Block block;
  std::uint64_t position = 0;
};

InputError without_rows(const data::TableReader& reader) {
  return InputError(reader.source().name() + ": has no rows; expected at least one below the header");
}

// The exact bytes of a CSV cell as the text they stand for: without quotes and surrounding blanks.
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

// The header, looking as the input's did.
std::string header_line(const data::RowSource::Layout& layout, const std::vector<std::string>& columns) {
  std::string line = (layout.byte_order_mark ? "\xEF\xBB\xBF" : "") + layout.preamble;
  if (!layout.raw_header.empty()) return line + layout.raw_header;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (i > 0) line += layout.delimiter;
    append_csv_field(line, columns[i], layout.delimiter);
  }
  return line;
}

}  // namespace

TableStream::TableStream(const data::Schema& schema, StreamOptions options, Reporter& reporter, Opener opener)
    : schema_(schema), options_(std::move(options)), reporter_(reporter), opener_(std::move(opener)) {
  if (!opener_) opener_ = [this](const std::string& input) { return data::open_rows(input, schema_.format()); };
  for (const auto index : schema.features()) columns_.push_back(&schema.columns[index]);
  std::int64_t width = 0;  // a category is answered by a number for each of its levels
  for (const auto* column : columns_) {
    width += column->role == data::Role::categorical ? column->unseen_code() + 1 : 1;
  }
  block_rows_ = model::block_rows(std::ssize(columns_), width, model::threads_in_use());
  if (std::count(options_.inputs.begin(), options_.inputs.end(), "-") > 1) {
    throw UsageError("standard input (-) is given twice; it can be read only once");
  }
}

void TableStream::open(const std::string& input, Reporter& reporter) {
  reader_ = std::make_unique<data::TableReader>(opener_(input), schema_, reporter, options_.reading);
  file_columns_.assign(columns_.size(), 0);
  for (std::size_t column = 0; column < reader_->source().columns().size(); ++column) {
    const auto element = reader_->element_of(column);
    if (element >= 0) file_columns_[static_cast<std::size_t>(element)] = column;
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
      const std::int64_t input_rows = share->sizes[i];
      begin = std::clamp<std::int64_t>(share->first - first_row, 0, input_rows);
      end = std::clamp<std::int64_t>(share->end - first_row, 0, input_rows);
      if (begin == end) {
        first_row += input_rows;
        continue;
      }
    }
    open(options_.inputs[i], reporter_);
    data::TableReader& reader = *reader_;
    reader.skip(begin);
    {
      Ahead<Read> blocks(threads > 1 ? kBlocksAhead : 0, [&](Read& next) {
        const std::int64_t made = reader.rows();
        if (made == end || !reader.next(std::min(block_rows_, end - made), next.block, options_.keep_texts))
          return false;
        next.position = reader.source().position();
        return true;
      });
      while (blocks.next(read)) {
        throw_if_stopped("reading");
        for (auto& number : read.block.row_numbers) number += first_row;
        if (read.block.rows > 0) {
          block_ = &read.block;
          visit({model::to_batch(read.block), read.block.row_numbers, read.block.ids, read.block.labels,
                 read.block.problems, read.block.kept});
          block_ = nullptr;
        }
        reporter_.progress("bytes", read.position, reader.source().size());
      }
    }
    reporter_.progress_done();
    if (reader.rows() == 0 && !options_.allow_empty) throw without_rows(reader);
    if (bad_.count == 0) bad_.first = reader.first_bad_place();
    bad_.count += reader.bad_rows();
    reader.report(reporter_);
    first_row += options_.share ? options_.share->sizes[i] : reader.rows();
  }
}

std::vector<std::int64_t> TableStream::count(const std::function<void()>& visit) {
  SilentReporter silent;  // for_each() tells what there is to tell
  std::vector<std::int64_t> counts;
  for (const auto& input : options_.inputs) {
    open(input, silent);
    visit();
    counts.push_back(reader_->skip(std::numeric_limits<std::int64_t>::max()));
    if (counts.back() == 0 && !options_.allow_empty) throw without_rows(*reader_);
  }
  reader_.reset();
  return counts;
}

std::string TableStream::observed_text(std::int64_t sample, std::size_t element) const {
  return cell_text(block_->raw(sample, file_columns_[element]));
}

// Enough digits to tell a millionth of the column's spread, no more, unless its own are asked for; a category by its
// level's name.
std::string TableStream::value_text(std::size_t element, double value, Digits wanted) const {
  constexpr double kLargestFixed = 1e15;  // beyond, a double tells no decimals
  const data::Column& column = *columns_[element];
  if (column.role == data::Role::categorical) return data::element_text(column, value);
  const double plain = column.scaler.unscale(value);
  const bool own =
      column.decimals && (wanted == Digits::whole_too || (wanted == Digits::of_column && *column.decimals > 0));
  if (own && std::abs(plain) < kLargestFixed) {
    char fixed[40];
    std::snprintf(fixed, sizeof fixed, "%.*f", *column.decimals, plain);
    const std::string_view digits = fixed;
    const bool minus_zero = digits.find_first_not_of("-0.") == std::string_view::npos && digits.front() == '-';
    return written(std::string(minus_zero ? digits.substr(1) : digits));
  }
  const double spread = column.scaler.spread() > 0 ? column.scaler.spread() : 1;
  const double whole_digits = std::log10(std::max(1.0, std::abs(plain) / spread));
  const int digits = std::clamp(7 + static_cast<int>(std::ceil(whole_digits)), 7, 17);
  char text[40];
  std::snprintf(text, sizeof text, "%.*g", digits, plain);
  return written(text);
}

// With the decimal mark of the model's tables.
std::string TableStream::written(std::string number) const {
  std::ranges::replace(number, '.', schema_.numbers.decimal);
  return number;
}

// The table's text around and between the cells, copied from the input.
class TableStream::Copy final : public SampleCopy {
 public:
  Copy(const TableStream& stream, Output& output, std::vector<std::string> extra_columns, Digits digits)
      : stream_(stream), output_(output), extra_columns_(std::move(extra_columns)), digits_(digits) {}

  void add(std::int64_t sample, const Replaced& replaced, std::initializer_list<double> extra) override {
    const data::TableReader& reader = *stream_.reader_;
    if (&reader != reader_) begin(reader);
    for (std::size_t column = 0; column < columns_; ++column) {
      if (column > 0) text_ += delimiter_;
      const auto element = reader.element_of(column);
      const auto value = element < 0 ? std::nullopt : replaced(static_cast<std::size_t>(element));
      if (value) {
        append_csv_field(text_, stream_.value_text(static_cast<std::size_t>(element), *value, digits_), delimiter_);
      } else {
        text_ += stream_.block_->raw(sample, column);
      }
    }
    for (const double number : extra) {
      text_ += delimiter_;
      append_csv_field(text_, stream_.written(number_text(number)), delimiter_);
    }
    text_ += line_end_;
  }

  void add_unread(std::int64_t sample) override {
    const data::TableReader& reader = *stream_.reader_;
    if (&reader != reader_) begin(reader);
    bool any = false;
    for (std::size_t column = 0; column < columns_; ++column) any = any || !stream_.block_->raw(sample, column).empty();
    if (!any) return;
    for (std::size_t column = 0; column < columns_; ++column) {
      if (column > 0) text_ += delimiter_;
      text_ += stream_.block_->raw(sample, column);
    }
    text_.append(extra_columns_.size(), delimiter_) += line_end_;
  }

  void flush() override {
    if (reader_ == nullptr) begin(*stream_.reader_);
    output_.write(text_);
    output_.flush();
    text_.clear();
  }

 private:
  // Writes the header of the first input, and takes over the layout of each.
  void begin(const data::TableReader& reader) {
    const auto& layout = reader.source().layout();
    const bool first = reader_ == nullptr;
    reader_ = &reader;
    delimiter_ = layout.delimiter;
    line_end_ = layout.line_end;
    columns_ = reader.source().columns().size();
    if (!first) return;
    if (!layout.header) {
      text_ += layout.preamble;
      return;
    }
    text_ += header_line(layout, reader.source().columns());
    for (const auto& name : extra_columns_) text_ += delimiter_ + name;
    text_ += line_end_;
  }

  const TableStream& stream_;
  Output& output_;
  std::vector<std::string> extra_columns_;
  Digits digits_;
  std::string text_;
  const data::TableReader* reader_ = nullptr;  // whose layout is ours
  char delimiter_ = ',';
  std::string line_end_ = "\n";
  std::size_t columns_ = 0;
};

std::unique_ptr<SampleCopy> TableStream::copy(Output& output, std::vector<std::string> extra_columns, Digits digits) {
  return std::make_unique<Copy>(*this, output, std::move(extra_columns), digits);
}

}  // namespace ae::recipe
