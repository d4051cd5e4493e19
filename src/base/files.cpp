#include "base/files.hpp"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <optional>
#include <system_error>
#include <utility>

#include "base/error.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"

namespace ae {
namespace {

namespace fs = std::filesystem;

std::string cause_of(int error_number) { return std::generic_category().message(error_number); }

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_;
};

// The path a chain of symbolic links ends at, also when nothing is there yet: a link keeps pointing at its file when
// the file is rewritten.
fs::path follow_links(fs::path path) {
  constexpr int kernel_limit = 40;
  std::error_code ignored;
  for (int i = 0; i < kernel_limit && fs::is_symlink(fs::symlink_status(path, ignored)); ++i) {
    const fs::path target = fs::read_symlink(path, ignored);
    if (target.empty()) break;
    path = target.is_absolute() ? target : path.parent_path() / target;
  }
  return path;
}

// The descriptor that /dev/stdout, /dev/stderr, /dev/fd/N name. Opening such a name again would rewind or truncate a
// redirected file, or refuse it as existing.
std::optional<int> named_descriptor(const fs::path& path) {
  const std::string& text = path.native();
  if (text == "/dev/stdout") return STDOUT_FILENO;
  if (text == "/dev/stderr") return STDERR_FILENO;
  for (const std::string_view folder : {"/dev/fd/", "/proc/self/fd/"}) {
    if (!text.starts_with(folder)) continue;
    int number = -1;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data() + folder.size(), end, number);
    if (error == std::errc() && rest == end && number >= 0) return number;
  }
  return std::nullopt;
}

[[noreturn]] void throw_write_error(const std::string& name, std::string_view action, int error_number) {
  throw RunError(name + ": cannot " + std::string(action) + ": " + cause_of(error_number));
}

[[noreturn]] void throw_exists(const fs::path& path) {
  throw UsageError(path.string() + " exists; use --force to overwrite it");
}

void write_all_at(int fd, const std::string& name, std::uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_write_error(name, "write", errno);
    bytes.remove_prefix(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
}

FileDescriptor open_unnamed(const fs::path& folder) {
#ifdef O_TMPFILE
  // Without /proc the finished file could not be given its name.
  if (::access("/proc/self/fd", X_OK) == 0) {
    return FileDescriptor(::open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666));
  }
#endif
  return FileDescriptor();
}

// A name in `folder` that no other process and no other Output of this one uses.
fs::path temporary_name(const fs::path& folder) {
  static std::atomic<unsigned> counter{0};
  return folder / (".ae-" + std::to_string(::getpid()) + "-" + std::to_string(counter++) + ".tmp");
}

void sync_folder(const fs::path& folder, const std::string& name) {
  const FileDescriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // A folder that may be written but not read, or a file system without folder sync, is no reason to fail.
  if (fd.valid() && ::fsync(fd.get()) != 0 && errno == EIO) throw_write_error(name, "save", EIO);
}

}  // namespace

struct Output::State {
  enum class Kind {
    stream,    // standard output, a device, a pipe: bytes go straight there
    unnamed,   // O_TMPFILE: vanishes by itself unless it is linked
    temporary  // a hidden file next to the final name, removed unless it is renamed
  };

  fs::path path;     // as the user wrote it
  std::string name;  // for messages
  Kind kind = Kind::stream;
  bool standard_output = false;
  bool overwrite = false;
  bool committed = false;
  int fd = -1;
  FileDescriptor owned;  // closes fd unless it is standard output
  fs::path target;       // path with symbolic links followed
  fs::path folder;
  fs::path temporary;
  std::string buffer;

  ~State() {
    if (!temporary.empty()) ::unlink(temporary.c_str());
  }

  void adopt(FileDescriptor descriptor) {
    owned = std::move(descriptor);
    fd = owned.get();
  }

