// What the declaration promises to others: JSON Schema for editors and validators, plain text for people.

#include <algorithm>
#include <cmath>

#include "base/text.hpp"
#include "config/declaration.hpp"
#include "config/document.hpp"
#include "config/sources.hpp"
#include "config/tree.hpp"
#include "config/writer.hpp"

namespace ae::config {

namespace {

Node typed(std::string_view type) {
  Node schema = Node::object();
  schema.set("type", Node::of_text(type));
  return schema;
}

Node names_node(std::span<const Choice> choices) {
  Node names = Node::array();
  for (const Choice& choice : choices) names.add(Node::of_text(choice.name));
  return names;
}

Node choice_schema(std::span<const Choice> choices) {
  Node schema = typed("string");
  schema.set("enum", names_node(choices));
  return schema;
}

void set_range(Node& schema, IntegerRange range) {
  schema.set("minimum", Node::of_integer(range.minimum));
  schema.set("maximum", Node::of_integer(range.maximum));
}

Node integer_schema(IntegerRange range) {
  Node schema = typed("integer");
  set_range(schema, range);
  return schema;
}

void set_range(Node& schema, NumberRange range) {
  if (std::isfinite(range.minimum))
    schema.set(range.exclude_minimum ? "exclusiveMinimum" : "minimum", Node::of_number(range.minimum));
  if (std::isfinite(range.maximum))
    schema.set(range.exclude_maximum ? "exclusiveMaximum" : "maximum", Node::of_number(range.maximum));
}

Node any_of_types(std::initializer_list<std::string_view> types) {
  Node names = Node::array();
  for (const std::string_view type : types) names.add(Node::of_text(type));
  Node schema = Node::object();
  schema.set("type", std::move(names));
  return schema;
}

Node array_of(Node item) {
  Node schema = typed("array");
  schema.set("items", std::move(item));
  return schema;
}

std::string with_choices(const std::string& description, std::span<const Choice> choices) {
  std::string text = description;
  for (const Choice& choice : choices) {
    if (choice.help.empty()) continue;
    if (!text.empty()) text += '\n';
    text.append(choice.name).append(": ").append(choice.help);
  }
  return text;
}

std::span<const Choice> choices_of(const Field& field) {
  if (const auto* f = std::get_if<ChoiceField>(&field.kind)) return f->choices;
  if (const auto* f = std::get_if<ChoiceMapField>(&field.kind)) return f->choices;
  return {};
}

Node requires_only(std::string_view name) {
  Node names = Node::array();
  names.add(Node::of_text(name));
  Node schema = Node::object();
  schema.set("required", std::move(names));
  return schema;
}

// A setting may be given by one of its names, or, unless it is needed, by none.
Node one_name_of(const Field& field, bool needed) {
  Node branches = Node::array();
  Node none = Node::object();
  const auto add = [&](std::string_view name) {
    branches.add(requires_only(name));
    none.set(name, Node::of_boolean(false));
  };
  add(field.name);
  for (const std::string& former : field.former_names) add(former);
  if (!needed) {
    Node absent = Node::object();
    absent.set("properties", std::move(none));
    branches.add(std::move(absent));
  }
  Node schema = Node::object();
  schema.set("oneOf", std::move(branches));
  return schema;
}

class SchemaWriter {
 public:
  // `type`: the variant the section is an options object of, or "". `needed`: it cannot be left out or empty.
  Node section_schema(Section& section, std::string_view type, bool type_required, int depth, bool& needed) {
    if (depth > max_declared_depth) throw std::logic_error("a configuration declaration contains itself");
    Node properties = Node::object();
    Node required = Node::array();
    if (depth == 0) {
      for (const std::string_view key : {std::string_view("$schema"), extends_key})
        properties.set(key, typed("string"));
    }
    if (!type.empty()) {
      Node constant = Node::object();
      constant.set("const", Node::of_text(type));
      properties.set("type", std::move(constant));
      if (type_required) required.add(Node::of_text("type"));
    }
    needed = type_required;
    Node alternatives = Node::array();
    for (const Field& field : declared(section)) {
      bool field_needed = false;
      Node schema = field_schema(field, depth, field_needed);
      needed |= field_needed;
      properties.set(field.name, schema);
      for (const std::string& former : field.former_names) properties.set(former, former_schema(schema, field));
      if (!field.former_names.empty())
        alternatives.add(one_name_of(field, field_needed));
      else if (field_needed)
        required.add(Node::of_text(field.name));
    }
    Node schema = typed("object");
    schema.set("additionalProperties", Node::of_boolean(false));
    if (!required.items.empty()) schema.set("required", std::move(required));
    schema.set("properties", std::move(properties));
    if (!alternatives.items.empty()) schema.set("allOf", std::move(alternatives));
    return schema;
  }

 private:
  // Of the same values; editors mark what is deprecated, and have a default only for the present name.
  static Node former_schema(Node schema, const Field& field) {
    std::erase_if(schema.items, [](const Node& item) { return item.key == "default" || item.key == "description"; });
    schema.set("deprecated", Node::of_boolean(true));
    schema.set("description", Node::of_text("The former name of " + ae::quoted(field.name) + "."));
    return schema;
  }

