#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/reporter.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "data/tables/cells.hpp"
#include "data/tables/schema.hpp"
#include "data/tables/stand_ins.hpp"
#include "data/tables/stray_rows.hpp"

namespace ae::data {

namespace {

constexpr std::int64_t kRowsBetweenLooks = 4096;
constexpr std::size_t kNamedExtraColumns = 5;
constexpr std::size_t kNamedMissingColumns = 8;
constexpr std::size_t kNone = static_cast<std::size_t>(-1);

// One element: where its cells come from and how they become network units.
struct Feature {
  Column column;
  std::size_t file_column = 0;
  TextCodes codes;             // categorical: level -> code, missing text -> -1
  std::int64_t surprises = 0;  // cells off a constant column's constant, or with an unseen level
  std::int64_t unclear = 0;    // cells that were taken for missing because the column has numbers
  std::string first_unclear;
  StandIns stand_ins;
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
  BadRows bad_rows;
  CellReader cells;
  std::vector<Feature> features;
  std::vector<std::int64_t> elements;  // per file column
  std::size_t id = kNone;
  std::size_t label = kNone;
  std::vector<std::size_t> kept;  // file columns
  bool has_numbers = source->has_numbers();
  bool points_unclear;
  std::int64_t rows = 0;  // gone through
  std::int64_t bad = 0;   // of them
  std::string first_bad;

  State(std::unique_ptr<RowSource> rows, const Schema& schema, Reporter& reporter, const Reading& reading)
      : source(std::move(rows)),
        bad_rows(reading.bad_rows),
        cells(all_missing(schema, reading), schema.missing_in_numbers, schema.numbers),
        elements(source->columns().size(), -1),
        points_unclear(knows_no_point(schema)) {
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
    pass_through(reading, known);
    if (label != kNone && elements[label] >= 0) warn_scored_label(reporter);
    std::vector<std::string> extra;
    for (std::size_t i = 0; i < known.size(); ++i)
      if (!known[i]) extra.push_back(source->columns()[i]);
    if (!missing.empty()) throw_missing(missing, extra);
    if (!extra.empty()) warn_extra(extra, reporter);
  }

  static std::vector<std::string> all_missing(const Schema& schema, const Reading& reading) {
    auto all = schema.missing;
    all.insert(all.end(), reading.missing.begin(), reading.missing.end());
    return all;
  }

  void pass_through(const Reading& reading, std::vector<bool>& known) {
    if (!reading.label.empty()) known[label = place_of(reading.label, "the label")] = true;
    for (const auto& name : reading.keep) {
      const auto at = place_of(name, "kept");
      known[at] = true;
      if (name == "id") {
        take_as(id, at, name);
      } else if (name == "label") {
        take_as(label, at, name);
      } else {
        kept.push_back(at);
      }
    }
  }

  void warn_scored_label(Reporter& reporter) const {
    const auto& column = source->columns()[label];
    reporter.warning(source->name() + ": " + ae::quoted(column) +
                     " passes through as the label, and the model scores it like any other column: scores that know "
                     "the label say nothing about how well it is found; train again with --set /data/label=" +
                     column);
  }

  void take_as(std::size_t& role, std::size_t at, const std::string& name) const {
    if (role != kNone && role != at) {
      throw UsageError(source->name() + ": column " + ae::quoted(name) + " cannot be kept beside column " +
                       ae::quoted(source->columns()[role]) + ", which is the " + name + " already; rename it");
    }
    role = at;
  }

  std::size_t place_of(const std::string& name, const std::string& what) const {
    const auto& names = source->columns();
    const auto found = std::ranges::find(names, name);
    if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
    std::string hint = did_you_mean(name, names);
    if (hint.empty()) {
      std::vector<std::string> shown;
      for (const auto& other : names) shown.push_back(ae::quoted(other));
      hint = "; its columns are " + join(shown);
    }
    throw UsageError(source->name() + ": has no column " + ae::quoted(name) + ", which is to be " + what + hint);
  }

  // Goes on by one row; false at the end.
  bool take_row(Block& block, bool keep_raw) {
    try {
      if (!source->next()) return false;
      ++rows;
    } catch (const BadRow& row) {
      ++rows;
      put_bad(block, row, false, keep_raw);
      return true;
    }
    try {
      append_row(block, keep_raw);
    } catch (const BadRow& row) {
      put_bad(block, row, true, keep_raw);
    }
    return true;
  }

  // `has_cells`: the source holds them.
  void put_bad(Block& block, const BadRow& row, bool has_cells, bool keep_raw) {
    if (bad_rows == BadRows::stop) throw row;
    if (bad++ == 0) first_bad = row.place;
    block.values.resize(static_cast<std::size_t>(block.rows) * features.size());
    block.observed.resize(block.values.size());
    if (bad_rows == BadRows::skip) return;
    block.values.resize(block.values.size() + features.size(), 0.0f);
    block.observed.resize(block.values.size(), 0);
    block.problems.resize(static_cast<std::size_t>(block.rows));
    block.problems.push_back(row.lines().front());
    append_texts(block, has_cells, keep_raw);
  }

