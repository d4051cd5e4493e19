// A choice from a table of kinds that may take numbers behind colons: "blur:1.5", "latent:60:4".
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/text.hpp"

namespace ae::apply {

// A number that stands behind a colon.
struct ChoiceValue {
  std::string_view name;  // "SIGMA"; "" = there is none
  double low = 0, high = 0, usual = 0;
  bool whole = false;
};
constexpr std::size_t kMostChoiceValues = 2;
using ChoiceValues = std::array<ChoiceValue, kMostChoiceValues>;  // those that there are come first
using ChosenValues = std::array<double, kMostChoiceValues>;       // the usual ones where nothing was said

// "latent:STEPS:STARTS"
template <typename Kind>
std::string choice_form(const Kind& kind) {
  std::string form(kind.name);
  if constexpr (requires { kind.values; })
    for (const auto& value : kind.values)
      if (!value.name.empty()) form += ":" + std::string(value.name);
  return form;
}

// Kinds have `name` and `values`. UsageError, with the option's name, for an unknown name, a value out of range, and
// more values than there are.
template <typename Kinds>
auto named_choice(const std::string& option, std::string_view text, const Kinds& kinds) {
  const auto name = text.substr(0, text.find(':'));
  std::vector<std::string> known;
  for (const auto& kind : kinds) {
    known.push_back(choice_form(kind));
    if (kind.name != name) continue;
    const auto refuse = [&](const std::string& range) {
      throw UsageError(option + ": found " + ae::quoted(std::string(text)) + "; expected " + known.back() + range);
    };
    ChosenValues chosen{};
    for (std::size_t v = 0; v < chosen.size(); ++v) chosen[v] = kind.values[v].usual;
    auto rest = text.substr(name.size());
    for (std::size_t v = 0; !rest.empty(); ++v) {
      if (v == chosen.size() || kind.values[v].name.empty()) refuse(v > 0 ? ", without more" : "");
      const auto& value = kind.values[v];
      const auto number = parse_number(rest.substr(1, rest.find(':', 1) - 1));
      const bool whole = !value.whole || (number && *number == std::floor(*number));
      if (!number || !(*number >= value.low && *number <= value.high) || !whole)
        refuse((v > 0 ? ", " + std::string(value.name) + " a " : " with a ") +
               (value.whole ? "whole number" : "number") + " from " + number_text(value.low) + " to " +
               number_text(value.high));
      chosen[v] = *number;
      rest.remove_prefix(std::min(rest.size(), rest.find(':', 1)));
    }
    return std::pair(&kind, chosen);
  }
  throw UsageError(option + ": found " + ae::quoted(std::string(text)) + "; expected one of " + ae::join(known));
}

// "reconstruction:TIMES, the model's ...; identity, nothing ..."
template <typename Kinds>
std::string kinds_help(const Kinds& kinds) {
  std::string text;
  for (const auto& kind : kinds) text += (text.empty() ? "" : "; ") + choice_form(kind) + ", " + std::string(kind.help);
  return text;
}

}  // namespace ae::apply
