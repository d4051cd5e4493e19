// Typed configuration: a struct declares each field once, and reading, strict validation, printing, JSON Schema and
// documentation follow from that one declaration.
//
//   struct Training : config::Section {
//     std::int64_t epochs = 100;
//     void fields(config::Fields& f) override {
//       f.integer("epochs", epochs, {1, 1'000'000}, "Passes over the training rows at most.");
//     }
//   };
//
// A field's default is the value its member has in a freshly made object.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ae::config {

class Fields;

// A problem found by Section::check: `pointer` is relative to the section ("/hidden/2" or ""), `message` says what was
// found, what was expected and the fix.
struct Problem {
  std::string pointer;
  std::string message;
};

class Section {
 public:
  virtual ~Section() = default;
  virtual void fields(Fields& f) = 0;                         // the declaration
  virtual void check(std::vector<Problem>& problems) const {  // relations between fields, after all could be read
    (void)problems;
  }
};

struct IntegerRange {
  std::int64_t minimum = std::numeric_limits<std::int64_t>::min();
  std::int64_t maximum = std::numeric_limits<std::int64_t>::max();
};

struct NumberRange {
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  bool exclude_minimum = false;
  bool exclude_maximum = false;
};

struct Choice {
  std::string_view name;
  std::string_view help;
};

// A file name: `written` as the user gave it, `resolved` against the config file's folder (or, for a command-line
// override, the current folder), absolute and normalised. Both empty = not set; "-", which programs may take for
// standard input or output, stays "-".
struct Path {
  std::string written;
  std::filesystem::path resolved;
  bool empty() const { return written.empty(); }
};

// One row of a registry: the name users write as "type", one sentence of help, and a maker of the options object.
template <typename T>
struct Entry {
  std::string_view name;
  std::string_view help;
  std::unique_ptr<T> (*make)();
};

// Type-erased view of a Variant, for the field visitors.
class AnyVariant {
 public:
  virtual ~AnyVariant() = default;
  virtual std::vector<Choice> choices() const = 0;
  virtual std::string_view type() const = 0;           // the selected entry's name; "" when none
  virtual Section& select(std::string_view type) = 0;  // replaces the value by a fresh object of a known type
  virtual Section* value() = 0;                        // null when none
  virtual std::unique_ptr<Section> make(std::string_view type) const = 0;  // a fresh object, for the schema
};

// A section whose "type" field chooses one entry of a registry; its other fields are that entry's own. With an
// `initial` type the document may leave "type", or the whole section, out; without one it must give it.
template <typename T>  // T derives from Section
class Variant final : public AnyVariant {
 public:
  using Registry = std::span<const Entry<T>>;
  explicit Variant(Registry registry, std::string_view initial = {}) : registry_(registry) {
    if (!initial.empty()) select(initial);
  }
  std::vector<Choice> choices() const override {
    std::vector<Choice> all;
    for (const auto& entry : registry_) all.push_back({entry.name, entry.help});
    return all;
  }
  std::string_view type() const override { return entry_ ? entry_->name : std::string_view{}; }
  Section& select(std::string_view type) override {
    entry_ = &find(type);
    value_ = entry_->make();
    return *value_;
  }
  Section* value() override { return value_.get(); }
  std::unique_ptr<Section> make(std::string_view type) const override { return find(type).make(); }

  explicit operator bool() const { return value_ != nullptr; }
  T& operator*() const { return *value_; }
  T* operator->() const { return value_.get(); }

 private:
  const Entry<T>& find(std::string_view type) const {
    for (const auto& entry : registry_)
      if (entry.name == type) return entry;
    throw std::out_of_range("no registry entry named " + std::string(type));
  }
  Registry registry_;
  const Entry<T>* entry_ = nullptr;
  std::unique_ptr<T> value_;
};

// Type-erased list of variants of one registry.
class AnyVariantList {
 public:
  virtual ~AnyVariantList() = default;
  virtual std::vector<Choice> choices() const = 0;
  virtual void clear() = 0;
  virtual AnyVariant& append() = 0;  // an element with no type yet
  virtual std::size_t size() const = 0;
  virtual AnyVariant& at(std::size_t index) = 0;
  virtual std::unique_ptr<Section> make(std::string_view type) const = 0;
};

template <typename T>
class VariantList final : public AnyVariantList {
 public:
  explicit VariantList(typename Variant<T>::Registry registry) : registry_(registry) {}
  std::vector<Choice> choices() const override { return Variant<T>(registry_).choices(); }
  void clear() override { items_.clear(); }
  Variant<T>& append() override { return items_.emplace_back(registry_); }
  std::size_t size() const override { return items_.size(); }
  Variant<T>& at(std::size_t index) override { return items_.at(index); }
  std::unique_ptr<Section> make(std::string_view type) const override { return Variant<T>(registry_).make(type); }

  bool empty() const { return items_.empty(); }
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }
  const Variant<T>& operator[](std::size_t index) const { return items_[index]; }

 private:
  typename Variant<T>::Registry registry_;
  std::vector<Variant<T>> items_;
};

// What a declaration calls, once per field, in the order users should read them. Descriptions are one sentence.
class Fields {
 public:
  virtual ~Fields() = default;
  virtual void integer(std::string_view name, std::int64_t& value, IntegerRange range,
                       std::string_view description) = 0;
  virtual void number(std::string_view name, double& value, NumberRange range, std::string_view description) = 0;
  // JSON null = not set.
  virtual void optional_number(std::string_view name, std::optional<double>& value, NumberRange range,
                               std::string_view description) = 0;
  virtual void optional_integer(std::string_view name, std::optional<std::int64_t>& value, IntegerRange range,
                                std::string_view description) = 0;
  virtual void boolean(std::string_view name, bool& value, std::string_view description) = 0;
  virtual void text(std::string_view name, std::string& value, std::string_view description) = 0;
  virtual void choice(std::string_view name, std::string& value, std::span<const Choice> choices,
                      std::string_view description) = 0;
  virtual void path(std::string_view name, Path& value, std::string_view description) = 0;
  virtual void integers(std::string_view name, std::vector<std::int64_t>& value, IntegerRange item_range,
                        std::string_view description) = 0;
  virtual void texts(std::string_view name, std::vector<std::string>& value, std::string_view description) = 0;
  // One string, number or boolean, or an array of them; kept as text the way a CSV cell would spell it: true ->
  // "true", numbers digit for digit as written (1.50 -> "1.50").
  virtual void scalars(std::string_view name, std::vector<std::string>& value, std::string_view description) = 0;
  // Object from free keys to one of the choices, in the file's order.
  virtual void choice_map(std::string_view name, std::vector<std::pair<std::string, std::string>>& value,
                          std::span<const Choice> choices, std::string_view description) = 0;
  virtual void section(std::string_view name, Section& value, std::string_view description) = 0;
  virtual void variant(std::string_view name, AnyVariant& value, std::string_view description) = 0;
  // JSON null = not set (is_set false): the program chooses; an array, also an empty one, = exactly these.
  virtual void variants(std::string_view name, AnyVariantList& value, bool& is_set, std::string_view description) = 0;
  // The field `name`, declared before, was once called `former`: documents and overrides that say so are read as ever.
  // It is never written under that name, and both names at once are an error.
  virtual void renamed(std::string_view former, std::string_view name) = 0;
};

}  // namespace ae::config
