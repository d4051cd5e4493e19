// Finds the cells and records of separated text, 64 bytes at a time. Internal to csv.cpp.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace ae::data::csv {

using Offset = std::uint32_t;  // a position in the buffer, which is kept far below 4 GiB
using Bits = std::uint64_t;    // one bit per byte of a 64-byte block

inline constexpr std::size_t kBlock = 64;
inline constexpr std::size_t kMaxCells = std::size_t{4} << 20;
inline constexpr Offset kNone = std::numeric_limits<Offset>::max();

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

}  // namespace ae::data::csv
