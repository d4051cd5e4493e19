#include "data/tables/csv.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <optional>
#include <stdexcept>
#include <unordered_map>
#include <unordered_set>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "data/tables/cells.hpp"
#include "data/tables/csv_index.hpp"
#include "data/tables/schema.hpp"

namespace ae::data {
namespace {

using csv::Index;
using csv::kBlock;
using csv::kMaxCells;
using csv::Offset;

constexpr std::size_t kChunk = 256 * 1024;  // bytes asked for at once: fits the second-level cache with its index
constexpr std::size_t kMaxRecordBytes = std::size_t{64} << 20;
constexpr std::size_t kBinaryProbe = 1024;
constexpr std::string_view kUnnamed = "index";

constexpr std::string_view kCandidates = ",\t;";

// Which candidate delimiters a record holds outside quotes.
class DelimiterProbe {
 public:
  DelimiterProbe(std::string candidates, std::size_t begin) : candidates_(std::move(candidates)), at_(begin) {}
  // Looks at bytes[seen so far, size); true when the record has ended (or can never end).
  bool look(const char* bytes, std::size_t size) {
    for (; at_ < size; ++at_) {
      const char c = bytes[at_];
      if (in_quotes_) {
        in_quotes_ = c != '"';
        closed_ = !in_quotes_;
        continue;
      }
      if (c == '\n' || c == '\r' || c == '\0') return true;
      in_quotes_ = c == '"' && (cell_start_ || closed_);
      closed_ = false;
      cell_start_ = candidates_.find(c) != std::string::npos;
      if (cell_start_ && found_.find(c) == std::string::npos) found_ += c;
    }
    return false;
  }
  std::size_t seen() const { return at_; }
  bool found(char delimiter) const { return found_.find(delimiter) != std::string::npos; }
  const std::string& found() const { return found_; }

 private:
  std::string candidates_;
  std::string found_;
  bool in_quotes_ = false;
  bool closed_ = false;  // the byte before closed a quoted cell, so that another quote is a doubled one
  bool cell_start_ = true;
  std::size_t at_;
};

// A number needs no more to be read; a quote inside a quoted cell stays doubled.
std::string_view without_quotes(std::string_view cell) {
  return cell.size() > 1 && cell.front() == '"' && cell.back() == '"' ? cell.substr(1, cell.size() - 2) : cell;
}

// Whether a text is neither a number nor what stands for a missing one.
bool is_word(std::string_view text) {
  static const TableOptions defaults;
  static const CellReader reader(defaults.missing, defaults.missing_in_numbers);
  return reader.read(text).kind == CellKind::text;
}

using RoughCells = std::vector<std::string_view>;

// The cells of a line that has none with line ends.
RoughCells rough_cells(std::string_view line, char delimiter) {
  RoughCells cells;
  bool in_quotes = false;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') in_quotes = !in_quotes;
    if (line[i] != delimiter || in_quotes) continue;
    cells.push_back(without_quotes(trimmed(line.substr(begin, i - begin))));
    begin = i + 1;
  }
  cells.push_back(without_quotes(trimmed(line.substr(begin))));
  return cells;
}

// What stands between blanks.
RoughCells words_of(std::string_view line) {
  RoughCells words;
  for (std::size_t begin = 0; (begin = line.find_first_not_of(' ', begin)) != std::string_view::npos;) {
    const std::size_t end = std::min(line.find(' ', begin), line.size());
    words.push_back(line.substr(begin, end - begin));
    begin = end;
  }
  return words;
}

bool are_among(const std::vector<std::string>& names, const RoughCells& cells) {
  const auto is_there = [&](const std::string& name) {
    return std::ranges::find(cells, name) != cells.end() || (name == kUnnamed && cells[0].empty());
  };
  return !names.empty() && std::ranges::all_of(names, is_there);
}

// What the last comment above a table can be.
enum class LastComment { comment, header, unclear };

// `first` and `below`: the first two lines that are no comments, `below` empty when there is none. `names`: those that
// a model knows.
LastComment kind_of(const RoughCells& comment, const RoughCells& first, const RoughCells& below,
                    const std::vector<std::string>& names) {
  const auto is_number = [](std::string_view cell) { return parse_number(cell).has_value(); };
  if (comment.size() != first.size()) return LastComment::comment;
  if (std::ranges::any_of(first, is_number)) return LastComment::header;
  if (comment.size() == 1) return LastComment::comment;  // as any line of prose
  if (are_among(names, comment)) return LastComment::header;
  if (are_among(names, first)) return LastComment::comment;
  // Names stand above numbers, are not left out (but the first), and are no values of their column.
  if (std::ranges::any_of(first.begin() + 1, first.end(), &std::string_view::empty)) return LastComment::header;
  if (below.size() != first.size()) return LastComment::unclear;
  LastComment kind = LastComment::unclear;
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (is_number(below[i]) && (is_word(first[i]) || first[i].empty())) return LastComment::comment;
    if (is_number(below[i]) || (first[i] == below[i] && !first[i].empty())) kind = LastComment::header;
  }
  return kind;
}

