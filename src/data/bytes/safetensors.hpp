// The safetensors container: 8-byte little-endian header length, JSON header, raw little-endian tensor bytes. Nothing
// in it is executed. Format: huggingface.co/docs/safetensors (header <= 100 MB, begins with '{', may be padded with
// spaces; offsets are relative to the end of the header, without gaps or overlaps, covering the whole buffer).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ae::data {

enum class Dtype { f32, f64, i64, u8 };    // the ones we write; any other in a file is an InputError
std::string_view dtype_name(Dtype dtype);  // "F32" ...
std::size_t dtype_size(Dtype dtype);

struct NamedArray {
  Dtype dtype = Dtype::f32;
  std::vector<std::int64_t> shape;
  std::string bytes;  // little-endian, row-major; size = product(shape) * dtype_size

  template <typename T>
  static NamedArray of(Dtype dtype, std::vector<std::int64_t> shape, const T* data, std::size_t count) {
    return {dtype, std::move(shape), std::string(reinterpret_cast<const char*>(data), count * sizeof(T))};
  }
};

using Arrays = std::map<std::string, NamedArray>;

Arrays arrays_under(const Arrays& arrays, const std::string& prefix);  // those whose names begin so, named without it
void put_under(Arrays& to, const std::string& prefix, Arrays&& from);  // the way back

std::string shape_text(std::span<const std::int64_t> shape);  // "[3, 4]", for messages; a negative extent is "any"

struct Safetensors {
  std::map<std::string, std::string> metadata;  // "__metadata__"
  Arrays arrays;
};

// Deterministic: arrays by element size (widest first, so that each one is aligned) and then by name, metadata by name,
// header padded to 8 bytes. An array whose bytes do not fit its shape is a std::logic_error.
std::string to_bytes(const Safetensors& contents);

// Puts a digest of all tensors and metadata into the metadata ("sha256"), by which reading notices any damage.
void seal(Safetensors& contents);

// Checks everything before it allocates: header length against file size, JSON (no duplicate keys, depth), dtypes,
// shapes (non-negative, product without overflow), offsets against shapes and buffer, no gaps or overlaps, metadata
// strings only; non-finite float values; the digest of sealed contents. InputError `NAME: tensor "x": ...` on anything
// else.
Safetensors parse_safetensors(std::string_view bytes, std::string_view name);
// A file that is not safetensors at all is told from its first bytes, however long it is.
Safetensors read_safetensors(const std::filesystem::path& path);

}  // namespace ae::data
