#include "fit/numbers.hpp"

#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/tables/schema.hpp"

namespace ae::fit {

using evaluate::ScoreReader;

namespace {

// The texts that mean a missing cell in all tables of these programs, and further ones.
data::CellReader cell_reader(const std::vector<std::string>& further) {
  const data::TableOptions usual;
  auto missing = usual.missing;
  missing.insert(missing.end(), further.begin(), further.end());
  return data::CellReader(std::move(missing), usual.missing_in_numbers);
}

}  // namespace

Numbers::Numbers(const std::vector<std::string>& missing, MissingCells policy)
    : cells_(cell_reader(missing)), policy_(policy) {}

double Numbers::number(const ScoreReader& reader, std::size_t column, const std::string& fix) const {
  const auto cell = cells_.read(reader.rows(), column);
  if (cell.kind == data::CellKind::missing || cell.kind == data::CellKind::unclear)
    return std::numeric_limits<double>::quiet_NaN();
  if (cell.kind == data::CellKind::number && std::isfinite(cell.value)) return cell.value;
  throw InputError(place(reader, column) + shown(reader, column) +
                   (cell.kind == data::CellKind::number ? " is not finite; " : " is not a number; ") + fix);
}

double Numbers::predictor(const ScoreReader& reader, std::size_t column) const {
  const std::string& name = reader.rows().columns()[column];
  const double value =
      number(reader, column,
             "leave the column out with --ignore " + ae::quoted(name) + ", or name it as --id-column if it holds ids");
  if (std::isnan(value) && policy_ == MissingCells::stop)
    throw InputError(place(reader, column) +
                     "the cell is missing; expected a number: fill it (ae-impute), leave out the row or the column, or "
                     "take the mean of the training rows with --missing-cells mean");
  return value;
}

std::string Numbers::place(const ScoreReader& reader, std::size_t column) {
  return reader.where(column) + ": column " + ae::quoted(reader.rows().columns()[column]) + ": ";
}

std::string Numbers::shown(const ScoreReader& reader, std::size_t column) {
  return reader.rows().has_numbers() ? number_text(reader.rows().number(column)) : ae::quoted(reader.text(column));
}

std::optional<std::size_t> find_id(const ScoreReader& reader, const std::optional<std::string>& name, bool matched) {
  if (name || (matched && !reader.rows().has_numbers()))
    return reader.require(name.value_or("id"), "ids", "--id-column");
  return reader.find("id");
}

std::string id_of(const ScoreReader& reader, std::optional<std::size_t> column) {
  if (!column) return std::to_string(reader.rows().row());
  return std::string(reader.text(*column));
}

}  // namespace ae::fit
