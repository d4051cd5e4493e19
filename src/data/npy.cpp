#include "data/npy.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/zip.hpp"

namespace ae::data {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kMaxHeader = 1 << 20;  // NumPy itself writes less than 10,000 bytes for plain dtypes
constexpr std::uint64_t kMaxColumns = 4 << 20;
constexpr std::size_t kBlock = 256 * 1024;

InputError bad_header(const std::string& name, const std::string& what) {
  return InputError(name + ": NPY header: " + what + "; write the array with numpy.save");
}

// --- header ----------------------------------------------------------------------------------------------------------

struct Header {
  std::string type;  // "<f8"
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;
  std::size_t bytes = 0;  // up to the first element
};

// The header is a Python dict literal of three known keys: this reads exactly that and evaluates nothing.
class HeaderText {
 public:
  HeaderText(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  Header parse() {
    Header header;
    bool has_type = false, has_order = false, has_shape = false;
    expect('{');
    while (!take('}')) {
      const std::string key = string();
      expect(':');
      if (key == "descr" && !std::exchange(has_type, true))
        header.type = type();
      else if (key == "fortran_order" && !std::exchange(has_order, true))
        header.fortran_order = boolean();
      else if (key == "shape" && !std::exchange(has_shape, true))
        header.shape = shape();
      else
        throw bad_header(name_, "unknown or repeated key " + ae::quoted(key));
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    skip_blanks();
    if (!text_.empty()) throw bad_header(name_, "unexpected " + ae::quoted(text_) + " behind the dictionary");
    if (!has_type || !has_order || !has_shape)
      throw bad_header(name_, "expected the keys descr, fortran_order and shape");
    return header;
  }

 private:
  void skip_blanks() {
    while (!text_.empty() && (text_.front() == ' ' || text_.front() == '\n')) text_.remove_prefix(1);
  }
  bool take(char c) {
    skip_blanks();
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (take(c)) return;
    throw bad_header(name_, "found " + ae::quoted(text_) + ", expected \"" + c + "\"");
  }
  bool take_word(std::string_view word) {
    skip_blanks();
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }

  std::string string() {
    const char quote = take('"') ? '"' : '\'';
    if (quote == '\'') expect('\'');
    const std::size_t end = text_.find(quote);
    if (end == std::string_view::npos) throw bad_header(name_, "a string without its end");
    std::string value(text_.substr(0, end));
    text_.remove_prefix(end + 1);
    return value;
  }
  std::string type() {
    skip_blanks();
    if (text_.starts_with('['))
      throw InputError(name_ + ": a structured array; expected a plain 2-D array of numbers; select fields in NumPy");
    return string();
  }
  bool boolean() {
    if (take_word("True")) return true;
    if (take_word("False")) return false;
    throw bad_header(name_, "found " + ae::quoted(text_) + ", expected True or False");
  }
  std::vector<std::uint64_t> shape() {
    std::vector<std::uint64_t> sizes;
    expect('(');
    while (!take(')')) {
      skip_blanks();
      std::uint64_t size = 0;
      const auto [rest, error] = std::from_chars(text_.data(), text_.data() + text_.size(), size);
      if (error != std::errc()) throw bad_header(name_, "found " + ae::quoted(text_) + ", expected a size");
      text_.remove_prefix(static_cast<std::size_t>(rest - text_.data()));
      take('L');  // Python 2's long integers
      sizes.push_back(size);
      if (!take(',')) {
        expect(')');
        break;
      }
    }
    return sizes;
  }

  std::string_view text_;
  const std::string& name_;
};

Header read_header(ByteSource& source) {
  const std::string& name = source.name();
  std::array<char, 12> start = {};
  const std::size_t got = read_fully(source, start.data(), 10);
  const std::string_view magic(start.data(), std::min(got, kMagic.size()));
  if (got == 0) throw InputError(name + ": the file is empty; expected an NPY array");
  if (magic != kMagic) throw InputError(name + ": not an NPY file: it does not begin with \"\\x93NUMPY\"");
  const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(start[i])); };
  if (got < 10) throw bad_header(name, "the file ends inside it");
  const std::size_t version = byte(6);
  if (version < 1 || version > 3)
    throw InputError(name + ": NPY version " + std::to_string(version) + "; expected 1, 2 or 3");
  std::size_t length = byte(8) | byte(9) << 8;
  std::size_t begin = 10;
  if (version > 1) {
    if (read_fully(source, start.data() + 10, 2) != 2) throw bad_header(name, "the file ends inside it");
    length |= byte(10) << 16 | byte(11) << 24;
    begin = 12;
  }
  if (length > kMaxHeader) throw bad_header(name, std::to_string(length) + " bytes long, expected at most 1 MiB");
  std::string text(length, '\0');
  if (read_fully(source, text.data(), length) != length) throw bad_header(name, "the file ends inside it");
  Header header = HeaderText(text, name).parse();
  header.bytes = begin + length;
  return header;
}

// --- elements --------------------------------------------------------------------------------------------------------

struct Half {
  std::uint16_t bits;
};

// IEEE 754 binary16.
double value_of(Half half) {
  const int exponent = half.bits >> 10 & 31;
  const int fraction = half.bits & 1023;
  double value = std::ldexp(exponent == 0 ? fraction : fraction + 1024, std::max(exponent, 1) - 25);
  if (exponent == 31)
    value = fraction ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
  return half.bits & 0x8000 ? -value : value;
}
double value_of(bool value) { return value ? 1 : 0; }
template <typename T>
double value_of(T value) {
  return static_cast<double>(value);
}

template <typename T, bool swapped>
T load(const char* bytes) {
  std::array<char, sizeof(T)> ordered;
  std::memcpy(ordered.data(), bytes, sizeof(T));
  if constexpr (swapped) std::reverse(ordered.begin(), ordered.end());
  if constexpr (std::is_same_v<T, bool>)
    return ordered[0] != 0;
  else
    return std::bit_cast<T>(ordered);
}

template <typename T>
void append_text(std::string& out, T value) {
  if constexpr (std::is_same_v<T, Half>) {
    append_text(out, static_cast<float>(value_of(value)));  // every binary16 number is a binary32 number
  } else if constexpr (std::is_same_v<T, double>) {
    append_number(out, value);
  } else if constexpr (std::is_same_v<T, float>) {
    if (!std::isfinite(value)) return append_number(out, value);
    std::array<char, 40> buffer;
    const float magnitude = std::abs(value);
    const bool plain = magnitude >= 1e-5f && magnitude < 1e15f;
    char* const end = buffer.data() + buffer.size();
    const auto result = plain ? std::to_chars(buffer.data(), end, value, std::chars_format::fixed)
                              : std::to_chars(buffer.data(), end, value);
    out.append(buffer.data(), result.ptr);
  } else if constexpr (std::is_same_v<T, bool>) {
    out += value ? '1' : '0';
  } else {
    out += std::to_string(value);
  }
}

struct ElementType {
  std::size_t size = 0;
  double (*number)(const char*) = nullptr;
  void (*text)(std::string&, const char*) = nullptr;
};

template <typename T, bool swapped>
ElementType element_type_in_order() {
  return {sizeof(T), [](const char* bytes) { return value_of(load<T, swapped>(bytes)); },
          [](std::string& out, const char* bytes) { append_text(out, load<T, swapped>(bytes)); }};
}

template <typename T>
ElementType element_type(bool swapped) {
  return swapped ? element_type_in_order<T, true>() : element_type_in_order<T, false>();
}

std::optional<ElementType> find_element_type(std::string_view type) {
  if (type.size() < 2 || std::string_view("<>=|").find(type[0]) == std::string_view::npos) return std::nullopt;
  constexpr bool little_host = std::endian::native == std::endian::little;
  const bool swapped = type[0] == (little_host ? '>' : '<');
  const std::string_view kind = type.substr(1);
  if (type[0] == '|' && !kind.ends_with('1')) return std::nullopt;  // "no byte order" is for single bytes
  if (kind == "f2") return element_type<Half>(swapped);
  if (kind == "f4") return element_type<float>(swapped);
  if (kind == "f8") return element_type<double>(swapped);
  if (kind == "i1") return element_type<std::int8_t>(swapped);
  if (kind == "i2") return element_type<std::int16_t>(swapped);
  if (kind == "i4") return element_type<std::int32_t>(swapped);
  if (kind == "i8") return element_type<std::int64_t>(swapped);
  if (kind == "u1") return element_type<std::uint8_t>(swapped);
  if (kind == "u2") return element_type<std::uint16_t>(swapped);
  if (kind == "u4") return element_type<std::uint32_t>(swapped);
  if (kind == "u8") return element_type<std::uint64_t>(swapped);
  if (kind == "b1") return element_type<bool>(swapped);
  return std::nullopt;
}

std::string shape_text(const std::vector<std::uint64_t>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text.append(i ? ", " : "").append(std::to_string(shape[i]));
  return text += shape.size() == 1 ? ",)" : ")";
}

// What the header means, checked.
struct Array {
  ElementType type;
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;
  bool by_columns = false;  // Fortran order
  std::uint64_t header_bytes = 0;
  std::uint64_t row_bytes = 0;
  std::uint64_t bytes = 0;
};

Array check(const Header& header, const std::string& name) {
  Array array;
  const auto type = find_element_type(header.type);
  if (!type && header.type.find('O') != std::string::npos)
    throw InputError(name +
                     ": an array of Python objects (a pickle, which is never executed); expected numbers; "
                     "convert it in NumPy, for example with astype(\"float32\")");
  if (!type)
    throw InputError(name + ": dtype " + ae::quoted(header.type) +
                     "; expected a real number type (f2 f4 f8 i1..i8 u1..u8 b1); convert it in NumPy with astype, or "
                     "write text as CSV");
  if (header.shape.empty() || header.shape.size() > 2)
    throw InputError(name + ": an array of shape " + shape_text(header.shape) +
                     "; expected (rows, columns) or (rows,); reshape it in NumPy");
  array.type = *type;
  array.rows = header.shape[0];
  array.columns = header.shape.size() == 2 ? header.shape[1] : 1;
  array.by_columns = header.fortran_order && array.columns > 1;
  array.header_bytes = header.bytes;
  if (array.columns == 0 || array.columns > kMaxColumns)
    throw InputError(name + ": an array of shape " + shape_text(header.shape) + "; expected 1 to " +
                     std::to_string(kMaxColumns) + " columns");
  array.row_bytes = array.columns * array.type.size;
  if (array.rows > std::numeric_limits<std::int64_t>::max() / array.row_bytes)
    throw InputError(name + ": an array of impossible shape " + shape_text(header.shape));
  array.bytes = array.rows * array.row_bytes;
  return array;
}

// --- rows ------------------------------------------------------------------------------------------------------------

class NpyRows final : public RowSource {
 public:
  explicit NpyRows(std::unique_ptr<ByteSource> source) : source_(std::move(source)) {
    array_ = check(read_header(*source_), name());
    check_content_size();
    for (std::uint64_t i = 0; i < array_.columns; ++i) columns_.emplace_back("f").append(std::to_string(i));
    for (const std::string& column : columns_) layout_.raw_header.append(column).append(",");
    layout_.raw_header.pop_back();
    if (array_.by_columns)
      load_whole();
    else
      buffer_.resize(static_cast<std::size_t>(std::max<std::uint64_t>(2 * array_.row_bytes, kBlock)));
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

// --- archives --------------------------------------------------------------------------------------------------------

std::string array_name(const ZipMember& member) { return member.name.substr(0, member.name.size() - 4); }

std::vector<std::string> array_names(const std::vector<ZipMember>& arrays) {
  std::vector<std::string> names;
  for (const ZipMember& member : arrays) names.push_back(array_name(member));
  return names;
}

const ZipMember& named_array(const std::vector<ZipMember>& arrays, std::string wanted, const std::string& file) {
  if (wanted.ends_with(".npy")) wanted.resize(wanted.size() - 4);
  for (const ZipMember& member : arrays)
    if (array_name(member) == wanted) return member;
  const auto names = array_names(arrays);
  throw UsageError("/data/array: no array " + ae::quoted(wanted) + " in " + file + did_you_mean(wanted, names) +
                   "; expected one of " + ae::join(names));
}

// What an array is to be: a table or a stack of images.
struct Wanted {
  std::size_t fewest_dimensions;
  std::size_t most_dimensions;
  const char* text;
};
constexpr Wanted kTable{2, 2, "two dimensions"};
constexpr Wanted kStack{3, 4, "three or four dimensions"};

// The only array, or the only one of the wanted dimensions.
const ZipMember& obvious_array(const std::shared_ptr<RandomAccess>& file, const std::vector<ZipMember>& arrays,
                               const Wanted& wanted) {
  if (arrays.size() == 1) return arrays.front();
  const ZipMember* only = nullptr;
  std::vector<std::string> shapes;
  int tables = 0;
  for (const ZipMember& member : arrays) {
    const Header header = read_header(*open_zip_member(file, member));
    shapes.push_back(array_name(member) + " " + shape_text(header.shape));
    if (header.shape.size() < wanted.fewest_dimensions || header.shape.size() > wanted.most_dimensions) continue;
    only = &member;
    ++tables;
  }
  if (tables == 1) return *only;
  throw InputError(file->name() + ": " + (tables == 0 ? "none" : std::to_string(tables)) + " of its arrays has " +
                   wanted.text + ": " + ae::join(shapes) + "; choose one with /data/array");
}

std::unique_ptr<ByteSource> open_array(std::unique_ptr<RandomAccess> opened, const std::string& array,
                                       const Wanted& wanted) {
  const std::shared_ptr<RandomAccess> file = std::move(opened);
  std::vector<ZipMember> arrays = read_zip_directory(*file);
  std::erase_if(arrays, [](const ZipMember& member) { return !member.name.ends_with(".npy"); });
  if (arrays.empty())
    throw InputError(file->name() +
                     ": a ZIP archive without arrays; expected an NPZ file of NumPy (a spreadsheet: "
                     "export it as CSV)");
  return open_zip_member(
      file, array.empty() ? obvious_array(file, arrays, wanted) : named_array(arrays, array, file->name()));
}

// --- stacks of images ------------------------------------------------------------------------------------------------

class StackReader {
 public:
  explicit StackReader(std::unique_ptr<ByteSource> source) : source_(std::move(source)) {}

  // `file`: where the source's bytes can be read anywhere; null when they cannot.
  NpyStack read(const std::shared_ptr<RandomAccess>& file) {
    const Header header = read_header(*source_);
    const std::string& name = source_->name();
    const auto kind = header.type.size() == 3 ? header.type.substr(1) : std::string();
    const auto type = find_element_type(header.type);
    if (!type || std::string_view("u1 u2 b1 f2 f4 f8").find(kind) == std::string_view::npos || kind.empty()) {
      throw InputError(name + ": dtype " + ae::quoted(header.type) +
                       "; expected pixels of type u1, u2, b1, f2, f4 or f8; convert them in NumPy with astype");
    }
    if (header.shape.size() != 3 && header.shape.size() != 4) {
      throw InputError(name + ": an array of shape " + shape_text(header.shape) +
                       "; expected (images, height, width) or (images, height, width, channels)");
    }
    if (header.fortran_order) {
      throw InputError(name + ": an array in Fortran order; write it with numpy.ascontiguousarray");
    }
    std::uint64_t elements = 1;
    for (const std::uint64_t size : header.shape) {
      if (size == 0 || elements > kMostElements / size) {
        throw InputError(name + ": an array of impossible shape " + shape_text(header.shape));
      }
      elements *= size;
    }
    const std::uint64_t channels = header.shape.size() == 4 ? header.shape[3] : 1;
    if (channels > kMostChannels) {
      throw InputError(name + ": " + std::to_string(channels) + " channels in shape " + shape_text(header.shape) +
                       ", expected at most " + std::to_string(kMostChannels) + ", in the last dimension");
    }
    NpyStack stack;
    stack.images = static_cast<std::int64_t>(header.shape[0]);
    stack.height = static_cast<std::int64_t>(header.shape[1]);
    stack.width = static_cast<std::int64_t>(header.shape[2]);
    stack.channels = static_cast<std::int64_t>(channels);
    stack.type = kind == "u2" ? PixelType::u16 : kind[0] == 'f' ? PixelType::f32 : PixelType::u8;
    const bool native = header.type.front() == (std::endian::native == std::endian::little ? '<' : '>');
    if (file && (kind == "u1" || ((native || header.type.front() == '=') && (kind == "u2" || kind == "f4")))) {
      stack.file = file;
      stack.offset = header.bytes;
      check_in_place(stack, elements);
    } else {
      convert(*type, kind, elements, stack);
    }
    return stack;
  }

 private:
  static constexpr std::uint64_t kMostElements = 1ull << 36;
  static constexpr std::uint64_t kMostChannels = 64;

  // Piece by piece, so that no more memory is taken than there are bytes in the file.
  void convert(const ElementType& type, const std::string& kind, std::uint64_t elements, NpyStack& stack) {
    std::vector<char> piece(kBlock / 8 * type.size);
    const std::uint64_t in_piece = piece.size() / type.size;
    for (std::uint64_t done = 0; done < elements;) {
      const std::uint64_t count = std::min(in_piece, elements - done);
      const std::size_t bytes = static_cast<std::size_t>(count) * type.size;
      if (read_fully(*source_, piece.data(), bytes) != bytes) {
        throw too_short(elements);
      }
      for (std::uint64_t i = 0; i < count; ++i) append(type, kind, piece.data() + i * type.size, done + i, stack);
      done += count;
    }
    char beyond = 0;
    if (source_->read(&beyond, 1) != 0) throw too_long();
  }

  void check_in_place(const NpyStack& stack, std::uint64_t elements) {
    const std::uint64_t expected = elements * bytes_per_pixel(stack.type), found = stack.file->size() - stack.offset;
    if (found < expected) throw too_short(elements);
    if (found > expected) throw too_long();
    if (stack.type != PixelType::f32) return;
    std::vector<float> piece(kBlock / sizeof(float));
    for (std::uint64_t done = 0; done < elements;) {
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), elements - done));
      stack.file->read_at(stack.offset + done * sizeof(float), reinterpret_cast<char*>(piece.data()),
                          count * sizeof(float));
      for (std::size_t i = 0; i < count; ++i) {
        if (!std::isfinite(piece[i])) throw not_finite(piece[i], done + i, stack);
      }
      done += count;
    }
  }

