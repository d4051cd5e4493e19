#include "evaluate/labels.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/tables/schema.hpp"

namespace ae::evaluate {

namespace {

constexpr std::size_t kMostLabelValues = 1000;
// Behind a list of texts that may be the name of a class, too.
constexpr std::string_view kNameUnclear = ": a label only if --normal or --anomaly names it";

bool same_value(std::string_view a, std::string_view b) {
  if (a == b) return true;
  const auto x = parse_number(a);
  const auto y = parse_number(b);
  return x && y && *x == *y;
}

std::optional<bool> boolean_of(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, bool>, 8> words = {{{"false", false},
                                                                       {"f", false},
                                                                       {"no", false},
                                                                       {"n", false},
                                                                       {"true", true},
                                                                       {"t", true},
                                                                       {"yes", true},
                                                                       {"y", true}}};
  const std::string plain = lower_case(text);
  for (const auto& [word, meaning] : words)
    if (plain == word) return meaning;
  if (same_value(text, "0")) return false;
  if (same_value(text, "1")) return true;
  return std::nullopt;
}

bool same_boolean(std::string_view a, std::string_view b) {
  const auto x = boolean_of(a);
  return x && x == boolean_of(b);
}

std::optional<LabelClass> class_word(std::string_view text) {
  const std::string plain = lower_case(text);
  if (plain == "normal") return LabelClass::normal;
  if (plain == "anomaly") return LabelClass::anomaly;
  return std::nullopt;
}

bool contains_value(const std::vector<std::string>& values, std::string_view value) {
  return std::any_of(values.begin(), values.end(), [&](const std::string& one) { return same_value(one, value); });
}

bool contains_boolean(const std::vector<std::string>& values, std::string_view value) {
  return std::any_of(values.begin(), values.end(), [&](const std::string& one) { return same_boolean(one, value); });
}

}  // namespace

bool same_label(std::string_view a, std::string_view b) { return same_value(a, b) || same_boolean(a, b); }

std::string quoted_list(const std::vector<std::string>& values) {
  std::vector<std::string> shown;
  for (const auto& value : values) shown.push_back(ae::quoted(value));
  return join(shown, ", ", 8);
}

void LabelMeaning::check() const {
  for (const auto& value : normal)
    if (contains_value(anomaly, value))
      throw UsageError("label " + ae::quoted(value) + " is given to both --normal and --anomaly; keep one");
}

LabelValues::LabelValues(std::string file, std::string column, LabelMeaning meaning)
    : file_(std::move(file)),
      column_(std::move(column)),
      meaning_(std::move(meaning)),
      missing_(data::TableOptions().missing),
      unclear_(data::TableOptions().missing_in_numbers) {}

bool LabelValues::named(std::string_view text) const {
  const auto among = [&](const std::vector<std::string>& list) {
    return std::find(list.begin(), list.end(), text) != list.end();
  };
  return among(meaning_.normal) || among(meaning_.anomaly);
}

std::optional<std::uint32_t> LabelValues::number(std::string_view text) {
  if (!values_.empty() && values_[last_] == text) return last_;
  const auto known = numbers_.find(std::string(text));
  if (known != numbers_.end()) return last_ = known->second;
  for (const bool unclear : {false, true}) {
    const auto& texts = unclear ? unclear_ : missing_;
    if (std::find(texts.begin(), texts.end(), text) == texts.end() || (named(text) && !text.empty())) continue;
    auto& seen = unclear ? unclear_seen_ : missing_seen_;
    if (std::find(seen.begin(), seen.end(), text) == seen.end()) seen.emplace_back(text);
    return std::nullopt;
  }
  if (values_.size() == kMostLabelValues)
    throw InputError(file_ + ": column " + ae::quoted(column_) + " has more than " + std::to_string(kMostLabelValues) +
                     " different values, too many for labels; name the label column with --label-column");
  last_ = static_cast<std::uint32_t>(values_.size());
  values_.emplace_back(text);
  rows_.push_back(0);
  numbers_.emplace(text, last_);
  return last_;
}

LabelClass LabelValues::class_of(const std::string& value, bool booleans) const {
  if (contains_value(meaning_.normal, value)) return LabelClass::normal;
  if (contains_value(meaning_.anomaly, value)) return LabelClass::anomaly;
  if (booleans && contains_boolean(meaning_.normal, value)) return LabelClass::normal;
  if (booleans && contains_boolean(meaning_.anomaly, value)) return LabelClass::anomaly;
  if (meaning_.normal.empty()) return LabelClass::normal;
  if (meaning_.anomaly.empty()) return LabelClass::anomaly;
  throw InputError(file_ + ": label " + ae::quoted(value) +
                   " is neither among --normal nor among --anomaly; add it to " +
                   "one, or give only one of the two options");
}

std::vector<LabelClass> LabelValues::classes(bool booleans) const {
  const bool explained = !meaning_.normal.empty() || !meaning_.anomaly.empty();
  std::vector<LabelClass> result;
  for (const auto& value : values_) {
    if (explained) {
      result.push_back(class_of(value, booleans));
    } else if (booleans) {
      result.push_back(*boolean_of(value) ? LabelClass::anomaly : LabelClass::normal);
    } else if (const auto word = class_word(value)) {
      result.push_back(*word);
    } else {
      throw InputError(file_ + ": column " + ae::quoted(column_) + " has the labels " + quoted_list(values_) +
                       "; expected 0 and 1 (1 = anomaly), false and true, or normal and anomaly; say which mean normal "
                       "with --normal VALUE or which mean anomaly with --anomaly VALUE");
    }
  }
  return result;
}

void LabelValues::check_both_classes(const std::vector<LabelClass>& classes) const {
  std::vector<std::string> values;
  bool normals = false;
  bool anomalies = false;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    if (rows_[i] == 0) continue;
    values.push_back(values_[i]);
    (classes[i] == LabelClass::normal ? normals : anomalies) = true;
  }
  if (normals && anomalies) return;
  const std::string left_out =
      unclear_seen_.empty() ? "" : "; " + quoted_list(unclear_seen_) + std::string(kNameUnclear);
  if (values.empty()) throw InputError(file_ + ": no row has a label in column " + ae::quoted(column_) + left_out);
  std::string line = file_ + ": all labelled rows are " + (normals ? "normal" : "anomalies") + " (labels " +
                     quoted_list(values) + "); an ROC needs normal rows and anomalies" + left_out;
  for (const auto* named : {&meaning_.normal, &meaning_.anomaly}) {
    for (const auto& value : *named) {
      if (contains_value(values, value)) continue;
      line += "; no row has the label " + ae::quoted(value) + did_you_mean(value, values);
    }
  }
  throw InputError(line);
}

