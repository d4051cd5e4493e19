// JSON documents <-> declared sections.
//
// Reading is strict: unknown, duplicate, mistyped and out-of-range values, NaN and infinities are errors, and all of
// them are reported at once, one line each: `FILE: /training/epcohs: unknown key; did you mean "epochs"?`.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/fields.hpp"

namespace ae::config {

// `--set /training/epochs=50`: everything before the first "=" is the JSON pointer (~0 for "~", ~1 for "/"). The value
// is JSON; text that is not JSON is taken as a string, so that `--set /model/type=linear` works without shell quoting
// (the field's own type check still applies). Overrides apply in their order, the last one for a place wins. A number
// in the pointer names an element of the file's array, or of the default one when the file gives none; "-" appends.
struct Override {
  std::string pointer;
  std::string value;
};
Override parse_override(std::string_view argument);  // UsageError unless "/pointer=value"

// A config that comes with the program.
struct Recipe {
  std::string_view name;
  std::string_view text;
};
std::vector<std::string> recipe_names(std::span<const Recipe> recipes);
// UsageError, which lists all, when none has the name.
const Recipe& find_recipe(std::span<const Recipe> recipes, std::string_view name);

// Reads `file` (at most 16 MiB) with `overrides` applied on top into `root`, a freshly made object. Throws UsageError
// listing every problem (the first 100); then `root` holds a mixture. A top-level "$schema" key, by which editors find
// the JSON Schema, is allowed and ignored. Integers may be written 50, 50.0 or 5e1; nothing else is converted.
// Section::check runs for sections whose own fields could all be read. Problems of overridden values are told as
// `--set /training/epochs: ...` instead of with the file's name.
// Paths in the file resolve against its folder, paths in overrides against the current folder.
// A top-level "extends" names another config by its path, or one of `recipes` as "recipe:NAME", on top of which the
// file is put: objects are merged key by key, anything else, and an object that chooses another "type", is replaced.
void read_file(Section& root, const std::filesystem::path& file, std::span<const Override> overrides = {},
               std::span<const Recipe> recipes = {});
// The same of one of the recipes; UsageError when none has the name.
void read_recipe(Section& root, std::string_view name, std::span<const Override> overrides,
                 std::span<const Recipe> recipes);

// The same from text, which cannot extend anything; `name` stands for the file in messages, `folder` is where relative
// paths start. Errors are UsageError.
void read_text(Section& root, std::string_view json, std::string_view name, const std::filesystem::path& folder,
               std::span<const Override> overrides = {});

// All fields with their present values, two-space indented, in declaration order, newline at the end. Reads back to
// the same values and the same text.
// `as_written` keeps paths as the user wrote them (same bytes wherever the files lie), `resolved` makes them absolute.
enum class Paths { as_written, resolved };
std::string to_json(Section& root, Paths paths);

// JSON Schema (draft 2020-12) of what read_file accepts, with defaults, ranges and descriptions.
std::string json_schema(Section& root, std::string_view title);

// The settings as plain text, one line per pointer in declaration order: what is expected, default, description.
// `/loss/terms/*/weight (mse, l1)` belongs to those types of list elements.
std::string describe(Section& root);

}  // namespace ae::config
