#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/random.hpp"
#include "base/repeats.hpp"
#include "base/reporter.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "data/tables/inference.hpp"
#include "data/tables/row_selection.hpp"
#include "data/tables/schema.hpp"
#include "data/tables/stray_rows.hpp"
#include "data/tables/table_loading.hpp"

namespace ae::data {

namespace {

constexpr std::int64_t kRowsBetweenChecks = 4096;
constexpr std::size_t kNamedColumns = 12;
constexpr std::size_t kNamedBytes = 300;

// How many of `items` a line of some kNamedBytes names.
std::size_t fitting(const std::vector<std::string>& items) {
  std::size_t count = 0;
  for (std::size_t bytes = 0; count < items.size() && (count == 0 || bytes + items[count].size() <= kNamedBytes);)
    bytes += items[count++].size() + 2;
  return count;
}

// Numbers the labels in order of appearance, as long as they are few enough for LabelTie.
class LabelNumbers {
 public:
  explicit LabelNumbers(const std::vector<std::string>& normal) : normal_(normal) {}
  // -1 for a row without a label, and for all from one label too many on.
  std::int32_t number(std::string_view label, const CellReader& cells) {
    label = trimmed(label);
    if (too_many_ || cells.is_missing(label)) return -1;
    const auto known = numbers_.find(label);
    if (known != numbers_.end()) return known->second;
    too_many_ = numbers_.size() == static_cast<std::size_t>(LabelTie::kMostLabels);
    if (too_many_) return -1;
    const auto number = static_cast<std::int32_t>(numbers_.size());
    numbers_.emplace(label, number);
    means_normal_.push_back(normal_.empty() ? number == 0 : label_matches(label, normal_));
    return number;
  }
  bool usable() const { return !too_many_; }
  // Of each label; without options.normal one of two labels may stand for it, of more none can.
  std::vector<bool> means_normal() const {
    return normal_.empty() && means_normal_.size() > 2 ? std::vector<bool>(means_normal_.size(), true) : means_normal_;
  }

 private:
  const std::vector<std::string>& normal_;
  TextCodes numbers_;
  std::vector<bool> means_normal_;
  bool too_many_ = false;
};

class TableLoader {
 public:
  TableLoader(RowSource& source, const TableOptions& options, Reporter& reporter, HoldOut hold_out,
              ScratchFile* scratch, RowTaker& taker)
      : source_(source),
        options_(options),
        reporter_(reporter),
        hold_out_(hold_out),
        taker_(taker),
        keeps_names_(scratch == nullptr),
        room_(scratch == nullptr ? CellRoom{} : CellRoom::on_disk(*scratch, source.columns().size())),
        cells_(options.all_missing(), options.missing_in_numbers),
        choice_(options, source.layout().delimiter),
        roles_(declared_roles(options, source)),
        label_(find(Role::label)),
        id_(find(Role::id)),
        weight_(find(Role::weight)),
        selection_(options, label_),
        label_numbers_(options.normal) {
    check_names();
    if (weight_ && scratch != nullptr)
      throw UsageError("/data/weight: rows with weights cannot wait in /data/cache; leave one of the two out");
    for (std::size_t i = 0; i < roles_.size(); ++i) {
      if (roles_[i] && *roles_[i] != Role::numeric && *roles_[i] != Role::categorical) continue;
      const bool unnamed = i == 0 && source.layout().unnamed_first;
      collectors_.emplace_back(
          ColumnCollector::Traits{source.columns()[i], i, roles_[i], options.max_levels, unnamed, options.also_missing},
          cells_, choice_, room_);
    }
    if (collectors_.empty()) {
      throw UsageError("/data/columns: leaves " + source.name() +
                       " without a numeric or categorical column; give at least one of them that role");
    }
  }

  std::int64_t load() {
    read_rows();
    selection_.finish(source_, rows_, reporter_);
    settle_numbers();
    check_cells();
    set_aside();
    choose_training_rows();
    fit();
    hand_out();
    tell();
    return rows_;
  }

 private:
  // Of the row that is being read.
  double weight() const {
    const auto number =
        source_.has_numbers() ? std::optional(source_.number(*weight_)) : parse_number(source_.text(*weight_));
    if (number && *number >= 0 && std::isfinite(*number)) return *number;
    throw InputError(source_.where(*weight_) + ": column " + ae::quoted(source_.columns()[*weight_]) + ": found " +
                     ae::quoted(source_.text(*weight_)) + ", expected a weight: a number from 0 on");
  }

  std::optional<std::size_t> find(Role role) const {
    const auto found = std::ranges::find(roles_, std::optional(role));
    if (found == roles_.end()) return std::nullopt;
    return static_cast<std::size_t>(found - roles_.begin());
  }

