#include "config/writer.hpp"

namespace ae::config {

namespace {

Node texts_node(const std::vector<std::string>& values) {
  Node node = Node::array();
  for (const std::string& value : values) node.add(Node::of_text(value));
  return node;
}

Node variant_node(AnyVariant& variant, Paths paths) {
  Section* value = variant.value();
  if (!value) return Node{};
  Node node = Node::object();
  node.set("type", Node::of_text(variant.type()));
  for (const Field& field : declared(*value)) node.set(field.name, to_node(field, paths));
  return node;
}

}  // namespace

Node to_node(const Field& field, Paths paths) {
  return std::visit(
      Overloaded{
          [](const IntegerField& f) { return Node::of_integer(*f.value); },
          [](const NumberField& f) { return Node::of_number(*f.value); },
          [](const OptionalNumberField& f) { return f.value->has_value() ? Node::of_number(**f.value) : Node{}; },
          [](const OptionalIntegerField& f) { return f.value->has_value() ? Node::of_integer(**f.value) : Node{}; },
          [](const BooleanField& f) { return Node::of_boolean(*f.value); },
          [](const TextField& f) { return Node::of_text(*f.value); },
          [](const ChoiceField& f) { return Node::of_text(*f.value); },
          [&](const PathField& f) {
            return Node::of_text(paths == Paths::resolved ? f.value->resolved.string() : f.value->written);
          },
          [](const IntegersField& f) {
            Node node = Node::array();
            for (const std::int64_t value : *f.value) node.add(Node::of_integer(value));
            return node;
          },
          [](const TextsField& f) { return texts_node(*f.value); },
          [](const ScalarsField& f) { return texts_node(*f.value); },
          [](const ChoiceMapField& f) {
            Node node = Node::object();
            for (const auto& [key, value] : *f.value) node.set(key, Node::of_text(value));
            return node;
          },
          [&](const SectionField& f) { return to_node(*f.value, paths); },
          [&](const VariantField& f) { return variant_node(*f.value, paths); },
          [&](const VariantsField& f) {
            if (!*f.is_set) return Node{};
            Node node = Node::array();
            for (std::size_t i = 0; i < f.value->size(); ++i) node.add(variant_node(f.value->at(i), paths));
            return node;
          },
      },
      field.kind);
}

Node to_node(Section& section, Paths paths) {
  Node node = Node::object();
  for (const Field& field : declared(section)) node.set(field.name, to_node(field, paths));
  return node;
}

std::string to_json(Section& root, Paths paths) { return print_json(to_node(root, paths)); }

}  // namespace ae::config