bool named_as_tabs(std::string name) {
  for (const std::string_view compression : {".gz", ".zst"})
    if (name.ends_with(compression)) name.resize(name.size() - compression.size());
  return name.ends_with(".tsv") || name.ends_with(".tab");
}

std::string delimiter_text(char c) { return c == '\t' ? "a tab" : ae::quoted(std::string_view(&c, 1)); }

// Whether numbers, as texts, count up by one, and where from.
struct Counting {
  bool holds = false;
  std::int64_t first = 0;
  std::size_t count = 0;

  explicit Counting(const std::vector<double>& numbers) : count(numbers.size()) {
    constexpr double kLargest = 1e9;
    if (numbers.empty() || !(std::abs(numbers[0]) < kLargest) || numbers[0] != std::floor(numbers[0])) return;
    holds = true;
    first = static_cast<std::int64_t>(numbers[0]);
    for (std::size_t i = 1; i < numbers.size(); ++i) holds = holds && numbers[i] == numbers[i - 1] + 1;
  }
  bool years() const {
    const auto last = first + static_cast<std::int64_t>(count) - 1;
    return holds && first >= 1800 && last <= 2200;
  }
};

bool delimits(char c) {
  static constexpr std::string_view impossible{"\"\n\r\0+-.", 7};
  return !std::isalnum(static_cast<unsigned char>(c)) && impossible.find(c) == std::string_view::npos;
}

// The byte a user's /data/delimiter stands for; 0 = detect.
char chosen_delimiter(const TableFormat& format) {
  const std::string& text = format.delimiter;
  if (text.empty()) return format.type == "tsv" ? '\t' : '\0';
  if (text == "\\t" || text == "tab") return '\t';
  if (text.size() != 1 || !delimits(text[0]))
    throw UsageError("/data/delimiter: found " + ae::quoted(text) +
                     R"(; expected one character that is no letter, digit, sign, quote or line end, such as ",", )" +
                     R"(";", "|" or "\t")");
  return text[0];
}

class CsvRows final : public RowSource {
 public:
  CsvRows(std::unique_ptr<ByteSource> source, const TableFormat& format) : source_(std::move(source)) {
    if (format.header != "auto" && format.header != "yes" && format.header != "no")
      throw UsageError("/data/header: found " + ae::quoted(format.header) + R"(; expected "auto", "yes" or "no")");
    layout_.delimiter = chosen_delimiter(format);
    buffer_ = new_buffer(2 * kChunk);
    begin_text(format);
    read_first_record(format);
  }

  const std::string& name() const override { return source_->name(); }
  const std::vector<std::string>& columns() const override { return columns_; }

  bool next() override {
    if (!retired_.empty()) [[unlikely]]
      reuse_retired();
    if (!unquoted_.empty()) unquoted_.clear();
    in_empty_row_ = false;
    if (!replay_ && !find_row()) return false;
    ++row_;
    replay_ = empty_rows_ > 0 || blank_line_ != 0;  // the record behind them is the next row
    if (empty_rows_ > 0) {
      in_empty_row_ = true;
      --empty_rows_;
      return true;
    }
    if (blank_line_ != 0) throw ragged(std::exchange(blank_line_, 0), 0);
    if (cells() != columns_.size()) [[unlikely]]
      throw ragged(line_, cells());
    // Behind a record that ends with its line stands at least the line's end.
    if (index_.begin(last_) == filled_) [[unlikely]]
      perhaps_cut_ = place(index_.begin(last_));
    return true;
  }

  std::int64_t row() const override { return row_; }

  std::string_view text(std::size_t column) const override {
    const std::string_view cell = raw(column);
    if (cell.empty()) return cell;
    if (cell.front() == '"') return unquoted(column, cell);
    return trimmed(cell);
  }

  bool has_numbers() const override { return false; }
  double number(std::size_t) const override { throw std::logic_error("a text table has no numbers"); }

  std::string_view raw(std::size_t column) const override {
    if (in_empty_row_) [[unlikely]]
      return {};
    return cell_bytes(first_ + column, last_);
  }

  std::string where(std::size_t column) const override {
    if (!in_empty_row_) return place(index_.begin(first_ + column));
    return name() + ":" + std::to_string(line_ - empty_rows_ - 1) + ":" + std::to_string(column + 1);
  }

  std::vector<std::string> notes() const override {
    std::vector<std::string> lines = notes_;
    if (rows_left_out_ > 0)
      lines.push_back(name() + ": left out " + counted(rows_left_out_, "row", "rows") +
                      " of nothing but delimiters at the end");
    return lines;
  }

  bool ready() override {
    if (replay_) return true;
    while (!has_decided_record()) {
      if (!source_->ready()) return false;
      read_more(true);
    }
    return true;
  }

  std::uint64_t position() const override { return source_->position(); }
  std::uint64_t size() const override { return source_->size(); }
  const Layout& layout() const override { return layout_; }
  std::vector<std::string> doubts() const override {
    std::vector<std::string> lines = doubts_;
    if (!perhaps_cut_.empty())
      lines.push_back(
          perhaps_cut_ +
          ": the file ends behind a delimiter, without a last cell or a line's end, as it does where it was "
          "cut off; check that it is whole, or end its last line");
    return lines;
  }