  void check_names() const {
    for (std::size_t i = 0; i < source_.columns().size(); ++i) {
      if (is_utf8(source_.columns()[i])) continue;
      throw InputError(source_.name() + ": column " + std::to_string(i + 1) + " is named " +
                       ae::quoted(source_.columns()[i]) +
                       ", which is not UTF-8; convert the file, for example with: iconv -f latin1 -t utf-8");
    }
  }

  void read_rows() {
    while (source_.next()) {
      if (++rows_ % kRowsBetweenChecks == 0) {
        throw_if_stopped("reading the table");
        reporter_.progress("bytes", source_.position(), source_.size());
      }
      if (is_empty_row()) {
        selection_.pass_over(source_);
        ++empty_rows_;
        continue;
      }
      const bool selected = selection_.take(source_);
      if (selected) {
        selected_.row_numbers.push_back(source_.row());
        if (id_ && keeps_names_) selected_.ids.emplace_back(source_.text(*id_));
        if (weight_) selected_.weights.push_back(weight());
        if (label_ && keeps_names_) selected_.labels.emplace_back(source_.text(*label_));
      }
      const std::int32_t label = label_ ? label_numbers_.number(source_.text(*label_), cells_) : -1;
      for (auto& collector : collectors_) collector.add(source_, selected, label);
    }
    reporter_.progress_done();
    for (auto& collector : collectors_) collector.finish();
  }

  // A row of delimiters only, as spreadsheets write. With one column it is a missing cell.
  bool is_empty_row() const {
    const std::size_t columns = source_.columns().size();
    if (source_.has_numbers() || columns < 2) return false;
    for (std::size_t i = 0; i < columns; ++i)
      if (!source_.raw(i).empty() && !source_.text(i).empty()) return false;
    return true;
  }

  void settle_numbers() {
    std::vector<ColumnEvidence> columns;
    for (const auto& collector : collectors_)
      if (const auto evidence = collector.evidence()) columns.push_back(*evidence);
    schema_.numbers = number_format(columns, choice_, source_.name());
    for (auto& collector : collectors_) collector.settle(schema_.numbers);
  }

  void check_cells() const {
    std::vector<std::string> problems;
    std::set<const ColumnCollector*> told;
    for (const auto& [row, columns] : stray_cells()) {
      std::vector<StrayCell> cells;
      for (const auto* column : columns) cells.push_back({column->name(), column->stray_cell()->text});
      auto problem = stray_row(columns.front()->stray_cell()->where, row, cells);
      if (problem.empty()) continue;
      problems.push_back(problem + ", or set their columns' roles in /data/columns");
      told.insert(columns.begin(), columns.end());
    }
    for (const auto& collector : collectors_)
      if (auto problem = told.contains(&collector) ? std::nullopt : collector.problem())
        problems.push_back(std::move(*problem));
    if (!problems.empty()) throw InputError(std::move(problems));
  }

  // The columns that have one, by its row.
  std::map<std::int64_t, std::vector<const ColumnCollector*>> stray_cells() const {
    std::map<std::int64_t, std::vector<const ColumnCollector*>> columns;
    for (const auto& collector : collectors_)
      if (const auto* cell = collector.stray_cell()) columns[cell->row].push_back(&collector);
    return columns;
  }

  // Takes out the columns that should not be learned from, or refuses them.
  void set_aside() {
    std::vector<ColumnCollector> kept;
    std::vector<std::string> refused;
    for (auto& collector : collectors_) {
      const std::string reason = collector.unsuitable();
      if (reason.empty()) {
        kept.push_back(std::move(collector));
        continue;
      }
      set_aside_.push_back(ae::quoted(collector.name()) + " (" + reason + ")");
      if (set_aside_.size() == 1) first_set_aside_ = collector.name();
      roles_[collector.index()] = Role::ignore;
      refused.push_back(
          source_.name() + ": column " + ae::quoted(collector.name()) + " " + reason +
          "; in /data/columns give it the role \"ignore\" or \"id\", or \"numeric\" or \"categorical\" to "
          "learn from it all the same");
    }
    if (options_.unsuitable == "refuse" && !refused.empty()) throw InputError(std::move(refused));
    if (kept.empty()) {
      throw InputError(source_.name() +
                       ": no column is fit to be learned from: " + join(set_aside_, ", ", kNamedColumns) + insist());
    }
    collectors_ = std::move(kept);
  }

  std::string insist() const {
    return "; to learn from one all the same give it a role, as in /data/columns/" + pointer_token(first_set_aside_) +
           " = \"numeric\" or \"categorical\"";
  }

