// What the kinds of --validity write alike: lines of the table, and counts of verdicts.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/counted.hpp"
#include "base/text.hpp"
#include "cli/version.hpp"
#include "validity.hpp"

namespace ae::apps {

using OrderedJson = nlohmann::ordered_json;

// Of the table, cell by cell.
class CsvLine {
 public:
  CsvLine& text(std::string_view value) {
    separate();
    append_csv_field(line_, value);
    return *this;
  }
  CsvLine& number(std::optional<double> value) {
    separate();
    if (value) append_number(line_, *value);
    return *this;
  }
  CsvLine& count(std::optional<std::int64_t> value) {
    separate();
    if (value) line_ += std::to_string(*value);
    return *this;
  }
  std::string finished() const { return line_ + '\n'; }

 private:
  void separate() {
    if (!std::exchange(first_, false)) line_ += ',';
  }
  std::string line_;
  bool first_ = true;
};

inline OrderedJson json_number(std::optional<double> value) {
  return value ? OrderedJson(*value) : OrderedJson(nullptr);
}

// How many of all structures have each verdict. Flag: has a name and a meaning.
template <typename Flag>
class Verdicts {
 public:
  Verdicts(const std::vector<Flag>& flags, std::string_view noun) : flags_(&flags), noun_(noun) {}

  // Returns it as a cell of the table.
  std::string add(const std::vector<std::string>& verdict) {
    ++structures_;
    flagged_ += verdict.empty() ? 0 : 1;
    for (const auto& flag : verdict) ++counts_[flag];
    return ae::join(verdict, " ", flags_->size());
  }

  std::string told() const {
    std::string flags;
    for (const auto& flag : *flags_)
      if (const auto count = of(flag); count > 0)
        flags += (flags.empty() ? ": " : ", ") + std::string(flag.name) + " " + std::to_string(count);
    return counted(structures_, noun_) + ", " + std::to_string(flagged_) + " flagged" + flags;
  }

  OrderedJson json() const {
    auto flags = OrderedJson::object();
    for (const auto& flag : *flags_) flags[std::string(flag.name)] = {{"meaning", flag.meaning}, {noun_, of(flag)}};
    return {{noun_, structures_}, {"flagged", flagged_}, {"flags", flags}};
  }

 private:
  std::int64_t of(const Flag& flag) const {
    const auto found = counts_.find(std::string(flag.name));
    return found == counts_.end() ? 0 : found->second;
  }

  const std::vector<Flag>* flags_;
  std::string noun_;
  std::int64_t structures_ = 0, flagged_ = 0;
  std::map<std::string, std::int64_t> counts_;
};

// What a summary begins with.
inline OrderedJson summary_head(std::string_view kind, const ValidityRun& run, const cli::Context& context) {
  return {{"made_by", cli::version_line("ae-score")},
          {"command", cli::shell_command("ae-score", context.arguments)},
          {"validity", kind},
          {"inputs", run.inputs}};
}

inline std::string summary_text(const OrderedJson& json) {
  return json.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

}  // namespace ae::apps
