// Sources of bytes for the readers' tests: from memory, in reads as small as asked for.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>

#include "data/bytes/source.hpp"

namespace ae::test {

class MemorySource final : public data::ByteSource {
 public:
  // `next_read` gives the size of each read (at least 1).
  explicit MemorySource(
      std::string bytes, std::function<std::size_t()> next_read = [] { return std::size_t{1} << 30; })
      : bytes_(std::move(bytes)), next_read_(std::move(next_read)) {}
  std::size_t read(char* buffer, std::size_t capacity) override {
    const std::size_t count = std::min({capacity, bytes_.size() - at_, std::max<std::size_t>(1, next_read_())});
    std::memcpy(buffer, bytes_.data() + at_, count);
    at_ += count;
    return count;
  }
  bool ready() override { return ready_ ? ready_() : true; }
  const std::string& name() const override { return name_; }
  std::uint64_t position() const override { return at_; }
  std::uint64_t size() const override { return bytes_.size(); }
  void set_ready(std::function<bool()> ready) { ready_ = std::move(ready); }

 private:
  std::string bytes_;
  std::function<std::size_t()> next_read_;
  std::function<bool()> ready_;
  std::size_t at_ = 0;
  std::string name_ = "table.csv";
};

class MemoryAccess final : public data::RandomAccess {
 public:
  explicit MemoryAccess(std::string bytes) : bytes_(std::move(bytes)) {}
  const std::string& name() const override { return name_; }
  std::uint64_t size() const override { return bytes_.size(); }
  void read_at(std::uint64_t offset, char* buffer, std::size_t count) override {
    if (offset > bytes_.size() || count > bytes_.size() - offset) throw std::out_of_range("read beyond the end");
    std::memcpy(buffer, bytes_.data() + offset, count);
  }

 private:
  std::string bytes_;
  std::string name_ = "arrays.npz";
};

}  // namespace ae::test