  void choose_training_rows() {
    const std::int64_t count = selection_.taken();
    const auto wanted = std::llround(hold_out_.fraction * static_cast<double>(count));
    const auto held = std::clamp<std::int64_t>(wanted, 0, count - 1);
    const Repeats repeats = identical_rows();
    const auto order = permutation(count, Random(stream_key(hold_out_.seed, "held-out rows")));
    trains_.assign(static_cast<std::size_t>(count), true);
    for (const auto row : order) {
      if (held_out_rows_ == held) break;
      if (repeats.count(row) <= held - held_out_rows_) hold_out(repeats, row);
    }
    if (held == 0 || held_out_rows_ > 0) return;
    // None are as few as were asked for.
    const auto fewest = *std::ranges::min_element(order, {}, [&](auto row) { return repeats.count(row); });
    if (repeats.count(fewest) < count) hold_out(repeats, fewest);
  }

  // Rows that say the same belong together: what a model has learned by heart says nothing of new rows. None where new
  // rows will repeat them as well.
  Repeats identical_rows() {
    const std::int64_t count = selection_.taken();
    std::vector<std::uint64_t> hashes(static_cast<std::size_t>(count), 0);
    for (const auto& collector : collectors_) {
      throw_if_stopped("reading the table");
      collector.for_each_meaning(
          [&](std::size_t row, std::uint64_t meaning) { hashes[row] = mix64(hashes[row] ^ mix64(meaning)); });
    }
    Repeats repeats(hashes);
    distinct_ = repeats.distinct(count);
    if (!repeats.any()) return repeats;
    Coincidences chance(repeats, count);
    std::vector<std::uint64_t> cells;
    for (const auto& collector : collectors_) {
      throw_if_stopped("reading the table");
      cells.clear();
      collector.for_each_meaning([&](std::size_t row, std::uint64_t meaning) {
        const bool wanted =
            cells.size() < chance.rows().size() && chance.rows()[cells.size()] == static_cast<std::int64_t>(row);
        if (wanted) cells.push_back(meaning);
      });
      chance.add_column(cells);
    }
    by_chance_ = chance.explain();
    return by_chance_ ? Repeats() : repeats;
  }

  void hold_out(const Repeats& repeats, std::int64_t row) {
    if (!trains_[static_cast<std::size_t>(row)]) return;
    repeats.for_each(row, [&](std::int64_t same) { trains_[static_cast<std::size_t>(same)] = false; });
    held_out_rows_ += repeats.count(row);
  }

  void fit() {
    Schema& schema = schema_;
    schema.missing = options_.all_missing();
    schema.missing_in_numbers = options_.missing_in_numbers;
    schema.normal = options_.normal;
    schema.delimiter = options_.delimiter;
    schema.header = options_.header;
    for (std::size_t i = 0; i < roles_.size(); ++i) {
      schema.columns.emplace_back().name = source_.columns()[i];
      if (roles_[i]) schema.columns.back().role = *roles_[i];
    }
    for (auto& collector : collectors_) {
      throw_if_stopped("reading the table");
      if (!collector.observed_any(trains_)) never_observed_.push_back(ae::quoted(collector.name()));
      schema.columns[collector.index()] = collector.fit(options_.scaling, trains_);
    }
  }

  // Piece by piece, so that the table is never there twice.
  void hand_out() {
    const auto count = static_cast<std::size_t>(selection_.taken());
    taker_.begin(schema_, selection_.taken() - held_out_rows_, held_out_rows_);
    Block block;
    for (std::size_t begin = 0, piece = 0; begin < count; begin += room_.piece, ++piece) {
      throw_if_stopped("reading the table");
      const std::size_t rows = std::min(room_.piece, count - begin);
      block.clear();
      block.rows = static_cast<std::int64_t>(rows);
      block.elements = static_cast<std::int64_t>(collectors_.size());
      block.values.assign(rows * collectors_.size(), 0.0f);
      block.observed.assign(rows * collectors_.size(), 0);
      for (std::size_t i = 0; i < collectors_.size(); ++i)
        collectors_[i].write(schema_.columns[collectors_[i].index()], piece, block, static_cast<std::int64_t>(i));
      move_part(selected_.row_numbers, begin, rows, block.row_numbers);
      move_part(selected_.ids, begin, rows, block.ids);
      move_part(selected_.labels, begin, rows, block.labels);
      move_part(selected_.weights, begin, rows, block.weights);
      for (std::size_t row = 0; row < rows; ++row)
        taker_.take(block, static_cast<std::int64_t>(row), trains_[begin + row]);
    }
    selected_ = {};
  }

