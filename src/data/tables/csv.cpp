#include "data/tables/csv.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <unordered_map>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/error.hpp"
#include "base/text.hpp"

namespace ae::data {
namespace {

using Offset = std::uint32_t;  // a position in the buffer, which is kept far below 4 GiB
using Bits = std::uint64_t;    // one bit per byte of a 64-byte block

constexpr std::size_t kBlock = 64;
constexpr std::size_t kChunk = 256 * 1024;  // bytes asked for at once: fits the second-level cache with its index
constexpr std::size_t kMaxRecordBytes = std::size_t{64} << 20;
constexpr std::size_t kMaxCells = std::size_t{4} << 20;
constexpr Offset kNone = std::numeric_limits<Offset>::max();
constexpr std::size_t kBinaryProbe = 1024;

// Where the bytes that matter stand in a block.
struct Marks {
  Bits delimiter = 0;
  Bits line_feed = 0;
  Bits carriage_return = 0;
  Bits quote = 0;
  Bits nul = 0;
};

#ifdef __SSE2__
inline Marks mark_block(const char* bytes, char delimiter) {
  const __m128i delimiters = _mm_set1_epi8(delimiter);
  const __m128i line_feeds = _mm_set1_epi8('\n');
  const __m128i returns = _mm_set1_epi8('\r');
  const __m128i quotes = _mm_set1_epi8('"');
  Marks marks;
  for (int part = 0; part < 4; ++part) {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 16 * part));
    const auto where = [&](__m128i wanted) {
      return static_cast<Bits>(static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(v, wanted)))) << (16 * part);
    };
    marks.delimiter |= where(delimiters);
    marks.line_feed |= where(line_feeds);
    marks.carriage_return |= where(returns);
    marks.quote |= where(quotes);
    marks.nul |= where(_mm_setzero_si128());
  }
  return marks;
}
#else
inline Marks mark_block(const char* bytes, char delimiter) {
  Marks marks;
  for (std::size_t i = 0; i < kBlock; ++i) {
    const char c = bytes[i];
    marks.delimiter |= static_cast<Bits>(c == delimiter) << i;
    marks.line_feed |= static_cast<Bits>(c == '\n') << i;
    marks.carriage_return |= static_cast<Bits>(c == '\r') << i;
    marks.quote |= static_cast<Bits>(c == '"') << i;
    marks.nul |= static_cast<Bits>(c == '\0') << i;
  }
  return marks;
}
#endif

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string count_text(std::uint64_t count, std::string_view one, std::string_view many) {
  return std::to_string(count) + " " + std::string(count == 1 ? one : many);
}

// Finds cells and records in the bytes of a buffer that grows at its end. What is wrong with the bytes is remembered
// as a fault at its place, so that the records before it are still delivered, however the input was cut into reads.
class Index {
 public:
  enum class Fault { none, nul, lone_return, after_quote, open_quote, too_many_cells };

  void set_delimiter(char delimiter) { delimiter_ = delimiter; }
  void start_at(Offset offset) { ends_[0] = offset - 1; }  // skips a byte order mark

  // Scans bytes[from, to); 64 readable bytes must follow bytes[to]. `at_end`: nothing comes after.
  void scan(const char* bytes, Offset from, Offset to, bool at_end) {
    constexpr Offset step = 64 * kBlock;  // so that ends_ grows with the cells that are there, not with the bytes
    for (; from < to && fault_ == Fault::none; from += std::min(to - from, step))
      scan_step(bytes, from, std::min(to, from + step));
    if (at_end && fault_ == Fault::none) finish(to);
  }

  // Forgets everything before the cell `cell`; returns by how many bytes all positions moved towards 0.
  Offset forget_before(std::size_t cell, std::size_t record) {
    const Offset shift = begin(cell);
    const std::size_t first = cell - 1;
    for (std::size_t i = first; i < count_; ++i) ends_[i - first] = ends_[i] - shift;
    count_ -= first;
    for (std::size_t i = record; i < lasts_.size(); ++i) lasts_[i - record] = lasts_[i] - static_cast<Offset>(first);
    lasts_.resize(lasts_.size() - record);
    if (closed_ != kNone) closed_ -= shift;
    if (return_ != kNone) return_ -= shift;
    if (fault_ != Fault::none) fault_at_ -= shift;
    return shift;
  }

