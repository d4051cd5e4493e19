#include "data/bytes/npy.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <type_traits>
#include <utility>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/bytes/recognise.hpp"
#include "data/bytes/zip.hpp"

namespace ae::data {
namespace {

constexpr std::string_view kNpyMagic = "\x93NUMPY";
constexpr std::size_t kMaxHeader = 1 << 20;  // NumPy itself writes less than 10,000 bytes for plain dtypes

InputError bad_header(const std::string& name, const std::string& what) {
  return InputError(name + ": NPY header: " + what + "; write the array with numpy.save");
}

// The header is a Python dict literal of three known keys: this reads exactly that and evaluates nothing.
class HeaderText {
 public:
  HeaderText(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  NpyHeader parse() {
    NpyHeader header;
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

template <typename T, bool swapped>
NpyElement element_type_in_order() {
  return {sizeof(T), [](const char* bytes) { return value_of(load<T, swapped>(bytes)); },
          [](std::string& out, const char* bytes) { append_text(out, load<T, swapped>(bytes)); }};
}

template <typename T>
NpyElement element_type(bool swapped) {
  return swapped ? element_type_in_order<T, true>() : element_type_in_order<T, false>();
}

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

// The only array, or the only one of the wanted dimensions.
const ZipMember& obvious_array(const std::shared_ptr<RandomAccess>& file, const std::vector<ZipMember>& arrays,
                               const NpyWanted& wanted) {
  if (arrays.size() == 1) return arrays.front();
  const ZipMember* only = nullptr;
  std::vector<std::string> shapes;
  int tables = 0;
  for (const ZipMember& member : arrays) {
    const NpyHeader header = read_npy_header(*open_zip_member(file, member));
    shapes.push_back(array_name(member) + " " + npy_shape_text(header.shape));
    if (header.shape.size() < wanted.fewest_dimensions || header.shape.size() > wanted.most_dimensions) continue;
    only = &member;
    ++tables;
  }
  if (tables == 1) return *only;
  throw InputError(file->name() + ": " + (tables == 0 ? "none" : std::to_string(tables)) + " of its arrays " +
                   (tables == 0 ? "has " : "have ") + wanted.text + ": " + ae::join(shapes) +
                   "; choose one with /data/array");
}

InputError no_arrays(const std::string& name, const std::vector<ZipMember>& members) {
  std::vector<std::string> names;
  for (const ZipMember& member : members) names.push_back(member.name);
  if (const FileType* type = recognise_archive(names)) return wrong_kind(name, *type, "", "an NPZ archive of NumPy");
  return InputError(name +
                    ": a ZIP archive without arrays; expected an NPZ archive of NumPy; write it with numpy.savez");
}

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

bool begins_npy(std::string_view head) { return head.starts_with(kNpyMagic); }

std::string_view npy_kind(const std::vector<std::uint64_t>& shape) {
  constexpr std::array<std::string_view, 5> kKinds{"", "table", "table", "images", "images"};
  return shape.size() < kKinds.size() ? kKinds[shape.size()] : "";
}

NpyHeader read_npy_header(ByteSource& source) {
  const std::string& name = source.name();
  std::array<char, 12> start = {};
  const std::size_t got = read_fully(source, start.data(), 10);
  const std::string_view magic(start.data(), std::min(got, kNpyMagic.size()));
  if (got == 0) throw InputError(name + ": the file is empty; expected an NPY array");
  if (magic != kNpyMagic) throw InputError(name + ": not an NPY file: it does not begin with \"\\x93NUMPY\"");
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
  NpyHeader header = HeaderText(text, name).parse();
  header.bytes = begin + length;
  return header;
}

std::optional<NpyElement> find_npy_element(std::string_view type) {
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

std::string npy_shape_text(const std::vector<std::uint64_t>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text.append(i ? ", " : "").append(std::to_string(shape[i]));
  return text += shape.size() == 1 ? ",)" : ")";
}

std::unique_ptr<ByteSource> open_npz_array(std::unique_ptr<RandomAccess> opened, const std::string& array,
                                           const NpyWanted& wanted) {
  const std::shared_ptr<RandomAccess> file = std::move(opened);
  const std::vector<ZipMember> members = read_zip_directory(*file);
  std::vector<ZipMember> arrays;
  std::ranges::copy_if(members, std::back_inserter(arrays),
                       [](const ZipMember& member) { return member.name.ends_with(".npy"); });
  if (arrays.empty()) throw no_arrays(file->name(), members);
  return open_zip_member(
      file, array.empty() ? obvious_array(file, arrays, wanted) : named_array(arrays, array, file->name()));
}

std::string npy_header(NpyFloat type, std::span<const std::int64_t> shape) {
  std::string sizes;
  for (const auto size : shape) sizes += (sizes.empty() ? "" : ", ") + std::to_string(size);
  std::string text = std::string("{'descr': '") + (type == NpyFloat::f4 ? "<f4" : "<f8") +
                     "', 'fortran_order': False, 'shape': (" + sizes + (shape.size() == 1 ? "," : "") + "), }";
  constexpr std::size_t start = 10, alignment = 64;
  while ((start + text.size() + 1) % alignment != 0) text += ' ';
  text += '\n';
  std::string header(kNpyMagic);
  header.append({'\1', '\0', static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)});
  return header + text;
}

std::string npy_header(NpyFloat type, std::int64_t rows, std::int64_t columns) {
  return npy_header(type, std::array{rows, columns});
}

std::string to_npy(std::span<const float> values, std::int64_t rows, std::int64_t columns) {
  return to_npy_bytes(NpyFloat::f4, values, rows, columns);
}
std::string to_npy(std::span<const double> values, std::int64_t rows, std::int64_t columns) {
  return to_npy_bytes(NpyFloat::f8, values, rows, columns);
}

}  // namespace ae::data
