#include "data/bytes/lines.hpp"

#include <cstring>

#include "base/error.hpp"

namespace ae::data {

namespace {
constexpr std::size_t kMostLineBytes = 1 << 20, kLineBytesAtFirst = 1 << 16;
}

Lines::Lines(std::unique_ptr<ByteSource> source) : source_(std::move(source)), buffer_(kLineBytesAtFirst, '\0') {}

bool Lines::read_more() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == kMostLineBytes) {
    throw InputError(source_->name() + ":" + std::to_string(number_ + 1) +
                     ": the line is longer than 1 MiB; is this a text file?");
  }
  if (end_ == buffer_.size()) buffer_.resize(2 * end_);
  const std::size_t count = source_->read(buffer_.data() + end_, buffer_.size() - end_);
  end_ += count;
  ended_ = count == 0;
  return !ended_;
}

bool Lines::ready() {
  std::size_t searched = begin_;
  while (!ended_ && std::memchr(buffer_.data() + searched, '\n', end_ - searched) == nullptr) {
    if (!source_->ready()) return false;
    const std::size_t before = end_ - begin_;
    read_more();
    searched = before;
  }
  return true;
}

bool Lines::next(std::string_view& line) {
  std::size_t searched = begin_;
  for (;;) {
    const void* found = std::memchr(buffer_.data() + searched, '\n', end_ - searched);
    if (found == nullptr) {
      searched = end_ - begin_;
      if (!ended_ && read_more()) continue;
      if (begin_ == end_) return false;
      unfinished_ = true;
    }
    const std::size_t line_end =
        found == nullptr ? end_ : static_cast<std::size_t>(static_cast<const char*>(found) - buffer_.data());
    line = std::string_view(buffer_).substr(begin_, line_end - begin_);
    if (line.ends_with('\r')) line.remove_suffix(1);
    begin_ = found == nullptr ? end_ : line_end + 1;
    ++number_;
    return true;
  }
}

}  // namespace ae::data
