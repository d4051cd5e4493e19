#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "base/error.hpp"
#include "base/reporter.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "data/tables/cells.hpp"
#include "data/tables/schema.hpp"

namespace ae::data {

namespace {

constexpr std::int64_t kRowsBetweenChecks = 4096;
constexpr std::size_t kNamedExtraColumns = 5;
constexpr std::size_t kNamedMissingColumns = 8;
constexpr std::size_t kNone = static_cast<std::size_t>(-1);

// One element: where its cells come from and how they become network units.
struct Feature {
  Column column;
  std::size_t file_column = 0;
  TextCodes codes;             // categorical: level -> code, missing text -> -1
  std::int64_t surprises = 0;  // cells off a constant column's constant, or with an unseen level
};

std::unordered_map<std::string_view, std::size_t> places_of(const std::vector<std::string>& names) {
  std::unordered_map<std::string_view, std::size_t> places;
  for (std::size_t i = 0; i < names.size(); ++i) places.emplace(names[i], i);
  return places;
}

TextCodes codes_of(const Column& column, const std::vector<std::string>& missing) {
  TextCodes codes;
  for (const auto& text : missing) codes.emplace(text, -1);
  std::int32_t code = 0;
  for (const auto& level : column.levels) codes.emplace(level, code++);
  return codes;
}

}  // namespace

struct TableReader::State {
  std::unique_ptr<RowSource> source;
  CellReader cells;
  std::vector<Feature> features;
  std::vector<std::int64_t> elements;  // per file column
  std::size_t id = kNone;
  std::size_t label = kNone;
  bool has_numbers = source->has_numbers();

  State(std::unique_ptr<RowSource> rows, const Schema& schema, Reporter& reporter)
      : source(std::move(rows)), cells(schema.missing), elements(source->columns().size(), -1) {
    const auto places = places_of(source->columns());
    std::vector<bool> known(source->columns().size());
    std::vector<std::string> missing;
    for (const Column& column : schema.columns) {
      const auto found = places.find(column.name);
      if (found != places.end()) {
        known[found->second] = true;
        take(column, found->second);
      } else if (column.role == Role::numeric || column.role == Role::categorical) {
        missing.push_back(column.name);
      }
    }
    std::vector<std::string> extra;
    for (std::size_t i = 0; i < known.size(); ++i)
      if (!known[i]) extra.push_back(source->columns()[i]);
    if (!missing.empty()) throw_missing(missing, extra);
    if (!extra.empty()) warn_extra(extra, reporter);
  }

  void take(const Column& column, std::size_t file_column) {
    switch (column.role) {
      case Role::numeric:
        add_feature({column, file_column, {}, 0});
        break;
      case Role::categorical:
        add_feature({column, file_column, codes_of(column, cells.missing()), 0});
        break;
      case Role::id:
        id = file_column;
        break;
      case Role::label:
        label = file_column;
        break;
      case Role::ignore:
        break;
    }
  }

  void add_feature(Feature feature) {
    elements[feature.file_column] = static_cast<std::int64_t>(features.size());
    features.push_back(std::move(feature));
  }

  [[noreturn]] void throw_missing(const std::vector<std::string>& missing,
                                  const std::vector<std::string>& extra) const {
    std::vector<std::string> shown;
    for (const auto& name : missing) shown.push_back(ae::quoted(name));
    std::string line = source->name() + ": " + (missing.size() == 1 ? "column " : "columns ") +
                       join(shown, ", ", kNamedMissingColumns) +
                       (missing.size() == 1 ? " is missing" : " are missing") + ", which the model was trained on";
    if (!source->layout().header && !source->has_numbers()) {
      line += "; the file has no header line, so its columns were named f0, f1, ...: add a header";
    } else {
      line += similar_names(missing, extra);
    }
    throw InputError(std::move(line));
  }

  // `; did you mean "colour"?` of the first missing column that an unknown one of the file resembles.
  static std::string similar_names(const std::vector<std::string>& missing, const std::vector<std::string>& extra) {
    for (const auto& name : missing) {
      if (auto hint = did_you_mean(name, extra); !hint.empty()) {
        return missing.size() == 1 ? hint : "; for " + ae::quoted(name) + hint.substr(1);
      }
    }
    return "";
  }

  void warn_extra(const std::vector<std::string>& extra, Reporter& reporter) const {
    std::vector<std::string> shown;
    for (const auto& name : extra) shown.push_back(ae::quoted(name));
    reporter.warning(source->name() + ": ignoring " + std::to_string(extra.size()) +
                     (extra.size() == 1 ? " column" : " columns") +
                     " that the model was not trained on: " + join(shown, ", ", kNamedExtraColumns));
  }

