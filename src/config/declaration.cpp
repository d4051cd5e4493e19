#include "config/declaration.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/text.hpp"

namespace ae::config {

namespace {

class Collector final : public Fields {
 public:
  void integer(std::string_view name, std::int64_t& value, IntegerRange range, std::string_view description) override {
    add(name, description, IntegerField{&value, range});
  }
  void number(std::string_view name, double& value, NumberRange range, std::string_view description) override {
    add(name, description, NumberField{&value, range});
  }
  void optional_number(std::string_view name, std::optional<double>& value, NumberRange range,
                       std::string_view description) override {
    add(name, description, OptionalNumberField{&value, range});
  }
  void optional_integer(std::string_view name, std::optional<std::int64_t>& value, IntegerRange range,
                        std::string_view description) override {
    add(name, description, OptionalIntegerField{&value, range});
  }
  void boolean(std::string_view name, bool& value, std::string_view description) override {
    add(name, description, BooleanField{&value});
  }
  void text(std::string_view name, std::string& value, std::string_view description) override {
    add(name, description, TextField{&value});
  }
  void choice(std::string_view name, std::string& value, std::span<const Choice> choices,
              std::string_view description) override {
    add(name, description, ChoiceField{&value, {choices.begin(), choices.end()}});
  }
  void path(std::string_view name, Path& value, std::string_view description) override {
    add(name, description, PathField{&value});
  }
  void integers(std::string_view name, std::vector<std::int64_t>& value, IntegerRange item_range,
                std::string_view description) override {
    add(name, description, IntegersField{&value, item_range});
  }
  void texts(std::string_view name, std::vector<std::string>& value, std::string_view description) override {
    add(name, description, TextsField{&value});
  }
  void scalars(std::string_view name, std::vector<std::string>& value, std::string_view description) override {
    add(name, description, ScalarsField{&value});
  }
  void choice_map(std::string_view name, std::vector<std::pair<std::string, std::string>>& value,
                  std::span<const Choice> choices, std::string_view description) override {
    add(name, description, ChoiceMapField{&value, {choices.begin(), choices.end()}});
  }
  void section(std::string_view name, Section& value, std::string_view description) override {
    add(name, description, SectionField{&value});
  }
  void variant(std::string_view name, AnyVariant& value, std::string_view description) override {
    add(name, description, VariantField{&value});
  }
  void variants(std::string_view name, AnyVariantList& value, bool& is_set, std::string_view description) override {
    add(name, description, VariantsField{&value, &is_set});
  }
  void renamed(std::string_view former, std::string_view name) override {
    const auto field = std::find_if(fields.begin(), fields.end(), [&](const Field& one) { return one.name == name; });
    if (field == fields.end())
      throw std::logic_error("a section renames a field to " + ae::quoted(name) + ", of which it has none");
    check_new(former);
    field->former_names.emplace_back(former);
  }

  std::vector<Field> fields;

