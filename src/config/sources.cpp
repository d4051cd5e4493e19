#include "config/sources.hpp"

#include <algorithm>
#include <system_error>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"

namespace ae::config {

namespace {

using Kind = Node::Kind;

constexpr std::string_view recipe_prefix = "recipe:";

bool chooses_another_type(const Node& base, const Node& over) {
  const Node* before = base.find("type");
  const Node* after = over.find("type");
  return before && after && before->text != after->text;
}

// What `over` gives comes last, also in maps whose order counts.
void put_on_top(Node& base, Node over) {
  if (base.kind != Kind::object || over.kind != Kind::object || chooses_another_type(base, over)) {
    base = std::move(over);
    return;
  }
  base.origin = over.origin;
  for (Node& item : over.items) {
    const auto same = std::find_if(base.items.begin(), base.items.end(),
                                   [&](const Node& candidate) { return candidate.key == item.key; });
    if (same != base.items.end()) {
      Node merged = std::move(*same);
      base.items.erase(same);
      put_on_top(merged, std::move(item));
      item = std::move(merged);
    }
    base.items.push_back(std::move(item));
  }
}

std::filesystem::path identity_of(const std::filesystem::path& file) {
  std::error_code ignored;
  const auto canonical = std::filesystem::weakly_canonical(file, ignored);
  return ignored ? file : canonical;
}

}  // namespace

std::vector<std::string> recipe_names(std::span<const Recipe> recipes) {
  std::vector<std::string> names;
  for (const Recipe& recipe : recipes) names.emplace_back(recipe.name);
  return names;
}

const Recipe& find_recipe(std::span<const Recipe> recipes, std::string_view name) {
  const auto found =
      std::find_if(recipes.begin(), recipes.end(), [&](const Recipe& recipe) { return recipe.name == name; });
  if (found != recipes.end()) return *found;
  const auto names = recipe_names(recipes);
  throw UsageError("no recipe is called " + ae::quoted(name) + "; there are " + ae::join(names, ", ", names.size()) +
                   ae::did_you_mean(name, names));
}

Node Sources::load(std::string_view text, std::string_view name, const std::filesystem::path& folder,
                   ProblemList& problems) {
  return load(text, Source{std::string(name), folder, identity_of(folder / std::filesystem::path(name).filename())},
              problems);
}

Node Sources::load(std::string_view text, Source source, ProblemList& problems) {
  const int origin = -static_cast<int>(sources_.size());
  sources_.push_back(source);
  Parsed parsed = parse_json(text, origin);
  if (const auto& error = parsed.error) {
    const std::string place =
        error->line > 0 ? ":" + std::to_string(error->line) + ":" + std::to_string(error->column) : "";
    throw UsageError(source.name + place + ": " + error->message);
  }
  for (const std::string& pointer : parsed.duplicates) {
    problems.add_line(source.name + ": " + ProblemList::shown(pointer) +
                      ": found this key more than once, expected it once; remove all but one");
  }
  Node& own = parsed.root;
  const Node* extends = may_extend_ ? own.find(extends_key) : nullptr;
  if (!extends) return std::move(own);
  const std::string place = source.name + ": /" + std::string(extends_key) + ": ";
  if (extends->kind != Kind::text || extends->text.empty() || extends->text == "-" ||
      extends->text.find('\0') != std::string::npos) {
    throw UsageError(place + "found " + compact_json(*extends).substr(0, 80) +
                     ", expected the path of another config in double quotes, or \"" + std::string(recipe_prefix) +
                     "NAME\"");
  }
  Node whole = load_extended(extends->text, source, problems);
  std::erase_if(own.items, [](const Node& item) { return item.key == extends_key; });
  put_on_top(whole, std::move(own));
  return whole;
}

Node Sources::load_extended(const std::string& target, const Source& by, ProblemList& problems) {
  std::string text;
  Source source;
  if (target.starts_with(recipe_prefix)) {
    try {
      text = find_recipe(recipes_, std::string_view(target).substr(recipe_prefix.size())).text;
    } catch (const UsageError& error) {
      throw UsageError(by.name + ": /" + std::string(extends_key) + ": " + error.lines().front());
    }
    source = {target, {}, target};
  } else {
    const std::filesystem::path file = by.folder / target;
    source = {file.string(), file.parent_path(), identity_of(file)};
    refuse_circle(source, by);
    try {
      text = ae::read_file(file, FileKind::config, max_file_bytes);
    } catch (const UsageError& error) {
      throw UsageError(by.name + ": /" + std::string(extends_key) + ": " + error.lines().front());
    }
  }
  refuse_circle(source, by);
  Node whole = load(text, source, problems);
  if (whole.kind != Kind::object)
    throw UsageError(source.name + ": expected a JSON object; enclose the settings in { }");
  return whole;
}

void Sources::refuse_circle(const Source& extended, const Source& by) const {
  const bool again = std::any_of(sources_.begin(), sources_.end(),
                                 [&](const Source& source) { return source.identity == extended.identity; });
  if (!again) return;
  throw UsageError(by.name + ": /" + std::string(extends_key) + ": " + extended.name +
                   " is already being extended, so that configs would extend each other in a circle; remove this "
                   "\"extends\", or name another config");
}

}  // namespace ae::config