  InputError too_short(std::uint64_t elements) const {
    return InputError(source_->name() + ": the file ends too early: expected " + std::to_string(elements) +
                      " elements behind the header; copy or write it again");
  }
  InputError too_long() const {
    return InputError(source_->name() + ": bytes behind the array's end; write one array a file, or several as NPZ");
  }
  InputError not_finite(double value, std::uint64_t element, const NpyStack& stack) const {
    const auto per_image = static_cast<std::uint64_t>(stack.height * stack.width * stack.channels);
    return InputError(source_->name() + ": image " + std::to_string(element / per_image) + " holds " +
                      number_text(value) + "; expected finite pixels");
  }

  void append(const ElementType& type, const std::string& kind, const char* bytes, std::uint64_t element,
              NpyStack& stack) const {
    const double value = type.number(bytes);
    if (stack.type == PixelType::u8) {
      stack.bytes.push_back(static_cast<std::uint8_t>(kind == "b1" ? value * 255 : value));
    } else if (stack.type == PixelType::u16) {
      push(static_cast<std::uint16_t>(value), stack.bytes);
    } else if (std::isfinite(value)) {
      push(static_cast<float>(value), stack.bytes);
    } else {
      throw not_finite(value, element, stack);
    }
  }

  template <typename T>
  static void push(T value, std::vector<std::uint8_t>& bytes) {
    const auto raw = std::bit_cast<std::array<std::uint8_t, sizeof(T)>>(value);
    bytes.insert(bytes.end(), raw.begin(), raw.end());
  }

