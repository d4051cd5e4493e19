#include "config/overrides.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "config/declaration.hpp"
#include "config/places.hpp"
#include "config/writer.hpp"

namespace ae::config {

namespace {

using Kind = Node::Kind;

bool is_list(const Field& field) {
  return std::holds_alternative<IntegersField>(field.kind) || std::holds_alternative<TextsField>(field.kind) ||
         std::holds_alternative<ScalarsField>(field.kind) || std::holds_alternative<VariantsField>(field.kind);
}

// The array or map that the declaration holds at `tokens`; an unset list counts as empty. Nothing for sections and
// variants: the reader keeps the defaults of settings that are left out.
std::optional<Node> default_at(Section& root, const Node& tree, Tokens tokens) {
  std::optional<Node> found;
  along(root, tree, tokens, [&](std::size_t at, const Field& field) {
    const bool map = std::holds_alternative<ChoiceMapField>(field.kind);
    if (at + 1 < tokens.size() || (!map && !is_list(field))) return;
    Node value = to_node(field, Paths::as_written);
    found = value.kind == Kind::null ? Node::array() : std::move(value);
  });
  return found;
}

class OneOverride {
 public:
  OneOverride(Node& tree, Section& root, const Override& override, int origin, ProblemList& problems)
      : tree_(tree), root_(root), override_(override), origin_(origin), problems_(problems) {}

  void apply() {
    auto tokens = pointer_tokens(override_.pointer);
    if (!tokens || tokens->empty()) return fail("expected a JSON pointer such as /training/epochs");
    if (!is_utf8(override_.pointer) || !is_utf8(override_.value))
      return fail("found bytes that are not UTF-8, expected UTF-8 text, which JSON needs");
    std::optional<Node> value = parse_value();
    if (!value) return;
    written_ = *tokens;
    along(root_, tree_, written_, [&](std::size_t i, const Field& field) { (*tokens)[i] = field.name; });
    Node* place = &tree_;
    for (std::size_t i = 0; place && i < tokens->size(); ++i) place = enter(*place, Tokens(*tokens), i);
    if (!place) return;
    value->key = std::move(place->key);
    value->former = former(*tokens, tokens->size() - 1);
    *place = std::move(*value);
  }

 private:
  void fail(const std::string& message) { problems_.add_override(override_, message); }

  std::optional<Node> parse_value() {
    Parsed parsed = parse_json(override_.value, origin_);
    if (parsed.error && parsed.error->is_json) {
      fail(parsed.error->message);
      return std::nullopt;
    }
    if (parsed.error) {
      Node text = Node::of_text(override_.value);
      text.origin = origin_;
      return text;
    }
    for (const std::string& pointer : parsed.duplicates)
      fail(ProblemList::shown(override_.pointer + pointer) + ": found this key twice, expected it once; remove one");
    if (!parsed.duplicates.empty()) return std::nullopt;
    return std::move(parsed.root);
  }

  // The child of `parent` that the token at `i` names, made when missing; null after reporting why it cannot be.
  Node* enter(Node& parent, Tokens tokens, std::size_t i) {
    if (parent.kind == Kind::null) open(parent, tokens, i);
    if (parent.kind == Kind::object) {
      Node* found = parent.find(tokens[i]);
      if (found) return found;
      Node& made = own(parent.set(tokens[i], Node{}));
      made.former = former(tokens, i);
      return &made;
    }
    const std::string where = ProblemList::shown(pointer_of(tokens.first(i)));
    if (parent.kind != Kind::array) {
      fail("found " + (parent.kind == Kind::text ? ae::quoted(parent.text) : compact_json(parent)) + " at " + where +
           ", expected an object or an array there");
      return nullptr;
    }
    if (tokens[i] == "-") return &own(parent.add(Node{}));
    const auto index = index_of(tokens[i]);
    if (index && *index < parent.items.size()) return &parent.items[*index];
    const std::string last = std::to_string(parent.items.size() - std::min<std::size_t>(1, parent.items.size()));
    fail("found " + ae::quoted(tokens[i]) + " as an index into " + where + ", expected " +
         (parent.items.empty() ? "\"-\", which appends, as the array is empty"
                               : "0 to " + last + ", or \"-\" to append"));
    return nullptr;
  }

  // Turns what the document leaves out into the container that the token at `i` needs.
  void open(Node& node, Tokens tokens, std::size_t i) {
    std::optional<Node> initial = default_at(root_, tree_, tokens.first(i));
    Node container = initial ? std::move(*initial) : tokens[i] == "-" ? Node::array() : Node::object();
    container.key = std::move(node.key);
    container.former = std::move(node.former);
    node = std::move(own(container));
  }

  // The name that the override gives a setting whose present one is the token at `i`; "" when it is that.
  std::string former(Tokens tokens, std::size_t i) const { return written_[i] == tokens[i] ? "" : written_[i]; }

  Node& own(Node& node) const {
    node.origin = origin_;
    for (Node& item : node.items) own(item);
    return node;
  }

  static std::string pointer_of(Tokens tokens) {
    std::string pointer;
    for (const std::string& token : tokens) pointer = pointer_to(pointer, token);
    return pointer;
  }

  Node& tree_;
  Section& root_;
  const Override& override_;
  int origin_;
  ProblemList& problems_;
  std::vector<std::string> written_;  // the pointer's tokens, with former names
};

}  // namespace

Override parse_override(std::string_view argument) {
  const auto equals = argument.find('=');
  if (!argument.starts_with('/') || equals == std::string_view::npos)
    throw UsageError("--set " + ae::quoted(argument, 80) +
                     ": expected /POINTER=VALUE; for example --set /training/epochs=50");
  Override override{std::string(argument.substr(0, equals)), std::string(argument.substr(equals + 1))};
  if (!pointer_tokens(override.pointer))
    throw UsageError("--set " + ae::quoted(argument, 80) +
                     ": found \"~\" in the pointer, expected ~0 (for \"~\") or ~1 (for \"/\")");
  return override;
}

void apply_overrides(Node& tree, Section& root, std::span<const Override> overrides, ProblemList& problems) {
  for (std::size_t i = 0; i < overrides.size(); ++i) {
    OneOverride(tree, root, overrides[i], static_cast<int>(i + 1), problems).apply();
    use_present_names(tree, root, problems);
  }
}

}  // namespace ae::config
