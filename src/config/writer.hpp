// Declared sections -> JSON tree. Internal to this room.
#pragma once

#include "config/declaration.hpp"
#include "config/document.hpp"
#include "config/tree.hpp"

namespace ae::config {

Node to_node(Section& section, Paths paths);
Node to_node(const Field& field, Paths paths);

}  // namespace ae::config
