#include <algorithm>
#include <cmath>
#include <iterator>
#include <system_error>
#include <utility>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/random.hpp"
#include "base/reporter.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "data/tables/inference.hpp"
#include "data/tables/row_selection.hpp"
#include "data/tables/schema.hpp"
#include "data/tables/table_loading.hpp"

namespace ae::data {

namespace {

constexpr std::int64_t kRowsBetweenChecks = 4096;

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
        cells_(options.missing),
        roles_(declared_roles(options, source)),
        label_(find(Role::label)),
        id_(find(Role::id)),
        selection_(options, label_) {
    check_names();
    for (std::size_t i = 0; i < roles_.size(); ++i) {
      if (roles_[i] && *roles_[i] != Role::numeric && *roles_[i] != Role::categorical) continue;
      collectors_.emplace_back(source.columns()[i], i, roles_[i], options.max_levels, cells_, room_);
      collected_.push_back(i);
    }
    if (collectors_.empty()) {
      throw UsageError("/data/columns: leaves " + source.name() +
                       " without a numeric or categorical column; give at least one of them that role");
    }
  }

  std::int64_t load() {
    read_rows();
    selection_.finish(source_, rows_, reporter_);
    check_cells();
    choose_training_rows();
    fit();
    hand_out();
    tell();
    return rows_;
  }

 private:
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
      const bool selected = selection_.take(source_);
      if (selected) {
        selected_.row_numbers.push_back(source_.row());
        if (id_ && keeps_names_) selected_.ids.emplace_back(source_.text(*id_));
        if (label_ && keeps_names_) selected_.labels.emplace_back(source_.text(*label_));
      }
      for (auto& collector : collectors_) collector.add(source_, selected);
      if (++rows_ % kRowsBetweenChecks == 0) {
        throw_if_stopped("reading the table");
        reporter_.progress("bytes", source_.position(), source_.size());
      }
    }
    reporter_.progress_done();
  }

  void check_cells() const {
    std::vector<std::string> problems;
    for (const auto& collector : collectors_)
      if (auto problem = collector.problem()) problems.push_back(std::move(*problem));
    if (!problems.empty()) throw InputError(std::move(problems));
  }

  void choose_training_rows() {
    const std::int64_t count = selection_.taken();
    const auto wanted = std::llround(hold_out_.fraction * static_cast<double>(count));
    const auto held = std::clamp<std::int64_t>(wanted, 0, count - 1);
    const auto order = permutation(count, Random(stream_key(hold_out_.seed, "held-out rows")));
    trains_.assign(static_cast<std::size_t>(count), true);
    held_out_rows_ = held;
    for (std::int64_t i = 0; i < held; ++i)
      trains_[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])] = false;
  }

  void fit() {
    Schema& schema = schema_;
    schema.missing = options_.missing;
    schema.normal = options_.normal;
    for (std::size_t i = 0; i < roles_.size(); ++i) {
      schema.columns.emplace_back().name = source_.columns()[i];
      if (roles_[i]) schema.columns.back().role = *roles_[i];
    }
    for (std::size_t i = 0; i < collectors_.size(); ++i) {
      throw_if_stopped("reading the table");
      if (!collectors_[i].observed_any(trains_))
        never_observed_.push_back(ae::quoted(schema.columns[collected_[i]].name));
      schema.columns[collected_[i]] = collectors_[i].fit(options_.scaling, trains_);
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
        collectors_[i].write(schema_.columns[collected_[i]], piece, block, static_cast<std::int64_t>(i));
      move_part(selected_.row_numbers, begin, rows, block.row_numbers);
      move_part(selected_.ids, begin, rows, block.ids);
      move_part(selected_.labels, begin, rows, block.labels);
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
    std::string line = source_.name() + ": using " + std::to_string(selection_.taken()) + " of " +
                       std::to_string(rows_) + " rows; columns: " + count_of(Role::numeric) + ", " +
                       count_of(Role::categorical) + ", " + count_of(Role::ignore) + "d";
    if (label_) line += ", label " + ae::quoted(source_.columns()[*label_]);
    if (id_) line += ", id " + ae::quoted(source_.columns()[*id_]);
    reporter_.info(line);
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
  std::vector<std::optional<Role>> roles_;
  std::optional<std::size_t> label_;
  std::optional<std::size_t> id_;
  RowSelection selection_;
  std::vector<ColumnCollector> collectors_;
  std::vector<std::size_t> collected_;  // their places among the file's columns
  std::vector<std::string> never_observed_;
  std::int64_t rows_ = 0;
  std::vector<bool> trains_;  // one per selected row; the others are held out
  std::int64_t held_out_rows_ = 0;
  Block selected_;  // row numbers, ids and labels
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
