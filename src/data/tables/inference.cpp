#include "data/tables/inference.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"

namespace ae::data {

namespace {

constexpr double kMostlyNumbers = 0.9;
constexpr double kNotObserved = std::numeric_limits<double>::quiet_NaN();

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

  // options.id, options.label or options.weight: the one column of that role, whatever the patterns say.
  void apply_name(const std::string& name, Role role) {
    const std::string pointer = "/data/" + std::string(role_name(role));
    const auto found = std::ranges::find(names_, name);
    if (found == names_.end()) {
      problems_.push_back(pointer + ": no column " + ae::quoted(name) + " in " + source_.name() +
                          suggestion(name, names_) + advice_about(role));
      return;
    }
    roles_[static_cast<std::size_t>(found - names_.begin())] = role;
  }

  std::vector<std::optional<Role>> finish(bool needs_label) {
    for (const Role role : {Role::id, Role::label, Role::weight}) check_at_most_one(role);
    if (needs_label && problems_.empty() && std::ranges::find(roles_, std::optional(Role::label)) == roles_.end()) {
      problems_.emplace_back("/data/normal: there is no label to compare with; set /data/label to the label's column");
    }
    if (!problems_.empty()) throw UsageError(std::move(problems_));
    return std::move(roles_);
  }

 private:
  // The label may be a recipe's, of which the table knows nothing.
  static std::string advice_about(Role role) {
    return role == Role::label ? "; name the column that holds it by --set /data/label=NAME, or learn from all rows "
                                 "without one by --set /data/label= --set '/data/normal=[]'"
                               : "";
  }

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

// Digits behind the decimal mark; above kMostDecimals for numbers with an exponent.
int decimals_of(std::string_view text, char decimal) {
  if (text.find_first_of("eExXnN") != std::string_view::npos) return kMostDecimals + 1;
  text = without_padding(text);
  const auto mark = text.rfind(decimal);
  return mark == std::string_view::npos ? 0 : static_cast<int>(std::min<std::size_t>(text.size() - mark - 1, 100));
}

// Whether a text names a line that sums up those above it: "Total:".
bool is_summary(std::string_view text) {
  static constexpr std::string_view kNames[] = {"total",      "totals", "sum",     "subtotal", "grand total",
                                                "average",    "mean",   "count",   "summe",    "gesamt",
                                                "mittelwert", "somme",  "moyenne", "suma",     "promedio"};
  std::string lower = lower_case(text);
  while (lower.ends_with(':') || lower.ends_with(' ')) lower.pop_back();
  return std::ranges::find(kNames, lower) != std::end(kNames);
}

// As a JSON array, between the single quotes of a shell.
std::string shell_json(const std::vector<std::string>& texts) {
  std::string quoted;
  const auto strict = nlohmann::json::error_handler_t::replace;  // what is not UTF-8 is told apart before
  for (const char c : nlohmann::json(texts).dump(-1, ' ', false, strict))
    quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted;
}

}  // namespace

std::string pointer_token(std::string_view key) {
  std::string token;
  for (const char c : key) token += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return token;
}

std::string also_missing_option(const std::vector<std::string>& texts) {
  return "--set '/data/also_missing=" + shell_json(texts) + "'";
}

std::vector<std::optional<Role>> declared_roles(const TableOptions& options, const RowSource& source) {
  RoleDeclarations declarations(source);
  for (const auto& [pattern, role] : options.columns) declarations.apply_pattern(pattern, role_named(role));
  if (!options.label.empty()) declarations.apply_name(options.label, Role::label);
  if (!options.id.empty()) declarations.apply_name(options.id, Role::id);
  if (!options.weight.empty()) declarations.apply_name(options.weight, Role::weight);
  return declarations.finish(!options.normal.empty());
}

ColumnCollector::ColumnCollector(Traits traits, const CellReader& reader, const NumberChoice& choice, CellRoom room)
    : traits_(std::move(traits)),
      max_texts_(declared(Role::categorical) ? kMostLevels : static_cast<std::size_t>(traits_.max_levels)),
      reader_(&reader),
      choice_(&choice),
      as_codes_(!declared(Role::numeric)),
      room_(room) {
  if (!as_codes_) return;
  for (const auto& text : reader.missing()) codes_by_text_.emplace(text, -1);
}

void ColumnCollector::add(const RowSource& source, bool selected, std::int32_t label) {
  // A source of numbers needs no inference: its columns are numeric unless declared otherwise.
  if (source.has_numbers() && !traits_.declared) as_codes_ = false;
  as_codes_ ? add_code(source, selected, label) : add_number(source, selected, label);
}

void ColumnCollector::add_code(const RowSource& source, bool selected, std::int32_t label) {
  const bool not_a_number = source.has_numbers() && reader_->read(source, traits_.index).kind == CellKind::missing;
  const auto text = trimmed(source.text(traits_.index));
  const std::int32_t code = not_a_number ? -1 : code_of(text, source);
  if (selected) codes_.push_back(code);
  if (code < 0) return;
  Text& known = texts_[static_cast<std::size_t>(code)];
  ++known.cells;
  watch(known.look, label, [&] { return TextHash()(text); });
  if (texts_.size() <= max_texts_) return;
  if (declared(Role::categorical))
    throw InputError("column " + ae::quoted(traits_.name) + ": more than 16 million levels");
  count_texts();
  keep_numbers();
}

std::int32_t ColumnCollector::code_of(std::string_view text, const RowSource& source) {
  const auto known = codes_by_text_.find(text);
  if (known != codes_by_text_.end()) return known->second;
  const Look seen = look(text);
  if (seen.kind == CellKind::missing) {  // but for its padding
    codes_by_text_.emplace(text, -1);
    return -1;
  }
  const auto code = static_cast<std::int32_t>(texts_.size());
  texts_.push_back({std::string(text), seen, 0});
  codes_by_text_.emplace(texts_.back().text, code);
  remember_first(texts_.back().look, source);
  if (first_not_utf8_.empty() && !is_utf8(text))
    first_not_utf8_ = {source.where(traits_.index), std::string(text), source.row()};
  return code;
}

// Where a column has a number that only a decimal point explains, a comma cannot be the mark of any.
ColumnCollector::Look ColumnCollector::look(std::string_view text) const {
  Look look;
  const Cell cell = reader_->read(text);
  text = without_padding(text);
  look.kind = cell.kind;
  if (cell.kind == CellKind::number && !numbers_.only_point().empty()) {
    look.number = {cell.value, {}, {}, {}, true, true};
  } else if (cell.kind == CellKind::number || cell.kind == CellKind::text) {
    const auto plain = cell.kind == CellKind::number ? std::optional(cell.value) : std::nullopt;
    look.number = look_at(text, plain, *choice_);
    look.kind = look.number.number() ? CellKind::number : CellKind::text;
  }
  return look;
}

ColumnCollector::Look ColumnCollector::look(double value) const {
  const Cell cell = reader_->read(value);
  Look look{cell.kind, {}};
  if (cell.kind == CellKind::number) look.number = {cell.value, cell.value, {}, {}, true, false};
  return look;
}

void ColumnCollector::add_number(const RowSource& source, bool selected, std::int32_t label) {
  const bool is_text = !source.has_numbers();
  const auto text = is_text ? trimmed(source.text(traits_.index)) : std::string_view{};
  const Look cell = is_text ? look(text) : look(source.number(traits_.index));
  if (selected) keep_value(cell.number);
  if (cell.kind == CellKind::missing) return;
  count(cell, text, 1);
  remember_first(cell, source);
  watch(cell, label, [&] { return is_text ? TextHash()(text) : std::hash<double>()(source.number(traits_.index)); });
  if (declared(Role::numeric) && !(first_text_.empty() && first_infinite_.empty())) throw InputError(*problem());
}

void ColumnCollector::remember_first(const Look& look, const RowSource& source) {
  const auto here = [&] {
    return Place{source.where(traits_.index), std::string(trimmed(source.text(traits_.index))), source.row()};
  };
  if (look.kind == CellKind::text && first_text_.empty()) first_text_ = here();
  if (look.kind != CellKind::number || !first_infinite_.empty()) return;
  const double value = look.number.point ? *look.number.point : *look.number.comma;
  if (!std::isfinite(value)) first_infinite_ = here();
}

template <typename Digest>
void ColumnCollector::watch(const Look& look, std::int32_t label, Digest&& digest) {
  if (look.kind == CellKind::missing || look.kind == CellKind::unclear) return;
  const std::optional<double> values[] = {look.number.point, look.number.comma};
  for (std::size_t mark = 0; mark < 2; ++mark)
    readings_[mark].whole = readings_[mark].whole && values[mark] && *values[mark] == std::floor(*values[mark]);
  if (different_.watches() && !readings_[0].whole && !readings_[1].whole) different_.give_up();
  const bool for_label = label >= 0 && readings_[0].tie.watches_digests();  // both of them, or neither
  const std::uint64_t told = different_.watches() || for_label ? digest() : 0;
  if (!traits_.declared) different_.add(told);
  for (std::size_t mark = 0; mark < 2; ++mark) {
    Reading& reading = readings_[mark];
    if (label >= 0) reading.tie.add(label, told, values[mark]);
    if (traits_.declared || !values[mark]) continue;
    reading.times.add(*values[mark]);
    reading.order.add(*values[mark]);
  }
}

// `text`: "" of a file of numbers, which tells only whether they are whole.
void ColumnCollector::watch_decimals(const NumberLook& number, std::string_view text) {
  const auto watch = [&](int& most, const std::optional<double>& value, char mark) {
    if (!value || most > kMostDecimals) return;
    const bool whole = std::floor(*value) == *value;
    most = std::max(most, !text.empty() ? decimals_of(text, mark) : whole ? 0 : kMostDecimals + 1);
  };
  watch(readings_[0].decimals, number.point, '.');
  watch(readings_[1].decimals, number.comma, ',');
}

void ColumnCollector::count(const Look& look, std::string_view text, std::int64_t cells) {
  observed_ += cells;
  if (look.kind == CellKind::number) {
    numbers_.add(text, look.number, cells);
    watch_decimals(look.number, text);
    if (look.number.point) readings_[0].stand_ins.add(*look.number.point, text, cells);
    if (look.number.comma) readings_[1].stand_ins.add(*look.number.comma, text, cells);
  }
  if (look.kind == CellKind::text) count_decoration(text, cells);
  if (look.kind != CellKind::unclear) return;
  constexpr std::size_t kShown = 5;
  unclear_ += cells;
  if (unclear_texts_.size() < kShown && std::ranges::find(unclear_texts_, text) == unclear_texts_.end())
    unclear_texts_.emplace_back(text);
}

void ColumnCollector::count_decoration(std::string_view text, std::int64_t cells) {
  constexpr std::size_t kKinds = 32;  // more units than that are none
  if (traits_.declared) return;
  text = without_padding(text);
  auto found = decoration_of(text);
  // As a number it would have been taken, had the options not said otherwise.
  if (const char decimal = choice_->point ? '.' : ','; read_number(text, '.') || read_number(text, ','))
    found = Decoration{looks_like(text, {decimal, ""})};
  if (!found) return;
  const auto same = [&](const Decorated& one) { return one.decoration.what == found->what && one.unit == found->unit; };
  auto known = std::ranges::find_if(decorated_, same);
  if (known == decorated_.end()) {
    if (decorated_.size() == kKinds) return;
    known = decorated_.insert(known, {{found->what, {}, found->kind}, std::string(found->unit), std::string(text), 0});
  }
  known->cells += cells;
  known->whole = known->whole && text.find_first_of(".,") == std::string_view::npos;
}

void ColumnCollector::count_texts() {
  all_differ_ =
      std::ssize(texts_) >= kRowsThatName && std::ranges::count(texts_, 1, &Text::cells) == std::ssize(texts_);
  for (const Text& text : texts_) {
    count(text.look, text.text, text.cells);
    if (text.look.kind == CellKind::number) ++different_numbers_;
  }
}

void ColumnCollector::keep_value(const NumberLook& number) {
  if (format_ || !choice_->point || !choice_->comma) {
    const bool comma = format_ ? format_->decimal == ',' : !choice_->point;
    values_.push_back((comma ? number.comma : number.point).value_or(kNotObserved));
    return;
  }
  const bool differs = number.number() && number.point != number.comma;
  if (differs && number.pointed && !comma_values_) pointed_ = true;
  // Whole numbers say the same either way.
  if (differs && !number.pointed && !comma_values_ && !pointed_) comma_values_ = values_;
  values_.push_back(number.point.value_or(kNotObserved));
  if (comma_values_) comma_values_->push_back(number.comma.value_or(kNotObserved));
}

void ColumnCollector::keep_numbers() {
  codes_.for_each([&](std::size_t, std::int32_t code) {
    keep_value(code < 0 ? NumberLook{} : texts_[static_cast<std::size_t>(code)].look.number);
  });
  codes_ = ColumnCells<std::int32_t>(room_);
  texts_ = {};
  codes_by_text_ = {};
  as_codes_ = false;
}

// --- after the last row
// ------------------------------------------------------------------------------------------------

void ColumnCollector::finish() {
  if (as_codes_) count_texts();
}

std::optional<ColumnEvidence> ColumnCollector::evidence() const {
  constexpr double kMostly = 0.5;
  if (declared(Role::categorical)) return std::nullopt;
  if (static_cast<double>(numbers_.numbers()) <= kMostly * static_cast<double>(known())) return std::nullopt;
  return ColumnEvidence{&traits_.name, &numbers_, known()};
}

void ColumnCollector::settle(const NumberFormat& format) {
  format_ = format;
  if (format.decimal != ',' || !comma_values_) return;
  values_ = std::move(*comma_values_);
  comma_values_.reset();
}

std::int64_t ColumnCollector::numbers() const { return numbers_.numbers(format_ ? format_->decimal : '.'); }

bool ColumnCollector::numeric() const {
  if (traits_.declared) return declared(Role::numeric);
  return numbers() == known() && (numbers() > 0 || observed_ == 0);
}

std::string ColumnCollector::begin() const { return first_text_.where + ": column " + ae::quoted(traits_.name); }

std::optional<std::string> ColumnCollector::problem() const {
  if (numeric()) return not_numeric();
  if (traits_.declared) {
    if (first_not_utf8_.empty()) return std::nullopt;
  } else {
    if (auto found = mixed()) return found;
    if (auto found = decorated()) return found;
  }
  if (as_codes_ && !first_not_utf8_.empty()) {
    return first_not_utf8_.where + ": column " + ae::quoted(traits_.name) + ": found " +
           ae::quoted(first_not_utf8_.text) +
           ", which is not UTF-8; convert the file, for example with: iconv -f latin1 -t utf-8";
  }
  return std::nullopt;
}

// `, which looks like a percentage` of a text; "" when it looks like nothing known.
std::string ColumnCollector::look_of(std::string_view text) const {
  const auto look = looks_like(text, format_.value_or(NumberFormat{choice_->point ? '.' : ',', ""}));
  return look.empty() ? "" : ", which looks like " + std::string(look);
}

// What is to be done about the first text among numbers: "correct the cell", as a part of a sentence.
std::string ColumnCollector::advice() const {
  const std::string& text = first_text_.text;
  if (text == traits_.name) return "remove the line if it is a second header";
  if (is_summary(text)) return "remove the line if it sums up those above it";
  if (const auto look = looks_like(text, format_.value_or(NumberFormat{choice_->point ? '.' : ',', ""}));
      look == kThousandsMark) {
    return "set /data/thousands to the mark between its digits";
  } else if (look == "a decimal point" || look == "a decimal comma") {
    return "set /data/decimal to its mark";
  } else if (!look.empty()) {
    return "write a plain number or leave the cell empty";
  }
  if (first_text_.row == 0 && known() - numbers() == 1)
    return "remove the line if it holds units, else correct the cell";
  return nothing_observed(text);
}

std::string ColumnCollector::nothing_observed(const std::string& text) const {
  auto texts = traits_.also_missing;
  texts.push_back(text);
  return "if it means that nothing was observed, " + also_missing_option(texts);
}

std::optional<std::string> ColumnCollector::not_numeric() const {
  if (!first_text_.empty()) {
    return begin() + ": found " + ae::quoted(first_text_.text) + look_of(first_text_.text) +
           ", expected a number, which its role in /data/columns asks for; correct the cell or change the role; or " +
           advice();
  }
  if (!first_infinite_.empty()) {
    return first_infinite_.where + ": column " + ae::quoted(traits_.name) + ": found " +
           ae::quoted(first_infinite_.text) + ", expected a finite number; correct the cell; or " +
           nothing_observed(first_infinite_.text);
  }
  // Its cells were kept with a point before it turned out that the file has commas.
  if (format_ && format_->decimal == ',' && choice_->point && pointed_)
    return "column " + ae::quoted(traits_.name) +
           ": holds numbers with a point in a table with decimal commas; set /data/decimal to \",\" and "
           "/data/thousands to \".\" if the point is a thousands mark, else write all numbers alike";
  return std::nullopt;
}

// Numbers among other texts are rather numbers with cells that are missing, broken or written in another way than
// levels: nearly always when they are nearly all, and when they are most and of many values.
std::optional<std::string> ColumnCollector::mixed() const {
  constexpr std::int64_t kFewNumbers = 10;
  const auto share = static_cast<double>(numbers()) / static_cast<double>(known());
  const bool many = !as_codes_ || different_numbers_ > kFewNumbers;
  if (first_text_.empty() || !(share > kMostlyNumbers || (share > 0.5 && many))) return std::nullopt;
  return begin() + ": found " + ae::quoted(first_text_.text) + look_of(first_text_.text) + ", but " +
         std::to_string(numbers()) + " of its " + std::to_string(known()) + " observed cells are numbers; " + advice() +
         "; or set the column's role in /data/columns";
}

const ColumnCollector::Place* ColumnCollector::stray_cell() const {
  constexpr std::int64_t kFewestNumbers = 5;  // with fewer, the texts may be levels that are partly numbers
  if (traits_.declared || first_text_.empty()) return nullptr;
  const bool alone = known() - numbers() == 1 && numbers() >= kFewestNumbers;
  return alone || (first_text_.text == traits_.name && mixed()) ? &first_text_ : nullptr;
}

std::optional<std::string> ColumnCollector::decorated() const {
  for (const Decorated& one : decorated_) {
    if (!shows_numbers(one)) continue;
    const bool setting = read_number(one.text, '.') || read_number(one.text, ',');
    const bool comma = one.text.find(',') != std::string::npos;
    return begin() + ": " + ae::quoted(one.text) + " in " + share_text(one.cells, known()) +
           " of the cells looks like " + std::string(one.decoration.what) + "; " +
           (setting ? std::string("set ") + (one.decoration.what == kThousandsMark
                                                 ? "/data/thousands to the mark between its digits"
                                                 : std::string("/data/decimal to ") + (comma ? "\",\"" : "\".\""))
                    : "write plain numbers, or in /data/columns give it the role \"ignore\", or \"categorical\" if "
                      "these are categories");
  }
  return std::nullopt;
}

// Whether the column is one of numbers that all look like `one`.
bool ColumnCollector::shows_numbers(const Decorated& one) const {
  constexpr std::size_t kFewLevels = 10;     // "250 ml" and "500 ml" may be levels
  constexpr std::int64_t kCellsOfLevel = 5;  // and so may texts that come as often as this
  constexpr double kDurations = 0.1;         // of the cells, which no clock shows; the others may be either
  const auto few = as_codes_ && texts_.size() <= kFewLevels;
  const auto nearly_all = [&](std::int64_t cells) {
    return static_cast<double>(cells) >= kMostlyNumbers * static_cast<double>(known());
  };
  const bool are_levels = few || (as_codes_ && kCellsOfLevel * static_cast<std::int64_t>(texts_.size()) <= known());
  switch (one.decoration.kind) {
    case DecorationKind::time:
      return false;
    case DecorationKind::measure:
      return ((one.unit.empty() || !few) && 2 * one.cells >= known()) ||
             (is_known_unit(one.unit) && !are_levels && !all_differ_ && nearly_all(in_units() + numbers()));
    case DecorationKind::notation:
      return nearly_all(one.cells + numbers());
    case DecorationKind::of_few:  // an id when each cell has one of its own: "12-345"
      return !are_levels && !(one.whole && all_differ_) && nearly_all(one.cells + numbers());
    case DecorationKind::duration:
      return !are_levels && static_cast<double>(one.cells) >= kDurations * static_cast<double>(known()) &&
             nearly_all(one.cells + times());
  }
  return false;
}

std::int64_t ColumnCollector::times() const {
  std::int64_t cells = 0;
  for (const Decorated& one : decorated_) cells += one.decoration.kind == DecorationKind::time ? one.cells : 0;
  return cells;
}

std::int64_t ColumnCollector::in_units() const {
  std::int64_t cells = 0;
  for (const Decorated& one : decorated_) cells += is_known_unit(one.unit) ? one.cells : 0;
  return cells;
}

std::string ColumnCollector::unsuitable() {
  if (traits_.declared || observed_ == 0) return {};
  return numeric() ? unsuitable_numbers() : unsuitable_texts();
}

std::string ColumnCollector::unsuitable_numbers() {
  const Reading& decided = reading();
  const Order& order = decided.order;
  const auto all_different = [&] { return decided.whole && different_.holds(); };
  if (traits_.unnamed && observed_ > 1 && (!order.told(observed_).empty() || all_different()))
    return "has no name and numbers the rows";
  if (known() <= kRowsThatShow) return {};
  if (const auto way = order.told(kRowsThatShow + 1); !way.empty())
    return "only " + std::string(way) + ", like a counter or a time";
  if (all_different()) return "holds a whole number that differs in every row, like an id";
  if (decided.times.holds() && order.changes() > 0) return "holds times or dates as numbers";
  return {};
}

std::string ColumnCollector::unsuitable_texts() const {
  const bool of_time = static_cast<double>(times()) > kMostlyNumbers * static_cast<double>(observed_);
  if (of_time && observed_ > kRowsThatShow) return "holds dates or times";
  if (!as_codes_) return "holds text with more than " + std::to_string(max_texts_) + " different values";
  const auto texts = static_cast<std::int64_t>(texts_.size());
  if (traits_.unnamed && observed_ > 1 && texts == observed_) return "has no name and names the rows";
  if (observed_ < kRowsThatName) return {};
  if (texts == observed_) return "holds text that differs in every row";
  const auto once = static_cast<double>(std::ranges::count(texts_, 1, &Text::cells));
  const double mostly = observed_ > kRowsThatShow ? 0.5 : kMostlyNumbers;  // few rows may miss the second of a level
  if (once > mostly * static_cast<double>(observed_)) return "holds text that seldom occurs twice";
  return {};
}

std::string ColumnCollector::gives_away(const std::vector<bool>& normal) const {
  if (readings_[0].tie.one_to_one()) return "each of its values goes with one label";
  if (numeric() && reading().tie.parts(normal)) return "a threshold on it parts the labels";
  return {};
}

std::string ColumnCollector::taken_for_missing() const {
  if (unclear_ == 0 || !numeric()) return {};
  std::vector<std::string> shown;
  for (const auto& text : unclear_texts_) shown.push_back(ae::quoted(text));
  return join(shown) + " in " + ae::quoted(traits_.name) + " (" + share_text(unclear_, observed_) + " of its cells)";
}

std::string ColumnCollector::coded() const {
  const auto& found = numbers_.leading_zero();
  if (found.empty() || !inferred() || !numeric()) return "";
  return ae::quoted(name()) + " (" + ae::quoted(found.text) + " in " + share_text(found.cells, known()) +
         " of the cells)";
}

std::string ColumnCollector::stand_ins(std::vector<std::string>& texts) const {
  if (!numeric()) return {};
  std::vector<std::string> shown;
  for (const auto& one : reading().stand_ins.found()) {
    shown.push_back(ae::quoted(one.text) + " in " + share_text(one.cells, known()) + " of the cells of " +
                    ae::quoted(traits_.name));
    if (std::ranges::find(texts, one.text) == texts.end()) texts.push_back(one.text);
  }
  return join(shown);
}

void ColumnCollector::for_each_meaning(const std::function<void(std::size_t row, std::uint64_t meaning)>& visit) const {
  const auto of_number = [](double value) {
    // -0 is 0; the smallest number above it, which no scaled table knows, stands for "not observed".
    return std::isnan(value) ? std::uint64_t{1} : std::bit_cast<std::uint64_t>(value + 0.0);
  };
  values_.for_each([&](std::size_t row, double value) { visit(row, of_number(value)); });
  const bool by_number = numeric(), comma = by_number && format_ && format_->decimal == ',';
  codes_.for_each([&](std::size_t row, std::int32_t code) {
    if (by_number) {
      const NumberLook number = code < 0 ? NumberLook{} : texts_[static_cast<std::size_t>(code)].look.number;
      visit(row, of_number((comma ? number.comma : number.point).value_or(kNotObserved)));
    } else {
      visit(row, static_cast<std::uint64_t>(static_cast<std::int64_t>(code)));
    }
  });
}

bool ColumnCollector::observed_any(const std::vector<bool>& fits) const {
  bool any = false;
  codes_.for_each([&](std::size_t row, std::int32_t code) { any = any || (fits[row] && code >= 0); });
  values_.for_each([&](std::size_t row, double value) { any = any || (fits[row] && !std::isnan(value)); });
  return any;
}

Column ColumnCollector::fit(const std::string& scaling, const std::vector<bool>& fits) {
  Column column;
  column.name = traits_.name;
  if (numeric()) {
    if (as_codes_) keep_numbers();
    std::size_t count = 0;
    values_.for_each([&](std::size_t row, double value) { count += fits[row] && !std::isnan(value) ? 1 : 0; });
    std::vector<double> observed;
    observed.reserve(count);
    values_.for_each([&](std::size_t row, double value) {
      if (fits[row] && !std::isnan(value)) observed.push_back(value);
    });
    column.observed = !observed.empty();
    const int decimals = reading().decimals;
    if (column.observed && decimals <= kMostDecimals) column.decimals = decimals;
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
  column.observed = !column.levels.empty();
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
