// What the labels of scored rows say.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/reporter.hpp"

namespace ae::evaluate {

// Which label values mean what. Both empty: 0/1, false/true, no/yes and normal/anomaly (any case) speak for themselves.
// One given: every other value means the opposite. Both given: every value must be in one of them. Numbers compare by
// value: "0" is "0.0". When every label of a file is a way to write a boolean (0, false, f, no, n; 1, true, t, yes, y;
// any case), those of one class are one label; what is given here to the letter goes first.
struct LabelMeaning {
  std::vector<std::string> normal;
  std::vector<std::string> anomaly;
  void check() const;  // UsageError when a value is in both
};

// "0" and "0.0", "True" and "1".
bool same_label(std::string_view a, std::string_view b);

// `"a", "b" and 3 more`: at most 8 of them.
std::string quoted_list(const std::vector<std::string>& values);

enum class LabelClass : std::uint8_t { normal, anomaly };

// By number.
struct ResolvedLabels {
  std::vector<LabelClass> classes;
  std::vector<std::uint32_t> same_as;  // the first of those that are one label
};

// Distinct values of a label column, numbered in order of appearance.
class LabelValues {
 public:
  LabelValues(std::string file, std::string column, LabelMeaning meaning);

  // The number of a label; none when the text is a missing one (empty, or in the defaults of /data/missing and
  // /data/missing_in_numbers) that the meaning does not name. InputError beyond a thousand different labels.
  std::optional<std::uint32_t> number(std::string_view text);

  // A row that has this label.
  void count(std::optional<std::uint32_t> number) { ++(number ? rows_[*number] : missing_rows_); }

  // When all rows were seen. InputError for labels that need to be explained, and when a class has no row. Says in a
  // line which spellings are one label, and what labels were taken for that the meaning does not name; warns of one
  // that it names in another case.
  ResolvedLabels resolve(Reporter& reporter) const;
  std::int64_t unlabeled() const { return missing_rows_; }
  // `rows_of`: their table.
  void warn_about_unlabeled(Reporter& reporter, const std::string& rows_of) const;

  const std::string& value(std::uint32_t number) const { return values_[number]; }
  const std::string& file() const { return file_; }

 private:
  bool named(std::string_view text) const;
  LabelClass class_of(const std::string& value, bool booleans) const;
  std::vector<LabelClass> classes(bool booleans) const;
  void check_both_classes(const std::vector<LabelClass>& classes) const;
  void say_spellings(const ResolvedLabels& labels, Reporter& reporter) const;
  void say_unnamed(const ResolvedLabels& labels, Reporter& reporter) const;

  std::string file_;
  std::string column_;
  LabelMeaning meaning_;
  std::vector<std::string> missing_;
  std::vector<std::string> unclear_;  // missing, but also a name that a class may have: "none", "-"
  std::vector<std::string> values_;
  std::vector<std::int64_t> rows_;
  std::unordered_map<std::string, std::uint32_t> numbers_;
  std::uint32_t last_ = 0;
  std::vector<std::string> missing_seen_;
  std::vector<std::string> unclear_seen_;
  std::int64_t missing_rows_ = 0;
};

}  // namespace ae::evaluate
