#include "data/tables/inference.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/error.hpp"
#include "base/text.hpp"

namespace ae::data {

namespace {

constexpr double kMostlyNumbers = 0.9;
constexpr std::int64_t kRowsThatShowAnIdentifier = 50;
constexpr double kNotObserved = std::numeric_limits<double>::quiet_NaN();

std::string pointer_token(std::string_view key) {
  std::string token;
  for (const char c : key) token += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return token;
}

// `; did you mean "radius"?`, or the column names when nothing is near.
std::string suggestion(std::string_view word, const std::vector<std::string>& names) {
  if (auto near = did_you_mean(word, names); !near.empty()) return near;
  std::vector<std::string> shown;
  for (const auto& name : names) shown.push_back(ae::quoted(name));
  return "; its columns are " + join(shown);
}

Role role_named(std::string_view name) {
  for (std::size_t i = 0; i < roles().size(); ++i)
    if (roles()[i].name == name) return static_cast<Role>(i);
  throw UsageError("/data/columns: unknown role " + ae::quoted(name));
}

class RoleDeclarations {
 public:
  explicit RoleDeclarations(const RowSource& source)
      : source_(source), names_(source.columns()), roles_(names_.size()) {}

  void apply_pattern(const std::string& pattern, Role role) {
    bool matched = false;
    for (std::size_t i = 0; i < names_.size(); ++i) {
      if (!wildcard_match(pattern, names_[i])) continue;
      roles_[i] = role;
      matched = true;
    }
    if (!matched) {
      problems_.push_back("/data/columns/" + pointer_token(pattern) + ": no column of " + source_.name() + " matches" +
                          suggestion(pattern, names_));
    }
  }

  // options.id or options.label: the one column of that role, whatever the patterns say.
  void apply_name(const std::string& name, Role role) {
    const std::string pointer = "/data/" + std::string(role_name(role));
    const auto found = std::ranges::find(names_, name);
    if (found == names_.end()) {
      problems_.push_back(pointer + ": no column " + ae::quoted(name) + " in " + source_.name() +
                          suggestion(name, names_));
      return;
    }
    roles_[static_cast<std::size_t>(found - names_.begin())] = role;
  }

  std::vector<std::optional<Role>> finish(bool needs_label) {
    for (const Role role : {Role::id, Role::label}) check_at_most_one(role);
    if (needs_label && problems_.empty() && std::ranges::find(roles_, std::optional(Role::label)) == roles_.end()) {
      problems_.emplace_back("/data/normal: there is no label to compare with; set /data/label to the label's column");
    }
    if (!problems_.empty()) throw UsageError(std::move(problems_));
    return std::move(roles_);
  }

 private:
  void check_at_most_one(Role role) {
    std::vector<std::string> found;
    for (std::size_t i = 0; i < names_.size(); ++i)
      if (roles_[i] == role) found.push_back(ae::quoted(names_[i]));
    if (found.size() < 2) return;
    const std::string name(role_name(role));
    problems_.push_back("/data/columns: columns " + join(found) + " all have the role \"" + name +
                        "\", expected one; give the others the role \"ignore\"");
  }

