#include "data/bytes/source.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/signals.hpp"

namespace ae::data {
namespace {

constexpr std::size_t kSourceBlock = 256 * 1024;
constexpr int kPollMilliseconds = 200;  // a signal that arrives just before poll() is seen after this long

// An open file, closed at the end unless it is standard input.
class Descriptor {
 public:
  explicit Descriptor(const std::filesystem::path& path) : name_(path == "-" ? "<stdin>" : path.string()) {
    if (path == "-") {
      fd_ = STDIN_FILENO;
      return;
    }
    const std::string waiting = "opening " + name_;
    while ((fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC)) < 0) {  // a named pipe waits here for its writer
      if (errno != EINTR) fail("open");
      throw_if_stopped(waiting.c_str());
    }
  }
  ~Descriptor() {
    if (fd_ > STDIN_FILENO) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int fd() const { return fd_; }
  const std::string& name() const { return name_; }
  [[noreturn]] void fail(const char* action) const { throw_file_error(name_, FileKind::data, action, errno); }

  struct stat status() const {
    struct stat status = {};
    if (::fstat(fd_, &status) != 0) fail("read");
    if (S_ISDIR(status.st_mode)) throw_file_error(name_, FileKind::data, "read", EISDIR);
    return status;
  }

 private:
  std::string name_;
  int fd_ = -1;
};

class PlainSource final : public ByteSource {
 public:
  explicit PlainSource(const std::filesystem::path& path) : file_(path), waiting_("reading " + file_.name()) {
    const struct stat status = file_.status();
    regular_ = S_ISREG(status.st_mode);
    if (!regular_) return;
    const off_t offset = ::lseek(file_.fd(), 0, SEEK_CUR);
    size_ = static_cast<std::uint64_t>(std::max<off_t>(0, status.st_size - std::max<off_t>(0, offset)));
  }

  std::size_t read(char* buffer, std::size_t capacity) override {
    for (;;) {
      if (!regular_) wait();
      const ssize_t count = ::read(file_.fd(), buffer, capacity);
      if (count >= 0) {
        position_ += static_cast<std::uint64_t>(count);
        return static_cast<std::size_t>(count);
      }
      if (errno != EINTR && errno != EAGAIN) file_.fail("read");
      if (errno == EINTR) throw_if_stopped(waiting_.c_str());
    }
  }

  bool ready() override { return regular_ || poll_for(0); }
  const std::string& name() const override { return file_.name(); }
  std::uint64_t position() const override { return position_; }
  std::uint64_t size() const override { return size_; }
  // Files made up by the kernel say 0.
  std::optional<std::uint64_t> content_size() const override { return size_ > 0 ? std::optional(size_) : std::nullopt; }

 private:
  // True when a read would not wait; errors and hang-ups count as that too, read() then tells which.
  bool poll_for(int milliseconds) {
    pollfd request = {file_.fd(), POLLIN, 0};
    return ::poll(&request, 1, milliseconds) > 0;
  }
  void wait() {
    while (!poll_for(kPollMilliseconds)) throw_if_stopped(waiting_.c_str());
  }

  Descriptor file_;
  std::string waiting_;
  bool regular_ = false;
  std::uint64_t position_ = 0;
  std::uint64_t size_ = 0;
};

class PrefixedSource final : public ByteSource {
 public:
  PrefixedSource(std::string prefix, std::unique_ptr<ByteSource> source)
      : prefix_(std::move(prefix)), source_(std::move(source)) {}
  std::size_t read(char* buffer, std::size_t capacity) override {
    if (used_ == prefix_.size()) return source_->read(buffer, capacity);
    std::size_t count = std::min(capacity, prefix_.size() - used_);
    std::memcpy(buffer, prefix_.data() + used_, count);
    used_ += count;
    // A first read of a few bytes would hide from the reader what the file looks like.
    if (count < capacity && source_->ready()) count += source_->read(buffer + count, capacity - count);
    return count;
  }
  bool ready() override { return used_ < prefix_.size() || source_->ready(); }
  const std::string& name() const override { return source_->name(); }
  std::uint64_t position() const override { return source_->position(); }
  std::uint64_t size() const override { return source_->size(); }
  std::optional<std::uint64_t> content_size() const override { return source_->content_size(); }

 private:
  std::string prefix_;
  std::size_t used_ = 0;
  std::unique_ptr<ByteSource> source_;
};

// What gzip and Zstandard share: a block of compressed bytes in front, a block of decompressed bytes behind, so that
// ready() can find out whether the bytes at hand yield anything without waiting for more.
class DecompressedSource : public ByteSource {
 public:
  explicit DecompressedSource(std::unique_ptr<ByteSource> source)
      : source_(std::move(source)), in_(kSourceBlock), out_(kSourceBlock) {}

