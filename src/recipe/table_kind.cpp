#include "recipe/table_kind.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "data/tables/table_cache.hpp"
#include "recipe/makers.hpp"
#include "recipe/table_stream.hpp"

namespace ae::recipe {

TableKind::TableKind(data::Schema schema, std::string_view plural, std::string_view samples)
    : Kind({model::elements_of(schema), {}, plural, samples}), schema_(std::move(schema)) {}

void TableKind::save(Metadata& metadata) const { metadata["schema"] = schema_.to_json().dump(); }

std::unique_ptr<SampleStream> TableKind::open(const StreamOptions& options, Reporter& reporter) const {
  return std::make_unique<TableStream>(schema_, options, reporter);
}

Dataset dataset_of_numbers(const std::string& file, data::Table table, std::unique_ptr<Kind> kind,
                           const std::string& per_sample) {
  const std::string samples(kind->domain().samples);
  if (table.training.rows < 2)
    throw InputError(file + ": found " + counted(table.training.rows, samples) + " to train on; expected at least two");
  Dataset read;
  read.kind = std::move(kind);
  read.training = std::make_unique<model::TableSamples>(table.training);
  read.held_out = std::make_unique<model::TableSamples>(table.held_out);
  read.training_numbers = std::move(table.training.row_numbers);
  read.summary = counted(read.training->size(), "training " + samples) + ", " + std::to_string(read.held_out->size()) +
                 " held out, " + per_sample;
  return read;
}

namespace {

void check_enough(const data::TableOptions& options, std::int64_t training, std::int64_t held_out) {
  if (training >= 2) return;
  const auto rows = training + held_out;
  const auto found = rows == 1 ? "only one row" : "only one of " + std::to_string(rows) + " rows";
  throw InputError(options.path.written + ": " + found +
                   " to train on; at least two are needed to tell what varies among normal rows: give more rows" +
                   (rows > 1 ? ", or lower /training/validation_fraction" : ""));
}

Dataset dataset(data::Schema schema, std::unique_ptr<model::Samples> training, std::unique_ptr<model::Samples> held_out,
                std::vector<std::int64_t> training_rows, std::string data_sha256) {
  Dataset data;
  data.kind = std::make_unique<TableKind>(std::move(schema));
  data.summary = counted(training->size(), "training rows") + ", " + std::to_string(held_out->size()) + " held out, " +
                 counted(data.domain().elements.size(), "columns");
  data.training = std::move(training);
  data.held_out = std::move(held_out);
  data.training_numbers = std::move(training_rows);
  data.data_sha256 = std::move(data_sha256);
  return data;
}

Dataset cached(const data::TableOptions& options, Reporter& reporter, data::HoldOut hold_out) {
  data::CachedTable table = data::open_cached_table(options, reporter, hold_out);
  check_enough(options, table.training.rows, table.held_out.rows);
  const auto samples = [&](const data::MappedRows& rows) {
    return std::make_unique<model::TableSamples>(
        model::mapped_batch(rows.values, rows.observed, rows.rows, table.elements, table.file));
  };
  return dataset(std::move(table.schema), samples(table.training), samples(table.held_out),
                 {table.training.row_numbers, table.training.row_numbers + table.training.rows}, table.data_sha256);
}

class TableKindOptions final : public KindOptionsOf<data::TableOptions> {
 public:
  Dataset load(Reporter& reporter, data::HoldOut hold_out, int) const override {
    if (!data().cache.empty()) return cached(data(), reporter, hold_out);
    data::Table table = data::load_table(data(), reporter, hold_out);
    check_enough(data(), table.training.rows, table.held_out.rows);
    auto read = dataset(std::move(table.schema), std::make_unique<model::TableSamples>(table.training),
                        std::make_unique<model::TableSamples>(table.held_out), std::move(table.training.row_numbers),
                        table.data_sha256);
    tell_weights(table.training.weights, reporter);
    read.training_weights = weights("training", std::move(table.training.weights));
    read.held_out_weights = weights("held-out", std::move(table.held_out.weights));
    return read;
  }

  // By how many equal ones there would be (Kish 1965).
  static void tell_weights(const std::vector<double>& weights, Reporter& reporter) {
    if (weights.empty()) return;
    const double largest = *std::ranges::max_element(weights);
    double sum = 0, squares = 0;
    for (const double weight : weights) {
      sum += weight / largest;
      squares += weight / largest * (weight / largest);
    }
    if (squares > 0)
      reporter.info("the weights of " + counted(weights.size(), "training rows") + " are those of " +
                    number_text(std::round(10 * sum * sum / squares) / 10) + " equal ones");
  }

  std::vector<double> weights(const std::string& what, std::vector<double> weights) const {
    const auto is_zero = [](double weight) { return weight == 0; };
    if (!weights.empty() && std::ranges::all_of(weights, is_zero))
      throw InputError(data().path.written + ": the weights of all " + what + " rows are 0; expected some above");
    return weights;
  }

  std::unique_ptr<Kind> restore(const Metadata& metadata) const override {
    const auto json = json_entry(metadata, "schema");
    return evaluate::in_model("schema", [&] { return std::make_unique<TableKind>(data::Schema::from_json(json)); });
  }
};

}  // namespace

const config::Entry<KindOptions> kTableKind{"table", "Rows of a table: CSV, TSV, NPY or NPZ.", [] {
                                              return std::unique_ptr<KindOptions>(std::make_unique<TableKindOptions>());
                                            }};

}  // namespace ae::recipe