  // Complete records; last_cell(r) is the number of the final cell of record r. Cells count from 1.
  std::size_t records() const { return lasts_.size(); }
  std::size_t last_cell(std::size_t record) const { return lasts_[record]; }
  Offset begin(std::size_t cell) const { return ends_[cell - 1] + 1; }
  Offset end(std::size_t cell) const { return ends_[cell]; }
  // First cell of the record still incomplete, and how many of its cells are.
  std::size_t open_cell() const { return lasts_.empty() ? 1 : std::size_t{lasts_.back()} + 1; }
  std::size_t open_cells() const { return count_ - open_cell(); }
  Offset last_begin() const { return ends_[count_ - 1] + 1; }
  bool in_quotes() const { return in_quotes_; }
  bool lines_in_quotes() const { return lines_in_quotes_; }
  Fault fault() const { return fault_; }
  Offset fault_at() const { return fault_at_; }

 private:
  void scan_step(const char* bytes, Offset from, Offset to) {
    if (ends_.size() < count_ + (to - from) + kBlock) ends_.resize(count_ + (to - from) + kBlock);
    for (Offset at = from; at < to && fault_ == Fault::none; at += kBlock)
      scan_block(bytes, at, std::min<Offset>(to - at, kBlock));
    if (fault_ == Fault::none && open_cells() > kMaxCells) fail(Fault::too_many_cells, begin(open_cell()));
  }

  void scan_block(const char* bytes, Offset at, Offset length) {
    Marks marks = mark_block(bytes + at, delimiter_);
    if (length < kBlock) {
      const Bits valid = (Bits{1} << length) - 1;
      marks.delimiter &= valid;
      marks.line_feed &= valid;
      marks.carriage_return &= valid;
      marks.quote &= valid;
      marks.nul &= valid;
    }
    const bool plain = !in_quotes_ && closed_ == kNone && return_ == kNone && (marks.quote | marks.nul) == 0 &&
                       ((marks.carriage_return << 1) & ~marks.line_feed & valid_after_return(length)) == 0;
    if (plain)
      take_plain(marks, at, length);
    else
      take_carefully(marks, at);
  }

  // A return in the last byte has its line feed in the next block.
  static Bits valid_after_return(Offset length) { return length < kBlock ? (Bits{1} << length) - 1 : ~Bits{0}; }

  void take_plain(const Marks& marks, Offset at, Offset length) {
    const Bits all = marks.delimiter | marks.line_feed;
    for (Bits left = marks.line_feed; left != 0; left &= left - 1) {
      const Bits before = (left & (0 - left)) - 1;
      lasts_.push_back(static_cast<Offset>(count_) + static_cast<Offset>(std::popcount(all & before)));
    }
    Offset* out = ends_.data() + count_;
    const int found = std::popcount(all);
    Bits left = all;
    for (int done = 0; done < found; done += 4) {  // rounding up to 4 saves branches; the room is there
      for (int i = 0; i < 4; ++i) {
        out[done + i] = at + static_cast<Offset>(std::countr_zero(left));
        left &= left - 1;
      }
    }
    count_ += static_cast<std::size_t>(found);
    if ((marks.carriage_return >> (length - 1)) & 1) return_ = at + length - 1;
  }

  void take_carefully(const Marks& marks, Offset at) {
    const Bits all = marks.delimiter | marks.line_feed | marks.carriage_return | marks.quote | marks.nul;
    for (Bits left = all; left != 0 && fault_ == Fault::none; left &= left - 1) {
      const Bits bit = left & (0 - left);
      const Offset here = at + static_cast<Offset>(std::countr_zero(left));
      if (return_ != kNone && !((marks.line_feed & bit) && return_ + 1 == here)) {
        fail(Fault::lone_return, return_);
      } else if (marks.quote & bit) {
        take_quote(here);
      } else if (marks.nul & bit) {
        fail(Fault::nul, here);
      } else if (in_quotes_) {
        if (marks.line_feed & bit) lines_in_quotes_ = true;
      } else if (marks.carriage_return & bit) {
        take_return(here);
      } else {
        take_end(here, (marks.line_feed & bit) != 0);
      }
    }
  }

  void take_quote(Offset here) {
    if (in_quotes_) {
      in_quotes_ = false;
      closed_ = here;
    } else if (closed_ != kNone) {
      if (closed_ + 1 != here) return fail(Fault::after_quote, closed_ + 1);
      in_quotes_ = true;  // a doubled quote
      closed_ = kNone;
    } else if (here == last_begin()) {
      in_quotes_ = true;
    }
  }

  void take_return(Offset here) {
    if (closed_ != kNone && closed_ + 1 != here) return fail(Fault::after_quote, closed_ + 1);
    return_ = here;
  }

  void take_end(Offset here, bool ends_record) {
    if (closed_ != kNone) {
      const Offset text_end = return_ == kNone ? here : return_;
      if (closed_ + 1 != text_end) return fail(Fault::after_quote, closed_ + 1);
      closed_ = kNone;
    }
    return_ = kNone;
    if (ends_record) lasts_.push_back(static_cast<Offset>(count_));
    ends_[count_++] = here;
  }