void LabelValues::say_spellings(const ResolvedLabels& labels, Reporter& reporter) const {
  std::array<std::vector<std::string>, 2> spellings;
  bool to_say = false;
  for (std::size_t i = 0; i < values_.size(); ++i) {
    spellings[labels.classes[i] == LabelClass::anomaly].push_back(values_[i]);
    const std::string plain = lower_case(values_[i]);
    const bool usual = parse_number(plain) || plain == "false" || plain == "true";
    to_say = to_say || !usual || !same_value(plain, lower_case(values_[labels.same_as[i]]));
  }
  if (!to_say) return;
  reporter.info(file_ + ": labels " + quoted_list(spellings[1]) + " are read as anomaly, " + quoted_list(spellings[0]) +
                " as normal");
}

// Where only one of the two options is given: what it does not name, which may be a misspelling.
void LabelValues::say_unnamed(const ResolvedLabels& labels, Reporter& reporter) const {
  const bool normal_named = !meaning_.normal.empty();
  if (normal_named == !meaning_.anomaly.empty()) return;
  const auto& named = normal_named ? meaning_.normal : meaning_.anomaly;
  const std::string option = normal_named ? "--normal" : "--anomaly", rest = normal_named ? "anomaly" : "normal";
  std::vector<std::string> others, alike;
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if (rows_[i] == 0 || labels.same_as[i] != i || contains_value(named, values_[i])) continue;
    if ((labels.classes[i] == LabelClass::normal) == normal_named) continue;
    others.push_back(values_[i]);
    const auto same = [&](const std::string& one) { return lower_case(one) == lower_case(values_[i]); };
    if (std::any_of(named.begin(), named.end(), same)) alike.push_back(values_[i]);
  }
  if (others.size() > 1 || !alike.empty())
    reporter.info(file_ + ": labels " + quoted_list(others) + " are read as " + rest + ", as " + option +
                  " does not name them");
  if (!alike.empty())
    reporter.warning(file_ + ": " + (alike.size() == 1 ? "label " : "labels ") + quoted_list(alike) +
                     (alike.size() == 1 ? " is" : " are") + " read as " + rest + ", but " + option +
                     " names the same word in another case; name " + (alike.size() == 1 ? "it" : "them") + " with " +
                     option + " as well, or with " + (normal_named ? "--anomaly" : "--normal"));
}

ResolvedLabels LabelValues::resolve(Reporter& reporter) const {
  ResolvedLabels result;
  const bool booleans =
      std::all_of(values_.begin(), values_.end(), [](const auto& value) { return boolean_of(value).has_value(); });
  result.classes = classes(booleans);
  check_both_classes(result.classes);
  result.same_as.resize(values_.size());
  std::iota(result.same_as.begin(), result.same_as.end(), 0u);
  for (std::size_t i = 0; i < values_.size(); ++i) {
    for (std::size_t j = 0; j < i && result.same_as[i] == i; ++j)
      if (result.classes[i] == result.classes[j] &&
          (same_value(values_[i], values_[j]) || (booleans && same_boolean(values_[i], values_[j]))))
        result.same_as[i] = static_cast<std::uint32_t>(j);
  }
  booleans ? say_spellings(result, reporter) : say_unnamed(result, reporter);
  return result;
}

void LabelValues::warn_about_unlabeled(Reporter& reporter, const std::string& rows_of) const {
  if (missing_rows_ == 0) return;
  std::vector<std::string> texts;
  for (const auto* seen : {&missing_seen_, &unclear_seen_})
    for (const auto& text : *seen) texts.push_back(text.empty() ? "empty" : ae::quoted(text));
  const bool only_empty = texts == std::vector<std::string>{"empty"};
  reporter.warning(rows_of + ": " + std::to_string(missing_rows_) +
                   (missing_rows_ == 1 ? " row without a label" : " rows without a label") +
                   (only_empty ? "" : " (" + join(texts) + ")") + (missing_rows_ == 1 ? " is" : " are") + " left out" +
                   (unclear_seen_.empty() ? "" : "; " + quoted_list(unclear_seen_) + std::string(kNameUnclear)));
}

}  // namespace ae::evaluate
