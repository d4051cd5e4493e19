#include "data/tables/table_cache.hpp"

#include <optional>
#include <system_error>
#include <vector>

#include "base/error.hpp"
#include "base/files.hpp"
#include "data/bytes/cache_file.hpp"
#include "data/tables/row_selection.hpp"
#include "data/tables/rows.hpp"
#include "data/tables/table_loading.hpp"

namespace ae::data {
namespace {

namespace fs = std::filesystem;

enum Section {
  training_values,
  training_observed,
  held_out_values,
  held_out_observed,
  training_numbers,
  held_out_numbers,
  section_count
};

// Writes the sections side by side, each in order.
class RowWriter final : public RowTaker {
 public:
  explicit RowWriter(CacheFile::Writer& to) : to_(to) {}

  void begin(const Schema& schema, std::int64_t training, std::int64_t held_out) override {
    schema_ = schema.to_json();
    const auto set = [&](Section section, std::int64_t count, std::size_t size) {
      to_.set_size(section, static_cast<std::uint64_t>(count) * size);
    };
    const auto elements = static_cast<std::int64_t>(schema.features().size());
    set(training_values, training * elements, sizeof(float));
    set(training_observed, training * elements, sizeof(float));
    set(held_out_values, held_out * elements, sizeof(float));
    set(held_out_observed, held_out * elements, sizeof(float));
    set(training_numbers, training, sizeof(std::int64_t));
    set(held_out_numbers, held_out, sizeof(std::int64_t));
  }

  void take(const Block& block, std::int64_t row, bool trains) override {
    const auto first = static_cast<std::size_t>(row * block.elements);
    const auto count = static_cast<std::size_t>(block.elements);
    observed_.assign(block.observed.begin() + static_cast<std::ptrdiff_t>(first),
                     block.observed.begin() + static_cast<std::ptrdiff_t>(first + count));
    to_.add(trains ? training_values : held_out_values, block.values.data() + first, count * sizeof(float));
    to_.add(trains ? training_observed : held_out_observed, observed_.data(), count * sizeof(float));
    to_.add(trains ? training_numbers : held_out_numbers, &block.row_numbers[static_cast<std::size_t>(row)],
            sizeof(std::int64_t));
  }

  const CacheFile::Json& schema() const { return schema_; }

 private:
  CacheFile::Writer& to_;
  CacheFile::Json schema_;
  std::vector<float> observed_;
};

MappedRows rows_of(const CacheFile& file, std::int64_t elements, Section values, Section observed, Section numbers) {
  const auto rows = static_cast<std::int64_t>(file.section(numbers).size() / sizeof(std::int64_t));
  return {rows, file.array<float>(values, rows * elements), file.array<float>(observed, rows * elements),
          file.array<std::int64_t>(numbers, rows)};
}

// Everything that decides what is in the file.
std::string key_of(const TableOptions& options, const fs::path& path, const std::string& data_sha256,
                   HoldOut hold_out) {
  TableOptions meaning = options;
  meaning.cache = meaning.path = meaning.rows = {};
  std::string content = data_sha256 + '\n';
  if (!options.rows.empty()) content += sha256_of_file(file_of(options.rows));
  return cache_key("table, identical rows together", meaning, path, hold_out, content);
}

}  // namespace

CachedTable open_cached_table(const TableOptions& options, Reporter& reporter, HoldOut hold_out) {
  const fs::path path = file_of(options.path);
  std::error_code error;
  if (path == "-" || (fs::exists(path, error) && !fs::is_regular_file(path, error) && !fs::is_directory(path, error))) {
    throw UsageError("/data/cache: " + path.string() +
                     " can be read only once; a cache needs a file: save the data first, or set /data/cache to \"\"");
  }
  const fs::path folder = file_of(options.cache);
  const Unchanged data({path});
  const std::string data_sha256 = sha256_of_file(path);
  const auto make = [&](CacheFile::Writer& writer, Reporter& recorder) {
    const auto source = open_rows(path, options.table_format());
    ScratchFile scratch(folder);
    RowWriter rows(writer);
    load_rows(*source, options, recorder, hold_out, &scratch, rows);
    data.check();
    return rows.schema();
  };
  const auto file =
      CacheFile::open(folder, key_of(options, path, data_sha256, hold_out), section_count, reporter, make);
  CachedTable table;
  table.schema = Schema::from_json(file->description());
  table.elements = static_cast<std::int64_t>(table.schema.features().size());
  table.training = rows_of(*file, table.elements, training_values, training_observed, training_numbers);
  table.held_out = rows_of(*file, table.elements, held_out_values, held_out_observed, held_out_numbers);
  table.data_sha256 = data_sha256;
  table.file = file;
  return table;
}

}  // namespace ae::data
