#include "data/bytes/safetensors.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <stdexcept>
#include <utility>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"

namespace ae::data {
namespace {

static_assert(std::endian::native == std::endian::little, "tensor bytes are copied as they are");

constexpr std::uint64_t prefix_size = 8;
constexpr std::uint64_t max_header_size = 100'000'000;  // the format's own limit
constexpr std::uint64_t max_file_size = 1ull << 36;
constexpr std::string_view metadata_key = "__metadata__";
constexpr const char* digest_key = "sha256";

struct DtypeRow {
  Dtype dtype;
  std::string_view name;
  std::size_t size;
};
constexpr std::array<DtypeRow, 4> dtypes = {
    {{Dtype::f32, "F32", 4}, {Dtype::f64, "F64", 8}, {Dtype::i64, "I64", 8}, {Dtype::u8, "U8", 1}}};

const DtypeRow& row_of(Dtype dtype) {
  return *std::find_if(dtypes.begin(), dtypes.end(), [=](const DtypeRow& row) { return row.dtype == dtype; });
}

// Bytes of an array of this shape; nullopt when the number overflows.
std::optional<std::uint64_t> byte_count(Dtype dtype, std::span<const std::int64_t> shape) {
  std::uint64_t count = dtype_size(dtype);
  for (const std::int64_t extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(count, static_cast<std::uint64_t>(extent), &count)) return std::nullopt;
  }
  return count;
}

// What the header says about one tensor, checked for form only.
struct Entry {
  std::optional<Dtype> dtype;
  std::optional<std::vector<std::int64_t>> shape;
  std::optional<std::vector<std::uint64_t>> offsets;  // from the end of the header
};

struct TensorHeader {
  std::map<std::string, std::string> metadata;
  std::map<std::string, Entry> entries;
};

// Reads the header event by event: a document tree would accept duplicate keys and any nesting.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(std::string_view file_name) : file_name_(file_name) {}

  TensorHeader take() && { return std::move(header_); }

  bool null() override { refuse("null"); }
  bool boolean(bool value) override { refuse(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override { refuse(std::to_string(value)); }  // only negative ones
  bool number_float(number_float_t, const string_t& text) override { refuse(text); }
  bool binary(binary_t&) override { refuse("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::shape && value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      entry_->shape->push_back(static_cast<std::int64_t>(value));
    } else if (place_ == Place::offsets && entry_->offsets->size() < 2) {
      entry_->offsets->push_back(value);
    } else {
      refuse(std::to_string(value));
    }
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == Place::metadata) {
      *metadata_value_ = std::move(value);
      return true;
    }
    if (place_ != Place::tensor || field_ != "dtype") refuse(ae::quoted(value));
    for (const DtypeRow& row : dtypes) {
      if (row.name == value) entry_->dtype = row.dtype;
    }
    if (!entry_->dtype) refuse(ae::quoted(value));
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::document) {
      place_ = Place::header;
    } else if (place_ == Place::header) {
      place_ = name_ == metadata_key ? Place::metadata : Place::tensor;
    } else {
      refuse("an object");
    }
    return true;
  }