 private:
  template <typename Kind>
  void add(std::string_view name, std::string_view description, Kind kind) {
    check_new(name);
    fields.push_back({std::string(name), std::string(description), std::move(kind)});
  }
  void check_new(std::string_view name) const {
    if (std::any_of(fields.begin(), fields.end(), [&](const Field& field) { return field.is_called(name); }))
      throw std::logic_error("a section declares the field " + ae::quoted(name) + " twice");
  }
};

void walk(Section& section, const std::string& place, std::string_view type, int depth,
          const std::function<void(const Setting&)>& visit);

template <typename Variants>
void walk_types(const Variants& variants, const std::string& place, int depth,
                const std::function<void(const Setting&)>& visit) {
  const std::vector<Choice> types = variants.choices();
  visit({place, {}, nullptr, types});
  for (const Choice& choice : types) walk(*variants.make(choice.name), place, choice.name, depth, visit);
}

void walk(Section& section, const std::string& place, std::string_view type, int depth,
          const std::function<void(const Setting&)>& visit) {
  if (depth > max_declared_depth) throw std::logic_error("the declaration at " + place + " contains itself");
  for (const Field& field : declared(section)) {
    visit({place, type, &field, {}});
    const std::string inside = place + "/" + field.name;
    if (const auto* sub = std::get_if<SectionField>(&field.kind)) walk(*sub->value, inside, {}, depth + 1, visit);
    if (const auto* variant = std::get_if<VariantField>(&field.kind))
      walk_types(*variant->value, inside, depth + 1, visit);
    if (const auto* list = std::get_if<VariantsField>(&field.kind))
      walk_types(*list->value, inside + "/*", depth + 1, visit);
  }
}

}  // namespace

bool Field::is_called(std::string_view key) const {
  return name == key || std::find(former_names.begin(), former_names.end(), key) != former_names.end();
}

std::vector<Field> declared(Section& section) {
  Collector collector;
  section.fields(collector);
  return std::move(collector.fields);
}

std::string integer_expectation(IntegerRange range) {
  using Limits = std::numeric_limits<std::int64_t>;
  const bool below = range.minimum != Limits::min();
  const bool above = range.maximum != Limits::max();
  if (below && above)
    return "an integer in [" + std::to_string(range.minimum) + ", " + std::to_string(range.maximum) + "]";
  if (below) return "an integer >= " + std::to_string(range.minimum);
  if (above) return "an integer <= " + std::to_string(range.maximum);
  return "an integer";
}

std::string number_expectation(NumberRange range) {
  const bool below = std::isfinite(range.minimum);
  const bool above = std::isfinite(range.maximum);
  if (below && above)
    return std::string("a number in ") + (range.exclude_minimum ? "(" : "[") + number_text(range.minimum) + ", " +
           number_text(range.maximum) + (range.exclude_maximum ? ")" : "]");
  if (below) return std::string("a number ") + (range.exclude_minimum ? "> " : ">= ") + number_text(range.minimum);
  if (above) return std::string("a number ") + (range.exclude_maximum ? "< " : "<= ") + number_text(range.maximum);
  return "a number";
}

std::vector<std::string> names_of(std::span<const Choice> choices) {
  std::vector<std::string> names;
  for (const Choice& choice : choices) names.emplace_back(choice.name);
  return names;
}

std::string quoted_list(std::span<const std::string> names) {
  std::vector<std::string> all;
  for (const std::string& name : names) all.push_back(ae::quoted(name));
  return join(all);
}

std::string choice_expectation(std::span<const Choice> choices) {
  return (choices.size() > 1 ? "one of " : "") + quoted_list(names_of(choices));
}

std::string expectation(const Field& field) {
  return std::visit(
      Overloaded{
          [](const IntegerField& f) { return integer_expectation(f.range); },
          [](const NumberField& f) { return number_expectation(f.range); },
          [](const OptionalNumberField& f) { return number_expectation(f.range) + " or null"; },
          [](const OptionalIntegerField& f) { return integer_expectation(f.range) + " or null"; },
          [](const BooleanField&) { return std::string("true or false"); },
          [](const TextField&) { return std::string("text in double quotes"); },
          [](const ChoiceField& f) { return choice_expectation(f.choices); },
          [](const PathField&) { return std::string("a file name in double quotes"); },
          [](const IntegersField& f) { return "an array, each item " + integer_expectation(f.item_range); },
          [](const TextsField&) { return std::string("an array of texts"); },
          [](const ScalarsField&) { return std::string("a text, number or boolean, or an array of them"); },
          [](const ChoiceMapField& f) { return "an object, each value " + choice_expectation(f.choices); },
          [](const SectionField&) { return std::string("an object"); },
          [](const VariantField& f) { return "an object with \"type\" " + choice_expectation(f.value->choices()); },
          [](const VariantsField& f) {
            return "null or an array of objects with \"type\" " + choice_expectation(f.value->choices());
          },
      },
      field.kind);
}

void each_setting(Section& root, const std::function<void(const Setting&)>& visit) { walk(root, "", {}, 0, visit); }

}  // namespace ae::config
