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

// `--set /training/epochs=50`. The value is JSON; text that is not JSON is taken as a string, so that
// `--set /model/type=linear` works without shell quoting (the field's own type check still applies).
struct Override {
  std::string pointer;
  std::string value;
};
Override parse_override(std::string_view argument);  // UsageError unless "/pointer=value"

// Reads `file` with `overrides` applied on top into `root`. Throws UsageError listing every problem.
// Paths in the file resolve against its folder, paths in overrides against the current folder.
void read_file(Section& root, const std::filesystem::path& file, std::span<const Override> overrides = {});

// The same from text; `name` stands for the file in messages, `folder` is where relative paths start.
// Errors are UsageError.
void read_text(Section& root, std::string_view json, std::string_view name, const std::filesystem::path& folder,
               std::span<const Override> overrides = {});

// All fields with their present values, two-space indented, in declaration order, newline at the end.
// `as_written` keeps paths as the user wrote them (same bytes wherever the files lie), `resolved` makes them absolute.
enum class Paths { as_written, resolved };
std::string to_json(Section& root, Paths paths);

// JSON Schema (draft 2020-12) of what read_file accepts, with defaults, ranges and descriptions.
std::string json_schema(Section& root, std::string_view title);

// The settings as plain text, one line per pointer in declaration order: what is expected, default, description.
// `/loss/terms/*/weight (mse, l1)` belongs to those types of list elements.
std::string describe(Section& root);

}  // namespace ae::config