  void take(const Column& column, std::size_t file_column) {
    switch (column.role) {
      case Role::numeric:
        add_feature({column, file_column, {}, 0, 0, {}, {}});
        break;
      case Role::categorical:
        add_feature({column, file_column, codes_of(column, cells.missing()), 0, 0, {}, {}});
        break;
      case Role::id:
        id = file_column;
        break;
      case Role::label:
        label = file_column;
        break;
      case Role::ignore:
      case Role::weight:
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
    append_texts(block, true, keep_raw);
  }

  // Ends a row of the block.
  void append_texts(Block& block, bool has_cells, bool keep_raw) {
    const auto text = [&](std::size_t column) { return has_cells ? source->text(column) : std::string_view(); };
    block.row_numbers.push_back(source->row());
    if (id != kNone) block.ids.emplace_back(text(id));
    if (label != kNone) block.labels.emplace_back(text(label));
    for (const auto column : kept) block.kept.emplace_back(text(column));
    if (keep_raw) {
      for (std::size_t i = 0; i < elements.size(); ++i) {
        if (has_cells) block.raw_bytes += source->raw(i);
        block.raw_ends.push_back(block.raw_bytes.size());
      }
    }
    ++block.rows;
  }

  std::optional<float> number(Feature& feature) {
    const std::size_t at = feature.file_column;
    const Cell cell = has_numbers ? cells.read(source->number(at)) : cells.read(source->text(at));
    if (cell.kind == CellKind::unclear && feature.unclear++ == 0)
      feature.first_unclear = without_padding(source->text(at));
    if (cell.kind == CellKind::missing || cell.kind == CellKind::unclear) return std::nullopt;
    if (cell.kind == CellKind::text || !std::isfinite(cell.value) || has_unclear_point(feature, cell.value))
      throw_not_a_number(feature);
    feature.stand_ins.add(cell.value, has_numbers ? std::string_view{} : source->text(at));
    const double scaled = feature.column.scaler.scale(cell.value);
    if (scaled != 0 && feature.column.scaler.constant()) ++feature.surprises;
    return static_cast<float>(scaled);
  }

  std::optional<float> code(Feature& feature) {
    if (has_numbers && cells.read(*source, feature.file_column).kind == CellKind::missing) return std::nullopt;
    const auto known = feature.codes.find(trimmed(source->text(feature.file_column)));
    if (known == feature.codes.end()) {
      if (!has_numbers && cells.is_missing(without_padding(source->text(feature.file_column)))) return std::nullopt;
      ++feature.surprises;
      return static_cast<float>(feature.column.unseen_code());
    }
    if (known->second < 0) return std::nullopt;
    return static_cast<float>(known->second);
  }

  // Whether training saw whole numbers without marks alone, so that it cannot tell what "2.000" means in a table where
  // a point parts groups as like as not.
  bool knows_no_point(const Schema& schema) const {
    const auto whole = [](const Column& column) { return column.role != Role::numeric || column.decimals == 0; };
    return !has_numbers && source->layout().delimiter == ';' && schema.numbers.plain() &&
           std::ranges::all_of(schema.columns, whole);
  }

  // `value`: of its cell, as it would be read.
  bool has_unclear_point(const Feature& feature, double value) const {
    if (!points_unclear) return false;
    const auto text = without_padding(source->text(feature.file_column));
    if (text.find('.') == std::string_view::npos || text.find_first_of("eE") != std::string_view::npos) return false;
    const auto grouped = read_number(text, ',');
    return grouped && grouped->value != value;
  }

  // `, which looks like a decimal comma, where the model was trained on decimal points`; "" when it looks like nothing.
  std::string look_of(const Feature& feature) const {
    if (has_numbers) return "";
    const auto text = without_padding(source->text(feature.file_column));
    if (const auto value = number_of(text, cells.numbers()); value && std::isfinite(*value))
      return ", which could have a thousands mark or a decimal point, where the model was trained on whole numbers "
             "without either";
    const auto look = looks_like(text, cells.numbers());
    if (look.empty()) return "";
    std::string line = ", which looks like " + std::string(look);
    const std::string decimal = cells.numbers().decimal == ',' ? "comma" : "point";
    if (look == kThousandsMark) {
      const std::string& mark = cells.numbers().thousands;
      line += ", where the model was trained with " +
              (mark.empty() ? std::string("none") : "the thousands mark " + ae::quoted(mark)) + " (/data/thousands)";
    } else if (look == "a decimal point" || look == "a decimal comma") {
      line += ", where the model was trained on numbers with a decimal " + decimal;
    }
    return line;
  }

  // See stray_row(); "" where the current row is one of the table's.
  std::string stray() const {
    std::vector<StrayCell> found;
    for (const Feature& feature : features)
      if (feature.column.role == Role::numeric && !has_numbers &&
          cells.read(source->text(feature.file_column)).kind == CellKind::text)
        found.push_back({feature.column.name, trimmed(source->text(feature.file_column))});
    return found.empty() ? "" : stray_row(source->where(0), source->row(), found);
  }

  [[noreturn]] void throw_not_a_number(const Feature& feature) const {
    if (const auto line = stray(); !line.empty()) throw BadRow(line_of_place(source->where(0)), line);
    std::string place = source->where(feature.file_column);
    std::string line = place + ": column " + ae::quoted(feature.column.name) + ": found " +
                       ae::quoted(trimmed(source->text(feature.file_column))) + look_of(feature) +
                       ", expected a finite number; correct the cell";
    if (!cells.missing().empty()) {
      const std::string& token = cells.missing().front();
      line += token.empty() ? ", or leave it empty" : ", or write " + ae::quoted(token);
      line += " if the value is not known";
    }
    throw BadRow(std::move(place), line);
  }

  // `"a" (12 rows), "b" (1 row)` of the columns of one role that met a surprise; "" when none did.
  std::string surprised(Role role) const {
    std::vector<std::string> shown;
    for (const Feature& feature : features) {
      if (feature.column.role != role || feature.surprises == 0) continue;
      shown.push_back(ae::quoted(feature.column.name) + " (" + counted(feature.surprises, "row", "rows") + ")");
    }
    return join(shown);
  }

  // `"None" in "a" (12 rows)` of the columns of numbers that have such texts; "" when none has.
  std::string taken_for_missing() const {
    std::vector<std::string> shown;
    for (const Feature& feature : features) {
      if (feature.unclear == 0) continue;
      shown.push_back(ae::quoted(feature.first_unclear) + " in " + ae::quoted(feature.column.name) + " (" +
                      counted(feature.unclear, "row", "rows") + ")");
    }
    return join(shown);
  }

  // Numbers that may stand for missing ones, likewise.
  std::string stand_ins() const {
    std::vector<std::string> shown;
    for (const Feature& feature : features)
      for (const auto& one : feature.stand_ins.found())
        shown.push_back(ae::quoted(one.text) + " in " + ae::quoted(feature.column.name) + " (" +
                        counted(one.cells, "row", "rows") + ")");
    return join(shown);
  }
};

TableReader::TableReader(std::unique_ptr<RowSource> source, const Schema& schema, Reporter& reporter,
                         const Reading& reading)
    : state_(std::make_unique<State>(std::move(source), schema, reporter, reading)) {}

TableReader::~TableReader() = default;

std::int64_t TableReader::skip(std::int64_t max_rows) {
  const auto there_is_another = [&] {
    try {
      return state_->source->next();
    } catch (const BadRow&) {
      if (state_->bad_rows == BadRows::stop) throw;
      return true;
    }
  };
  std::int64_t rows = 0;
  while (rows < max_rows && there_is_another()) {
    if (++rows % kRowsBetweenLooks == 0) throw_if_stopped("reading the table");
  }
  state_->rows += rows;
  return rows;
}

bool TableReader::next(std::int64_t max_rows, Block& block, bool keep_raw) {
  State& state = *state_;
  block.clear();
  block.elements = static_cast<std::int64_t>(state.features.size());
  const std::int64_t begin = state.rows;
  while (state.rows - begin < max_rows) {
    if (block.rows > 0 && !state.source->ready()) break;
    if (!state.take_row(block, keep_raw)) break;
    if (state.rows % kRowsBetweenLooks == 0) throw_if_stopped("reading the table");
  }
  if (!block.problems.empty()) block.problems.resize(static_cast<std::size_t>(block.rows));
  return state.rows > begin;
}

std::int64_t TableReader::rows() const { return state_->rows; }

std::int64_t TableReader::bad_rows() const { return state_->bad; }

const std::string& TableReader::first_bad_place() const { return state_->first_bad; }

const RowSource& TableReader::source() const { return *state_->source; }

std::int64_t TableReader::element_of(std::size_t file_column) const { return state_->elements[file_column]; }

bool TableReader::has_id() const { return state_->id != kNone; }

bool TableReader::has_label() const { return state_->label != kNone; }

void TableReader::report(Reporter& reporter) const {
  const std::string& name = state_->source->name();
  for (const auto& note : state_->source->notes()) reporter.info(note);
  for (const auto& doubt : state_->source->doubts()) reporter.warning(doubt);
  if (const auto taken = state_->taken_for_missing(); !taken.empty())
    reporter.info(name + ": taken for missing among numbers: " + taken);
  if (const auto strange = state_->stand_ins(); !strange.empty()) {
    reporter.info(name + ": far from all other numbers: " + strange +
                  "; if it means that nothing was observed, --missing reads it so");
  }
  if (const auto changed = state_->surprised(Role::numeric); !changed.empty()) {
    reporter.warning(name + ": columns that never changed in training have other values here: " + changed);
  }
  if (const auto unseen = state_->surprised(Role::categorical); !unseen.empty()) {
    reporter.warning(name + ": columns with levels that training never saw: " + unseen);
  }
}

}  // namespace ae::data
