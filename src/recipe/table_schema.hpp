// The columns that a model of tables, or of arrays, reads.
#pragma once

#include <optional>

#include "data/tables/schema.hpp"
#include "recipe/checkpoint.hpp"

namespace ae::recipe {

// Nothing where the model's kind of data has no columns.
std::optional<data::Schema> table_schema(const Checkpoint& checkpoint);

}  // namespace ae::recipe