  bool key(string_t& key) override {
    if (place_ == Place::header) {
      begin_entry(key);
    } else if (place_ == Place::metadata) {
      const auto [at, is_new] = header_.metadata.try_emplace(key);
      if (!is_new) fail("metadata " + ae::quoted(key) + " is there twice");
      field_ = key;
      metadata_value_ = &at->second;
    } else {
      begin_field(key);
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::tensor && !(entry_->dtype && entry_->shape && entry_->offsets)) {
      const char* const missing = !entry_->dtype ? "dtype" : !entry_->shape ? "shape" : "data_offsets";
      fail("has no " + ae::quoted(missing));
    }
    place_ = Place::header;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::tensor && field_ == "shape") {
      place_ = Place::shape;
      entry_->shape.emplace();
    } else if (place_ == Place::tensor && field_ == "data_offsets") {
      place_ = Place::offsets;
      entry_->offsets.emplace();
    } else {
      refuse("a list");
    }
    return true;
  }

  bool end_array() override {
    if (place_ == Place::offsets && entry_->offsets->size() != 2) {
      refuse("a list of length " + std::to_string(entry_->offsets->size()));
    }
    place_ = Place::tensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    throw InputError(std::string(file_name_) + ": header: not valid JSON at byte " +
                     std::to_string(prefix_size + position) + " of the file; the file is damaged");
  }

 private:
  enum class Place { document, header, metadata, tensor, shape, offsets };

  void begin_entry(const std::string& key) {
    name_ = key;
    if (key == metadata_key) {
      if (std::exchange(metadata_seen_, true)) fail("is there twice");
      return;
    }
    const auto [at, is_new] = header_.entries.try_emplace(key);
    if (!is_new) fail("is there twice");
    entry_ = &at->second;
  }

  void begin_field(const std::string& key) {
    field_ = key;
    const bool known = key == "dtype" || key == "shape" || key == "data_offsets";
    if (!known) fail("unknown key " + ae::quoted(key) + R"(; expected "dtype", "shape" and "data_offsets")");
    const bool repeated = (key == "dtype" && entry_->dtype) || (key == "shape" && entry_->shape) ||
                          (key == "data_offsets" && entry_->offsets);
    if (repeated) fail(ae::quoted(key) + " is there twice");
  }

  [[noreturn]] void fail(const std::string& problem) const {
    std::string where = "header";
    if (place_ != Place::document) where = name_ == metadata_key ? ae::quoted(name_) : "tensor " + ae::quoted(name_);
    throw InputError(std::string(file_name_) + ": " + where + ": " + problem);
  }

  std::string expectation() const {
    switch (place_) {
      case Place::document:
        return "a JSON object";
      case Place::header:
        return name_ == metadata_key ? "an object of strings" : R"(an object with "dtype", "shape" and "data_offsets")";
      case Place::metadata:
        return "a string";
      case Place::tensor:
        if (field_ == "dtype") return "F32, F64, I64 or U8";
        [[fallthrough]];
      case Place::shape:
      case Place::offsets:
        return field_ == "shape" ? "a list of whole numbers of at least 0"
                                 : "a list of two whole numbers, begin and end";
    }
    return {};
  }

  [[noreturn]] void refuse(const std::string& found) const {
    const bool inside = place_ != Place::document && place_ != Place::header;
    fail((inside ? ae::quoted(field_) + ": found " : "found ") + found + "; expected " + expectation());
  }

  std::string_view file_name_;
  TensorHeader header_;
  Place place_ = Place::document;
  bool metadata_seen_ = false;
  std::string name_;   // tensor or "__metadata__"
  std::string field_;  // inside it
  Entry* entry_ = nullptr;
  std::string* metadata_value_ = nullptr;
};

[[noreturn]] void fail_tensor(std::string_view file_name, const std::string& tensor, const std::string& problem) {
  throw InputError(std::string(file_name) + ": tensor " + ae::quoted(tensor) + ": " + problem);
}

// The header's length, from the first bytes of a file of `file_size` bytes (nine of them if there are as many).
std::uint64_t checked_header_size(std::string_view first_bytes, std::uint64_t file_size, std::string_view file_name) {
  const auto fail = [&](const std::string& problem) {
    throw InputError(std::string(file_name) + ": not a complete safetensors file: " + problem);
  };
  if (file_size < prefix_size || first_bytes.size() < prefix_size) {
    fail("it is " + std::to_string(file_size) + " bytes long; expected at least 8");
  }
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, first_bytes.data(), prefix_size);
  const std::uint64_t limit = std::min(max_header_size, file_size - prefix_size);
  if (header_size > limit) {
    fail("its first 8 bytes announce a header of " + std::to_string(header_size) + " bytes; expected at most " +
         std::to_string(limit) + " (a file of another kind, or cut short)");
  }
  if (header_size == 0 || first_bytes.size() <= prefix_size || first_bytes[prefix_size] != '{') {
    fail("its header does not begin with \"{\"");
  }
  return header_size;
}

