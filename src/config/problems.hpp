// The problems of one document, gathered so that all are reported at once. Internal to this room.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/document.hpp"
#include "config/tree.hpp"

namespace ae::config {

constexpr std::uint64_t max_file_bytes = 16 << 20;

// A document that a config is made of.
struct Source {
  std::string name;                // for messages
  std::filesystem::path folder;    // where its relative paths start
  std::filesystem::path identity;  // two with the same one are the same document
};

class ProblemList {
 public:
  void add(std::string pointer, std::string message) {
    ++count_;
    if (!full()) problems_.push_back({std::move(pointer), std::move(message)});
  }
  void add_override(const Override& override, const std::string& message) {
    add_line("--set " + shown(override.pointer) + ": " + message);
  }
  void add_line(std::string line) {
    ++count_;
    if (lines_.size() < limit) lines_.push_back(std::move(line));
  }
  // Callers may skip working out messages that would not be shown.
  bool full() const { return problems_.size() >= limit; }
  bool empty() const { return count_ == 0; }

  // UsageError when there are any. A value's place in `tree` tells which document or override is to blame.
  void throw_if_any(const Node& tree, std::span<const Source> sources, std::span<const Override> overrides) const;

  static std::string shown(std::string_view pointer);  // hostile bytes made visible

 private:
  static constexpr std::size_t limit = 100;
  std::vector<Problem> problems_;
  std::vector<std::string> lines_;
  std::size_t count_ = 0;
};

}  // namespace ae::config
