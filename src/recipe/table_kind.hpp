// Tables: rows of numbers and categories.
#pragma once

#include <memory>
#include <string_view>

#include "data/tables/schema.hpp"
#include "recipe/kind.hpp"

namespace ae::recipe {

class TableKind : public Kind {
 public:
  // What such data and their samples are called in messages is told for other data that a model knows as a table.
  explicit TableKind(data::Schema schema, std::string_view plural = "tables", std::string_view samples = "rows");
  void save(Metadata& metadata) const override;
  std::unique_ptr<SampleStream> open(const StreamOptions& options, Reporter& reporter) const override;

  const data::Schema& schema() const { return schema_; }

 private:
  data::Schema schema_;
};

}  // namespace ae::recipe
