// NumPy's array files as bytes: NPY versions 1 to 3, and one array of an NPZ archive. What an array means is told by
// the kinds of data that read it. Format: numpy.org/doc/stable/reference/generated/numpy.lib.format.html
//
// Elements are float16/32/64, int8..64, uint8..64 and bool of either byte order. Structured, text, complex and object
// arrays are refused; a pickle is never executed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/bytes/source.hpp"

namespace ae::data {

struct NpyHeader {
  std::string type;  // "<f8"
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;
  std::size_t bytes = 0;  // up to the first element
};

bool begins_npy(std::string_view head);  // with the six bytes of every version

// Reads what stands before the elements. InputError for anything but a plain array.
NpyHeader read_npy_header(ByteSource& source);

// The /data/type that reads arrays of so many dimensions: "table" of 1 and 2, "images" of 3 and 4, else "".
std::string_view npy_kind(const std::vector<std::uint64_t>& shape);

std::string npy_shape_text(const std::vector<std::uint64_t>& shape);  // as NumPy writes it: (3, 4)

// How an element is read.
struct NpyElement {
  std::size_t size = 0;
  double (*number)(const char*) = nullptr;
  void (*text)(std::string&, const char*) = nullptr;  // appends the shortest text that reads back to the same element
};
std::optional<NpyElement> find_npy_element(std::string_view type);  // nothing: not a real number or truth value

// Which array of an archive is meant when none is named.
struct NpyWanted {
  std::size_t fewest_dimensions;
  std::size_t most_dimensions;
  const char* text;  // "two dimensions"
};

// `array`: the member's name with or without ".npy"; "" = the only member, or the only one with the wanted dimensions.
// UsageError for a name that is not there, InputError for an archive without arrays, or with several that would do.
std::unique_ptr<ByteSource> open_npz_array(std::unique_ptr<RandomAccess> file, const std::string& array,
                                           const NpyWanted& wanted);

// What stands before the elements of a C-order array of little-endian float32 (4 bytes) or float64 (8 bytes) in a
// version 1 file.
enum class NpyFloat { f4, f8 };
std::string npy_header(NpyFloat type, std::span<const std::int64_t> shape);
std::string npy_header(NpyFloat type, std::int64_t rows, std::int64_t columns);

// The whole file; values.size() = rows * columns, row-major.
std::string to_npy(std::span<const float> values, std::int64_t rows, std::int64_t columns);
std::string to_npy(std::span<const double> values, std::int64_t rows, std::int64_t columns);

}  // namespace ae::data