 private:
  using Buffer = std::unique_ptr<char[]>;

  Buffer new_buffer(std::size_t capacity) {
    capacity_ = capacity;
    return std::make_unique_for_overwrite<char[]>(capacity + kBlock);  // the index reads whole blocks
  }
  const char* bytes() const { return buffer_.get(); }
  std::size_t cells() const { return last_ - first_ + 1; }
  // `last`: of the cell's record.
  std::string_view cell_bytes(std::size_t cell, std::size_t last) const {
    std::string_view text(bytes() + index_.begin(cell), index_.end(cell) - index_.begin(cell));
    if (cell == last && text.ends_with('\r')) text.remove_suffix(1);
    return text;
  }

  bool is_blank_record() const { return is_blank_record(first_, last_); }
  bool is_blank_record(std::size_t first, std::size_t last) const {
    if (first != last) return false;
    std::string_view line(bytes() + index_.begin(first), index_.end(first) - index_.begin(first));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    return trimmed(line).empty();
  }

  // As spreadsheets fill up their tables: no byte but the delimiters.
  bool is_empty_record(std::size_t first, std::size_t last) const {
    const Offset begin = index_.begin(first), end = index_.end(last);
    const std::size_t delimiters = last - first;
    if (delimiters == 0 || end - begin > delimiters + 1) return false;
    return end - begin == delimiters || bytes()[end - 1] == '\r';
  }

  // Moves to the next record that is a row with anything in it; counts the empty ones before it.
  bool find_row() {
    for (;;) {
      if (!next_record()) {
        rows_left_out_ += empty_rows_;
        empty_rows_ = 0;
        return false;
      }
      if (columns_.size() > 1 && is_blank_record()) {
        if (blank_line_ == 0) blank_line_ = line_;
      } else if (cells() == columns_.size() && is_empty_record(first_, last_)) {
        ++empty_rows_;
      } else {
        return true;
      }
    }
  }

  // --- opening -------------------------------------------------------------------------------------------------------

  void begin_text(const TableFormat& format) {
    // A byte order mark, and the byte behind it, which tells what comes first.
    while (filled_ < 4 && !ended_) fill();
    if (filled_ == 0) throw InputError(name() + ": the file is empty; expected a table with at least one line");
    const std::string_view head(bytes(), std::min<std::size_t>(filled_, kBinaryProbe));
    if (head.starts_with("\xff\xfe") || head.starts_with("\xfe\xff"))
      throw InputError(name() + ": UTF-16 text; expected UTF-8; convert it with iconv -f UTF-16 -t UTF-8");
    if (const auto nul = head.find('\0'); nul != std::string_view::npos) throw binary(nul);
    if (head.starts_with("\xef\xbb\xbf")) {
      layout_.byte_order_mark = true;
      text_begin_ = 3;
      index_.start_at(3);
      scanned_ = 3;
    }
    skip_separator_line();
    skip_comments(format);
    if (layout_.delimiter == '\0') layout_.delimiter = detect_delimiter(format);
    index_.set_delimiter(layout_.delimiter);
    index_.scan(bytes(), scanned_, filled_, ended_);
    scanned_ = filled_;
  }

  struct Line {
    Offset begin = 0;
    Offset end = 0;   // without the line end
    Offset next = 0;  // where the next one begins
  };
  std::string_view text_of(const Line& line) const { return {bytes() + line.begin, line.end - line.begin}; }

  // The line that begins at `begin`, read as far as needed; nullopt behind the last one.
  std::optional<Line> line_at(Offset begin) {
    for (Offset searched = begin;;) {
      const char* const from = bytes() + searched;
      if (const void* found = std::memchr(from, '\n', filled_ - searched)) {
        const Offset at = static_cast<Offset>(static_cast<const char*>(found) - bytes());
        return Line{begin, at > begin && bytes()[at - 1] == '\r' ? at - 1 : at, at + 1};
      }
      searched = filled_;
      if (ended_ || filled_ - begin > kMaxRecordBytes) break;
      if (capacity_ - filled_ < kChunk) make_room();
      fill();
    }
    if (begin == filled_) return std::nullopt;
    return Line{begin, filled_, filled_};
  }

  char first_byte() const { return text_begin_ < filled_ ? bytes()[text_begin_] : '\0'; }

  // Lets the table begin at `offset`, `lines` lines further down.
  void begin_at(Offset offset, std::int64_t lines) {
    layout_.preamble.append(bytes() + text_begin_, offset - text_begin_);
    text_begin_ = scanned_ = offset;
    index_.start_at(offset);
    next_line_ += lines;
  }

  // "sep=;", by which Excel tells itself the delimiter.
  void skip_separator_line() {
    constexpr std::string_view kBegins = "sep=";
    if ((first_byte() | 0x20) != 's') return;
    const auto line = line_at(text_begin_);
    const std::string_view text = text_of(*line);
    if (text.size() != kBegins.size() + 1) return;
    for (std::size_t i = 0; i < kBegins.size(); ++i)
      if (std::tolower(static_cast<unsigned char>(text[i])) != kBegins[i]) return;
    if (layout_.delimiter == '\0') {
      if (!delimits(text.back()))
        throw InputError(
            name() + ":1: found " + ae::quoted(text) +
            ", expected a delimiter behind \"sep=\", such as \",\" or \";\"; correct the line or remove it");
      layout_.delimiter = text.back();
    }
    begin_at(line->next, 1);
  }

