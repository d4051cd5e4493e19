#include "data/bytes/zip.hpp"

#include <zlib.h>

#include <algorithm>
#include <string_view>

#include "base/error.hpp"
#include "base/text.hpp"

namespace ae::data {
namespace {

constexpr std::size_t kMemberBlock = 64 * 1024;
constexpr std::uint32_t kFull32 = 0xffffffff;  // "see the ZIP64 field"

InputError damaged(const std::string& name, std::string_view what) {
  return InputError(name + ": damaged ZIP archive: " + std::string(what) + "; write the file again");
}

// Little-endian number of `size` bytes; the caller has checked the bounds.
std::uint64_t number_at(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i > 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[at + i - 1]);
  return value;
}

std::string read_range(RandomAccess& file, std::uint64_t offset, std::uint64_t count) {
  if (offset > file.size() || count > file.size() - offset)
    throw damaged(file.name(), "a part lies beyond the end of the file");
  std::string bytes(static_cast<std::size_t>(count), '\0');
  file.read_at(offset, bytes.data(), bytes.size());
  return bytes;
}

struct Directory {
  std::uint64_t entries = 0;
  std::uint64_t size = 0;
  std::uint64_t offset = 0;
};

// The end record stands at the file's end, before a comment of at most 65,535 bytes.
Directory find_directory(RandomAccess& file) {
  constexpr std::size_t record = 22;
  const std::uint64_t tail_size = std::min<std::uint64_t>(file.size(), record + 0xffff);
  const std::uint64_t tail_begin = file.size() - tail_size;
  const std::string tail = read_range(file, tail_begin, tail_size);
  std::size_t at = tail.rfind("PK\5\6");
  while (at != std::string::npos &&
         (at + record > tail.size() || at + record + number_at(tail, at + 20, 2) != tail.size()))
    at = at == 0 ? std::string::npos : tail.rfind("PK\5\6", at - 1);
  if (at == std::string::npos) throw damaged(file.name(), "no directory at its end (a file that was cut off?)");
  Directory directory = {number_at(tail, at + 10, 2), number_at(tail, at + 12, 4), number_at(tail, at + 16, 4)};
  const std::uint64_t end = tail_begin + at;
  constexpr std::size_t locator_size = 20;
  if (end >= locator_size) {
    const std::string locator = read_range(file, end - locator_size, locator_size);
    if (locator.starts_with("PK\6\7")) {
      const std::string large = read_range(file, number_at(locator, 8, 8), 56);
      if (!large.starts_with("PK\6\6")) throw damaged(file.name(), "no ZIP64 directory where it should be");
      directory = {number_at(large, 32, 8), number_at(large, 40, 8), number_at(large, 48, 8)};
    }
  }
  return directory;
}

// Sizes that do not fit 32 bits stand in the extra field 1, in this order, and only those.
void take_zip64(std::string_view extra, ZipMember& member, const std::string& name) {
  while (extra.size() >= 4) {
    const std::uint64_t id = number_at(extra, 0, 2);
    const std::uint64_t size = number_at(extra, 2, 2);
    if (size > extra.size() - 4) throw damaged(name, "an extra field longer than its room");
    std::string_view field = extra.substr(4, size);
    extra.remove_prefix(4 + size);
    if (id != 1) continue;
    for (std::uint64_t* value : {&member.size, &member.compressed_size, &member.header_offset}) {
      if (*value != kFull32) continue;
      if (field.size() < 8) throw damaged(name, "a ZIP64 field that is too short");
      *value = number_at(field, 0, 8);
      field.remove_prefix(8);
    }
    return;
  }
}

class MemberSource final : public ByteSource {
 public:
  MemberSource(std::shared_ptr<RandomAccess> file, const ZipMember& member)
      : file_(std::move(file)),
        member_(member),
        name_(file_->name() + "[" + member.name + "]"),
        in_(kMemberBlock, '\0') {
    if (member.flags & 1) throw InputError(name_ + ": encrypted; expected an NPZ archive without a password");
    if (member.method != 0 && member.method != Z_DEFLATED)
      throw InputError(name_ + ": compression method " + std::to_string(member.method) +
                       "; expected stored or deflated members as numpy.savez and numpy.savez_compressed write them");
    constexpr std::size_t header_size = 30;
    const std::string header = read_range(*file_, member.header_offset, header_size);
    if (!header.starts_with("PK\3\4")) throw damaged(name_, "no member where the directory says");
    begin_ = member.header_offset + header_size + number_at(header, 26, 2) + number_at(header, 28, 2);
    if (begin_ > file_->size() || member.compressed_size > file_->size() - begin_)
      throw damaged(name_, "the member reaches beyond the end of the file");
    if (member.method == 0 && member.size != member.compressed_size)
      throw damaged(name_, "two sizes of a stored member differ");
    if (member.method != 0 && inflateInit2(&stream_, -MAX_WBITS) != Z_OK)
      throw RunError(name_ + ": cannot decompress: out of memory");
  }
  ~MemberSource() override {
    if (member_.method != 0) inflateEnd(&stream_);
  }
  MemberSource(const MemberSource&) = delete;
  MemberSource& operator=(const MemberSource&) = delete;

