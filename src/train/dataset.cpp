#include "train/dataset.hpp"

#include <array>

namespace ae::train {
namespace {

template <typename T>
std::unique_ptr<data::DataOptions> make() {
  return std::make_unique<T>();
}

constexpr std::array<config::Entry<data::DataOptions>, 1> kDataKinds{{
    {"table", "Rows of a table: CSV, TSV, NPY or NPZ.", make<data::TableOptions>},
}};

}  // namespace

std::span<const config::Entry<data::DataOptions>> data_kinds() { return kDataKinds; }

Dataset load_dataset(const data::DataOptions& options, Reporter& reporter, data::HoldOut hold_out) {
  const auto& table_options = dynamic_cast<const data::TableOptions&>(options);
  data::Table table = data::load_table(table_options, reporter, hold_out);
  return {model::elements_of(table.schema),
          std::make_unique<model::TableSamples>(table.training),
          std::make_unique<model::TableSamples>(table.held_out),
          std::move(table.schema),
          std::move(table.training.row_numbers),
          table.data_sha256};
}

}  // namespace ae::train