  // A last record without its line end is ended by the end of the file.
  void finish(Offset to) {
    if (in_quotes_) return fail(Fault::open_quote, last_begin());
    if (return_ != kNone) return fail(Fault::lone_return, return_);
    if (begin(open_cell()) < to) take_end(to, true);
  }

  void fail(Fault fault, Offset at) {
    fault_ = fault;
    fault_at_ = at;
  }

  char delimiter_ = ',';
  std::vector<Offset> ends_ = std::vector<Offset>(1, kNone);  // ends_[0] stands before the first cell
  std::size_t count_ = 1;                                     // used part of ends_
  std::vector<Offset> lasts_;
  bool in_quotes_ = false;
  bool lines_in_quotes_ = false;  // some record had a line end inside quotes
  Offset closed_ = kNone;         // the closing quote of the current cell, still without the delimiter behind it
  Offset return_ = kNone;         // a carriage return still without its line feed
  Fault fault_ = Fault::none;
  Offset fault_at_ = 0;
};

// Which candidate delimiters the first record holds outside quotes.
class DelimiterProbe {
 public:
  // Looks at bytes[seen so far, size); true when the first record has ended (or can never end).
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
      const std::size_t candidate = kCandidates.find(c);
      cell_start_ = candidate != std::string_view::npos;
      if (cell_start_) found_[candidate] = true;
    }
    return false;
  }
  void start_at(std::size_t offset) { at_ = offset; }
  bool found(char delimiter) const { return found_[kCandidates.find(delimiter)]; }
  int count() const { return static_cast<int>(std::count(found_.begin(), found_.end(), true)); }
  char only() const {
    const auto it = std::find(found_.begin(), found_.end(), true);
    return it == found_.end() ? ',' : kCandidates[static_cast<std::size_t>(it - found_.begin())];
  }

 private:
  static constexpr std::string_view kCandidates = ",\t;";
  std::array<bool, 3> found_ = {};
  bool in_quotes_ = false;
  bool closed_ = false;  // the byte before closed a quoted cell, so that another quote is a doubled one
  bool cell_start_ = true;
  std::size_t at_ = 0;
};

bool named_as_tabs(std::string name) {
  for (const std::string_view compression : {".gz", ".zst"})
    if (name.ends_with(compression)) name.resize(name.size() - compression.size());
  return name.ends_with(".tsv") || name.ends_with(".tab");
}

std::string delimiter_text(char c) { return c == '\t' ? "a tab" : ae::quoted(std::string_view(&c, 1)); }