  void skip_comments(const TableFormat& format) {
    constexpr Offset kMostBytes = 1 << 20;
    if (first_byte() != '#') return;
    Line last;
    std::int64_t count = 0;
    auto line = line_at(text_begin_);
    for (; line && line->end > line->begin && bytes()[line->begin] == '#'; line = line_at(line->next)) {
      last = *line;
      if (last.end - text_begin_ > kMostBytes) return;
      ++count;
    }
    if (!line) return;  // a column whose cells begin like that
    const bool header_is_last = format.header != "no" && is_header_above(last, *line, count, format);
    if (header_is_last && --count == 0) return;
    begin_at(header_is_last ? last.begin : line->begin, count);
    notes_.push_back(name() + ": skipped " + counted(static_cast<std::uint64_t>(count), "comment", "comments") +
                     " above the table");
  }

  // Whether the comment, the last of `count`, is the header of the table that begins at `first`.
  bool is_header_above(const Line& comment, const Line& first, std::int64_t count, const TableFormat& format) {
    DelimiterProbe probe(std::string(kCandidates), 0);
    probe.look(text_of(first).data(), text_of(first).size());
    const char delimiter = layout_.delimiter != '\0' ? layout_.delimiter
                           : probe.found().empty()   ? ','
                                                     : probe.found()[0];
    const auto cells_of = [&](const Line& line) { return rough_cells(text_of(line), delimiter); };
    const auto kind = [&](const RoughCells& below) {
      return kind_of(cells_of(comment), cells_of(first), below, format.names);
    };
    LastComment found = kind({});
    if (found == LastComment::unclear) {
      const auto below = line_at(first.next);  // looked at only when needed: it may be long in coming
      if (below) found = kind(cells_of(*below));
    }
    if (found == LastComment::unclear)
      throw InputError(name() + ":" + std::to_string(next_line_ + count - 1) + ": found " +
                       ae::quoted(text_of(comment)) +
                       ", which could be the header or a comment; remove the # if these are the column names, or else "
                       "the line");
    return found == LastComment::header;
  }

  char detect_delimiter(const TableFormat& format) {
    if (first_byte() == ';') refuse_semicolon_comment();
    const char former =
        format.former_delimiter.empty() ? '\0' : chosen_delimiter({.delimiter = format.former_delimiter});
    const DelimiterProbe probe = probe_record(text_begin_, std::string(kCandidates) + former);
    if (former != '\0' && probe.found(former)) return former;
    if (probe.found().empty()) {
      refuse_title(probe.seen());
      if (format.names.empty()) refuse_bars();
      if (format.names.empty() && format.type != "csv") refuse_blanks();
      return ',';
    }
    if (probe.found().size() == 1) return probe.found()[0];
    if (probe.found('\t') && named_as_tabs(name())) return '\t';
    std::vector<std::string> candidates;
    for (const char c : kCandidates)
      if (probe.found(c)) candidates.push_back(delimiter_text(c));
    throw InputError(name() + ":" + std::to_string(next_line_) + ": the delimiter could be " +
                     ae::join(candidates, " or ") + "; set /data/delimiter to the right one");
  }

  DelimiterProbe probe_record(std::size_t begin, std::string candidates) {
    DelimiterProbe probe(std::move(candidates), begin);
    while (!probe.look(bytes(), filled_) && !ended_ && filled_ - begin <= kMaxRecordBytes) {
      if (capacity_ - filled_ < kChunk) make_room();
      fill();
    }
    return probe;
  }

  // A line without a delimiter, ending at `end`, above one with some.
  void refuse_title(std::size_t end) {
    const auto title = line_at(text_begin_);
    if (!title || title->end != end || title->next == title->end || trimmed(text_of(*title)).empty()) return;
    while (title->next == filled_ && !ended_) {  // what is told must not depend on how much came at once
      if (capacity_ - filled_ < kChunk) make_room();
      fill();
    }
    if (title->next == filled_) return;
    const DelimiterProbe probe = probe_record(title->next, std::string(kCandidates));
    if (probe.found().empty()) return;
    throw InputError(name() + ":" + std::to_string(next_line_) + ": found " + ae::quoted(text_of(*title)) +
                     " above a line with " + delimiter_text(probe.found()[0]) +
                     "; remove titles above the table or begin them with #, or, if these are cells of a single column, "
                     "set /data/delimiter to a character that they do not hold");
  }

  // The line below `line`, whole; nullopt when there is none.
  std::optional<Line> line_below(const Line& line) { return line.next == line.end ? std::nullopt : line_at(line.next); }

