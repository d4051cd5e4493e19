// NPZ archives, written array by array at constant memory: members are stored, not compressed, so that any element has
// a known place. With ZIP64 sizes, as Python writes them, for files of any size.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.hpp"

namespace ae::data {

class NpzWriter {
 public:
  // UsageError for standard output, to which a file cannot be written whose beginning is known last.
  explicit NpzWriter(Output& output);

  // Begins the array NAME of this dtype ("<f4", "<f8", "|u1", "<u4", "<i8") and shape; the array before must be whole.
  void begin(std::string_view name, std::string_view type, std::span<const std::int64_t> shape);
  void add(std::span<const double> values);  // converted to the array's dtype; rounded where that is of whole numbers
  void add_bytes(std::string_view bytes);    // of elements as they are in the file
  void finish();                             // after the last array; Output::commit() is the caller's
  // CRC-32 of every so many bytes of each array so far, headers included, by which a reader that begins anywhere can
  // check what it reads. The last block of an array is shorter; the next array begins a new one.
  static constexpr std::size_t kSummedBytes = 4096;
  const std::vector<std::uint32_t>& sums() const { return sums_; }

 private:
  void end_member();
  void put(std::string_view bytes);

  struct Member {
    std::string name;
    std::uint64_t offset = 0, size = 0;
    std::uint32_t crc = 0;
  };
  Output& output_;
  std::vector<Member> members_;
  std::string type_;
  std::string bytes_;                       // not handed on yet
  std::uint64_t written_ = 0;               // handed on
  std::uint64_t expected_ = 0, given_ = 0;  // bytes of the member's contents
  std::uint32_t crc_ = 0;
  std::vector<std::uint32_t> sums_;
  std::size_t in_block_ = 0;  // bytes of the last of them
  bool open_ = false;
};

}  // namespace ae::data