// The tensors cover the buffer from its first byte to its last, each byte once.
void check_layout(const TensorHeader& header, std::uint64_t buffer_size, std::string_view file_name) {
  std::vector<const std::pair<const std::string, Entry>*> order;
  for (const auto& item : header.entries) {
    const auto& [name, entry] = item;
    const std::uint64_t begin = (*entry.offsets)[0], end = (*entry.offsets)[1];
    if (begin > end || end > buffer_size) {
      fail_tensor(file_name, name,
                  "data_offsets [" + std::to_string(begin) + ", " + std::to_string(end) + "] do not lie in the " +
                      std::to_string(buffer_size) + " bytes of data; the file is damaged or cut short");
    }
    const std::optional<std::uint64_t> expected = byte_count(*entry.dtype, *entry.shape);
    if (!expected) fail_tensor(file_name, name, "shape " + shape_text(*entry.shape) + " is too large for any memory");
    if (end - begin != *expected) {
      fail_tensor(file_name, name,
                  "has " + std::to_string(end - begin) + " bytes of data; expected " + std::to_string(*expected) +
                      " for shape " + shape_text(*entry.shape) + " of " + std::string(dtype_name(*entry.dtype)));
    }
    order.push_back(&item);
  }
  std::sort(order.begin(), order.end(),
            [](const auto* a, const auto* b) { return *a->second.offsets < *b->second.offsets; });
  std::uint64_t covered = 0;
  for (const auto* item : order) {
    const std::uint64_t begin = (*item->second.offsets)[0];
    if (begin != covered) {
      fail_tensor(file_name, item->first,
                  "its data begin at byte " + std::to_string(begin) + "; expected byte " + std::to_string(covered) +
                      (begin < covered ? ", tensors overlap" : ", there is a gap"));
    }
    covered = (*item->second.offsets)[1];
  }
  if (covered != buffer_size) {
    throw InputError(std::string(file_name) + ": " + std::to_string(buffer_size - covered) +
                     " bytes after the last tensor belong to none; the file is damaged");
  }
}

template <typename T>
void check_finite(const NamedArray& array, const std::string& name, std::string_view file_name) {
  for (std::size_t i = 0; i < array.bytes.size(); i += sizeof(T)) {
    T value;
    std::memcpy(&value, array.bytes.data() + i, sizeof(T));
    if (std::isfinite(value)) continue;
    fail_tensor(file_name, name,
                "value " + std::to_string(i / sizeof(T)) + " is " + number_text(static_cast<double>(value)) +
                    "; expected finite numbers");
  }
}

// SHA-256 over all names and contents, each with its length before it so that nothing can move between them.
std::string digest_of(const Safetensors& contents) {
  Sha256 hash;
  const auto add = [&](std::string_view bytes) {
    hash.update(std::to_string(bytes.size()) + ":");
    hash.update(bytes);
  };
  for (const auto& [key, value] : contents.metadata) {
    if (key == digest_key) continue;
    add(key);
    add(value);
  }
  for (const auto& [tensor, array] : contents.arrays) {
    add(tensor);
    add(dtype_name(array.dtype));
    std::vector<std::string> extents;
    for (const std::int64_t extent : array.shape) extents.push_back(std::to_string(extent));
    add("[" + join(extents, ", ", extents.size()) + "]");
    add(array.bytes);
  }
  return hash.hex();
}

void check_digest(const Safetensors& contents, std::string_view file_name) {
  const auto found = contents.metadata.find(digest_key);
  if (found == contents.metadata.end() || found->second == digest_of(contents)) return;
  throw InputError(std::string(file_name) +
                   ": its contents do not have the digest in its metadata \"sha256\"; the file is damaged or was "
                   "edited: use an undamaged copy");
}

// `text` is the JSON, and `buffer_size` bytes follow it.
TensorHeader parse_header(std::string_view text, std::uint64_t buffer_size, std::string_view file_name) {
  // A NUL ends the text for the JSON library, whatever follows.
  if (text.find('\0') != std::string_view::npos)
    throw InputError(std::string(file_name) + ": header: found a NUL byte; the file is damaged");
  HeaderReader reader(file_name);
  nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  TensorHeader header = std::move(reader).take();
  check_layout(header, buffer_size, file_name);
  return header;
}

// `bytes_of(begin, end)` gives those of the buffer.
template <typename BytesOf>
Safetensors contents_of(TensorHeader header, std::string_view file_name, BytesOf&& bytes_of) {
  Safetensors contents;
  contents.metadata = std::move(header.metadata);
  for (auto& [tensor, entry] : header.entries) {
    throw_if_stopped("reading");
    NamedArray array{*entry.dtype, std::move(*entry.shape), bytes_of((*entry.offsets)[0], (*entry.offsets)[1])};
    if (array.dtype == Dtype::f32) check_finite<float>(array, tensor, file_name);
    if (array.dtype == Dtype::f64) check_finite<double>(array, tensor, file_name);
    contents.arrays.emplace(tensor, std::move(array));
  }
  check_digest(contents, file_name);
  return contents;
}

nlohmann::ordered_json header_of(const Safetensors& contents, std::span<const std::string_view> order) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!contents.metadata.empty()) header[std::string(metadata_key)] = contents.metadata;
  std::uint64_t offset = 0;
  for (const std::string_view name : order) {
    const NamedArray& array = contents.arrays.at(std::string(name));
    if (byte_count(array.dtype, array.shape) != array.bytes.size()) {
      throw std::logic_error("tensor " + ae::quoted(name) + " does not have the size of its shape");
    }
    nlohmann::ordered_json& entry = header[std::string(name)];
    entry["dtype"] = dtype_name(array.dtype);
    entry["shape"] = array.shape;
    entry["data_offsets"] = {offset, offset + array.bytes.size()};
    offset += array.bytes.size();
  }
  return header;
}

}  // namespace