  // "; made by a logger" above a table that has another delimiter, as INI files begin comments.
  void refuse_semicolon_comment() {
    const auto comment = line_at(text_begin_);
    const auto below = comment ? line_below(*comment) : std::nullopt;
    if (!below) return;
    DelimiterProbe probe(std::string(kCandidates), 0);
    probe.look(text_of(*below).data(), text_of(*below).size());
    if (probe.found().empty() || probe.found(';')) return;
    throw InputError(name() + ":" + std::to_string(next_line_) + ": found " + ae::quoted(text_of(*comment)) +
                     " above a line with " + delimiter_text(probe.found()[0]) +
                     "; remove comments above the table or begin them with #");
  }

  // Lines of cells between bars, which are no delimiter unless someone says so.
  void refuse_bars() {
    const auto first = line_at(text_begin_);
    const auto below = first ? line_below(*first) : std::nullopt;
    if (!below) return;
    const auto bars = std::ranges::count(text_of(*first), '|');
    if (bars == 0 || bars != std::ranges::count(text_of(*below), '|')) return;
    throw InputError(name() + ":" + std::to_string(next_line_) + ": found " + ae::quoted(text_of(*first)) +
                     ", cells between \"|\", expected a comma, a tab or a semicolon between cells; set "
                     "/data/delimiter, as by --set '/data/delimiter=\"|\"'");
  }

  // Lines of numbers between blanks, below as many names.
  void refuse_blanks() {
    const auto first = line_at(text_begin_);
    const auto below = first ? line_below(*first) : std::nullopt;
    if (!below || read_number(trimmed(text_of(*below)), '.')) return;  // "1 234" is one
    const auto names = words_of(text_of(*first)), cells = words_of(text_of(*below));
    const auto is_number = [](std::string_view cell) { return parse_number(cell).has_value(); };
    if (names.size() != cells.size() || std::ranges::count_if(cells, is_number) < 2) return;
    const bool runs = text_of(*first).find("  ") != std::string_view::npos ||
                      text_of(*below).find("  ") != std::string_view::npos || text_of(*below).starts_with(' ');
    throw InputError(name() + ":" + std::to_string(next_line_) + ": found " + ae::quoted(text_of(*first)) +
                     ", cells between blanks, expected a comma, a tab or a semicolon between cells; " +
                     (runs ? "convert the file with: sed 's/^ *//; s/ *$//; s/  */,/g'"
                           : "set /data/delimiter, as by --set '/data/delimiter=\" \"'"));
  }

  void read_first_record(const TableFormat& format) {
    if (!next_record()) throw InputError(name() + ": the file is empty; expected a table with at least one line");
    if (is_blank_record())
      throw InputError(name() + ":" + std::to_string(line_) +
                       ": the first line is blank; expected column names or cells; remove it");
    const std::size_t begin = index_.begin(first_);
    const std::size_t end = index_.end(last_);
    const bool crlf = end > begin && bytes()[end - 1] == '\r';
    if (crlf) layout_.line_end = "\r\n";
    layout_.header = is_header(format);
    if (layout_.header) {
      // Looking at the line below may have moved the bytes.
      layout_.raw_header.assign(bytes() + index_.begin(first_), end - begin - (crlf ? 1 : 0));
      read_names();
    } else {
      for (std::size_t i = 0; i < cells(); ++i) columns_.emplace_back("f").append(std::to_string(i));
      replay_ = true;
    }
  }

  bool is_header(const TableFormat& format) {
    if (holds(format.names)) return true;
    if (format.header != "auto") return format.header == "yes";
    std::vector<double> numbers;
    for (std::size_t i = 0; i < cells(); ++i)
      if (const auto number = parse_number(text(i))) numbers.push_back(*number);
    if (numbers.empty()) return true;
    return format.names.empty() && is_header_with(numbers);
  }

  bool holds(const std::vector<std::string>& names) const {
    if (names.empty()) return false;
    std::unordered_set<std::string_view> here;
    for (std::size_t i = 0; i < cells(); ++i) here.insert(text(i));
    if (text(0).empty()) here.insert(kUnnamed);
    return std::ranges::all_of(names, [&](const std::string& one) { return here.contains(one); });
  }

  InputError header_or_row() const {
    return InputError(name() + ":" + std::to_string(line_) + ": the first line, " + ae::quoted(text(0)) + ", " +
                      (cells() > 1 ? ae::quoted(text(1)) + ", ...," : "") +
                      " could be column names or a row; set /data/header to \"yes\" or \"no\"");
  }

  // Reads until `count` records behind the first line are there, or `most` bytes of text, or the end: what is told must
  // not depend on how much came at once. Returns how many are there within these bytes.
  std::size_t look_ahead(std::size_t count, Offset most) {
    while (index_.records() - next_record_ < count && !ended_ && index_.fault() == Index::Fault::none &&
           filled_ - index_.begin(first_) < most)
      read_more(true);
    std::size_t within = 0;
    while (within < count && next_record_ + within < index_.records() &&
           index_.end(index_.last_cell(next_record_ + within)) - index_.begin(first_) <= most)
      ++within;
    return within;
  }

  struct Range {
    double least = std::numeric_limits<double>::infinity();
    double most = -std::numeric_limits<double>::infinity();
    void add(double value) {
      least = std::min(least, value);
      most = std::max(most, value);
    }
    bool empty() const { return least > most; }
    bool holds(double value) const { return value >= least && value <= most; }
  };