  Node field_schema(const Field& field, int depth, bool& needed) {
    Node schema =
        std::visit(Overloaded{
                       [](const IntegerField& f) { return integer_schema(f.range); },
                       [](const NumberField& f) {
                         Node number = typed("number");
                         set_range(number, f.range);
                         return number;
                       },
                       [](const OptionalNumberField& f) {
                         Node number = any_of_types({"number", "null"});
                         set_range(number, f.range);
                         return number;
                       },
                       [](const OptionalIntegerField& f) {
                         Node number = any_of_types({"integer", "null"});
                         set_range(number, f.range);
                         return number;
                       },
                       [](const BooleanField&) { return typed("boolean"); },
                       [](const TextField&) { return typed("string"); },
                       [](const ChoiceField& f) { return choice_schema(f.choices); },
                       [](const PathField&) {
                         Node name = typed("string");
                         name.set("pattern", Node::of_text("^[^\\u0000]*$"));
                         return name;
                       },
                       [](const IntegersField& f) { return array_of(integer_schema(f.item_range)); },
                       [](const TextsField&) { return array_of(typed("string")); },
                       [](const ScalarsField&) {
                         Node any = any_of_types({"string", "number", "boolean", "array"});
                         any.set("items", any_of_types({"string", "number", "boolean"}));
                         return any;
                       },
                       [](const ChoiceMapField& f) {
                         Node map = typed("object");
                         map.set("additionalProperties", choice_schema(f.choices));
                         return map;
                       },
                       [&](const SectionField& f) { return section_schema(*f.value, {}, false, depth + 1, needed); },
                       [&](const VariantField& f) { return variant_schema(*f.value, f.value->type(), depth, &needed); },
                       [&](const VariantsField& f) {
                         Node list = any_of_types({"array", "null"});
                         list.set("items", variant_schema(*f.value, {}, depth, nullptr));
                         return list;
                       },
                   },
                   field.kind);
    const bool nested = std::holds_alternative<SectionField>(field.kind);
    if (!nested && !needed) schema.set("default", to_node(field, Paths::as_written));
    schema.set("description", Node::of_text(with_choices(field.description, choices_of(field))));
    return schema;
  }

  // `initial`: the type that may be left out, or "".
  template <typename Variants>
  Node variant_schema(const Variants& variants, std::string_view initial, int depth, bool* needed) {
    Node branches = Node::array();
    if (needed) *needed = initial.empty();
    for (const Choice& choice : variants.choices()) {
      bool branch_needed = false;
      Node branch =
          section_schema(*variants.make(choice.name), choice.name, choice.name != initial, depth + 1, branch_needed);
      if (needed && choice.name == initial) *needed = branch_needed;
      branch.set("description", Node::of_text(choice.help));
      branches.add(std::move(branch));
    }
    Node schema = Node::object();
    schema.set("oneOf", std::move(branches));
    return schema;
  }
};

}  // namespace

std::string json_schema(Section& root, std::string_view title) {
  Node schema = Node::object();
  schema.set("$schema", Node::of_text("https://json-schema.org/draft/2020-12/schema"));
  schema.set("title", Node::of_text(title));
  bool needed = false;
  Node body = SchemaWriter().section_schema(root, {}, false, 0, needed);
  for (Node& item : body.items) schema.items.push_back(std::move(item));
  return print_json(schema);
}

std::string describe(Section& root) {
  struct Line {
    std::string pointer, types, rest;
  };
  std::vector<Line> lines;
  // Settings that several types of a variant share, word for word, take one line.
  const auto add = [&](std::string pointer, std::string_view type, std::string rest) {
    const auto same = std::find_if(lines.begin(), lines.end(),
                                   [&](const Line& line) { return line.pointer == pointer && line.rest == rest; });
    if (same == lines.end())
      lines.push_back({std::move(pointer), std::string(type), std::move(rest)});
    else
      same->types.append(", ").append(type);
  };
  const auto flat = [](std::string text) {
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text;
  };
  each_setting(root, [&](const Setting& setting) {
    if (!setting.field) {
      std::string help;
      for (const Choice& choice : setting.types) help.append(" ").append(choice.name).append(": ").append(choice.help);
      return add(setting.place + "/type", {}, choice_expectation(setting.types) + "." + flat(help));
    }
    const Field& field = *setting.field;
    const bool nested =
        std::holds_alternative<SectionField>(field.kind) || std::holds_alternative<VariantField>(field.kind);
    std::string rest;
    if (!nested) {
      const auto* list = std::get_if<VariantsField>(&field.kind);
      rest = (list ? std::string("null or an array") : expectation(field)) + ", default " +
             compact_json(to_node(field, Paths::as_written)) + ". ";
    }
    add(pointer_to(setting.place, field.name), setting.type,
        rest + flat(with_choices(field.description, choices_of(field))));
  });
  std::string text;
  for (const Line& line : lines) {
    text += line.pointer;
    if (!line.types.empty()) text.append(" (").append(line.types).append(")");
    text.append(": ").append(line.rest) += '\n';
  }
  return text;
}

}  // namespace ae::config
