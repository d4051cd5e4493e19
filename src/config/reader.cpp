// JSON tree -> declared sections.

#include <algorithm>
#include <functional>
#include <map>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "config/declaration.hpp"
#include "config/document.hpp"
#include "config/overrides.hpp"
#include "config/places.hpp"
#include "config/problems.hpp"
#include "config/sources.hpp"
#include "config/tree.hpp"
#include "config/writer.hpp"

namespace ae::config {

namespace {

using Kind = Node::Kind;

constexpr std::string_view editor_schema = "$schema";  // editors' pointer to the JSON Schema; means nothing to us

// --- single values -------------------------------------------------------------------------------------------------

std::optional<std::int64_t> integer_of(const Node& node, IntegerRange range) {
  if (node.kind != Kind::number) return std::nullopt;
  const auto value = exact_integer(node.text);
  return value && *value >= range.minimum && *value <= range.maximum ? value : std::nullopt;
}

std::optional<double> number_of(const Node& node, NumberRange range) {
  if (node.kind != Kind::number) return std::nullopt;
  const double value = node.number;
  const bool low = range.exclude_minimum ? value > range.minimum : value >= range.minimum;
  const bool high = range.exclude_maximum ? value < range.maximum : value <= range.maximum;
  return low && high ? std::optional(value) : std::nullopt;
}

bool is_choice(const Node& node, std::span<const Choice> choices) {
  return node.kind == Kind::text &&
         std::any_of(choices.begin(), choices.end(), [&](const Choice& choice) { return choice.name == node.text; });
}

bool is_cell(const Node& node) { return node.scalar() && node.kind != Kind::null; }

// The way a CSV cell spells it.
std::string cell_of(const Node& node) {
  if (node.kind == Kind::boolean) return node.boolean ? "true" : "false";
  return node.text;
}

bool is_file_name(const Node& node) { return node.kind == Kind::text && node.text.find('\0') == std::string::npos; }

template <typename Accepts>
bool all_items(const Node& node, Accepts accepts) {
  return node.kind == Kind::array && std::all_of(node.items.begin(), node.items.end(), accepts);
}

// Whether a leaf field could take `node`; the ground for every suggestion, so that suggestions are legal.
struct Accepts {
  const Node& node;
  bool operator()(const IntegerField& f) const { return integer_of(node, f.range).has_value(); }
  bool operator()(const NumberField& f) const { return number_of(node, f.range).has_value(); }
  bool operator()(const OptionalNumberField& f) const {
    return node.kind == Kind::null || number_of(node, f.range).has_value();
  }
  bool operator()(const OptionalIntegerField& f) const {
    return node.kind == Kind::null || integer_of(node, f.range).has_value();
  }
  bool operator()(const BooleanField&) const { return node.kind == Kind::boolean; }
  bool operator()(const TextField&) const { return node.kind == Kind::text; }
  bool operator()(const ChoiceField& f) const { return is_choice(node, f.choices); }
  bool operator()(const PathField&) const { return is_file_name(node); }
  bool operator()(const IntegersField& f) const {
    return all_items(node, [&](const Node& item) { return integer_of(item, f.item_range).has_value(); });
  }
  bool operator()(const TextsField&) const {
    return all_items(node, [](const Node& item) { return item.kind == Kind::text; });
  }
  bool operator()(const ScalarsField&) const { return is_cell(node) || all_items(node, is_cell); }
  bool operator()(const ChoiceMapField& f) const {
    return node.kind == Kind::object && std::all_of(node.items.begin(), node.items.end(),
                                                    [&](const Node& item) { return is_choice(item, f.choices); });
  }
  template <typename Nested>
  bool operator()(const Nested&) const {
    return false;
  }
};

// --- messages ------------------------------------------------------------------------------------------------------

std::string shown(const Node& node) {
  switch (node.kind) {
    case Kind::text:
      return ae::quoted(node.text);
    case Kind::number:
      return node.text.size() <= 40 ? node.text : node.text.substr(0, 40) + "...";
    case Kind::array:
      return node.items.empty()
                 ? "an empty array"
                 : "an array of " + std::to_string(node.items.size()) + (node.items.size() == 1 ? " item" : " items");
    case Kind::object:
      return "an object";
    default:
      return compact_json(node);
  }
}

// Other spellings of the same value that users probably meant.
std::vector<Node> likely_meant(const Node& node) {
  std::vector<Node> likely;
  constexpr std::size_t longest = 64;
  if (node.kind == Kind::text && node.text.size() <= longest) {
    Parsed parsed = parse_json(node.text);
    if (!parsed.error && parsed.duplicates.empty()) likely.push_back(std::move(parsed.root));
  }
  if (is_cell(node) && node.kind != Kind::text) likely.push_back(Node::of_text(cell_of(node)));
  if (node.kind == Kind::number && (node.text == "0" || node.text == "1"))
    likely.push_back(Node::of_boolean(node.text == "1"));
  if (node.kind == Kind::array && node.items.size() == 1) likely.push_back(node.items.front());
  if (node.scalar()) {
    Node list = Node::array();
    list.add(node);
    likely.push_back(std::move(list));
  }
  return likely;
}

template <typename Accepted>
std::string rewrite_fix(const Node& node, Accepted accepted) {
  for (const Node& candidate : likely_meant(node)) {
    if (!accepted(candidate)) continue;
    const std::string text = compact_json(candidate);
    if (text.size() <= 80) return "; write " + text;
  }
  return "";
}

std::string fix_for(const Field& field, const Node& node) {
  const auto accepted = [&](const Node& candidate) { return std::visit(Accepts{candidate}, field.kind); };
  if (const auto* choice = std::get_if<ChoiceField>(&field.kind); choice && node.kind == Kind::text) {
    std::string hint = did_you_mean(node.text, names_of(choice->choices));
    if (!hint.empty()) return hint;
  }
  if (std::string fix = rewrite_fix(node, accepted); !fix.empty()) return fix;
  const Node initial = to_node(field, Paths::as_written);
  const std::string text = compact_json(initial);
  const bool telling = text != "\"\"" && text != "[]" && text != "{}" && text.size() <= 40;
  return telling && accepted(initial) ? "; the default is " + text : "";
}

// --- sections ------------------------------------------------------------------------------------------------------

class Reader {
 public:
  Reader(Section& root, const Sources& sources, ProblemList& problems)
      : root_(root), sources_(sources), problems_(problems) {}

