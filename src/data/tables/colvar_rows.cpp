#include "data/tables/colvar_rows.hpp"

#include <cmath>
#include <limits>
#include <map>
#include <numbers>
#include <stdexcept>
#include <unordered_map>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "data/bytes/lines.hpp"
#include "data/bytes/recognise.hpp"

namespace ae::data {
namespace {

constexpr std::string_view kExpected = "a COLVAR file, which begins with a line such as \"#! FIELDS time phi psi\"";

// The first word of `text`, which loses it; "" at the end. By hand, as find_first_of() calls a function for each byte.
std::string_view next_word(std::string_view& text) {
  const char *begin = text.data(), *const last = begin + text.size();
  while (begin != last && (*begin == ' ' || *begin == '\t')) ++begin;
  const char* end = begin;
  while (end != last && *end != ' ' && *end != '\t') ++end;
  text = {end, static_cast<std::size_t>(last - end)};
  return {begin, static_cast<std::size_t>(end - begin)};
}

std::unique_ptr<ByteSource> checked(std::unique_ptr<ByteSource> source) {
  std::string head = read_head(*source);
  if (head.empty()) throw InputError(source->name() + ": the file is empty; expected " + std::string(kExpected));
  if (const auto* type = recognise(head))
    throw InputError(source->name() + ": found " + std::string(type->what) + ", expected " + std::string(kExpected));
  if (head.find('\0') != std::string::npos)
    throw InputError(source->name() + ": found a binary file, expected " + std::string(kExpected));
  return with_prefix(std::move(head), std::move(source));
}

class ColvarRows final : public RowSource {
 public:
  explicit ColvarRows(std::unique_ptr<ByteSource> source) : lines_(checked(std::move(source))) {
    layout_.delimiter = ' ';
    std::string_view line;
    while (columns_.empty() && lines_.next(line)) {
      if (trimmed(line).empty()) continue;
      if (!line.starts_with('#'))
        throw InputError(lines_.place() + ": found " + ae::quoted(line) +
                         ", expected \"#! FIELDS ...\" above the rows; is this " + std::string(kExpected) + "?");
      take_comment(line);
      if (columns_.empty())
        layout_.preamble.append(line).append("\n");
      else
        layout_.raw_header = line;
    }
    if (columns_.empty())
      throw InputError(lines_.place() + ": no line \"#! FIELDS ...\"; expected " + std::string(kExpected));
    is_ahead_ = find_row();
  }

  const std::string& name() const override { return lines_.source().name(); }
  const std::vector<std::string>& columns() const override { return columns_; }

  bool next() override {
    if (is_ahead_)
      is_ahead_ = false;
    else if (!find_row())
      return false;
    if (line_.empty()) return false;
    ++row_;
    split();
    return true;
  }

  std::int64_t row() const override { return row_; }
  std::string_view text(std::size_t column) const override {
    if (place_[column] == kDoubled)
      throw InputError(fields_place_ + ": column " + ae::quoted(columns_[column]) +
                       " is there twice; expected unique names of columns that are used");
    return cells_[place_[column]];
  }
  std::string_view raw(std::size_t column) const override { return text(column); }
  bool has_numbers() const override { return false; }
  double number(std::size_t) const override { throw std::logic_error("a text table has no numbers"); }
  std::string where(std::size_t column) const override {
    const auto cell = place_[column] == kDoubled ? std::string_view() : text(column);
    return cell.empty() ? lines_.place() : lines_.place() + ":" + std::to_string(cell.data() - line_.data() + 1);
  }
  bool ready() override { return is_ahead_ || lines_.ready(); }
  std::uint64_t position() const override { return lines_.source().position(); }
  std::uint64_t size() const override { return lines_.source().size(); }
  const Layout& layout() const override { return layout_; }
  bool restarted() const override { return restarted_; }
  std::int64_t incomplete() const override { return incomplete_; }

  std::optional<std::pair<double, double>> period(std::size_t column) const override {
    const auto low = constants_.find("min_" + columns_[column]), high = constants_.find("max_" + columns_[column]);
    if (low == constants_.end() || high == constants_.end()) return std::nullopt;
    const std::pair bounds(bound(*low), bound(*high));
    if (!(bounds.first < bounds.second))
      throw InputError(high->second.place + ": " + high->first + " is not above " + low->first);
    return bounds;
  }

  std::vector<std::string> doubts() const override {
    std::vector<std::string> lines;
    if (incomplete_ > 0)
      lines.push_back(lines_.place() + ": left out: the last line has no end, and its last number may be cut");
    return lines;
  }

 private:
  struct Constant {
    std::string text, place;
  };

