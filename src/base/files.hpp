// Files that appear whole or not at all, and streams that know why a write failed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace ae {

// Where a program writes: a file that appears under its name only on commit(), or standard output ("-").
// Writes are buffered. A failed write throws RunError naming path and cause ("No space left on device");
// a closed pipe on standard output throws ClosedPipe. Without commit() (also after kill -9 on file systems with
// O_TMPFILE) nothing is left behind.
class Output {
 public:
  // Refuses an existing `path` with UsageError ("... exists; use --force to overwrite it") unless `overwrite`.
  // "-" is standard output. A path that cannot be opened for writing is RunError at once, before any long work.
  static Output open(const std::filesystem::path& path, bool overwrite);

  Output(Output&&) noexcept;
  Output& operator=(Output&&) noexcept;
  ~Output();

  void write(std::string_view bytes);
  // Of a file that is not written in order: at once, at `offset`. Not together with write().
  void write_at(std::uint64_t offset, std::string_view bytes);
  // For a library that opens files itself: a path by which it reads and writes this one until commit(). What write()
  // had before is there after flush(). UsageError when this is no file.
  std::filesystem::path path_before_commit();
  void flush();   // hands everything written so far to the operating system
  void commit();  // flush, fsync, rename over the final name, fsync the folder. Standard output: flush only.
  bool is_stdout() const noexcept;
  const std::filesystem::path& path() const noexcept;

 private:
  struct State;
  explicit Output(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Output::open + write + commit, overwriting.
void write_file(const std::filesystem::path& path, std::string_view bytes);

// Whole file, "-" for standard input; InputError/UsageError (by `kind`) when missing, unreadable, a directory or over
// `max_bytes`.
enum class FileKind { config, data };
std::string read_file(const std::filesystem::path& path, FileKind kind, std::uint64_t max_bytes = 1ull << 30);

// From the root, with links followed as far as there is something: by which two names of one file are told.
std::filesystem::path whole_path(const std::filesystem::path& path);

// "No such file or directory" and the like as one line `path: cannot ...: cause`, with the code the kind asks for
// (config: usage, data: bad_input). Never returns.
[[noreturn]] void throw_file_error(const std::filesystem::path& path, FileKind kind, std::string_view action,
                                   int error_number);

// A file's bytes as memory that the system may take back at any time: read only, whatever happens to the name.
class MappedFile {
 public:
  // Null when there is no such file. RunError for any other reason why it cannot be mapped.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::string_view bytes() const { return {static_cast<const char*>(begin_), size_}; }

 private:
  MappedFile(void* begin, std::size_t size) : begin_(begin), size_(size) {}
  void* begin_;
  std::size_t size_;
};

// Unordered bytes in an unnamed file that vanishes with its owner. RunError, also when the disk is full.
class ScratchFile {
 public:
  explicit ScratchFile(const std::filesystem::path& folder);
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  std::uint64_t append(const void* bytes, std::size_t size);  // returns where they are
  void read(std::uint64_t at, void* bytes, std::size_t size) const;

 private:
  std::string name_;
  int fd_;
  std::uint64_t end_ = 0;
};

// SHA-256 as 64 lower-case hex digits.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(std::string_view bytes);
  std::string hex();  // once

 private:
  struct State;
  std::unique_ptr<State> state_;
};
std::string sha256_of(std::string_view bytes);
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace ae
