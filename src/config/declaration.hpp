// A section's declaration as data: what Section::fields says, one Field per call. Internal to this room; reader,
// writer, schema and documentation all work from it.
#pragma once

#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "config/fields.hpp"

namespace ae::config {

struct IntegerField {
  std::int64_t* value;
  IntegerRange range;
};
struct NumberField {
  double* value;
  NumberRange range;
};
struct OptionalNumberField {
  std::optional<double>* value;
  NumberRange range;
};
struct OptionalIntegerField {
  std::optional<std::int64_t>* value;
  IntegerRange range;
};
struct BooleanField {
  bool* value;
};
struct TextField {
  std::string* value;
};
struct ChoiceField {
  std::string* value;
  std::vector<Choice> choices;
};
struct PathField {
  Path* value;
};
struct IntegersField {
  std::vector<std::int64_t>* value;
  IntegerRange item_range;
};
struct TextsField {
  std::vector<std::string>* value;
};
struct ScalarsField {
  std::vector<std::string>* value;
};
struct ChoiceMapField {
  std::vector<std::pair<std::string, std::string>>* value;
  std::vector<Choice> choices;
};
struct SectionField {
  Section* value;
};
struct VariantField {
  AnyVariant* value;
};
struct VariantsField {
  AnyVariantList* value;
  bool* is_set;
};

struct Field {
  std::string name;
  std::string description;
  std::variant<IntegerField, NumberField, OptionalNumberField, OptionalIntegerField, BooleanField, TextField,
               ChoiceField, PathField, IntegersField, TextsField, ScalarsField, ChoiceMapField, SectionField,
               VariantField, VariantsField>
      kind;
  std::vector<std::string> former_names = {};

  bool is_called(std::string_view key) const;  // now or formerly
};

template <typename... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <typename... F>
Overloaded(F...) -> Overloaded<F...>;

// The fields point into `section`. std::logic_error when two have, or had, the same name.
std::vector<Field> declared(Section& section);

// What a value must be, as it stands after "expected": "an integer in [1, 100]", "one of "a", "b"".
std::string expectation(const Field& field);
std::string integer_expectation(IntegerRange range);
std::string number_expectation(NumberRange range);
std::string choice_expectation(std::span<const Choice> choices);

std::vector<std::string> names_of(std::span<const Choice> choices);
// `"a", "b"`.
std::string quoted_list(std::span<const std::string> names);

// Every setting there can be, all variants expanded, depth first in declaration order. `place` is the pointer of the
// object that holds it ("/loss/terms/*" for list elements), `type` the variant it belongs to, or "". The "type" fields
// themselves are shown with `field` null and their AnyVariant's choices.
struct Setting {
  const std::string& place;
  std::string_view type;
  const Field* field;
  std::span<const Choice> types;
};
void each_setting(Section& root, const std::function<void(const Setting&)>& visit);

// Deeper declarations contain themselves; schema and documentation cannot write those out.
constexpr int max_declared_depth = 12;

}  // namespace ae::config