// The byte a user's /data/delimiter stands for; 0 = detect.
char chosen_delimiter(const TableFormat& format) {
  const std::string& text = format.delimiter;
  if (text.empty()) return format.type == "tsv" ? '\t' : '\0';
  if (text == "\\t" || text == "tab") return '\t';
  static constexpr std::string_view impossible{"\"\n\r\0+-.", 7};
  const bool number_part = text.size() == 1 && std::isalnum(static_cast<unsigned char>(text[0]));
  if (text.size() != 1 || number_part || impossible.find(text[0]) != std::string_view::npos)
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
    begin_text();
    read_first_record(format.header);
  }

  const std::string& name() const override { return source_->name(); }
  const std::vector<std::string>& columns() const override { return columns_; }

  bool next() override {
    if (!retired_.empty()) [[unlikely]]
      reuse_retired();
    if (!unquoted_.empty()) unquoted_.clear();
    if (replay_) {
      replay_ = false;
      ++row_;
      return true;
    }
    for (;;) {
      if (!next_record()) return false;
      if (cells() == columns_.size() && blank_line_ == 0) [[likely]]
        break;
      if (blank_line_ == 0 && !is_blank_record()) throw ragged(line_, cells());
      if (is_blank_record() && columns_.size() > 1) {
        if (blank_line_ == 0) blank_line_ = line_;
      } else {
        throw ragged(blank_line_, 0);
      }
    }
    ++row_;
    return true;
  }

  std::int64_t row() const override { return row_; }

  std::string_view text(std::size_t column) const override {
    const std::string_view cell = raw(column);
    if (cell.empty()) return cell;
    if (cell.front() == '"') return unquoted(column, cell);
    if (is_blank(cell.front()) || is_blank(cell.back())) return trimmed(cell);
    return cell;
  }

  bool has_numbers() const override { return false; }
  double number(std::size_t) const override { throw std::logic_error("a text table has no numbers"); }

  std::string_view raw(std::size_t column) const override {
    const std::size_t cell = first_ + column;
    const Offset begin = index_.begin(cell);
    Offset end = index_.end(cell);
    if (cell == last_ && end > begin && bytes()[end - 1] == '\r') --end;
    return {bytes() + begin, end - begin};
  }

  std::string where(std::size_t column) const override { return place(index_.begin(first_ + column)); }

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

 private:
  using Buffer = std::unique_ptr<char[]>;

  Buffer new_buffer(std::size_t capacity) {
    capacity_ = capacity;
    return std::make_unique_for_overwrite<char[]>(capacity + kBlock);  // the index reads whole blocks
  }
  const char* bytes() const { return buffer_.get(); }
  std::size_t cells() const { return last_ - first_ + 1; }

  bool is_blank_record() const { return is_blank_record(first_, last_); }
  bool is_blank_record(std::size_t first, std::size_t last) const {
    if (first != last) return false;
    std::string_view line(bytes() + index_.begin(first), index_.end(first) - index_.begin(first));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    return trimmed(line).empty();
  }

  // --- opening -------------------------------------------------------------------------------------------------------

  void begin_text() {
    while (filled_ < 3 && !ended_) fill();
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
    if (layout_.delimiter == '\0') layout_.delimiter = detect_delimiter();
    index_.set_delimiter(layout_.delimiter);
    index_.scan(bytes(), scanned_, filled_, ended_);
    scanned_ = filled_;
  }

  char detect_delimiter() {
    DelimiterProbe probe;
    probe.start_at(text_begin_);
    while (!probe.look(bytes(), filled_) && !ended_ && filled_ <= kMaxRecordBytes) {
      if (capacity_ - filled_ < kChunk) make_room();
      fill();
    }
    if (probe.count() <= 1) return probe.only();
    if (probe.found('\t') && named_as_tabs(name())) return '\t';
    std::vector<std::string> candidates;
    for (const char c : {',', '\t', ';'})
      if (probe.found(c)) candidates.push_back(delimiter_text(c));
    throw InputError(name() + ":1: the delimiter could be " + ae::join(candidates, " or ") +
                     "; set /data/delimiter to the right one");
  }

  void read_first_record(const std::string& header) {
    if (!next_record()) throw InputError(name() + ": the file is empty; expected a table with at least one line");
    if (is_blank_record())
      throw InputError(name() + ":1: the first line is blank; expected column names or cells; remove it");
    const std::size_t begin = index_.begin(first_);
    const std::size_t end = index_.end(last_);
    const bool crlf = end > begin && bytes()[end - 1] == '\r';
    if (crlf) layout_.line_end = "\r\n";
    layout_.header = header == "yes" || (header == "auto" && !any_number());
    if (layout_.header) {
      layout_.raw_header.assign(bytes() + begin, end - begin - (crlf ? 1 : 0));
      read_names();
    } else {
      for (std::size_t i = 0; i < cells(); ++i) columns_.emplace_back("f").append(std::to_string(i));
      replay_ = true;
    }
  }

  bool any_number() const {
    for (std::size_t i = 0; i < cells(); ++i)
      if (parse_number(text(i))) return true;
    return false;
  }

  void read_names() {
    std::vector<std::string> problems;
    std::unordered_map<std::string_view, std::size_t> seen;
    columns_.reserve(cells());
    for (std::size_t i = 0; i < cells(); ++i) {
      columns_.emplace_back(text(i));
      if (columns_[i].empty() && i == 0 && cells() > 1) columns_[i] = "index";
      if (columns_[i].empty())
        problems.push_back(where(i) + ": column " + std::to_string(i + 1) + " has no name; name it in the header");
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
      if (columns_.size() == 1 || !is_blank_record(first, index_.last_cell(r))) return true;
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

  InputError ragged(std::int64_t line, std::size_t found) const {
    const std::string at = name() + ":" + std::to_string(line) + ": ";
    const std::string expected = "expected " + count_text(columns_.size(), "cell", "cells") + " as in the " +
                                 (layout_.header ? "header" : "first line");
    if (found == 0) return InputError(at + "a blank line between rows, " + expected + "; remove it");
    return InputError(at + "found " + count_text(found, "cell", "cells") + ", " + expected + "; " +
                      (found < columns_.size()
                           ? "add the missing cells"
                           : "put cells that contain " + delimiter_text(layout_.delimiter) + " in double quotes"));
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
  bool replay_ = false;  // the first record is a row and was looked at already
  mutable std::unordered_map<std::size_t, std::string> unquoted_;
};

}  // namespace

std::unique_ptr<RowSource> open_csv(std::unique_ptr<ByteSource> source, const TableFormat& format) {
  return std::make_unique<CsvRows>(std::move(source), format);
}

}  // namespace ae::data
