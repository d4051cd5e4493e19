#include "data/tables/npy_rows.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/bytes/npy.hpp"
#include "data/bytes/recognise.hpp"

namespace ae::data {
namespace {

constexpr std::uint64_t kMaxColumns = 4 << 20;
constexpr std::size_t kNpyBlock = 256 * 1024;
constexpr NpyWanted kTable{2, 2, "two dimensions"};

// What the header means, checked.
struct Array {
  NpyElement type;
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;
  bool by_columns = false;  // Fortran order
  std::uint64_t header_bytes = 0;
  std::uint64_t row_bytes = 0;
  std::uint64_t bytes = 0;
};

// " to (60, 192)", of what each row would then hold; "" where that says nothing.
template <typename Shape>
std::string as_rows(const Shape& shape) {
  if (shape.size() < 3) return "";
  double columns = 1;
  for (std::size_t i = 1; i < shape.size(); ++i) columns *= static_cast<double>(shape[i]);
  if (columns < 1 || columns > static_cast<double>(kMaxColumns)) return "";
  return " to (" + std::to_string(shape[0]) + ", " + std::to_string(static_cast<std::int64_t>(columns)) + ")";
}

Array check(const NpyHeader& header, const std::string& name) {
  Array array;
  const auto type = find_npy_element(header.type);
  if (!type && header.type.find('O') != std::string::npos)
    throw InputError(name +
                     ": an array of Python objects (a pickle, which is never executed); expected numbers; "
                     "convert it in NumPy, for example with astype(\"float32\")");
  if (!type)
    throw InputError(name + ": dtype " + ae::quoted(header.type) +
                     "; expected a real number type (f2 f4 f8 i1..i8 u1..u8 b1); convert it in NumPy with astype, or "
                     "write text as CSV");
  if (header.shape.empty() || header.shape.size() > 2)
    throw InputError(name + ": an array of shape " + npy_shape_text(header.shape) +
                     "; expected (rows, columns) or (rows,); reshape it in NumPy" + as_rows(header.shape) +
                     (npy_kind(header.shape) == "images" ? "; if it is a stack of images, " + for_type("images") : ""));
  array.type = *type;
  array.rows = header.shape[0];
  array.columns = header.shape.size() == 2 ? header.shape[1] : 1;
  array.by_columns = header.fortran_order && array.columns > 1;
  array.header_bytes = header.bytes;
  if (array.columns == 0 || array.columns > kMaxColumns)
    throw InputError(name + ": an array of shape " + npy_shape_text(header.shape) + "; expected 1 to " +
                     std::to_string(kMaxColumns) + " columns");
  array.row_bytes = array.columns * array.type.size;
  if (array.rows > std::numeric_limits<std::int64_t>::max() / array.row_bytes)
    throw InputError(name + ": an array of impossible shape " + npy_shape_text(header.shape));
  array.bytes = array.rows * array.row_bytes;
  return array;
}

class NpyRows final : public RowSource {
 public:
  explicit NpyRows(std::unique_ptr<ByteSource> source) : source_(std::move(source)) {
    array_ = check(read_npy_header(*source_), name());
    check_content_size();
    for (std::uint64_t i = 0; i < array_.columns; ++i) columns_.emplace_back("f").append(std::to_string(i));
    for (const std::string& column : columns_) layout_.raw_header.append(column).append(",");
    layout_.raw_header.pop_back();
    if (array_.by_columns)
      load_whole();
    else
      buffer_.resize(static_cast<std::size_t>(std::max<std::uint64_t>(2 * array_.row_bytes, kNpyBlock)));
  }

  const std::string& name() const override { return source_->name(); }
  const std::vector<std::string>& columns() const override { return columns_; }

  bool next() override {
    if (static_cast<std::uint64_t>(row_ + 1) >= array_.rows) {
      if (!array_.by_columns) check_end();
      return false;
    }
    if (!array_.by_columns) {
      if (row_ >= 0) begin_ += row_bytes();
      while (end_ - begin_ < row_bytes())
        if (!read_more(begin_)) throw truncated();
    }
    ++row_;
    return true;
  }

  std::int64_t row() const override { return row_; }
  bool has_numbers() const override { return true; }
  double number(std::size_t column) const override { return array_.type.number(element(column)); }