  void open_stream() {
    adopt(FileDescriptor(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY)));
    if (fd < 0) throw_write_error(name, "write", errno);
  }

  void open_file(const struct stat* existing) {
    target = follow_links(path);
    folder = target.has_parent_path() ? target.parent_path() : fs::path(".");
    if (existing != nullptr && ::access(target.c_str(), W_OK) != 0) throw_write_error(name, "write", errno);
    kind = Kind::unnamed;
    adopt(open_unnamed(folder));
    if (fd < 0) open_temporary();
    if (existing != nullptr) (void)::fchmod(fd, existing->st_mode & 0777);
  }

  void open_temporary() {
    kind = Kind::temporary;
    fs::path candidate;
    do {
      candidate = temporary_name(folder);
      adopt(FileDescriptor(::open(candidate.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666)));
    } while (fd < 0 && errno == EEXIST);
    if (fd < 0) {
      const int error_number = errno;
      if (error_number != ENOENT) throw_write_error(name, "create", error_number);
      throw RunError(name + ": cannot create: the folder " + quoted(folder.native(), 200) +
                     " does not exist; create it first");
    }
    temporary = std::move(candidate);
  }

  void write_out(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd, bytes.data(), bytes.size());
      if (written >= 0) {
        bytes.remove_prefix(static_cast<std::size_t>(written));
      } else if (errno == EINTR) {
        if (kind == Kind::stream) throw_if_stopped("writing");  // a reader that stands still must not hold us
      } else if (errno == EPIPE && kind == Kind::stream) {
        throw ClosedPipe();
      } else {
        throw_write_error(name, "write", errno);
      }
    }
  }

  void flush() {
    const std::string pending = std::exchange(buffer, {});  // a failed write is not tried again
    write_out(pending);
  }

  // What a stream's reader gets ends with a whole line even if the program fails later.
  void drain() {
    std::size_t end = buffer.size();
    if (kind == Kind::stream) {
      const std::size_t newline = buffer.rfind('\n');
      if (newline != std::string::npos) end = newline + 1;
    }
    std::string rest = buffer.substr(end);
    buffer.resize(end);
    write_out(std::exchange(buffer, std::move(rest)));
  }

  bool link_unnamed(const fs::path& to) {
    const std::string source = "/proc/self/fd/" + std::to_string(fd);
    return ::linkat(AT_FDCWD, source.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) == 0;
  }

  // Gives the unnamed file its final name when that is free, else a temporary one to rename.
  bool publish_unnamed() {
    if (link_unnamed(target)) return true;
    if (errno != EEXIST) throw_write_error(name, "create", errno);
    if (!overwrite) throw_exists(path);
    name_unnamed();
    return false;
  }

  void name_unnamed() {
    fs::path candidate = temporary_name(folder);
    while (!link_unnamed(candidate)) {
      if (errno != EEXIST) throw_write_error(name, "create", errno);
      candidate = temporary_name(folder);
    }
    temporary = std::move(candidate);
    kind = Kind::temporary;
  }

  void rename_temporary() {
    if (overwrite) {
      if (::rename(temporary.c_str(), target.c_str()) != 0) throw_write_error(name, "create", errno);
      temporary.clear();
      return;
    }
    // link, unlike rename, refuses a name that was taken meanwhile; some file systems have no links.
    if (::link(temporary.c_str(), target.c_str()) == 0) {
      ::unlink(temporary.c_str());
    } else if (errno == EEXIST || ::access(target.c_str(), F_OK) == 0) {
      throw_exists(path);
    } else if (::rename(temporary.c_str(), target.c_str()) != 0) {
      throw_write_error(name, "create", errno);
    }
    temporary.clear();
  }

  void commit() {
    flush();
    committed = true;
    if (kind == Kind::stream) return;
    if (::fsync(fd) != 0 && errno != EINVAL && errno != EROFS) throw_write_error(name, "write", errno);
    if (kind != Kind::unnamed || !publish_unnamed()) rename_temporary();
    adopt(FileDescriptor());
    sync_folder(folder, name);
  }
};

Output::Output(std::unique_ptr<State> state) : state_(std::move(state)) {}
Output::Output(Output&&) noexcept = default;
Output& Output::operator=(Output&&) noexcept = default;
Output::~Output() = default;

Output Output::open(const fs::path& path, bool overwrite) {
  if (path.empty()) throw UsageError("the output path is empty; give a file name, or - for standard output");
  auto state = std::make_unique<State>();
  state->path = path;
  state->name = path.string();
  state->overwrite = overwrite;

  const std::optional<int> descriptor = path == "-" ? STDOUT_FILENO : named_descriptor(path);
  if (descriptor) {
    state->fd = *descriptor;
    state->standard_output = *descriptor == STDOUT_FILENO;
    if (state->standard_output) state->name = "standard output";
    return Output(std::move(state));
  }

  struct stat status {};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  if (!exists && errno != ENOENT) throw_write_error(state->name, "write", errno);
  if (exists && S_ISDIR(status.st_mode)) throw_write_error(state->name, "write", EISDIR);
  if (exists && !S_ISREG(status.st_mode)) {
    state->open_stream();
  } else if (exists && !overwrite) {
    throw_exists(path);
  } else {
    state->open_file(exists ? &status : nullptr);
  }
  return Output(std::move(state));
}

void Output::write(std::string_view bytes) {
  constexpr std::size_t capacity = 1u << 16;
  if (bytes.size() >= capacity) {
    state_->flush();
    state_->write_out(bytes);
    return;
  }
  state_->buffer += bytes;
  if (state_->buffer.size() >= capacity) state_->drain();
}

void Output::write_at(std::uint64_t offset, std::string_view bytes) {
  write_all_at(state_->fd, state_->name, offset, bytes);
}

fs::path Output::path_before_commit() {
  if (state_->kind == State::Kind::stream) {
    throw UsageError(state_->name + ": is no file, and this format is not written from beginning to end; name a file");
  }
  if (state_->kind == State::Kind::unnamed) state_->name_unnamed();
  return state_->temporary;
}

void Output::flush() { state_->flush(); }
void Output::commit() {
  if (!state_->committed) state_->commit();
}
bool Output::is_stdout() const noexcept { return state_->standard_output; }
const fs::path& Output::path() const noexcept { return state_->path; }

