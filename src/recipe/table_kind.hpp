// Tables: rows of numbers and categories.
#pragma once

#include <memory>
#include <string>
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

// How a loader of tables takes numbers that other files hold: each of them is an element. Of a /data section with
// `path`, `rows` and `scaling`.
template <typename Options>
data::TableOptions options_of_numbers(const Options& options) {
  data::TableOptions how;
  how.path = options.path;
  how.rows = options.rows;
  how.scaling = options.scaling;
  how.columns = {{"*", "numeric"}};
  return how;
}

// What is trained on of such a file, but for its checksum; samples are called what `kind` calls them. `per_sample`: "30
// numbers each". InputError for fewer than two samples.
Dataset dataset_of_numbers(const std::string& file, data::Table table, std::unique_ptr<Kind> kind,
                           const std::string& per_sample);

}  // namespace ae::recipe
