#include "data/tables/row_selection.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/reporter.hpp"
#include "base/text.hpp"
#include "data/tables/cells.hpp"

namespace ae::data {

namespace {

constexpr std::size_t kRememberedLabels = 20;

std::string quoted_list(std::span<const std::string> items, std::size_t limit) {
  std::vector<std::string> shown;
  for (const auto& item : items) shown.push_back(ae::quoted(item));
  return join(shown, ", ", limit);
}

struct ListedRow {
  std::int64_t number;
  std::int64_t line;
};

std::string line_of(const std::filesystem::path& path, std::int64_t line) {
  return path.string() + ":" + std::to_string(line) + ": ";
}

ListedRow parse_row_number(std::string_view text, const std::filesystem::path& path, std::int64_t line) {
  std::int64_t number = -1;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || rest != text.data() + text.size() || number < 0) {
    throw InputError(line_of(path, line) + "found " + ae::quoted(text) +
                     ", expected one 0-based row number a line and nothing else");
  }
  return {number, line};
}

std::vector<ListedRow> parse_row_numbers(std::string_view text, const std::filesystem::path& path) {
  std::vector<ListedRow> listed;
  for (std::int64_t line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view content = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (content.ends_with('\r')) content.remove_suffix(1);
    content = trimmed(content);
    if (!content.empty()) listed.push_back(parse_row_number(content, path, line));
  }
  return listed;
}

}  // namespace

std::vector<std::int64_t> read_row_numbers(const std::filesystem::path& path, std::int64_t rows) {
  auto listed = parse_row_numbers(read_file(path, FileKind::data), path);
  for (const auto& row : listed) {
    if (rows >= 0 && row.number >= rows) {
      throw InputError(line_of(path, row.line) + "row " + std::to_string(row.number) +
                       " does not exist; the table has " + counted(rows, "rows") + ", numbered from 0");
    }
  }
  std::ranges::sort(listed, [](const ListedRow& a, const ListedRow& b) {
    return std::pair(a.number, a.line) < std::pair(b.number, b.line);
  });
  const auto twice = std::ranges::adjacent_find(listed, {}, &ListedRow::number);
  if (twice != listed.end()) {
    throw InputError(line_of(path, (twice + 1)->line) + "row " + std::to_string(twice->number) +
                     " is listed twice, first in line " + std::to_string(twice->line) + "; remove one of them");
  }
  std::vector<std::int64_t> numbers;
  numbers.reserve(listed.size());
  for (const auto& row : listed) numbers.push_back(row.number);
  return numbers;
}

RowSelection::RowSelection(const TableOptions& options, std::optional<std::size_t> label_column)
    : file_(file_of(options.rows)), by_index_(!options.rows.empty()), normal_(options.normal) {
  if (label_column) label_column_ = *label_column;
  if (!by_index_) return;
  wanted_ = read_row_numbers(file_, -1);
  if (wanted_.empty()) throw InputError(file_.string() + ": lists no rows; expected one 0-based row number a line");
}

bool RowSelection::lists(const RowSource& source) {
  if (!by_index_) return true;
  if (next_wanted_ == wanted_.size() || wanted_[next_wanted_] != source.row()) return false;
  ++next_wanted_;
  return true;
}

void RowSelection::pass_over(const RowSource& source) { lists(source); }

bool RowSelection::take(const RowSource& source) {
  if (!lists(source)) return false;
  if (!normal_.empty() && !label_matches(source.text(label_column_), normal_)) {
    ++not_normal_;
    remember(trimmed(source.text(label_column_)));
    return false;
  }
  ++taken_;
  return true;
}

void RowSelection::remember(std::string_view label) {
  if (other_labels_.size() == kRememberedLabels || std::ranges::find(other_labels_, label) != other_labels_.end())
    return;
  other_labels_.emplace_back(label);
}

void RowSelection::finish(const RowSource& source, std::int64_t rows_in_file, Reporter& reporter) const {
  if (rows_in_file == 0) throw no_rows(source);
  if (by_index_ && wanted_.back() >= rows_in_file) {
    read_row_numbers(file_, rows_in_file);  // names the line
    throw InputError(file_.string() + ": changed while it was being used");
  }
  if (taken_ == 0) throw_nothing_taken(source);
  if (by_index_ && not_normal_ > 0) {
    reporter.info("/data/rows: left out " + std::to_string(not_normal_) + " of " + std::to_string(wanted_.size()) +
                  " listed rows because their " + source.columns()[label_column_] + " is not " +
                  quoted_list(normal_, 5));
  }
}

void RowSelection::throw_nothing_taken(const RowSource& source) const {
  std::string line = "/data/normal: no row of " + source.name();
  if (by_index_) line += " listed in " + file_.string();
  line += " has " + source.columns()[label_column_] + " = " + quoted_list(normal_, 5);
  if (!other_labels_.empty()) line += "; values seen: " + quoted_list(other_labels_, 8);
  throw UsageError(line + did_you_mean(normal_.front(), other_labels_));
}

}  // namespace ae::data