  // Moves to the next line with a row; false at the end.
  bool find_row() {
    restarted_ = false;
    std::string_view line;
    while (lines_.next(line)) {
      if (line.starts_with('#')) {
        take_comment(line);
        if (row_ < 0) layout_.preamble.append(line).append("\n");
      } else if (auto rest = line; !next_word(rest).empty()) {
        line_ = line;
        if (!lines_.is_unfinished()) return true;
        ++incomplete_;  // even a whole number may be the beginning of a longer one
      }
    }
    line_.clear();
    return false;
  }

  void take_comment(std::string_view line) {
    if (!line.starts_with("#!")) return;
    line.remove_prefix(2);
    const auto keyword = next_word(line);
    if (keyword == "FIELDS") {
      restarted_ = !columns_.empty();
      take_fields(line);
    } else if (keyword == "SET") {
      const std::string name(next_word(line)), value(next_word(line));
      if (name.empty() || value.empty())
        throw InputError(lines_.place() +
                         ": found \"#! SET\" without a name or a value; expected \"#! SET NAME VALUE\"");
      constants_[name] = {value, lines_.place()};
    }
  }

  void take_fields(std::string_view text) {
    std::vector<std::string> names;
    for (auto word = next_word(text); !word.empty(); word = next_word(text)) names.emplace_back(word);
    if (names.empty()) throw InputError(lines_.place() + ": \"#! FIELDS\" names no columns");
    fields_place_ = lines_.place();
    std::unordered_map<std::string_view, std::size_t> places;
    const bool is_first = columns_.empty();
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto [found, is_new] = places.try_emplace(names[i], i);
      if (!is_new) found->second = kDoubled;
      if (is_new && is_first) columns_.push_back(names[i]);
    }
    place_.clear();
    for (const auto& column : columns_) {
      const auto found = places.find(column);
      if (found == places.end())
        throw InputError(lines_.place() + ": no column " + ae::quoted(column) + ", which the file began with; found " +
                         join(names) + did_you_mean(column, names));
      place_.push_back(found->second);
    }
    fields_ = names.size();
  }

  void split() {
    cells_.clear();
    std::string_view rest = line_;
    for (auto cell = next_word(rest); !cell.empty(); cell = next_word(rest)) cells_.push_back(cell);
    if (line_.find('\0') != std::string::npos)
      throw InputError(lines_.place() + ": found a NUL byte; is this a binary file? Expected rows of numbers");
    if (cells_.size() == fields_) return;
    const std::string found = counted(cells_.size(), "cells");
    cells_.assign(fields_, {});
    throw BadRow(lines_.place(), lines_.place() + ": found " + found + ", expected " + std::to_string(fields_) +
                                     " as in FIELDS; remove the line or restore the missing cells");
  }

  static double bound(const std::pair<const std::string, Constant>& constant) {
    const auto& [text, place] = constant.second;
    const auto number = colvar_number(text);
    if (!number || !std::isfinite(*number))
      throw InputError(place + ": " + constant.first + ": found " + ae::quoted(text) +
                       ", expected a number or a multiple of pi");
    return *number;
  }

  Lines lines_;
  std::string line_;  // of the row, which stays while ready() reads on; "" at the end
  std::vector<std::string> columns_;
  static constexpr std::size_t kDoubled = std::numeric_limits<std::size_t>::max();
  std::vector<std::size_t> place_;  // of each column in a line; kDoubled = two have its name
  std::string fields_place_;        // of the line FIELDS
  std::size_t fields_ = 0;          // cells of a line
  std::vector<std::string_view> cells_;
  std::map<std::string, Constant> constants_;
  Layout layout_;
  std::int64_t row_ = -1;
  bool is_ahead_ = false;  // line_ is the row that next() moves to
  bool restarted_ = false;
  std::int64_t incomplete_ = 0;
};

}  // namespace

std::unique_ptr<RowSource> open_colvar(std::unique_ptr<ByteSource> source) {
  return std::make_unique<ColvarRows>(std::move(source));
}

std::optional<double> colvar_number(std::string_view text) {
  if (const auto number = parse_number(text)) return number;
  double sign = 1;
  if (text.starts_with('-') || text.starts_with('+')) {
    if (text.front() == '-') sign = -1;
    text.remove_prefix(1);
  }
  const auto at = text.find("pi");
  if (at == std::string_view::npos) return std::nullopt;
  auto before = text.substr(0, at), after = text.substr(at + 2);
  double value = sign * std::numbers::pi;
  if (!before.empty()) {
    if (!before.ends_with('*')) return std::nullopt;
    const auto factor = parse_number(before.substr(0, before.size() - 1));
    if (!factor) return std::nullopt;
    value *= *factor;
  }
  if (!after.empty()) {
    if (!after.starts_with('/')) return std::nullopt;
    const auto divisor = parse_number(after.substr(1));
    if (!divisor || *divisor == 0) return std::nullopt;
    value /= *divisor;
  }
  return value;
}

}  // namespace ae::data