  template <typename T>
  static void move_part(std::vector<T>& from, std::size_t begin, std::size_t count, std::vector<T>& to) {
    if (from.empty()) return;
    const auto first = from.begin() + static_cast<std::ptrdiff_t>(begin);
    to.assign(std::move_iterator(first), std::move_iterator(first + static_cast<std::ptrdiff_t>(count)));
  }

  std::string count_of(Role role) const {
    return std::to_string(std::ranges::count(schema_.columns, role, &Column::role)) + " " +
           std::string(role_name(role));
  }

  void tell() const {
    tell_selection();
    for (const auto& note : source_.notes()) reporter_.info(note);
    for (const auto& doubt : source_.doubts()) reporter_.warning(doubt);
    tell_periodic();
    tell_inferred();
    tell_doubtful();
  }

  void tell_periodic() const {
    std::vector<std::string> names;
    for (std::size_t c = 0; c < schema_.columns.size(); ++c)
      if (schema_.columns[c].role == Role::numeric && source_.period(c))
        names.push_back(ae::quoted(schema_.columns[c].name));
    if (names.empty()) return;
    reporter_.warning(source_.name() + ": " + join(names) + (names.size() == 1 ? " is" : " are") +
                      " periodic and taken as plain numbers, of which the two ends of a period are far apart; print "
                      "cosine and sine instead, or give them the role ignore in /data/columns");
  }

  void tell_selection() const {
    std::string line = source_.name() + ": using " + std::to_string(selection_.taken()) + " of " +
                       counted(rows_, "row", "rows") + "; columns: " + count_of(Role::numeric) + ", " +
                       count_of(Role::categorical) + ", " + count_of(Role::ignore) + "d";
    if (label_) line += ", label " + ae::quoted(source_.columns()[*label_]);
    if (id_) line += ", id " + ae::quoted(source_.columns()[*id_]);
    if (weight_) line += ", weight " + ae::quoted(source_.columns()[*weight_]);
    reporter_.info(line);
    if (distinct_ < selection_.taken()) {
      reporter_.info(source_.name() + ": " + std::to_string(selection_.taken() - distinct_) + " of these rows " +
                     (selection_.taken() - distinct_ == 1 ? "repeats" : "repeat") + " another one" +
                     (by_chance_ ? ", which is chance among so few values: each counts"
                                 : "; identical rows are held out together, and p-values count them once"));
    }
  }

  // What was found out, so that nobody has to guess it.
  void tell_inferred() const {
    std::vector<std::string> categorical, missing;
    for (const auto& collector : collectors_) {
      const Column& column = schema_.columns[collector.index()];
      if (collector.inferred() && column.role == Role::categorical) {
        categorical.push_back(ae::quoted(column.name) + " (" + counted(std::ssize(column.levels), "level", "levels") +
                              ")");
      }
      if (auto taken = collector.taken_for_missing(); !taken.empty()) missing.push_back(std::move(taken));
    }
    const auto list = [&](std::string_view what, const std::vector<std::string>& items) {
      if (!items.empty()) reporter_.info(source_.name() + ": " + std::string(what) + join(items, ", ", kNamedColumns));
    };
    if (!categorical.empty()) {
      reporter_.info(source_.name() + ": categorical columns: " + join(categorical, ", ", fitting(categorical)));
      tell_all("all categorical columns: ", categorical);
    }
    list("taken for missing among numbers: ", missing);
    const NumberFormat& numbers = schema_.numbers;
    if (!numbers.plain()) {
      reporter_.info(source_.name() + ": numbers have a decimal " + (numbers.decimal == ',' ? "comma" : "point") +
                     (numbers.thousands.empty() ? "" : " and the thousands mark " + ae::quoted(numbers.thousands)));
    }
    if (empty_rows_ > 0)
      reporter_.info(source_.name() + ": left out " + counted(empty_rows_, "row", "rows") + " without any cell");
  }

  void tell_stand_ins() const {
    std::vector<std::string> shown, texts = options_.also_missing;
    for (const auto& collector : collectors_)
      if (auto found = collector.stand_ins(texts); !found.empty()) shown.push_back(std::move(found));
    if (shown.empty()) return;
    reporter_.warning(source_.name() + ": far from all other numbers: " + join(shown, ", ", kNamedColumns) +
                      "; if it means that nothing was observed, " + also_missing_option(texts));
  }

  // All of a list of which a line before has left out some.
  void tell_all(std::string_view what, const std::vector<std::string>& items) const {
    if (fitting(items) < items.size())
      reporter_.info(source_.name() + ": " + std::string(what) + join(items, ", ", items.size()));
  }