  std::string_view text(std::size_t column) const override {
    if (texts_.empty()) texts_.resize(columns_.size());
    auto& [row, text] = texts_[column];
    if (row != row_) {
      text.clear();
      array_.type.text(text, element(column));
      row = row_;
    }
    return text;
  }
  std::string_view raw(std::size_t column) const override { return text(column); }

  std::string where(std::size_t column) const override {
    return name() + ": row " + std::to_string(row_) + ", column " + ae::quoted(columns_[column]);
  }

  bool ready() override {
    if (array_.by_columns || ended_ || static_cast<std::uint64_t>(row_ + 1) >= array_.rows) return true;
    const std::size_t needed = (row_ >= 0 ? 2 : 1) * row_bytes();
    while (end_ - begin_ < needed && !ended_) {
      if (!source_->ready()) return false;
      read_more(begin_);
    }
    return true;
  }

  std::uint64_t position() const override { return source_->position(); }
  std::uint64_t size() const override { return source_->size(); }
  const Layout& layout() const override { return layout_; }

 private:
  std::size_t row_bytes() const { return static_cast<std::size_t>(array_.row_bytes); }

  const char* element(std::size_t column) const {
    if (!array_.by_columns) return buffer_.data() + begin_ + column * array_.type.size;
    return buffer_.data() + (column * array_.rows + static_cast<std::uint64_t>(row_)) * array_.type.size;
  }

  // Moves what is kept to the front and reads behind it; false at the end of the file.
  bool read_more(std::size_t keep_from) {
    if (keep_from > 0) {
      std::memmove(buffer_.data(), buffer_.data() + keep_from, end_ - keep_from);
      end_ -= keep_from;
      begin_ -= keep_from;
    }
    const std::size_t count = source_->read(buffer_.data() + end_, buffer_.size() - end_);
    end_ += count;
    ended_ = count == 0;
    return !ended_;
  }

  // In steps, so that no more memory is taken than there are bytes in the file.
  void load_whole() {
    constexpr std::uint64_t step = 1 << 20;
    while (buffer_.size() < array_.bytes) {
      const std::size_t filled = buffer_.size();
      buffer_.resize(static_cast<std::size_t>(std::min(array_.bytes, filled + std::max<std::uint64_t>(step, filled))));
      const std::size_t count = read_fully(*source_, buffer_.data() + filled, buffer_.size() - filled);
      if (filled + count < buffer_.size()) throw truncated();
    }
    char beyond = 0;
    if (source_->read(&beyond, 1) != 0) throw too_long();
  }

  void check_content_size() const {
    const auto content = source_->content_size();
    if (!content) return;
    if (*content < array_.header_bytes + array_.bytes) throw truncated();
    if (*content > array_.header_bytes + array_.bytes) throw too_long();
  }

  void check_end() {
    const std::size_t used = row_ >= 0 ? row_bytes() : 0;
    if (end_ - begin_ > used) throw too_long();
    char beyond = 0;
    if (!ended_ && source_->read(&beyond, 1) != 0) throw too_long();
    ended_ = true;
  }

  InputError truncated() const {
    return InputError(name() + ": the file ends too early: expected " + std::to_string(array_.rows) + " rows of " +
                      std::to_string(array_.row_bytes) + " bytes behind the header; copy or write it again");
  }
  InputError too_long() const {
    return InputError(name() + ": bytes behind the array's end: expected " + std::to_string(array_.rows) + " rows of " +
                      std::to_string(array_.row_bytes) + " bytes; write one array a file, or several as NPZ");
  }

  std::unique_ptr<ByteSource> source_;
  Array array_;
  Layout layout_;
  std::vector<std::string> columns_;
  std::vector<char> buffer_;  // Fortran order: the array; else some rows
  std::size_t begin_ = 0;     // of the current row
  std::size_t end_ = 0;
  bool ended_ = false;
  std::int64_t row_ = -1;
  struct Text {
    std::int64_t row = -1;
    std::string text;
  };
  mutable std::vector<Text> texts_;
};

}  // namespace

std::unique_ptr<RowSource> open_npy(std::unique_ptr<ByteSource> source) {
  return std::make_unique<NpyRows>(std::move(source));
}

std::unique_ptr<RowSource> open_npz(std::unique_ptr<RandomAccess> opened, const std::string& array) {
  return open_npy(open_npz_array(std::move(opened), array, kTable));
}

}  // namespace ae::data
