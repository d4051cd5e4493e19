// Numbers and ids in rows of tables. Within this room.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/tables/cells.hpp"
#include "evaluate/score_reader.hpp"
#include "fit/table.hpp"

namespace ae::fit {

class Numbers {
 public:
  Numbers(const std::vector<std::string>& missing, MissingCells policy);

  const data::CellReader& cells() const { return cells_; }
  // NaN = missing. InputError for a text or an infinite number; `fix` says what can be done.
  double number(const evaluate::ScoreReader& reader, std::size_t column, const std::string& fix) const;
  // A cell to predict from; missing ones by the policy.
  double predictor(const evaluate::ScoreReader& reader, std::size_t column) const;

  // `FILE:LINE:COLUMN: column "NAME": `
  static std::string place(const evaluate::ScoreReader& reader, std::size_t column);
  static std::string shown(const evaluate::ScoreReader& reader, std::size_t column);  // the cell

 private:
  data::CellReader cells_;
  MissingCells policy_;
};

// The id column: the named one, or "id" if there is one; none = rows are numbered from 0, which is an InputError of
// tables with a header whose rows are `matched` with those of others.
std::optional<std::size_t> find_id(const evaluate::ScoreReader& reader, const std::optional<std::string>& name,
                                   bool matched);
std::string id_of(const evaluate::ScoreReader& reader, std::optional<std::size_t> column);

}  // namespace ae::fit
