// Rows of one table that are looked up by the ids of another one. Within this room.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/reporter.hpp"
#include "base/text.hpp"
#include "evaluate/score_reader.hpp"
#include "fit/numbers.hpp"

namespace ae::fit {

// A table whose rows are looked up by id.
template <typename Row>
class ById {
 public:
  std::string name;

  // Without an id column, rows go by their numbers.
  void add(const evaluate::ScoreReader& reader, std::optional<std::size_t> id, Row row) {
    ++rows_;
    const std::string key = id_of(reader, id);
    if (key.empty()) return;
    if (!by_id_.try_emplace(key, Entry{std::move(row), false}).second) reader.refuse_duplicate(*id);
    if (example_.empty()) example_ = key;
  }
  const Row* find(const std::string& id) {
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) return nullptr;
    if (!found->second.met) ++met_;
    found->second.met = true;
    return &found->second.row;
  }
  // When all rows of `table` were looked up.
  void finish(const std::string& table, const std::string& example_there, Reporter& reporter) const {
    if (met_ == 0)
      throw InputError(name + ": none of its " + counted(rows_, "id", "ids") + " is an id of " + table + " (" +
                       ae::quoted(example_) + " here, " + ae::quoted(example_there) +
                       " there); name the columns with --id and --id-column");
    if (rows_ > met_)
      reporter.warning(name + ": " + counted(rows_ - met_, "row has an id that is", "rows have ids that are") +
                       " not in " + table);
  }

 private:
  struct Entry {
    Row row;
    bool met;
  };
  std::unordered_map<std::string, Entry> by_id_;
  std::int64_t rows_ = 0, met_ = 0;
  std::string example_;
};

// The reconstruction losses that ae-score wrote, or another column of such a table.
class ScoresById {
 public:
  ScoresById(const std::filesystem::path& path, const std::string& column, Reporter& reporter);
  // InputError when the row of `table` has none.
  double of(const std::string& id, const std::string& table);

 private:
  ById<double> scores_;
};

}  // namespace ae::fit
