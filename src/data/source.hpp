// Bytes from a file or standard input, decompressed on the way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace ae::data {

// Streams the decompressed bytes of a plain, gzip or Zstandard file (told by its first bytes, not its name; several
// concatenated members/frames are one stream) or of standard input ("-").
// Errors are InputError: missing, unreadable, a directory, truncated or corrupt compressed data (with the path).
class ByteSource {
 public:
  static std::unique_ptr<ByteSource> open(const std::filesystem::path& path);
  virtual ~ByteSource() = default;
  // Fills up to `capacity` bytes; returns how many, 0 only at the end. May return fewer than asked when the input is a
  // pipe.
  virtual std::size_t read(char* buffer, std::size_t capacity) = 0;
  // False only when the next read would wait for a slow writer (a pipe with nothing in it).
  virtual bool ready() = 0;
  // For messages: the path, or "<stdin>".
  virtual const std::string& name() const = 0;
  // Compressed/on-disk bytes consumed so far and in all (0 when unknown), for progress.
  virtual std::uint64_t position() const = 0;
  virtual std::uint64_t size() const = 0;
};

}  // namespace ae::data