  std::size_t read(char* buffer, std::size_t capacity) override {
    capacity = std::min<std::size_t>(capacity, 1u << 30);  // zlib counts in 32 bits
    const std::size_t count = member_.method == 0 ? read_stored(buffer, capacity) : read_deflated(buffer, capacity);
    given_ += count;
    if (given_ > member_.size) throw damaged(name_, "more bytes than the directory says");
    crc_ = crc32(crc_, reinterpret_cast<const Bytef*>(buffer), static_cast<uInt>(count));
    if (count == 0 && given_ != member_.size) throw damaged(name_, "fewer bytes than the directory says");
    if (count == 0 && crc_ != member_.crc) throw damaged(name_, "wrong checksum");
    return count;
  }
  bool ready() override { return true; }
  const std::string& name() const override { return name_; }
  std::uint64_t position() const override { return taken_; }
  std::uint64_t size() const override { return member_.compressed_size; }
  std::optional<std::uint64_t> content_size() const override { return member_.size; }

 private:
  std::size_t take(char* buffer, std::size_t capacity) {
    const std::uint64_t left = member_.compressed_size - taken_;
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left, capacity));
    if (count > 0) file_->read_at(begin_ + taken_, buffer, count);
    taken_ += count;
    return count;
  }

  std::size_t read_stored(char* buffer, std::size_t capacity) { return take(buffer, capacity); }

  std::size_t read_deflated(char* buffer, std::size_t capacity) {
    stream_.next_out = reinterpret_cast<Bytef*>(buffer);
    stream_.avail_out = static_cast<uInt>(capacity);
    while (!finished_ && stream_.avail_out == capacity) {
      if (stream_.avail_in == 0) {
        stream_.avail_in = static_cast<uInt>(take(in_.data(), in_.size()));
        stream_.next_in = reinterpret_cast<Bytef*>(in_.data());
        if (stream_.avail_in == 0) throw damaged(name_, "the compressed data ends too early");
      }
      const int result = inflate(&stream_, Z_NO_FLUSH);
      finished_ = result == Z_STREAM_END;
      if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
        throw damaged(name_, stream_.msg ? stream_.msg : "corrupt compressed data");
    }
    return capacity - stream_.avail_out;
  }

  std::shared_ptr<RandomAccess> file_;
  ZipMember member_;
  std::string name_;
  std::string in_;
  std::uint64_t begin_ = 0;  // of the member's data in the file
  std::uint64_t taken_ = 0;
  std::uint64_t given_ = 0;
  uLong crc_ = 0;
  z_stream stream_ = {};
  bool finished_ = false;
};

}  // namespace

std::vector<ZipMember> read_zip_directory(RandomAccess& file) {
  const Directory found = find_directory(file);
  const std::string bytes = read_range(file, found.offset, found.size);
  std::vector<ZipMember> members;
  std::string_view left = bytes;
  constexpr std::size_t header_size = 46;
  for (std::uint64_t i = 0; i < found.entries; ++i) {
    if (left.size() < header_size || !left.starts_with("PK\1\2"))
      throw damaged(file.name(), "its directory ends too early");
    const std::size_t name_size = number_at(left, 28, 2);
    const std::size_t extra_size = number_at(left, 30, 2);
    const std::size_t total = header_size + name_size + extra_size + number_at(left, 32, 2);
    if (total > left.size()) throw damaged(file.name(), "its directory ends too early");
    ZipMember member;
    member.flags = static_cast<std::uint16_t>(number_at(left, 8, 2));
    member.method = static_cast<std::uint16_t>(number_at(left, 10, 2));
    member.crc = static_cast<std::uint32_t>(number_at(left, 16, 4));
    member.compressed_size = number_at(left, 20, 4);
    member.size = number_at(left, 24, 4);
    member.header_offset = number_at(left, 42, 4);
    member.name = left.substr(header_size, name_size);
    take_zip64(left.substr(header_size + name_size, extra_size), member, file.name());
    members.push_back(std::move(member));
    left.remove_prefix(total);
  }
  return members;
}

std::unique_ptr<ByteSource> open_zip_member(std::shared_ptr<RandomAccess> file, const ZipMember& member) {
  return std::make_unique<MemberSource>(std::move(file), member);
}

}  // namespace ae::data
