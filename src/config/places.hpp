// A document walked along its declaration. Internal to this room.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "config/declaration.hpp"
#include "config/problems.hpp"
#include "config/tree.hpp"

namespace ae::config {

using Tokens = std::span<const std::string>;

// Calls `visit` with the number of each token that names a declared field, by its present or a former name, and with
// that field, from `root` inwards. `tree` tells the types of variants.
void along(Section& root, const Node& tree, Tokens tokens, const std::function<void(std::size_t, const Field&)>& visit);

// Gives every setting of the document that is written by a former name its present one, and reports those that are
// given by both; of two that different people wrote, the later override counts.
void use_present_names(Node& tree, Section& root, ProblemList& problems);

}  // namespace ae::config
