#include "data/arrays/npz_writer.hpp"

#include <zlib.h>

#include <bit>
#include <cmath>
#include <stdexcept>

#include "base/error.hpp"
#include "data/arrays/array_file.hpp"
#include "data/bytes/npy.hpp"

namespace ae::data {
namespace {

constexpr std::size_t kBufferedBytes = 1 << 20;
constexpr std::uint32_t kSizeIn64 = 0xffffffff;

void put_number(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> 8 * i & 0xff);
}

// What a local header and an entry of the directory have in common, from the version needed to the length of the extra
// field (PKWARE APPNOTE 6.3). Stored; the date is the earliest there is, so that the same arrays give the same bytes.
std::string common_header(std::uint32_t crc, std::size_t name, std::size_t extra) {
  std::string out;
  put_number(out, 45, 2);          // needs ZIP64
  put_number(out, 0, 2);           // flags
  put_number(out, 0, 2);           // stored
  put_number(out, 0, 2);           // time
  put_number(out, 1 << 5 | 1, 2);  // 1980-01-01
  put_number(out, crc, 4);
  put_number(out, kSizeIn64, 4);
  put_number(out, kSizeIn64, 4);
  put_number(out, name, 2);
  put_number(out, extra, 2);
  return out;
}

std::string local_header(const std::string& name, std::uint64_t size, std::uint32_t crc) {
  std::string out = "PK\3\4" + common_header(crc, name.size(), 20) + name;
  put_number(out, 1, 2);
  put_number(out, 16, 2);
  put_number(out, size, 8);
  put_number(out, size, 8);
  return out;
}

std::string directory_entry(const std::string& name, std::uint64_t size, std::uint32_t crc, std::uint64_t offset) {
  std::string out = "PK\1\2";
  put_number(out, 3 << 8 | 45, 2);  // made on Unix
  out += common_header(crc, name.size(), 28);
  put_number(out, 0, 2);              // comment
  put_number(out, 0, 2);              // disk
  put_number(out, 0, 2);              // internal attributes
  put_number(out, 0644ull << 16, 4);  // rw-r--r--
  put_number(out, kSizeIn64, 4);
  out += name;
  put_number(out, 1, 2);
  put_number(out, 24, 2);
  put_number(out, size, 8);
  put_number(out, size, 8);
  put_number(out, offset, 8);
  return out;
}

std::string header_of_array(std::string_view type, std::span<const std::int64_t> shape) {
  std::vector<std::uint64_t> lengths(shape.begin(), shape.end());
  std::string text =
      "{'descr': '" + std::string(type) + "', 'fortran_order': False, 'shape': " + npy_shape_text(lengths) + ", }";
  constexpr std::size_t kStart = 10, kAlignment = 64;
  while ((kStart + text.size() + 1) % kAlignment != 0) text += ' ';
  text += '\n';
  std::string out = "\x93NUMPY";
  out.append({'\1', '\0'});
  put_number(out, text.size(), 2);
  return out + text;
}

}  // namespace

NpzWriter::NpzWriter(Output& output) : output_(output) {
  if (output.is_stdout())
    throw UsageError("an NPZ archive cannot go to a pipe, since its beginning is known last; name a file with -o");
}

void NpzWriter::put(std::string_view bytes) {
  bytes_ += bytes;
  if (bytes_.size() < kBufferedBytes) return;
  output_.write_at(written_, bytes_);
  written_ += bytes_.size();
  bytes_.clear();
}

void NpzWriter::begin(std::string_view name, std::string_view type, std::span<const std::int64_t> shape) {
  end_member();
  const auto element = find_npy_element(type);
  if (!element) throw std::logic_error("an array of unknown type");
  const auto header = header_of_array(type, shape);
  expected_ = header.size() + static_cast<std::uint64_t>(elements_of_shape(shape)) * element->size;
  members_.push_back({std::string(name) + ".npy", written_ + bytes_.size(), expected_, 0});
  type_ = type;
  given_ = 0;
  crc_ = 0;
  in_block_ = 0;
  open_ = true;
  put(local_header(members_.back().name, expected_, 0));
  add_bytes(header);
}

void NpzWriter::add_bytes(std::string_view bytes) {
  given_ += bytes.size();
  if (given_ > expected_) throw std::logic_error("more elements than an array has");
  for (auto left = bytes; !left.empty();) {
    const auto part = left.substr(0, kSummedBytes - in_block_);
    const auto updated = [&](std::uint32_t sum) {
      return static_cast<std::uint32_t>(
          crc32(sum, reinterpret_cast<const Bytef*>(part.data()), static_cast<uInt>(part.size())));
    };
    crc_ = updated(crc_);
    if (in_block_ == 0) sums_.push_back(0);
    sums_.back() = updated(sums_.back());
    in_block_ = (in_block_ + part.size()) % kSummedBytes;
    left.remove_prefix(part.size());
  }
  put(bytes);
}

void NpzWriter::add(std::span<const double> values) {
  std::string out;
  out.reserve(values.size() * 8);
  for (const double value : values) {
    if (type_ == "<f8")
      put_number(out, std::bit_cast<std::uint64_t>(value), 8);
    else if (type_ == "<f4")
      put_number(out, std::bit_cast<std::uint32_t>(static_cast<float>(value)), 4);
    else
      put_number(out, static_cast<std::uint64_t>(std::llround(value)), type_.back() - '0');
  }
  add_bytes(out);
}

void NpzWriter::end_member() {
  if (!open_) return;
  if (given_ != expected_) throw std::logic_error("fewer elements than an array has");
  auto& member = members_.back();
  member.crc = crc_;
  output_.write_at(written_, bytes_);
  written_ += bytes_.size();
  bytes_.clear();
  output_.write_at(member.offset, local_header(member.name, member.size, member.crc));
  open_ = false;
}

void NpzWriter::finish() {
  end_member();
  const auto begin = written_;
  std::string out;
  for (const auto& member : members_) out += directory_entry(member.name, member.size, member.crc, member.offset);
  const auto size = out.size(), end = static_cast<std::size_t>(begin) + size;
  out += "PK\6\6";
  put_number(out, 44, 8);
  put_number(out, 3 << 8 | 45, 2);
  put_number(out, 45, 2);
  put_number(out, 0, 8);  // disks
  put_number(out, members_.size(), 8);
  put_number(out, members_.size(), 8);
  put_number(out, size, 8);
  put_number(out, begin, 8);
  out += "PK\6\7";
  put_number(out, 0, 4);
  put_number(out, end, 8);
  put_number(out, 1, 4);
  out += "PK\5\6";
  put_number(out, 0, 4);
  put_number(out, 0xffff, 2);
  put_number(out, 0xffff, 2);
  put_number(out, 0xffffffff, 4);
  put_number(out, 0xffffffff, 4);
  put_number(out, 0, 2);
  output_.write_at(begin, out);
}

}  // namespace ae::data