  void append_row(Block& block, bool keep_raw) {
    const std::size_t begin = block.values.size();
    block.values.resize(begin + features.size());
    block.observed.resize(begin + features.size());
    for (std::size_t i = 0; i < features.size(); ++i) {
      Feature& feature = features[i];
      const bool numeric = feature.column.role == Role::numeric;
      const auto value = numeric ? number(feature) : code(feature);
      if (!value) continue;
      block.values[begin + i] = *value;
      block.observed[begin + i] = 1;
    }
    block.row_numbers.push_back(source->row());
    if (id != kNone) block.ids.emplace_back(source->text(id));
    if (label != kNone) block.labels.emplace_back(source->text(label));
    if (keep_raw) {
      for (std::size_t i = 0; i < elements.size(); ++i) {
        block.raw_bytes += source->raw(i);
        block.raw_ends.push_back(block.raw_bytes.size());
      }
    }
    ++block.rows;
  }

  std::optional<float> number(Feature& feature) {
    const std::size_t at = feature.file_column;
    const Cell cell = has_numbers ? cells.read(source->number(at)) : cells.read(source->text(at));
    if (cell.kind == CellKind::missing) return std::nullopt;
    if (cell.kind == CellKind::text || !std::isfinite(cell.value)) throw_not_a_number(feature);
    const double scaled = feature.column.scaler.scale(cell.value);
    if (scaled != 0 && feature.column.scaler.constant()) ++feature.surprises;
    return static_cast<float>(scaled);
  }

  std::optional<float> code(Feature& feature) {
    if (has_numbers && cells.read(*source, feature.file_column).kind == CellKind::missing) return std::nullopt;
    const auto known = feature.codes.find(trimmed(source->text(feature.file_column)));
    if (known == feature.codes.end()) {
      ++feature.surprises;
      return static_cast<float>(feature.column.unseen_code());
    }
    if (known->second < 0) return std::nullopt;
    return static_cast<float>(known->second);
  }

  [[noreturn]] void throw_not_a_number(const Feature& feature) const {
    std::string line = source->where(feature.file_column) + ": column " + ae::quoted(feature.column.name) + ": found " +
                       ae::quoted(trimmed(source->text(feature.file_column))) +
                       ", expected a finite number; correct the cell";
    if (!cells.missing().empty()) {
      const std::string& token = cells.missing().front();
      line += token.empty() ? ", or leave it empty" : ", or write " + ae::quoted(token);
      line += " if the value is not known";
    }
    throw InputError(std::move(line));
  }

  // `"a" (12 rows), "b" (1 row)` of the columns of one role that met a surprise; "" when none did.
  std::string surprised(Role role) const {
    std::vector<std::string> shown;
    for (const Feature& feature : features) {
      if (feature.column.role != role || feature.surprises == 0) continue;
      shown.push_back(ae::quoted(feature.column.name) + " (" + std::to_string(feature.surprises) +
                      (feature.surprises == 1 ? " row)" : " rows)"));
    }
    return join(shown);
  }
};

TableReader::TableReader(std::unique_ptr<RowSource> source, const Schema& schema, Reporter& reporter)
    : state_(std::make_unique<State>(std::move(source), schema, reporter)) {}

TableReader::~TableReader() = default;

std::int64_t TableReader::skip(std::int64_t max_rows) {
  std::int64_t rows = 0;
  while (rows < max_rows && state_->source->next()) {
    if (++rows % kRowsBetweenChecks == 0) throw_if_stopped("reading the table");
  }
  return rows;
}

bool TableReader::next(std::int64_t max_rows, Block& block, bool keep_raw) {
  State& state = *state_;
  block.clear();
  block.elements = static_cast<std::int64_t>(state.features.size());
  while (block.rows < max_rows) {
    if (block.rows > 0 && !state.source->ready()) break;
    if (!state.source->next()) break;
    state.append_row(block, keep_raw);
    if (block.rows % kRowsBetweenChecks == 0) throw_if_stopped("reading the table");
  }
  return block.rows > 0;
}

const RowSource& TableReader::source() const { return *state_->source; }

std::int64_t TableReader::element_of(std::size_t file_column) const { return state_->elements[file_column]; }

bool TableReader::has_id() const { return state_->id != kNone; }

bool TableReader::has_label() const { return state_->label != kNone; }

void TableReader::report(Reporter& reporter) const {
  const std::string& name = state_->source->name();
  if (const auto changed = state_->surprised(Role::numeric); !changed.empty()) {
    reporter.warning(name + ": columns that never changed in training have other values here: " + changed);
  }
  if (const auto unseen = state_->surprised(Role::categorical); !unseen.empty()) {
    reporter.warning(name + ": columns with levels that training never saw: " + unseen);
  }
}

}  // namespace ae::data