std::string_view dtype_name(Dtype dtype) { return row_of(dtype).name; }
std::size_t dtype_size(Dtype dtype) { return row_of(dtype).size; }

void seal(Safetensors& contents) { contents.metadata[digest_key] = digest_of(contents); }

Arrays arrays_under(const Arrays& arrays, const std::string& prefix) {
  Arrays chosen;
  for (auto at = arrays.lower_bound(prefix); at != arrays.end() && at->first.starts_with(prefix); ++at) {
    chosen[at->first.substr(prefix.size())] = at->second;
  }
  return chosen;
}

void put_under(Arrays& to, const std::string& prefix, Arrays&& from) {
  for (auto& [name, array] : from) to[prefix + name] = std::move(array);
}

std::string shape_text(std::span<const std::int64_t> shape) {
  constexpr std::size_t kMostShown = 8;
  std::vector<std::string> extents;
  for (const std::int64_t extent : shape) extents.push_back(extent < 0 ? "any" : std::to_string(extent));
  return "[" + join(extents, ", ", kMostShown) + "]";
}

std::string to_bytes(const Safetensors& contents) {
  std::vector<std::string_view> order;
  for (const auto& [name, array] : contents.arrays) order.push_back(name);
  std::stable_sort(order.begin(), order.end(), [&](std::string_view a, std::string_view b) {
    return dtype_size(contents.arrays.at(std::string(a)).dtype) > dtype_size(contents.arrays.at(std::string(b)).dtype);
  });
  std::string header = header_of(contents, order).dump();
  header.resize((header.size() + 7) / 8 * 8, ' ');
  if (header.size() > max_header_size) throw RunError("the safetensors header would be over 100 MB long");
  const std::uint64_t header_size = header.size();
  std::string bytes(prefix_size, '\0');
  std::memcpy(bytes.data(), &header_size, prefix_size);
  bytes += header;
  for (const std::string_view name : order) bytes += contents.arrays.at(std::string(name)).bytes;
  return bytes;
}

Safetensors parse_safetensors(std::string_view bytes, std::string_view name) {
  const std::uint64_t header_size = checked_header_size(bytes, bytes.size(), name);
  const std::string_view buffer = bytes.substr(prefix_size + header_size);
  return contents_of(
      parse_header(bytes.substr(prefix_size, header_size), buffer.size(), name), name,
      [&](std::uint64_t begin, std::uint64_t end) { return std::string(buffer.substr(begin, end - begin)); });
}

Safetensors read_safetensors(const std::filesystem::path& path) {
  std::error_code ignored;
  std::ifstream file;
  if (std::filesystem::is_regular_file(path, ignored)) file.open(path, std::ios::binary);
  const std::uint64_t size = file.is_open() ? std::filesystem::file_size(path, ignored) : 0;
  if (!file.is_open() || ignored)
    return parse_safetensors(read_file(path, FileKind::data, max_file_size), path.string());

  // A piece at a time: never the whole file and what it holds at once.
  const std::string name = path.string();
  std::array<char, prefix_size + 1> first{};
  file.read(first.data(), first.size());
  const std::uint64_t header_size =
      checked_header_size({first.data(), static_cast<std::size_t>(file.gcount())}, size, name);
  if (size > max_file_size) read_file(path, FileKind::data, max_file_size);  // says so
  const std::uint64_t buffer_begin = prefix_size + header_size;
  const auto bytes_at = [&](std::uint64_t begin, std::uint64_t end) {
    std::string bytes(end - begin, '\0');
    file.clear();
    file.seekg(static_cast<std::streamoff>(begin));
    if (!file.read(bytes.data(), static_cast<std::streamsize>(bytes.size())))
      throw InputError(name + ": cannot read bytes " + std::to_string(begin) + " to " + std::to_string(end) +
                       "; the file was changed while it was read, or its disk fails: try again");
    return bytes;
  };
  TensorHeader header = parse_header(bytes_at(prefix_size, buffer_begin), size - buffer_begin, name);
  return contents_of(std::move(header), name, [&](std::uint64_t begin, std::uint64_t end) {
    return bytes_at(buffer_begin + begin, buffer_begin + end);
  });
}

}  // namespace ae::data