  // Of each column's numbers in the `count` records behind the first line. `rows`: how many of them are as wide.
  std::vector<Range> ranges_below(std::size_t count, std::size_t& rows) const {
    std::vector<Range> ranges(cells());
    std::size_t begin = last_ + 1;
    rows = 0;
    for (std::size_t r = next_record_; r < next_record_ + count; ++r) {
      const std::size_t last = index_.last_cell(r);
      const bool fits = last - begin + 1 == cells();
      rows += fits ? 1 : 0;
      for (std::size_t i = 0; fits && i < cells(); ++i) {
        std::string_view cell(bytes() + index_.begin(begin + i), index_.end(begin + i) - index_.begin(begin + i));
        if (cell.ends_with('\r')) cell.remove_suffix(1);
        if (const auto value = parse_number(ae::trimmed(cell))) ranges[i].add(*value);
      }
      begin = last + 1;
    }
    return ranges;
  }

  // Whether the first line's numbers rise from cell to cell and none of them lies among those below it: wavelengths
  // above spectra, or else a row of a table that grows.
  bool may_be_axis(const std::vector<double>& numbers) {
    constexpr std::size_t kFewestColumns = 3, kFewestRows = 3, kRows = 64;
    constexpr Offset kMostBytes = 1 << 20;
    if (numbers.size() != cells() || cells() < kFewestColumns) return false;
    if (std::ranges::adjacent_find(numbers, std::greater_equal<>()) != numbers.end()) return false;
    std::size_t rows = 0;
    const auto ranges = ranges_below(look_ahead(kRows, kMostBytes), rows);
    if (rows < kFewestRows) return false;
    for (std::size_t i = 0; i < numbers.size(); ++i)
      if (ranges[i].empty() || ranges[i].holds(numbers[i])) return false;
    return true;
  }

  // `numbers`: those among the first line's cells.
  bool is_header_with(const std::vector<double>& numbers) {
    const Counting counting(numbers);
    const bool names_numbers = stands_above_number();
    if (counting.holds && (names_numbers || (counting.first == 0 && counting.count > 2))) {
      notes_.push_back(name() + ": took the first line for column names: " + ae::quoted(text(0)) + ", " +
                       ae::quoted(cells() > 1 ? text(1) : "") + ", ...");
      return true;
    }
    const bool may_count = counting.holds && (counting.count > 2 || (counting.count == 2 && counting.first == 0));
    const bool may_be_names = names_numbers || may_count || (counting.years() && counting.count > 1);
    if (may_be_names || may_be_axis(numbers)) throw header_or_row();
    doubts_.push_back(name() +
                      ": took the first line for a row, because it holds numbers; columns are named f0, f1, ...; if it "
                      "names the columns set /data/header to \"yes\", else to \"no\"");
    return false;
  }

  // Whether a cell of the first line that is no number stands above one that is.
  bool stands_above_number() {
    while (next_record_ == index_.records() && !ended_ && index_.fault() == Index::Fault::none &&
           filled_ - index_.begin(index_.open_cell()) <= kMaxRecordBytes)
      read_more(true);
    if (next_record_ == index_.records() || index_.last_cell(next_record_) - last_ != cells()) return false;
    const std::size_t last_below = last_ + cells();
    for (std::size_t i = 0; i < cells(); ++i) {
      const bool unnamed = i == 0 && text(i).empty() && cells() > 1;
      if ((unnamed || is_word(text(i))) && parse_number(without_quotes(trimmed(cell_bytes(last_ + 1 + i, last_below)))))
        return true;
    }
    return false;
  }

