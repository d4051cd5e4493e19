// Lines of text, one after another.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "data/bytes/source.hpp"

namespace ae::data {

class Lines {
 public:
  explicit Lines(std::unique_ptr<ByteSource> source);
  // The next line without its end (LF or CRLF), valid until the next call; false at the end. InputError for a line of
  // more than 1 MiB.
  bool next(std::string_view& line);
  // False when next() would wait for a slow writer.
  bool ready();
  std::int64_t number() const { return number_; }     // of the line given last, from 1
  bool is_unfinished() const { return unfinished_; }  // whether the line given last is the last and lacks its end
  std::string place() const { return source_->name() + ":" + std::to_string(number_); }
  const ByteSource& source() const { return *source_; }

 private:
  bool read_more();  // false at the end

  std::unique_ptr<ByteSource> source_;
  std::string buffer_;
  std::size_t begin_ = 0, end_ = 0;  // in it, of what was read and not given
  std::int64_t number_ = 0;
  bool unfinished_ = false, ended_ = false;
};

}  // namespace ae::data
