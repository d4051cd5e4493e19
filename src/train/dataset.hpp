// The samples of a training run, whatever kind of data they come from.
//
// Adding a kind of data: its options in the data room, one line in data_kinds() and one loader here.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/reporter.hpp"
#include "data/options.hpp"
#include "data/schema.hpp"
#include "model/batch.hpp"

namespace ae::train {

std::span<const config::Entry<data::DataOptions>> data_kinds();  // table

struct Dataset {
  model::Domain domain;
  std::unique_ptr<model::Samples> training;
  std::unique_ptr<model::Samples> held_out;  // may be empty
  data::Schema schema;                       // of tables
  std::vector<std::int64_t> training_rows;   // of tables: 0-based row number in the file of each training sample
  std::string data_sha256;
};

// See data::load_table for errors.
Dataset load_dataset(const data::DataOptions& options, Reporter& reporter, data::HoldOut hold_out);

}  // namespace ae::train