  std::size_t read(char* buffer, std::size_t capacity) final {
    while (out_begin_ == out_end_ && !finished_) advance();
    const std::size_t count = std::min(capacity, out_end_ - out_begin_);
    std::memcpy(buffer, out_.data() + out_begin_, count);
    out_begin_ += count;
    return count;
  }
  bool ready() final {
    while (out_begin_ == out_end_ && !finished_) {
      if (needs_input() && !source_->ready()) return false;
      advance();
    }
    return true;
  }
  const std::string& name() const final { return source_->name(); }
  std::uint64_t position() const final { return source_->position() - (in_end_ - in_begin_); }
  std::uint64_t size() const final { return source_->size(); }

 protected:
  // Decompresses from in() to out(), moving their begins/ends; `at_end` when no input follows what is in in().
  // Returns true when it stands between two members/frames.
  virtual bool decompress() = 0;

  [[noreturn]] void corrupt(const char* kind, const char* cause) const {
    throw InputError(name() + ": corrupt " + kind + " data (" + cause + "); expected a whole " + kind +
                     " file; fetch or compress it again");
  }
  [[noreturn]] void truncated(const char* kind) const {
    throw InputError(name() + ": the " + kind + " data ends too early; expected a whole " + kind +
                     " file; fetch or compress it again");
  }
  virtual const char* kind() const = 0;

  std::unique_ptr<ByteSource> source_;
  std::vector<char> in_;
  std::vector<char> out_;
  std::size_t in_begin_ = 0;
  std::size_t in_end_ = 0;
  std::size_t out_begin_ = 0;
  std::size_t out_end_ = 0;

 private:
  bool needs_input() const { return in_begin_ == in_end_ && !output_was_full_; }

  void advance() {
    bool input_ended = false;
    if (needs_input()) {
      in_begin_ = 0;
      in_end_ = source_->read(in_.data(), in_.size());
      input_ended = in_end_ == 0;
    }
    if (input_ended) {
      if (!between_members_) truncated(kind());
      finished_ = true;
      return;
    }
    out_begin_ = out_end_ = 0;
    between_members_ = decompress();
    // A full output block inside a member may mean that the decoder holds more without needing input.
    output_was_full_ = out_end_ == out_.size() && !between_members_;
  }

  bool between_members_ = true;
  bool output_was_full_ = false;
  bool finished_ = false;
};

class GzipSource final : public DecompressedSource {
 public:
  explicit GzipSource(std::unique_ptr<ByteSource> source) : DecompressedSource(std::move(source)) {
    if (inflateInit2(&stream_, MAX_WBITS + 16) != Z_OK) throw RunError(name() + ": cannot decompress: out of memory");
  }
  ~GzipSource() override { inflateEnd(&stream_); }

 private:
  const char* kind() const override { return "gzip"; }

  bool decompress() override {
    if (between_ && !skip_padding()) return true;
    between_ = false;
    stream_.next_in = reinterpret_cast<Bytef*>(in_.data() + in_begin_);
    stream_.avail_in = static_cast<uInt>(in_end_ - in_begin_);
    stream_.next_out = reinterpret_cast<Bytef*>(out_.data());
    stream_.avail_out = static_cast<uInt>(out_.size());
    const int result = inflate(&stream_, Z_NO_FLUSH);
    in_begin_ = in_end_ - stream_.avail_in;
    out_end_ = out_.size() - stream_.avail_out;
    if (result == Z_STREAM_END) {
      inflateReset(&stream_);
      between_ = true;
      first_member_ = false;
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      corrupt("gzip", stream_.msg ? stream_.msg : "unknown error");
    }
    return between_;
  }

  // Zero bytes may pad the file behind a member (tapes, block devices); false when nothing else is left in the block.
  bool skip_padding() {
    if (first_member_) return in_begin_ < in_end_;
    while (in_begin_ < in_end_ && in_[in_begin_] == 0) ++in_begin_;
    return in_begin_ < in_end_;
  }

  z_stream stream_ = {};
  bool between_ = true;
  bool first_member_ = true;
};

class ZstdSource final : public DecompressedSource {
 public:
  explicit ZstdSource(std::unique_ptr<ByteSource> source)
      : DecompressedSource(std::move(source)), stream_(ZSTD_createDStream()) {
    if (!stream_) throw RunError(name() + ": cannot decompress: out of memory");
  }
  ~ZstdSource() override { ZSTD_freeDStream(stream_); }

