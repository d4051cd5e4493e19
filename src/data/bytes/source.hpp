// Bytes from a file or standard input, decompressed on the way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace ae::data {

// Streams the decompressed bytes of a plain, gzip or Zstandard file (told by its first bytes, not its name; several
// concatenated members/frames are one stream) or of standard input ("-").
// Errors are InputError: missing, unreadable, a directory, truncated or corrupt compressed data (with the path).
// A stop signal while waiting for a pipe throws Interrupted; regular files never make us wait, so there the caller's
// own loop decides.
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
  // Number of bytes that read() will have given in all, when that is known beforehand.
  virtual std::optional<std::uint64_t> content_size() const { return std::nullopt; }
};

// Reads until `buffer` holds `capacity` bytes or the source ends; returns how many.
std::size_t read_fully(ByteSource& source, char* buffer, std::size_t capacity);

// `source` with `prefix`, bytes already read from it, put back in front.
std::unique_ptr<ByteSource> with_prefix(std::string prefix, std::unique_ptr<ByteSource> source);

// A file whose bytes can be read anywhere, for formats with a directory at their end. All methods may throw InputError.
class RandomAccess {
 public:
  // "-" works when standard input is a regular file; anything that cannot seek is an InputError that says so.
  static std::unique_ptr<RandomAccess> open(const std::filesystem::path& path);
  virtual ~RandomAccess() = default;
  virtual const std::string& name() const = 0;
  virtual std::uint64_t size() const = 0;
  // Exactly `count` bytes from `offset`; the range must lie within size().
  virtual void read_at(std::uint64_t offset, char* buffer, std::size_t count) = 0;
};

// All its bytes, as they are.
std::unique_ptr<ByteSource> from_the_beginning(std::shared_ptr<RandomAccess> file);

}  // namespace ae::data
