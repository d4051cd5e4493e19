#include "data/colvar/reader.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "data/bytes/recognise.hpp"

namespace ae::data {
namespace {

constexpr std::string_view kBlanks = " \t";
constexpr std::string_view kExpected = "a COLVAR file, which begins with a line such as \"#! FIELDS time phi psi\"";

// The first word of `text`, which loses it; "" at the end.
std::string_view next_word(std::string_view& text) {
  const auto begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return text = {};
  const auto end = std::min(text.find_first_of(kBlanks, begin), text.size());
  const auto word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  return word;
}

std::int64_t words_in(std::string_view text) {
  std::int64_t count = 0;
  while (!next_word(text).empty()) ++count;
  return count;
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

}  // namespace

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

ColvarReader::ColvarReader(std::unique_ptr<ByteSource> source, std::vector<std::string> wanted, std::string time)
    : lines_(checked(std::move(source))), wanted_(std::move(wanted)), time_name_(std::move(time)) {
  std::string_view line;
  while (columns_.empty() && lines_.next(line)) {
    if (trimmed(line).empty()) continue;
    if (!line.starts_with('#'))
      throw InputError(lines_.place() + ": found " + ae::quoted(line) +
                       ", expected \"#! FIELDS ...\" above the rows; " + "is this " + std::string(kExpected) + "?");
    take_comment(line);
  }
  if (columns_.empty())
    throw InputError(lines_.place() + ": no line \"#! FIELDS ...\"; expected " + std::string(kExpected));
}

bool ColvarReader::next(std::span<double> values) {
  std::string_view line;
  restarted_ = false;
  while (lines_.next(line)) {
    if (line.starts_with('#')) {
      take_comment(line);
    } else if (line.find_first_not_of(kBlanks) != std::string_view::npos) {
      if (take_row(line, values)) return true;
    }
  }
  return false;
}

void ColvarReader::take_comment(std::string_view line) {
  if (!line.starts_with("#!")) return;
  line.remove_prefix(2);
  const auto keyword = next_word(line);
  if (keyword == "FIELDS") {
    restarted_ = !columns_.empty();
    take_fields(line);
  } else if (keyword == "SET") {
    const std::string name(next_word(line)), value(next_word(line));
    if (name.empty() || value.empty())
      throw InputError(lines_.place() + ": found \"#! SET\" without a name or a value; expected \"#! SET NAME VALUE\"");
    constants_[name] = {value, lines_.place()};
  }
}

void ColvarReader::take_fields(std::string_view names) {
  columns_.clear();
  for (auto word = next_word(names); !word.empty(); word = next_word(names)) columns_.emplace_back(word);
  if (columns_.empty()) throw InputError(lines_.place() + ": \"#! FIELDS\" names no columns");
  target_.assign(columns_.size(), wanted_.size());
  time_column_ = static_cast<std::size_t>(std::find(columns_.begin(), columns_.end(), time_name_) - columns_.begin());
  for (std::size_t w = 0; w < wanted_.size(); ++w) {
    const auto found = std::find(columns_.begin(), columns_.end(), wanted_[w]);
    if (found == columns_.end()) {
      const auto near = did_you_mean(wanted_[w], columns_);
      throw InputError(lines_.place() + ": no column " + ae::quoted(wanted_[w]) + "; found " + join(columns_) + near);
    }
    if (std::find(found + 1, columns_.end(), wanted_[w]) != columns_.end())
      throw InputError(lines_.place() + ": column " + ae::quoted(wanted_[w]) +
                       " is there twice; expected unique names");
    target_[static_cast<std::size_t>(found - columns_.begin())] = w;
  }
}

bool ColvarReader::take_row(std::string_view line, std::span<double> values) {
  if (lines_.is_unfinished()) {  // even a whole number may be the beginning of a longer one
    ++incomplete_;
    return false;
  }
  std::size_t column = 0;
  auto rest = line;
  for (auto cell = next_word(rest); !cell.empty(); cell = next_word(rest), ++column) {
    if (column == columns_.size()) break;
    const std::size_t target = target_[column];
    if (target == wanted_.size() && column != time_column_) continue;
    const auto number = parse_number(cell);
    if (!number) refuse_cell(column, line, cell);
    if (column == time_column_) time_ = number;
    if (target < wanted_.size()) values[target] = *number;
  }
  if (column == columns_.size() && next_word(rest).empty()) return true;
  if (line.find('\0') != std::string_view::npos)
    throw InputError(lines_.place() + ": found a NUL byte; is this a binary file? Expected rows of numbers");
  throw InputError(lines_.place() + ": found " + counted(words_in(line), "cells") + ", expected " +
                   std::to_string(columns_.size()) + " as in FIELDS; remove the line or restore the missing cells");
}

void ColvarReader::refuse_cell(std::size_t column, std::string_view line, std::string_view cell) const {
  const auto character = static_cast<std::size_t>(cell.data() - line.data()) + 1;
  throw InputError(lines_.place() + ":" + std::to_string(character) + ": column " + ae::quoted(columns_[column]) +
                   ": found " + ae::quoted(cell) + ", expected a number");
}

std::optional<std::pair<double, double>> ColvarReader::period(const std::string& column) const {
  const auto low = constants_.find("min_" + column), high = constants_.find("max_" + column);
  if (low == constants_.end() || high == constants_.end()) return std::nullopt;
  std::pair<double, double> bounds;
  const auto bound = [&](const auto& constant) {
    const auto& [text, place] = constant->second;
    const auto number = colvar_number(text);
    if (!number || !std::isfinite(*number))
      throw InputError(place + ": " + constant->first + ": found " + ae::quoted(text) +
                       ", expected a number or a multiple of pi");
    return *number;
  };
  bounds = {bound(low), bound(high)};
  if (!(bounds.first < bounds.second))
    throw InputError(high->second.second + ": max_" + column + " is not above min_" + column);
  return bounds;
}

}  // namespace ae::data