  void read(const Node& tree) {
    if (tree.kind != Kind::object) {
      problems_.add("", "found " + shown(tree) + ", expected a JSON object; enclose the settings in { }");
      return;
    }
    read_section(root_, tree, "", nullptr);
  }

 private:
  // The variant a section's object belongs to, for its "type" and for keys of other types.
  struct Family {
    std::span<const Choice> choices;
    std::string_view type;
    std::function<std::unique_ptr<Section>(std::string_view)> make;
  };

  bool read_section(Section& section, const Node& node, const std::string& pointer, const Family* family) {
    const std::vector<Field> fields = declared(section);
    bool good = known_keys(fields, node, pointer, family);
    for (const Field& field : fields) good &= read_field(field, node.find(field.name), pointer_to(pointer, field.name));
    if (!good) return false;
    std::vector<Problem> found;
    section.check(found);
    for (Problem& problem : found) problems_.add(pointer + problem.pointer, std::move(problem.message));
    return found.empty();
  }

  bool read_field(const Field& field, const Node* node, const std::string& pointer) {
    if (const auto* f = std::get_if<SectionField>(&field.kind)) return read_object(*f->value, field, node, pointer);
    if (const auto* f = std::get_if<VariantField>(&field.kind)) return read_variant(*f->value, node, pointer);
    if (!node) return true;
    if (const auto* f = std::get_if<VariantsField>(&field.kind)) return read_variants(*f, *node, pointer);
    if (std::visit(Accepts{*node}, field.kind)) {
      std::visit([&](const auto& kind) { assign(kind, *node); }, field.kind);
      return true;
    }
    if (!problems_.full())
      explain(field, *node, pointer);
    else
      problems_.add(pointer, "");
    return false;
  }

  // A section that is left out is checked like an empty one.
  bool read_object(Section& section, const Field& field, const Node* node, const std::string& pointer) {
    static const Node nothing = Node::object();
    if (!node) return read_section(section, nothing, pointer, nullptr);
    if (node->kind == Kind::object) return read_section(section, *node, pointer, nullptr);
    problems_.add(pointer, "found " + shown(*node) + ", expected " + expectation(field) + " such as {}");
    return false;
  }

  // --- leaves

  void assign(const IntegerField& f, const Node& node) { *f.value = *integer_of(node, f.range); }
  void assign(const NumberField& f, const Node& node) { *f.value = node.number; }
  void assign(const OptionalNumberField& f, const Node& node) {
    *f.value = node.kind == Kind::null ? std::nullopt : std::optional(node.number);
  }
  void assign(const OptionalIntegerField& f, const Node& node) {
    *f.value = node.kind == Kind::null ? std::nullopt : integer_of(node, f.range);
  }
  void assign(const BooleanField& f, const Node& node) { *f.value = node.boolean; }
  void assign(const TextField& f, const Node& node) { *f.value = node.text; }
  void assign(const ChoiceField& f, const Node& node) { *f.value = node.text; }
  void assign(const PathField& f, const Node& node) {
    f.value->written = node.text;
    f.value->resolved = resolved(node);
  }
  void assign(const IntegersField& f, const Node& node) {
    f.value->clear();
    for (const Node& item : node.items) f.value->push_back(*integer_of(item, f.item_range));
  }
  void assign(const TextsField& f, const Node& node) {
    f.value->clear();
    for (const Node& item : node.items) f.value->push_back(item.text);
  }
  void assign(const ScalarsField& f, const Node& node) {
    f.value->clear();
    if (node.scalar()) f.value->push_back(cell_of(node));
    for (const Node& item : node.items) f.value->push_back(cell_of(item));
  }
  void assign(const ChoiceMapField& f, const Node& node) {
    f.value->clear();
    for (const Node& item : node.items) f.value->emplace_back(item.key, item.text);
  }
  template <typename Nested>
  void assign(const Nested&, const Node&) {}

