// The config section "/data" of counts, and what a model keeps of its training data.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/counts/normalise.hpp"
#include "data/counts/readers.hpp"
#include "data/options.hpp"

namespace ae::data {

struct CountOptions : DataOptions {
  CountFormat format;
  config::Path rows;                  // index file: one 0-based number of a cell a line; only these cells are used
  std::string label;                  // column of the cells' annotation; "" = none
  std::vector<std::string> normal;    // with label: only cells with one of these values are used
  std::optional<std::int64_t> genes;  // that vary most; 0 = all; not set: genes_for()
  bool size_factors = true;
  bool log1p = true;
  bool zero_as_missing = false;
  void fields(config::Fields& f) override;
  void check(std::vector<config::Problem>& problems) const override;
  // 2,000 unless told otherwise, and of few cells more, as long as there are no more than 4 million values.
  std::int64_t genes_for(std::int64_t training_cells) const;
};

// Kept in the model, matched by the genes' names in other files.
struct CountSchema {
  std::vector<std::string> genes;      // of the training file, in its order; a cell's total is over these
  std::vector<std::int32_t> selected;  // of them, ascending: the network's elements
  std::vector<bool> constant;          // of the selected: one value in training
  CountScale scale;
  // Of the selected, or empty where it was not told: squared correlations, 0 to 1, of the counts, and of the mean of
  // the cells alike, with what is there (recipe/gene_support.hpp).
  std::vector<double> reliability = {}, told = {};
  nlohmann::ordered_json to_json() const;
  // Trusts nothing: InputError that begins with a pointer relative to `json`.
  static CountSchema from_json(const nlohmann::ordered_json& json);
};

}  // namespace ae::data
