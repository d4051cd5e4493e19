#include "recipe/table_schema.hpp"

#include <nlohmann/json.hpp>

namespace ae::recipe {

std::optional<data::Schema> table_schema(const Checkpoint& checkpoint) {
  Metadata metadata;
  checkpoint.kind().save(metadata);
  const auto found = metadata.find("schema");
  if (found == metadata.end()) return std::nullopt;
  return data::Schema::from_json(nlohmann::ordered_json::parse(found->second));
}

}  // namespace ae::recipe
