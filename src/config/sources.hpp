// The documents that one config is made of: a file, and those that it extends. Internal to this room.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/document.hpp"
#include "config/problems.hpp"
#include "config/tree.hpp"

namespace ae::config {

constexpr std::string_view extends_key = "extends";

// Parses documents and puts each on top of what it extends: objects are merged key by key, anything else is replaced,
// and so is an object that chooses another "type". The n-th document after the first has the origin -n.
class Sources {
 public:
  Sources(std::span<const Recipe> recipes, bool may_extend) : recipes_(recipes), may_extend_(may_extend) {}

  // The whole tree. UsageError when a document cannot be read, is no JSON, or extends itself; duplicate keys go to
  // `problems`.
  Node load(std::string_view text, std::string_view name, const std::filesystem::path& folder, ProblemList& problems);

  const Source& of(int origin) const { return sources_[static_cast<std::size_t>(-origin)]; }
  std::span<const Source> all() const { return sources_; }

 private:
  Node load(std::string_view text, Source source, ProblemList& problems);
  Node load_extended(const std::string& target, const Source& by, ProblemList& problems);
  void refuse_circle(const Source& extended, const Source& by) const;

  std::span<const Recipe> recipes_;
  bool may_extend_;
  std::vector<Source> sources_;
};

}  // namespace ae::config