  std::filesystem::path resolved(const Node& node) const {
    if (node.text.empty() || node.text == "-") return node.text;
    const std::filesystem::path start = node.origin <= 0 ? sources_.of(node.origin).folder : std::filesystem::path();
    return std::filesystem::absolute(start / node.text).lexically_normal();
  }

  // Wrong items of an array or object are named one by one, anything else as a whole.
  void explain(const Field& field, const Node& node, const std::string& pointer) {
    if (node.kind == Kind::array && !node.items.empty()) {
      if (const auto* f = std::get_if<IntegersField>(&field.kind))
        return explain_items(node, pointer, integer_expectation(f->item_range),
                             [&](const Node& item) { return integer_of(item, f->item_range).has_value(); });
      if (std::holds_alternative<TextsField>(field.kind))
        return explain_items(node, pointer, "text in double quotes",
                             [](const Node& item) { return item.kind == Kind::text; });
      if (std::holds_alternative<ScalarsField>(field.kind))
        return explain_items(node, pointer, "a text, number or boolean", is_cell);
    }
    if (const auto* f = std::get_if<ChoiceMapField>(&field.kind); f && node.kind == Kind::object)
      return explain_choices(node, pointer, f->choices);
    problems_.add(pointer, "found " + shown(node) + ", expected " + expectation(field) + fix_for(field, node));
  }

  template <typename Accepted>
  void explain_items(const Node& node, const std::string& pointer, const std::string& expected, Accepted accepted) {
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const Node& item = node.items[i];
      if (accepted(item)) continue;
      problems_.add(pointer_to(pointer, std::to_string(i)),
                    "found " + shown(item) + ", expected " + expected + rewrite_fix(item, accepted));
    }
  }

  void explain_choices(const Node& node, const std::string& pointer, std::span<const Choice> choices) {
    for (const Node& item : node.items) {
      if (is_choice(item, choices)) continue;
      problems_.add(pointer_to(pointer, item.key),
                    "found " + shown(item) + ", expected " + choice_expectation(choices) +
                        (item.kind == Kind::text ? did_you_mean(item.text, names_of(choices)) : ""));
    }
  }

  // --- variants

  bool read_variant(AnyVariant& variant, const Node* node, const std::string& pointer) {
    const std::vector<Choice> choices = variant.choices();
    static const Node nothing = Node::object();
    if (node && node->kind != Kind::object) {
      const bool name = is_choice(*node, choices);
      problems_.add(pointer, "found " + shown(*node) + ", expected an object with \"type\" " +
                                 choice_expectation(choices) +
                                 (name ? "; write {\"type\": " + compact_json(*node) + "}" : ""));
      return false;
    }
    if (!node) node = &nothing;
    const Node* type = node->find("type");
    if (!type && !variant.value()) {
      missing_type(choices, *node, pointer);
      return false;
    }
    if (type && !is_choice(*type, choices)) {
      problems_.add(pointer_to(pointer, "type"),
                    "found " + shown(*type) + ", expected " + choice_expectation(choices) +
                        (type->kind == Kind::text ? did_you_mean(type->text, names_of(choices)) : ""));
      return false;
    }
    if (type) variant.select(type->text);
    const Family family{choices, variant.type(), [&](std::string_view name) { return variant.make(name); }};
    return read_section(*variant.value(), *node, pointer, &family);
  }

  void missing_type(std::span<const Choice> choices, const Node& node, const std::string& pointer) {
    static const std::vector<std::string> wanted = {"type"};
    for (const Node& item : node.items) {
      const std::string hint = did_you_mean(item.key, wanted);
      if (!hint.empty()) return problems_.add(pointer_to(pointer, item.key), "unknown key" + hint);
    }
    problems_.add(pointer, "found no \"type\", expected \"type\": " + choice_expectation(choices) +
                               "; for example {\"type\": " + ae::quoted(choices.empty() ? "" : choices.front().name) +
                               "}");
  }