  std::unique_ptr<ByteSource> source_;
};

template <typename T>
std::string to_npy_bytes(NpyFloat type, std::span<const T> values, std::int64_t rows, std::int64_t columns) {
  std::string bytes = npy_header(type, rows, columns);
  [[maybe_unused]] const std::size_t begin = bytes.size();
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  if constexpr (std::endian::native == std::endian::big)
    for (std::size_t i = begin; i < bytes.size(); i += sizeof(T))
      std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(i),
                   bytes.begin() + static_cast<std::ptrdiff_t>(i + sizeof(T)));
  return bytes;
}

}  // namespace

std::unique_ptr<RowSource> open_npy(std::unique_ptr<ByteSource> source) {
  return std::make_unique<NpyRows>(std::move(source));
}

std::unique_ptr<RowSource> open_npz(std::unique_ptr<RandomAccess> opened, const std::string& array) {
  return open_npy(open_array(std::move(opened), array, kTable));
}

NpyStack read_npy_stack(std::unique_ptr<ByteSource> source) { return StackReader(std::move(source)).read(nullptr); }

NpyStack open_npy_stack(std::shared_ptr<RandomAccess> file) { return StackReader(from_the_beginning(file)).read(file); }

void NpyStack::read(std::int64_t image, std::uint8_t* to) const {
  const std::size_t size = image_bytes();
  const auto from = static_cast<std::uint64_t>(image) * size;
  if (file) return file->read_at(offset + from, reinterpret_cast<char*>(to), size);
  std::memcpy(to, bytes.data() + from, size);
}

NpyStack read_npz_stack(std::unique_ptr<RandomAccess> opened, const std::string& array) {
  return read_npy_stack(open_array(std::move(opened), array, kStack));
}

std::string npy_header(NpyFloat type, std::int64_t rows, std::int64_t columns) {
  std::string text = std::string("{'descr': '") + (type == NpyFloat::f4 ? "<f4" : "<f8") +
                     "', 'fortran_order': False, 'shape': (" + std::to_string(rows) + ", " + std::to_string(columns) +
                     "), }";
  constexpr std::size_t start = 10, alignment = 64;
  while ((start + text.size() + 1) % alignment != 0) text += ' ';
  text += '\n';
  std::string header(kMagic);
  header.append({'\1', '\0', static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)});
  return header + text;
}

std::string to_npy(std::span<const float> values, std::int64_t rows, std::int64_t columns) {
  return to_npy_bytes(NpyFloat::f4, values, rows, columns);
}
std::string to_npy(std::span<const double> values, std::int64_t rows, std::int64_t columns) {
  return to_npy_bytes(NpyFloat::f8, values, rows, columns);
}

}  // namespace ae::data