  void read_names() {
    std::vector<std::string> problems;
    std::unordered_map<std::string_view, std::size_t> seen;
    columns_.reserve(cells());
    layout_.unnamed_first = cells() > 1 && (text(0).empty() || text(0) == "Unnamed: 0");  // pandas, written twice
    refuse_lonely_title();
    for (std::size_t i = 0; i < cells(); ++i) {
      columns_.emplace_back(text(i));
      if (columns_[i].empty() && i == 0 && cells() > 1) columns_[i] = kUnnamed;
      if (columns_[i].empty())
        problems.push_back(where(i) + ": column " + std::to_string(i + 1) + " has no name; name it in the header" +
                           (i + 1 == cells() ? ", or remove what ends the lines if there is no such column" : ""));
    }
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const auto [earlier, is_new] = seen.emplace(columns_[i], i);
      if (!is_new && !columns_[i].empty())
        problems.push_back(where(i) + ": column name " + ae::quoted(columns_[i]) + " was used for column " +
                           std::to_string(earlier->second + 1) + " already; expected unique names; rename one");
    }
    constexpr std::size_t kShown = 20;
    if (problems.size() > kShown) {
      const std::size_t more = problems.size() - kShown;
      problems.resize(kShown);
      problems.push_back(name() + ": and " + std::to_string(more) + " more such columns");
    }
    if (!problems.empty()) throw InputError(std::move(problems));
  }

  // A title that a spreadsheet has filled up to the table's width.
  void refuse_lonely_title() const {
    std::size_t named = 0;
    for (std::size_t i = 0; i < cells(); ++i) named += text(i).empty() ? 0 : 1;
    if (named > 1 || cells() < 3) return;
    throw InputError(name() + ":" + std::to_string(line_) + ": only one of " + std::to_string(cells()) +
                     " cells of the first line has a name; remove titles above the table or begin them with #");
  }

  // --- records -------------------------------------------------------------------------------------------------------

  bool next_record() {
    while (next_record_ == index_.records()) {
      if (index_.fault() != Index::Fault::none) throw fault();
      if (ended_) return false;
      check_limits();
      read_more(false);
    }
    next_line_ += lines_inside_row();
    line_ = next_line_++;
    first_ = last_ + 1;
    last_ = index_.last_cell(next_record_++);
    if (cells() > kMaxCells) throw too_many_cells(line_);
    return true;
  }

  // True when next() has what it needs without reading: a row, an error or the end.
  bool has_decided_record() const {
    if (ended_ || index_.fault() != Index::Fault::none) return true;
    std::size_t first = last_ + 1;
    for (std::size_t r = next_record_; r < index_.records(); ++r) {
      const std::size_t last = index_.last_cell(r);
      if (columns_.size() == 1 || !(is_blank_record(first, last) || is_empty_record(first, last))) return true;
      first = index_.last_cell(r) + 1;
    }
    return filled_ - index_.begin(index_.open_cell()) > kMaxRecordBytes;
  }

  void check_limits() const {
    const Offset begin = index_.begin(index_.open_cell());
    if (filled_ - begin <= kMaxRecordBytes) return;
    if (index_.in_quotes())
      throw InputError(place_in_open_record(index_.last_begin()) +
                       ": the quote opened here is not closed within 64 MiB; close it");
    throw InputError(name() + ":" + std::to_string(open_record_line()) +
                     ": a line longer than 64 MiB; expected a table of text with line ends");
  }

  // --- bytes ---------------------------------------------------------------------------------------------------------

  // Appends to the buffer and indexes. `keep_row`: the current row and views into it stay valid.
  void read_more(bool keep_row) {
    if (!keep_row) {
      forget_rows();
      if (capacity_ - filled_ < kChunk) make_room();
    } else if (capacity_ - filled_ < kChunk) {
      continue_elsewhere();
    }
    fill();
    index_.scan(bytes(), scanned_, filled_, ended_);
    scanned_ = filled_;
  }

  // Drops all delivered records from the front of the buffer.
  void forget_rows() {
    next_line_ += lines_inside_row();
    const Offset shift = index_.forget_before(last_ + 1, next_record_);
    first_ = 1;
    last_ = 0;
    next_record_ = 0;
    std::memmove(buffer_.get(), buffer_.get() + shift, filled_ - shift);
    filled_ -= shift;
    scanned_ = filled_;
    dropped_ += shift;
  }

  void make_room() {
    Buffer bigger = new_buffer(2 * capacity_);
    std::memcpy(bigger.get(), buffer_.get(), filled_);
    buffer_ = std::move(bigger);
  }

  // The current row and what follows it go on in another buffer. The old one stays as it is until the next row, because
  // views into it are out.
  void continue_elsewhere() {
    const Offset begin = index_.begin(first_);
    const Offset kept = filled_ - begin;
    retired_.push_back({std::move(buffer_), capacity_});
    if (spare_.bytes && spare_.capacity - kept >= kChunk && spare_.capacity >= kept) {
      buffer_ = std::move(spare_.bytes);
      capacity_ = spare_.capacity;
    } else {
      std::size_t capacity = capacity_;
      while (capacity - kept < kChunk) capacity *= 2;
      buffer_ = new_buffer(capacity);
    }
    std::memcpy(buffer_.get(), retired_.back().bytes.get() + begin, kept);
    index_.forget_before(first_, next_record_ - 1);
    last_ -= first_ - 1;
    first_ = 1;
    next_record_ = 1;
    filled_ = scanned_ = kept;
    dropped_ += begin;
  }

  void reuse_retired() {
    spare_ = std::move(retired_.back());
    retired_.clear();
  }

  void fill() {
    const std::size_t count = source_->read(buffer_.get() + filled_, std::min(capacity_ - filled_, kChunk));
    ended_ = count == 0;
    filled_ += static_cast<Offset>(count);
  }

  // --- cells ---------------------------------------------------------------------------------------------------------

  std::string_view unquoted(std::size_t column, std::string_view cell) const {
    cell = cell.substr(1, cell.size() - 2);
    if (cell.find('"') == std::string_view::npos) return cell;
    const auto [entry, is_new] = unquoted_.try_emplace(column);
    if (is_new) {
      for (std::size_t i = 0; i < cell.size(); ++i) {
        entry->second += cell[i];
        if (cell[i] == '"') ++i;
      }
    }
    return entry->second;
  }

  // --- messages ------------------------------------------------------------------------------------------------------

  // FILE:LINE:COLUMN of a byte of the current record.
  std::string place(Offset at) const { return place_from(index_.begin(first_), line_, at); }
  std::string place_in_open_record(Offset at) const {
    return place_from(index_.begin(index_.open_cell()), open_record_line(), at);
  }
  std::int64_t open_record_line() const { return next_line_ + lines_inside_row(); }

  // Line ends inside quoted cells of the current record, if there is one.
  std::int64_t lines_inside_row() const {
    if (!index_.lines_in_quotes() || last_ < first_) return 0;
    return std::count(bytes() + index_.begin(first_), bytes() + index_.end(last_), '\n');
  }
  std::string place_from(Offset record_begin, std::int64_t line, Offset at) const {
    Offset line_begin = record_begin;
    for (Offset i = record_begin; i < at; ++i) {
      if (bytes()[i] != '\n') continue;
      ++line;
      line_begin = i + 1;
    }
    std::int64_t column = 1;
    for (Offset i = line_begin; i < at; ++i) column += (bytes()[i] & 0xc0) != 0x80;  // UTF-8 continuation bytes
    return name() + ":" + std::to_string(line) + ":" + std::to_string(column);
  }

  BadRow ragged(std::int64_t line, std::size_t found) const {
    const std::string place = name() + ":" + std::to_string(line);
    const std::string at = place + ": ";
    const std::string expected = "expected " + counted(columns_.size(), "cell", "cells") + " as in the " +
                                 (layout_.header ? "header" : "first line");
    const std::string titles = row_ <= 0 ? "; or remove titles above the table, or begin them with #" : "";
    if (found == 0) return {place, at + "a blank line between rows, " + expected + "; remove it" + titles};
    return {place, at + "found " + counted(found, "cell", "cells") + ", " + expected + "; " +
                       (found < columns_.size()
                            ? "add the missing cells" + titles
                            : "put cells that contain " + delimiter_text(layout_.delimiter) + " in double quotes" +
                                  (row_ <= 0 || columns_.size() == 1 ? short_header(found) : ""))};
  }

  // What else may be wrong when the first row has more cells than the header.
  std::string short_header(std::size_t found) const {
    return std::string(found == columns_.size() + 1 ? "; or name the first column in the header (R leaves it out)"
                                                    : "") +
           "; or remove titles above the table, or begin them with #";
  }

  InputError too_many_cells(std::int64_t line) const {
    return InputError(name() + ":" + std::to_string(line) + ": more than " + std::to_string(kMaxCells) +
                      " cells in one line; expected a table with at most that many columns");
  }

  InputError binary(std::uint64_t offset) const {
    return InputError(name() + ": NUL byte at offset " + std::to_string(offset) +
                      ": not a text table; expected CSV or TSV text (plain, gzip or Zstandard), NPY or NPZ");
  }

  InputError fault() const {
    const Offset at = index_.fault_at();
    switch (index_.fault()) {
      case Index::Fault::nul:
        return binary(dropped_ + at);
      case Index::Fault::lone_return:
        return InputError(place_in_open_record(at) +
                          ": a carriage return without a line feed; expected lines that end in LF or CRLF; convert old "
                          "Mac line ends with tr '\\r' '\\n', or put the cell in double quotes");
      case Index::Fault::after_quote:
        return InputError(place_in_open_record(at) + ": text after the closing quote of a cell; expected " +
                          delimiter_text(layout_.delimiter) +
                          " or the line's end; write a quote inside a quoted cell twice");
      case Index::Fault::too_many_cells:
        return too_many_cells(open_record_line());
      default:
        return InputError(place_in_open_record(at) +
                          ": the quote opened here is not closed before the end of the file; close it");
    }
  }

  std::unique_ptr<ByteSource> source_;
  Layout layout_;
  std::vector<std::string> columns_;

  Buffer buffer_;
  struct Retired {
    Buffer bytes;
    std::size_t capacity = 0;
  };
  std::vector<Retired> retired_;  // left while views into the current row were out
  Retired spare_;                 // one of them, to be used again
  std::size_t capacity_ = 0;
  Offset filled_ = 0;
  Offset scanned_ = 0;
  Offset text_begin_ = 0;
  std::uint64_t dropped_ = 0;  // bytes of the text before buffer_[0]
  bool ended_ = false;

  Index index_;
  std::size_t first_ = 1;  // cells of the current record; last_ < first_: none
  std::size_t last_ = 0;
  std::size_t next_record_ = 0;
  std::int64_t line_ = 0;
  std::int64_t next_line_ = 1;
  std::int64_t blank_line_ = 0;  // first blank line of a run that is fine only at the end
  std::int64_t row_ = -1;
  bool replay_ = false;             // the current record is the next row
  std::int64_t empty_rows_ = 0;     // rows of delimiters only before it
  bool in_empty_row_ = false;       // the current row is one of them
  std::int64_t rows_left_out_ = 0;  // such rows at the end
  std::string perhaps_cut_;         // where the last cell is, of a file that may go on there
  std::vector<std::string> notes_, doubts_;
  mutable std::unordered_map<std::size_t, std::string> unquoted_;
};

}  // namespace

std::unique_ptr<RowSource> open_csv(std::unique_ptr<ByteSource> source, const TableFormat& format) {
  return std::make_unique<CsvRows>(std::move(source), format);
}

}  // namespace ae::data
