#include "config/overrides.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"
#include "config/declaration.hpp"
#include "config/writer.hpp"

namespace ae::config {

namespace {

using Kind = Node::Kind;
using Tokens = std::span<const std::string>;

bool is_list(const Field& field) {
  return std::holds_alternative<IntegersField>(field.kind) || std::holds_alternative<TextsField>(field.kind) ||
         std::holds_alternative<ScalarsField>(field.kind) || std::holds_alternative<VariantsField>(field.kind);
}

// A fresh object of the type `node` names; null when it names no known one.
template <typename Variants>
std::unique_ptr<Section> named_type(const Variants& variants, const Node* node) {
  const Node* type = node ? node->find("type") : nullptr;
  if (!type || type->kind != Kind::text) return nullptr;
  for (const Choice& choice : variants.choices())
    if (choice.name == type->text) return variants.make(choice.name);
  return nullptr;
}

std::optional<Node> default_at(Section& section, const Node* node, Tokens tokens);

struct DefaultInside {
  const Node* node;  // of the field, null when the document leaves it out
  Tokens rest;       // tokens behind the field's name

  std::optional<Node> operator()(const SectionField& f) const { return default_at(*f.value, node, rest); }
  std::optional<Node> operator()(const VariantField& f) const {
    if (const auto fresh = named_type(*f.value, node)) return default_at(*fresh, node, rest);
    return f.value->value() ? default_at(*f.value->value(), node, rest) : std::nullopt;
  }
  std::optional<Node> operator()(const VariantsField& f) const {
    const Node* element = node ? child(*node, rest.front()) : nullptr;
    const auto fresh = named_type(*f.value, element);
    return fresh && rest.size() > 1 ? default_at(*fresh, element, rest.subspan(1)) : std::nullopt;
  }
  template <typename Leaf>
  std::optional<Node> operator()(const Leaf&) const {
    return std::nullopt;
  }
};

// The array or map that the declaration holds at `tokens` inside `section`; an unset list counts as empty. Nothing for
// sections and variants: the reader keeps the defaults of settings that are left out.
std::optional<Node> default_at(Section& section, const Node* node, Tokens tokens) {
  const std::vector<Field> fields = declared(section);
  const auto field =
      std::find_if(fields.begin(), fields.end(), [&](const Field& one) { return one.name == tokens.front(); });
  if (field == fields.end()) return std::nullopt;
  if (tokens.size() > 1)
    return std::visit(DefaultInside{node ? node->find(tokens.front()) : nullptr, tokens.subspan(1)}, field->kind);
  const bool map = std::holds_alternative<ChoiceMapField>(field->kind);
  if (!map && !is_list(*field)) return std::nullopt;
  Node value = to_node(*field, Paths::as_written);
  return value.kind == Kind::null ? Node::array() : value;
}

class OneOverride {
 public:
  OneOverride(Node& tree, Section& root, const Override& override, int origin, ProblemList& problems)
      : tree_(tree), root_(root), override_(override), origin_(origin), problems_(problems) {}

  void apply() {
    const auto tokens = pointer_tokens(override_.pointer);
    if (!tokens || tokens->empty()) return fail("expected a JSON pointer such as /training/epochs");
    if (!is_utf8(override_.pointer) || !is_utf8(override_.value))
      return fail("found bytes that are not UTF-8, expected UTF-8 text, which JSON needs");
    std::optional<Node> value = parse_value();
    if (!value) return;
    Node* place = &tree_;
    for (std::size_t i = 0; place && i < tokens->size(); ++i) place = enter(*place, Tokens(*tokens), i);
    if (!place) return;
    value->key = std::move(place->key);
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
      return found ? found : &own(parent.set(tokens[i], Node{}));
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
    std::optional<Node> initial = i > 0 ? default_at(root_, &tree_, tokens.first(i)) : std::nullopt;
    Node container = initial ? std::move(*initial) : tokens[i] == "-" ? Node::array() : Node::object();
    container.key = std::move(node.key);
    node = std::move(own(container));
  }

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
  for (std::size_t i = 0; i < overrides.size(); ++i)
    OneOverride(tree, root, overrides[i], static_cast<int>(i + 1), problems).apply();
}

}  // namespace ae::config
