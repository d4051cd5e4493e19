// A choice from a table of kinds that may take a number behind a colon: "blur:1.5".
#pragma once

#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/text.hpp"

namespace ae::apply {

// Kinds have `name`, `value` (what stands behind the colon, "" = nothing; "TIMES" and "K" are whole numbers), `low`,
// `high` and `usual`. UsageError, with the option's name, for an unknown name or a value out of range.
template <typename Kinds>
auto named_choice(const std::string& option, std::string_view text, const Kinds& kinds) {
  const auto colon = text.find(':');
  const auto name = text.substr(0, colon);
  std::vector<std::string> known;
  for (const auto& kind : kinds) {
    known.emplace_back(std::string(kind.name) + (kind.value.empty() ? "" : ":" + std::string(kind.value)));
    if (kind.name != name) continue;
    double value = kind.usual;
    if (colon != std::string_view::npos) {
      const auto number = kind.value.empty() ? std::nullopt : parse_number(text.substr(colon + 1));
      const bool whole = (kind.value != "TIMES" && kind.value != "K") || (number && *number == std::floor(*number));
      if (!number || !(*number >= kind.low && *number <= kind.high) || !whole)
        throw UsageError(option + ": found " + ae::quoted(std::string(text)) + "; expected " + known.back() +
                         (kind.value.empty() ? ""
                                             : " with a " + std::string(whole ? "number" : "whole number") + " from " +
                                                   number_text(kind.low) + " to " + number_text(kind.high)));
      value = *number;
    }
    return std::pair(&kind, value);
  }
  throw UsageError(option + ": found " + ae::quoted(std::string(text)) + "; expected one of " + ae::join(known));
}

// "reconstruction:TIMES, the model's ...; identity, nothing ..."
template <typename Kinds>
std::string kinds_help(const Kinds& kinds) {
  std::string text;
  for (const auto& kind : kinds) {
    text += (text.empty() ? "" : "; ") + std::string(kind.name);
    if constexpr (requires { kind.value; })
      if (!kind.value.empty()) text += ":" + std::string(kind.value);
    text += ", " + std::string(kind.help);
  }
  return text;
}

}  // namespace ae::apply