  void tell_doubtful() const {
    tell_stand_ins();
    if (!set_aside_.empty()) {
      reporter_.warning(source_.name() +
                        ": set aside, not learned from: " + join(set_aside_, ", ", fitting(set_aside_)) + insist());
      tell_all("all that were set aside: ", set_aside_);
    }
    std::vector<std::string> coded;
    for (const auto& collector : collectors_)
      if (auto found = collector.coded(); !found.empty()) coded.push_back(std::move(found));
    if (!coded.empty()) {
      reporter_.warning(source_.name() + ": read as numbers, though a 0 in front is how codes are written: " +
                        join(coded, ", ", kNamedColumns) +
                        "; if they are, give them the role \"categorical\" or \"ignore\" in /data/columns");
    }
    std::vector<std::string> giving_away;
    for (const auto& collector : collectors_) {
      const auto how = label_numbers_.usable() ? collector.gives_away(label_numbers_.means_normal()) : "";
      if (!how.empty()) giving_away.push_back(ae::quoted(collector.name()) + " (" + how + ")");
    }
    if (!giving_away.empty()) {
      reporter_.warning(source_.name() + ": gives the label away: " + join(giving_away, ", ", kNamedColumns) +
                        "; give it the role \"ignore\" in /data/columns if it is not known before the label is");
    }
    if (!never_observed_.empty()) {
      reporter_.warning(source_.name() + ": no training row has a value in " + join(never_observed_) +
                        "; nothing can be learned about it, give it the role \"ignore\" in /data/columns");
    }
  }

  RowSource& source_;
  const TableOptions& options_;
  Reporter& reporter_;
  HoldOut hold_out_;
  RowTaker& taker_;
  bool keeps_names_;
  CellRoom room_;
  CellReader cells_;
  NumberChoice choice_;
  std::vector<std::optional<Role>> roles_;
  std::optional<std::size_t> label_;
  std::optional<std::size_t> id_;
  std::optional<std::size_t> weight_;
  RowSelection selection_;
  LabelNumbers label_numbers_;
  std::vector<ColumnCollector> collectors_;
  std::vector<std::string> never_observed_;
  std::vector<std::string> set_aside_;
  std::string first_set_aside_;
  std::int64_t rows_ = 0;
  std::int64_t empty_rows_ = 0;
  std::vector<bool> trains_;  // one per selected row; the others are held out
  std::int64_t held_out_rows_ = 0;
  std::int64_t distinct_ = 0;  // among the selected rows
  bool by_chance_ = false;     // whether the others repeat those as new rows will
  Block selected_;             // row numbers, ids, labels and weights
  Schema schema_;
};

class IntoMemory final : public RowTaker {
 public:
  explicit IntoMemory(Table& table) : table_(table) {}
  void begin(const Schema& schema, std::int64_t training, std::int64_t held_out) override {
    table_.schema = schema;
    const auto reserve = [&](Block& block, std::int64_t rows) {
      block.elements = static_cast<std::int64_t>(schema.features().size());
      block.values.reserve(static_cast<std::size_t>(rows * block.elements));
      block.observed.reserve(static_cast<std::size_t>(rows * block.elements));
      block.row_numbers.reserve(static_cast<std::size_t>(rows));
    };
    reserve(table_.training, training);
    reserve(table_.held_out, held_out);
  }
  void take(const Block& block, std::int64_t row, bool trains) override {
    (trains ? table_.training : table_.held_out).append_row(block, row);
  }

 private:
  Table& table_;
};

}  // namespace

std::int64_t load_rows(RowSource& source, const TableOptions& options, Reporter& reporter, HoldOut hold_out,
                       ScratchFile* scratch, RowTaker& taker) {
  return TableLoader(source, options, reporter, hold_out, scratch, taker).load();
}

Table load_table(RowSource& source, const TableOptions& options, Reporter& reporter, HoldOut hold_out) {
  Table table;
  IntoMemory taker(table);
  table.rows_in_file = load_rows(source, options, reporter, hold_out, nullptr, taker);
  return table;
}

Table load_table(const TableOptions& options, Reporter& reporter, HoldOut hold_out) {
  if (options.path.empty()) throw UsageError("/data/path: not set; name the table to read, or give it with --data");
  const auto path = file_of(options.path);
  const auto source = open_rows(path, options.table_format());
  Table table = load_table(*source, options, reporter, hold_out);
  // A pipe under a file name has been read and cannot be read again.
  std::error_code ignored;
  if (path != "-" && std::filesystem::is_regular_file(path, ignored)) table.data_sha256 = sha256_of_file(path);
  return table;
}

}  // namespace ae::data