 private:
  const char* kind() const override { return "Zstandard"; }

  bool decompress() override {
    ZSTD_inBuffer input = {in_.data() + in_begin_, in_end_ - in_begin_, 0};
    ZSTD_outBuffer output = {out_.data(), out_.size(), 0};
    const std::size_t result = ZSTD_decompressStream(stream_, &output, &input);
    if (ZSTD_isError(result)) corrupt("Zstandard", ZSTD_getErrorName(result));
    in_begin_ += input.pos;
    out_end_ = output.pos;
    return result == 0;
  }

  ZSTD_DStream* stream_;
};

class FileAccess final : public RandomAccess {
 public:
  explicit FileAccess(const std::filesystem::path& path) : file_(path) {
    const struct stat status = file_.status();
    if (!S_ISREG(status.st_mode))
      throw InputError(file_.name() + ": an NPZ archive cannot be read from a pipe or device; give the name of a file");
    size_ = static_cast<std::uint64_t>(status.st_size);
  }
  const std::string& name() const override { return file_.name(); }
  std::uint64_t size() const override { return size_; }
  void read_at(std::uint64_t offset, char* buffer, std::size_t count) override {
    while (count > 0) {
      const ssize_t got = ::pread(file_.fd(), buffer, count, static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) file_.fail("read");
      if (got == 0) throw InputError(file_.name() + ": the file became shorter while it was read; try again");
      offset += static_cast<std::uint64_t>(got);
      buffer += got;
      count -= static_cast<std::size_t>(got);
    }
  }

 private:
  Descriptor file_;
  std::uint64_t size_ = 0;
};

class SequentialSource final : public ByteSource {
 public:
  explicit SequentialSource(std::shared_ptr<RandomAccess> file) : file_(std::move(file)) {}
  std::size_t read(char* buffer, std::size_t capacity) override {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(capacity, file_->size() - at_));
    file_->read_at(at_, buffer, count);
    at_ += count;
    return count;
  }
  bool ready() override { return true; }
  const std::string& name() const override { return file_->name(); }
  std::uint64_t position() const override { return at_; }
  std::uint64_t size() const override { return file_->size(); }

 private:
  std::shared_ptr<RandomAccess> file_;
  std::uint64_t at_ = 0;
};

bool begins_with(const std::string& bytes, std::string_view magic) {
  return bytes.compare(0, magic.size(), magic) == 0;
}

// Frames begin with their magic number; skippable frames (0x184D2A50..5F) may come first.
bool is_zstd(const std::string& bytes) {
  using namespace std::string_view_literals;
  const bool skippable = bytes.size() >= 4 && (bytes[0] & 0xf0) == 0x50 && bytes.compare(1, 3, "\x2a\x4d\x18"sv) == 0;
  return begins_with(bytes, "\x28\xb5\x2f\xfd"sv) || skippable;
}

}  // namespace

std::size_t read_fully(ByteSource& source, char* buffer, std::size_t capacity) {
  std::size_t filled = 0;
  while (filled < capacity) {
    const std::size_t count = source.read(buffer + filled, capacity - filled);
    if (count == 0) break;
    filled += count;
  }
  return filled;
}

std::unique_ptr<ByteSource> with_prefix(std::string prefix, std::unique_ptr<ByteSource> source) {
  return std::make_unique<PrefixedSource>(std::move(prefix), std::move(source));
}

std::unique_ptr<ByteSource> ByteSource::open(const std::filesystem::path& path) {
  std::unique_ptr<ByteSource> source = std::make_unique<PlainSource>(path);
  std::string magic(4, '\0');
  magic.resize(read_fully(*source, magic.data(), magic.size()));
  const bool gzip = begins_with(magic, "\x1f\x8b");
  const bool zstd = is_zstd(magic);
  source = with_prefix(std::move(magic), std::move(source));
  if (gzip) return std::make_unique<GzipSource>(std::move(source));
  if (zstd) return std::make_unique<ZstdSource>(std::move(source));
  return source;
}

std::unique_ptr<ByteSource> from_the_beginning(std::shared_ptr<RandomAccess> file) {
  return std::make_unique<SequentialSource>(std::move(file));
}

std::unique_ptr<RandomAccess> RandomAccess::open(const std::filesystem::path& path) {
  return std::make_unique<FileAccess>(path);
}

}  // namespace ae::data
