// Command-line overrides applied to a document's tree. Internal to this room.
#pragma once

#include "config/fields.hpp"
#include "config/problems.hpp"

namespace ae::config {

// In their order, so that the last of several for one place wins. `root` tells what an array or map that the document
// leaves out holds by default, so that an override can change one element of it.
void apply_overrides(Node& tree, Section& root, std::span<const Override> overrides, ProblemList& problems);

}  // namespace ae::config
