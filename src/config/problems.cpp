#include "config/problems.hpp"

#include "base/error.hpp"
#include "base/text.hpp"

namespace ae::config {

namespace {

struct Place {
  int origin;
  std::string pointer;  // with the names as they were written
};

Place place_of(const Node& tree, std::string_view pointer) {
  Place place = {tree.origin, ""};
  const Node* node = &tree;
  for (const std::string& token : pointer_tokens(pointer).value_or(std::vector<std::string>{})) {
    if (node) node = child(*node, token);
    if (node) place.origin = node->origin;  // of what is missing: whoever wrote the enclosing value is asked
    place.pointer = pointer_to(place.pointer, node && !node->former.empty() ? node->former : token);
  }
  return place;
}

}  // namespace

std::string ProblemList::shown(std::string_view pointer) {
  constexpr std::size_t longest = 200;
  const std::string text = ae::quoted(pointer, longest);
  const bool plain = text.size() == pointer.size() + 2 && text.substr(1, pointer.size()) == pointer;
  return plain ? std::string(pointer) : text;
}

void ProblemList::throw_if_any(const Node& tree, std::span<const Source> sources,
                               std::span<const Override> overrides) const {
  if (count_ == 0) return;
  std::vector<std::string> lines = lines_;
  for (const Problem& problem : problems_) {
    if (lines.size() == limit) break;
    const auto [origin, pointer] = place_of(tree, problem.pointer);
    std::string line;
    std::string_view named;
    if (origin <= 0) {
      line = sources[static_cast<std::size_t>(-origin)].name;
    } else {
      named = overrides[static_cast<std::size_t>(origin - 1)].pointer;
      line = "--set " + shown(named);
    }
    if (pointer != named) line += ": " + shown(pointer);
    lines.push_back(line + ": " + problem.message);
  }
  if (count_ > lines.size())
    lines.push_back(sources.front().name + ": and " + std::to_string(count_ - lines.size()) +
                    " more problems; mend these first");
  throw UsageError(std::move(lines));
}

}  // namespace ae::config
