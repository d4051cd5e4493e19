// Tables: rows of numbers and categories.
#pragma once

#include <memory>

#include "data/tables/schema.hpp"
#include "recipe/kind.hpp"

namespace ae::recipe {

class TableKind final : public Kind {
 public:
  explicit TableKind(data::Schema schema);
  void save(Metadata& metadata) const override;
  std::unique_ptr<SampleStream> open(const StreamOptions& options, Reporter& reporter) const override;

  const data::Schema& schema() const { return schema_; }

 private:
  data::Schema schema_;
};

}  // namespace ae::recipe
