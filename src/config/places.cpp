#include "config/places.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace ae::config {

namespace {

using Kind = Node::Kind;
using Visit = std::function<void(std::size_t, const Field&)>;

// A fresh object of the type `node` names; null when it names no known one.
template <typename Variants>
std::unique_ptr<Section> named_type(const Variants& variants, const Node* node) {
  const Node* type = node ? node->find("type") : nullptr;
  if (!type || type->kind != Kind::text) return nullptr;
  for (const Choice& choice : variants.choices())
    if (choice.name == type->text) return variants.make(choice.name);
  return nullptr;
}

// Calls `enter` with the options that a variant's `node` is about: of the type it names, or of the initial one.
template <typename Enter>
void enter_variant(AnyVariant& variant, const Node* node, Enter enter) {
  if (const auto fresh = named_type(variant, node))
    enter(*fresh);
  else if (variant.value())
    enter(*variant.value());
}

void along(Section& section, const Node* node, Tokens tokens, std::size_t at, const Visit& visit);

struct AlongInside {
  const Node* node;  // of the field, null when the document leaves it out
  Tokens tokens;
  std::size_t at;  // of the token behind the field's name
  const Visit& visit;

  void operator()(const SectionField& f) const { along(*f.value, node, tokens, at, visit); }
  void operator()(const VariantField& f) const {
    enter_variant(*f.value, node, [&](Section& options) { along(options, node, tokens, at, visit); });
  }
  void operator()(const VariantsField& f) const {
    const Node* element = node ? child(*node, tokens[at]) : nullptr;
    if (const auto fresh = named_type(*f.value, element)) along(*fresh, element, tokens, at + 1, visit);
  }
  template <typename Leaf>
  void operator()(const Leaf&) const {}
};

void along(Section& section, const Node* node, Tokens tokens, std::size_t at, const Visit& visit) {
  if (at == tokens.size()) return;
  const std::vector<Field> fields = declared(section);
  const auto field =
      std::find_if(fields.begin(), fields.end(), [&](const Field& one) { return one.is_called(tokens[at]); });
  if (field == fields.end()) return;
  visit(at, *field);
  if (at + 1 < tokens.size())
    std::visit(AlongInside{node ? node->find(field->name) : nullptr, tokens, at + 1, visit}, field->kind);
}

class Renamer {
 public:
  explicit Renamer(ProblemList& problems) : problems_(problems) {}

  void rename_inside(Section& section, Node& node, const std::string& pointer) {
    if (node.kind != Kind::object) return;
    for (const Field& field : declared(section)) {
      for (const std::string& former : field.former_names) rename(node, field, former, pointer);
      Node* inside = node.find(field.name);
      if (inside)
        std::visit([&](const auto& kind) { enter(kind, *inside, pointer_to(pointer, field.name)); }, field.kind);
    }
  }

 private:
  void rename(Node& object, const Field& field, const std::string& former, const std::string& pointer) {
    const Node* old = object.find(former);
    if (!old) return;
    const Node* present = object.find(field.name);
    if (present && present->origin == old->origin)
      problems_.add(pointer_to(pointer, former),
                    "the former name of " + ae::quoted(field.name) + ", which is given here too" +
                        (present->former.empty() ? "" : " as " + ae::quoted(present->former)) + "; remove one of them");
    const bool stays = present && present->origin >= old->origin;
    std::erase_if(object.items, [&](const Node& item) { return item.key == (stays ? former : field.name); });
    if (stays) return;
    Node& renamed = *object.find(former);
    renamed.key = field.name;
    renamed.former = former;
  }

  void enter(const SectionField& f, Node& node, const std::string& pointer) { rename_inside(*f.value, node, pointer); }
  void enter(const VariantField& f, Node& node, const std::string& pointer) {
    enter_variant(*f.value, &node, [&](Section& options) { rename_inside(options, node, pointer); });
  }
  void enter(const VariantsField& f, Node& node, const std::string& pointer) {
    if (node.kind != Kind::array) return;
    for (std::size_t i = 0; i < node.items.size(); ++i)
      if (const auto options = named_type(*f.value, &node.items[i]))
        rename_inside(*options, node.items[i], pointer_to(pointer, std::to_string(i)));
  }
  template <typename Leaf>
  void enter(const Leaf&, Node&, const std::string&) {}

  ProblemList& problems_;
};

}  // namespace

void along(Section& root, const Node& tree, Tokens tokens, const Visit& visit) { along(root, &tree, tokens, 0, visit); }

void use_present_names(Node& tree, Section& root, ProblemList& problems) {
  Renamer(problems).rename_inside(root, tree, "");
}

}  // namespace ae::config