std::shared_ptr<const MappedFile> MappedFile::open(const fs::path& path) {
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid() && errno == ENOENT) return nullptr;
  struct stat status {};
  if (!fd.valid() || ::fstat(fd.get(), &status) != 0) throw_write_error(path.string(), "read", errno);
  const auto size = static_cast<std::size_t>(status.st_size);
  void* begin = nullptr;
  if (size > 0) begin = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (begin == MAP_FAILED) throw_write_error(path.string(), "map", errno);
  return std::shared_ptr<const MappedFile>(new MappedFile(begin, size));
}
MappedFile::~MappedFile() {
  if (begin_ != nullptr) ::munmap(begin_, size_);
}

ScratchFile::ScratchFile(const fs::path& folder) : name_("temporary file in " + quoted(folder.native(), 200)) {
  std::string path = (folder / ".ae-XXXXXX").string();
  fd_ = ::mkostemp(path.data(), O_CLOEXEC);
  if (fd_ < 0) throw_write_error(name_, "create", errno);
  ::unlink(path.c_str());
}
ScratchFile::~ScratchFile() { ::close(fd_); }

std::uint64_t ScratchFile::append(const void* bytes, std::size_t size) {
  write_all_at(fd_, name_, end_, {static_cast<const char*>(bytes), size});
  return std::exchange(end_, end_ + size);
}

void ScratchFile::read(std::uint64_t at, void* bytes, std::size_t size) const {
  auto* to = static_cast<char*>(bytes);
  while (size > 0) {
    const ssize_t count = ::pread(fd_, to, size, static_cast<off_t>(at));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) throw_write_error(name_, "read", count < 0 ? errno : EIO);
    to += count;
    at += static_cast<std::uint64_t>(count);
    size -= static_cast<std::size_t>(count);
  }
}

void write_file(const fs::path& path, std::string_view bytes) {
  Output output = Output::open(path, true);
  output.write(bytes);
  output.commit();
}

namespace {

[[noreturn]] void throw_by_kind(FileKind kind, std::string line) {
  if (kind == FileKind::config) throw UsageError(std::move(line));
  throw InputError(std::move(line));
}

std::string input_name(const fs::path& path) { return path == "-" ? "standard input" : path.string(); }

}  // namespace

void throw_file_error(const fs::path& path, FileKind kind, std::string_view action, int error_number) {
  throw_by_kind(kind, input_name(path) + ": cannot " + std::string(action) + ": " + cause_of(error_number));
}

namespace {

// Hands the file to `take` piece by piece; `-` is standard input.
template <typename Take>
void for_each_piece(const fs::path& path, FileKind kind, Take take) {
  FileDescriptor owned;
  int fd = STDIN_FILENO;
  if (path != "-") {
    owned = FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    fd = owned.get();
    if (fd < 0) throw_file_error(path, kind, "read", errno);
  }
  std::string piece(1u << 16, '\0');
  for (;;) {
    throw_if_stopped("reading");
    const ssize_t count = ::read(fd, piece.data(), piece.size());
    if (count == 0) return;
    if (count > 0) {
      take(std::string_view(piece.data(), static_cast<std::size_t>(count)));
    } else if (errno != EINTR) {
      throw_file_error(path, kind, "read", errno);
    }
  }
}

}  // namespace

fs::path whole_path(const fs::path& path) {
  std::error_code ignored;
  const auto whole = fs::weakly_canonical(fs::absolute(path), ignored);
  return ignored ? path : whole;
}

std::string read_file(const fs::path& path, FileKind kind, std::uint64_t max_bytes) {
  const auto refuse_size = [&](const std::string& size) {
    throw_by_kind(kind,
                  input_name(path) + ": is " + size + " bytes long; expected at most " + std::to_string(max_bytes));
  };
  std::string contents;
  struct stat status {};
  if (path != "-" && ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (size > max_bytes) refuse_size(std::to_string(size));
    contents.reserve(size);
  }
  for_each_piece(path, kind, [&](std::string_view piece) {
    if (piece.size() > max_bytes - contents.size()) refuse_size("more than " + std::to_string(max_bytes));
    contents += piece;
  });
  return contents;
}

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

namespace {

void require(bool success) {
  if (!success) throw RunError("SHA-256 is not available from the OpenSSL library");
}

}  // namespace

Sha256::Sha256() : state_(std::make_unique<State>()) {
  require(state_->context != nullptr && EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() = default;

void Sha256::update(std::string_view bytes) {
  require(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}

std::string Sha256::hex() {
  std::array<unsigned char, 32> digest{};
  unsigned int size = 0;
  require(EVP_DigestFinal_ex(state_->context, digest.data(), &size) == 1 && size == digest.size());
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : digest) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

std::string sha256_of(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

std::string sha256_of_file(const fs::path& path) {
  Sha256 hash;
  for_each_piece(path, FileKind::data, [&hash](std::string_view piece) { hash.update(piece); });
  return hash.hex();
}

}  // namespace ae
