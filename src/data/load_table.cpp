#include <algorithm>
#include <cmath>
#include <system_error>
#include <utility>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/random.hpp"
#include "base/reporter.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "data/inference.hpp"
#include "data/row_selection.hpp"
#include "data/schema.hpp"

namespace ae::data {

namespace {

constexpr std::int64_t kRowsBetweenChecks = 4096;

class TableLoader {
 public:
  TableLoader(RowSource& source, const TableOptions& options, Reporter& reporter, HoldOut hold_out)
      : source_(source),
        options_(options),
        reporter_(reporter),
        hold_out_(hold_out),
        cells_(options.missing),
        roles_(declared_roles(options, source)),
        label_(find(Role::label)),
        id_(find(Role::id)),
        selection_(options, label_) {
    check_names();
    for (std::size_t i = 0; i < roles_.size(); ++i) {
      if (roles_[i] && *roles_[i] != Role::numeric && *roles_[i] != Role::categorical) continue;
      collectors_.emplace_back(source.columns()[i], i, roles_[i], options.max_levels, cells_);
      collected_.push_back(i);
    }
    if (collectors_.empty()) {
      throw UsageError("/data/columns: leaves " + source.name() +
                       " without a numeric or categorical column; give at least one of them that role");
    }
  }

  Table load() {
    read_rows();
    selection_.finish(source_, rows_, reporter_);
    check_cells();
    table_.rows_in_file = rows_;
    choose_training_rows();
    fit();
    write();
    split();
    tell();
    return std::move(table_);
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
        if (id_) selected_.ids.emplace_back(source_.text(*id_));
        if (label_) selected_.labels.emplace_back(source_.text(*label_));
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
    for (std::int64_t i = 0; i < held; ++i)
      trains_[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])] = false;
  }

  void fit() {
    Schema& schema = table_.schema;
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

  void write() {
    Block& block = selected_;
    block.rows = selection_.taken();
    block.elements = static_cast<std::int64_t>(collectors_.size());
    const std::size_t cells = static_cast<std::size_t>(block.rows) * collectors_.size();
    block.values.assign(cells, 0.0f);
    block.observed.assign(cells, 0);
    for (std::size_t i = 0; i < collectors_.size(); ++i) {
      throw_if_stopped("reading the table");
      collectors_[i].write(table_.schema.columns[collected_[i]], block, static_cast<std::int64_t>(i));
    }
  }

  void split() {
    for (Block* part : {&table_.training, &table_.held_out}) part->elements = selected_.elements;
    for (std::int64_t row = 0; row < selected_.rows; ++row) {
      (trains_[static_cast<std::size_t>(row)] ? table_.training : table_.held_out).append_row(selected_, row);
    }
    selected_ = {};
  }

  std::string count_of(Role role) const {
    return std::to_string(std::ranges::count(table_.schema.columns, role, &Column::role)) + " " +
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
  Block selected_;
  Table table_;
};

}  // namespace

Table load_table(RowSource& source, const TableOptions& options, Reporter& reporter, HoldOut hold_out) {
  return TableLoader(source, options, reporter, hold_out).load();
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