  const RowSource& source_;
  const std::vector<std::string>& names_;
  std::vector<std::optional<Role>> roles_;
  std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::optional<Role>> declared_roles(const TableOptions& options, const RowSource& source) {
  RoleDeclarations declarations(source);
  for (const auto& [pattern, role] : options.columns) declarations.apply_pattern(pattern, role_named(role));
  if (!options.label.empty()) declarations.apply_name(options.label, Role::label);
  if (!options.id.empty()) declarations.apply_name(options.id, Role::id);
  return declarations.finish(!options.normal.empty());
}

ColumnCollector::ColumnCollector(std::string name, std::size_t index, std::optional<Role> declared,
                                 std::int64_t max_levels, const CellReader& reader, CellRoom room)
    : name_(std::move(name)),
      index_(index),
      declared_(declared),
      max_texts_(declared == Role::categorical ? kMostLevels : static_cast<std::size_t>(max_levels)),
      reader_(reader),
      as_codes_(declared != Role::numeric),
      room_(room) {
  if (!as_codes_) return;
  for (const auto& text : reader.missing()) codes_by_text_.emplace(text, -1);
}

void ColumnCollector::add(const RowSource& source, bool selected) {
  // A source of numbers needs no inference: its columns are numeric unless declared otherwise.
  if (source.has_numbers() && !declared_) {
    declared_ = Role::numeric;
    as_codes_ = false;
  }
  as_codes_ ? add_code(source, selected) : add_number(source, selected);
}

void ColumnCollector::add_code(const RowSource& source, bool selected) {
  const bool not_a_number = source.has_numbers() && reader_.read(source, index_).kind == CellKind::missing;
  const std::int32_t code = not_a_number ? -1 : code_of(trimmed(source.text(index_)), source);
  if (code >= 0) count(texts_[static_cast<std::size_t>(code)].cell, source);
  if (selected) codes_.push_back(code);
  if (texts_.size() <= max_texts_) return;
  if (declared_ == Role::categorical) throw InputError(too_many_texts());
  keep_numbers();
}

std::int32_t ColumnCollector::code_of(std::string_view text, const RowSource& source) {
  const auto known = codes_by_text_.find(text);
  if (known != codes_by_text_.end()) return known->second;
  const auto code = static_cast<std::int32_t>(texts_.size());
  texts_.push_back({std::string(text), reader_.read(text)});
  codes_by_text_.emplace(texts_.back().text, code);
  if (first_not_utf8_.empty() && !is_utf8(text)) first_not_utf8_ = {source.where(index_), std::string(text)};
  return code;
}

void ColumnCollector::keep_numbers() {
  codes_.for_each([&](std::size_t, std::int32_t code) {
    const Cell cell = code < 0 ? Cell{} : texts_[static_cast<std::size_t>(code)].cell;
    values_.push_back(cell.kind == CellKind::number ? cell.value : kNotObserved);
  });
  codes_ = ColumnCells<std::int32_t>(room_);
  texts_ = {};
  codes_by_text_ = {};
  as_codes_ = false;
}

void ColumnCollector::add_number(const RowSource& source, bool selected) {
  const Cell cell = reader_.read(source, index_);
  if (cell.kind != CellKind::missing) count(cell, source);
  if (selected) values_.push_back(cell.kind == CellKind::number ? cell.value : kNotObserved);
  if (declared_ == Role::numeric && !(first_text_.empty() && first_infinite_.empty())) throw InputError(*problem());
}

void ColumnCollector::count(const Cell& cell, const RowSource& source) {
  ++observed_;
  if (cell.kind == CellKind::text) {
    if (first_text_.empty()) first_text_ = {source.where(index_), std::string(trimmed(source.text(index_)))};
    return;
  }
  ++numbers_;
  if (!std::isfinite(cell.value) && first_infinite_.empty()) {
    first_infinite_ = {source.where(index_), std::string(trimmed(source.text(index_)))};
  }
}

std::string ColumnCollector::too_many_texts() const {
  if (declared_ == Role::categorical) return "column " + ae::quoted(name_) + ": more than 16 million levels";
  return first_text_.where + ": column " + ae::quoted(name_) + " holds text (found " + ae::quoted(first_text_.text) +
         ") with more than " + std::to_string(max_texts_) +
         " different values; in /data/columns give it the role \"id\" or \"ignore\", or \"categorical\" if these are "
         "categories";
}

std::optional<std::string> ColumnCollector::problem() const {
  const std::string column = ": column " + ae::quoted(name_);
  if (numeric()) {
    if (!first_text_.empty()) {
      return first_text_.where + column + ": found " + ae::quoted(first_text_.text) +
             ", expected a number, which its role in /data/columns asks for; correct the cell, add the text to "
             "/data/missing or change the role";
    }
    if (first_infinite_.empty()) return std::nullopt;
    return first_infinite_.where + column + ": found " + ae::quoted(first_infinite_.text) +
           ", expected a finite number; correct the cell, or add the text to /data/missing";
  }
  if (!declared_ && static_cast<double>(numbers_) > kMostlyNumbers * static_cast<double>(observed_)) {
    return first_text_.where + column + ": found " + ae::quoted(first_text_.text) + ", but " +
           std::to_string(numbers_) + " of its " + std::to_string(observed_) +
           " observed cells are numbers; add the text to /data/missing, or set the column's role in /data/columns";
  }
  if (!as_codes_) return too_many_texts();
  if (!declared_ && observed_ > kRowsThatShowAnIdentifier && static_cast<std::int64_t>(texts_.size()) == observed_) {
    return first_text_.where + column + " holds text (found " + ae::quoted(first_text_.text) +
           ") that differs in every row; in /data/columns give it the role \"id\" or \"ignore\", or \"categorical\" if "
           "these are categories";
  }
  if (!first_not_utf8_.empty()) {
    return first_not_utf8_.where + column + ": found " + ae::quoted(first_not_utf8_.text) +
           ", which is not UTF-8; convert the file, for example with: iconv -f latin1 -t utf-8";
  }
  return std::nullopt;
}

bool ColumnCollector::observed_any(const std::vector<bool>& fits) const {
  bool any = false;
  codes_.for_each([&](std::size_t row, std::int32_t code) { any = any || (fits[row] && code >= 0); });
  values_.for_each([&](std::size_t row, double value) { any = any || (fits[row] && !std::isnan(value)); });
  return any;
}

Column ColumnCollector::fit(const std::string& scaling, const std::vector<bool>& fits) {
  Column column;
  column.name = name_;
  if (numeric()) {
    if (as_codes_) keep_numbers();
    std::size_t count = 0;
    values_.for_each([&](std::size_t row, double value) { count += fits[row] && !std::isnan(value) ? 1 : 0; });
    std::vector<double> observed;
    observed.reserve(count);
    values_.for_each([&](std::size_t row, double value) {
      if (fits[row] && !std::isnan(value)) observed.push_back(value);
    });
    column.scaler = Scaler::fit(scaling, std::move(observed));
    return column;
  }
  column.role = Role::categorical;
  std::vector<bool> used(texts_.size());
  codes_.for_each([&](std::size_t row, std::int32_t code) {
    if (fits[row] && code >= 0) used[static_cast<std::size_t>(code)] = true;
  });
  for (std::size_t i = 0; i < texts_.size(); ++i)
    if (used[i]) column.levels.push_back(texts_[i].text);
  std::ranges::sort(column.levels);
  for (const Text& text : texts_) {
    // A level that only rows outside the fit have is as unseen as it will be when scoring.
    const auto level = std::ranges::lower_bound(column.levels, text.text);
    const bool seen = level != column.levels.end() && *level == text.text;
    level_of_.push_back(static_cast<float>(seen ? level - column.levels.begin() : column.unseen_code()));
  }
  return column;
}

void ColumnCollector::write(const Column& column, std::size_t piece, Block& block, std::int64_t element) {
  auto at = static_cast<std::size_t>(element);
  const auto put = [&](bool observed, auto value) {
    if (observed) {
      block.values[at] = static_cast<float>(value());
      block.observed[at] = 1;
    }
    at += static_cast<std::size_t>(block.elements);
  };
  if (column.role == Role::numeric) {
    std::vector<double> buffer;
    for (const double value : values_.piece(piece, buffer))
      put(!std::isnan(value), [&] { return column.scaler.scale(value); });
    values_.release(piece);
  } else {
    std::vector<std::int32_t> buffer;
    for (const std::int32_t code : codes_.piece(piece, buffer))
      put(code >= 0, [&] { return level_of_[static_cast<std::size_t>(code)]; });
    codes_.release(piece);
  }
}

}  // namespace ae::data
