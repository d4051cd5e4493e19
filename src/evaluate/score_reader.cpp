#include "evaluate/score_reader.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "evaluate/labels.hpp"

namespace ae::evaluate {

ScoreReader::ScoreReader(const std::filesystem::path& path, Reporter& reporter)
    : rows_(data::open_rows(path)), reporter_(reporter) {}

std::optional<std::size_t> ScoreReader::find(std::string_view column) const {
  const auto& names = rows_->columns();
  const auto found = std::find(names.begin(), names.end(), column);
  if (found == names.end()) return std::nullopt;
  return static_cast<std::size_t>(found - names.begin());
}

std::size_t ScoreReader::require(const std::string& column, std::string_view what, std::string_view option) const {
  if (const auto found = find(column)) return *found;
  throw InputError(name() + ": no column " + ae::quoted(column) + " for the " + std::string(what) +
                   did_you_mean(column, rows_->columns()) + "; the columns are " + quoted_list(rows_->columns()) +
                   "; name it with " + std::string(option));
}

bool ScoreReader::next() {
  constexpr std::int64_t rows_between_looks = 1 << 16;
  if (++looked_ % rows_between_looks == 0) {
    throw_if_stopped("reading scores");
    reporter_.progress("bytes", rows_->position(), rows_->size(), name());
  }
  if (rows_->next()) return true;
  for (const auto& note : rows_->notes()) reporter_.info(note);
  for (const auto& doubt : rows_->doubts()) reporter_.warning(doubt);
  return false;
}

double ScoreReader::score(std::size_t column) const {
  const std::string_view text = rows_->has_numbers() ? std::string_view{} : trimmed(rows_->text(column));
  const auto number = rows_->has_numbers() ? std::optional(rows_->number(column)) : parse_number(text);
  if (number && std::abs(*number) < std::numeric_limits<double>::max()) return *number + 0.0;  // -0 becomes 0
  refuse_score(column, text, number);
}

std::string_view ScoreReader::text(std::size_t column) const {
  if (rows_->has_numbers() && std::isnan(rows_->number(column))) return {};
  return trimmed(rows_->text(column));
}

void ScoreReader::refuse_duplicate(std::size_t column) const {
  throw InputError(where(column) + ": id " + ae::quoted(text(column)) +
                   " occurs a second time; ids must be unique (see --id-column)");
}

void ScoreReader::refuse_score(std::size_t column, std::string_view text, std::optional<double> number) const {
  const std::string place = rows_->where(column) + ": score ";
  const std::string expected =
      "; a labelled row needs a finite number, or none at all: then it is left out and counted";
  if ((number && std::isnan(*number)) || (!number && text.empty())) throw InputError(place + "is missing" + expected);
  if (number)
    throw InputError(place + (text.empty() ? number_text(*number) : ae::quoted(text)) + " is too large" + expected);
  throw InputError(place + ae::quoted(text) + " is not a number" + expected);
}

namespace {

constexpr std::string_view kModelColumn = "model";

bool is_digest(std::string_view text) {
  return text.size() == 8 &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

ModelColumn::ModelColumn(const ScoreReader& reader, std::initializer_list<std::string_view> taken, bool mixed_allowed)
    : reader_(reader), mixed_allowed_(mixed_allowed) {
  if (std::find(taken.begin(), taken.end(), kModelColumn) == taken.end()) column_ = reader.find(kModelColumn);
}

void ModelColumn::look() {
  if (!column_) return;
  const std::string_view text = reader_.text(*column_);
  if (!any_) {
    any_ = true;
    first_ = text;
    digests_ = is_digest(text);
    return;
  }
  if (text == first_ || (!digests_ && !is_digest(text))) return;
  const std::string line = reader_.where(*column_) + ": score of model " + ae::quoted(text) + ", but " +
                           ae::quoted(first_) + " in the rows above";
  if (!mixed_allowed_)
    throw InputError(line +
                     "; scores of different models do not compare, and a threshold belongs to one: score all rows "
                     "with one model, or take them together with --force");
  digests_ = mixed_ = true;
}

std::string ModelColumn::finish(Reporter& reporter) const {
  if (mixed_) {
    reporter.warning(reader_.name() +
                     ": rows of more than one model are taken together; the threshold belongs to none");
    return {};
  }
  if (!any_ || digests_) return first_;
  reporter.info(reader_.name() + ": column \"model\" holds no digest of a model and is not looked at");
  return {};
}

}  // namespace ae::evaluate
