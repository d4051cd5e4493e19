// The problems of one document, gathered so that all are reported at once. Internal to this room.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/document.hpp"
#include "config/tree.hpp"

namespace ae::config {

class ProblemList {
 public:
  void add(std::string pointer, std::string message) {
    ++count_;
    if (!full()) problems_.push_back({std::move(pointer), std::move(message)});
  }
  void add_override(const Override& override, const std::string& message) {
    ++count_;
    if (lines_.size() < limit) lines_.push_back("--set " + shown(override.pointer) + ": " + message);
  }
  // Callers may skip working out messages that would not be shown.
  bool full() const { return problems_.size() >= limit; }
  bool empty() const { return count_ == 0; }

  // UsageError when there are any. A value's place in `tree` tells whether the file or an override is to blame.
  void throw_if_any(const Node& tree, std::string_view file, std::span<const Override> overrides) const;

  static std::string shown(std::string_view pointer);  // hostile bytes made visible

 private:
  static constexpr std::size_t limit = 100;
  std::vector<Problem> problems_;
  std::vector<std::string> lines_;
  std::size_t count_ = 0;
};

}  // namespace ae::config