  bool read_variants(const VariantsField& field, const Node& node, const std::string& pointer) {
    if (node.kind != Kind::null && node.kind != Kind::array) {
      problems_.add(pointer, "found " + shown(node) + ", expected null or an array of objects with \"type\" " +
                                 choice_expectation(field.value->choices()) +
                                 (node.kind == Kind::object ? "; enclose it in [ ]" : ""));
      return false;
    }
    field.value->clear();
    *field.is_set = node.kind == Kind::array;
    bool good = true;
    for (std::size_t i = 0; i < node.items.size(); ++i)
      good &= read_variant(field.value->append(), &node.items[i], pointer_to(pointer, std::to_string(i)));
    return good;
  }

  // --- keys

  bool known_keys(std::span<const Field> fields, const Node& node, const std::string& pointer, const Family* family) {
    bool good = true;
    for (const Node& item : node.items) {
      if (family && item.key == "type") continue;
      const auto same = [&](const Field& field) { return field.name == item.key; };
      if (std::any_of(fields.begin(), fields.end(), same)) continue;
      if (pointer.empty() && item.key == editor_schema) {
        if (item.kind == Kind::text) continue;
        problems_.add(pointer_to(pointer, item.key), "found " + shown(item) + ", expected text in double quotes");
      } else {
        problems_.add(pointer_to(pointer, item.key),
                      problems_.full() ? "" : unknown_key(fields, node, item.key, family));
      }
      good = false;
    }
    return good;
  }

  std::string unknown_key(std::span<const Field> fields, const Node& node, const std::string& key,
                          const Family* family) {
    if (family) {
      const std::vector<std::string> types = types_with(*family, key);
      if (!types.empty())
        return "not a setting of type " + ae::quoted(family->type) + "; it belongs to " + quoted_list(types);
    }
    const std::vector<std::string> places = places_of(key);
    if (!places.empty()) return "unknown key; " + ae::quoted(key) + " belongs to " + join(places, " or ", 4);
    std::vector<std::string> names;
    if (family) names.emplace_back("type");
    for (const Field& field : fields) names.push_back(field.name);
    if (const auto near = nearest(key, names)) {
      // An override may replace what the file gives; within the file a second one would be a duplicate.
      const bool taken = node.find(*near) && node.find(key)->origin <= 0;
      return "unknown key; did you mean " + ae::quoted(*near) + "?" + (taken ? " It is given here already" : "");
    }
    return "unknown key; expected " + (names.empty() ? "no settings here" : "one of " + quoted_list(names));
  }

  static std::vector<std::string> types_with(const Family& family, const std::string& key) {
    std::vector<std::string> types;
    for (const Choice& choice : family.choices) {
      const std::unique_ptr<Section> other = family.make(choice.name);
      const std::vector<Field> fields = declared(*other);
      if (std::any_of(fields.begin(), fields.end(), [&](const Field& field) { return field.is_called(key); }))
        types.emplace_back(choice.name);
    }
    return types;
  }

  // Where else in the document the key is legal.
  const std::vector<std::string>& places_of(const std::string& key) {
    if (places_.empty()) {
      each_setting(root_, [&](const Setting& setting) {
        const std::string name = setting.field ? setting.field->name : "type";
        auto& places = places_[name];
        const std::string place = setting.place.empty() ? "the top level" : setting.place;
        if (std::find(places.begin(), places.end(), place) == places.end()) places.push_back(place);
      });
    }
    return places_[key];
  }

  Section& root_;
  const Sources& sources_;
  ProblemList& problems_;
  std::map<std::string, std::vector<std::string>> places_;  // key -> where it is legal; filled at the first unknown key
};

void read_sources(Section& root, std::string_view json, std::string_view name, const std::filesystem::path& folder,
                  std::span<const Override> overrides, Sources sources) {
  ProblemList problems;
  Node tree = sources.load(json, name, folder, problems);
  use_present_names(tree, root, problems);
  if (tree.kind == Kind::object) apply_overrides(tree, root, overrides, problems);
  Reader(root, sources, problems).read(tree);
  problems.throw_if_any(tree, sources.all(), overrides);
}

}  // namespace

void read_text(Section& root, std::string_view json, std::string_view name, const std::filesystem::path& folder,
               std::span<const Override> overrides) {
  read_sources(root, json, name, folder, overrides, Sources({}, false));
}

void read_file(Section& root, const std::filesystem::path& file, std::span<const Override> overrides,
               std::span<const Recipe> recipes) {
  const std::string text = ae::read_file(file, FileKind::config, max_file_bytes);
  read_sources(root, text, file.string(), file.parent_path(), overrides, Sources(recipes, true));
}

void read_recipe(Section& root, std::string_view name, std::span<const Override> overrides,
                 std::span<const Recipe> recipes) {
  const Recipe& recipe = find_recipe(recipes, name);
  read_sources(root, recipe.text, "recipe:" + std::string(name), {}, overrides, Sources(recipes, true));
}

}  // namespace ae::config
