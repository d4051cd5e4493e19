// JSON from anywhere.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/error.hpp"

namespace ae::value {

// A discarded value where the text is no JSON. InputError, which begins with `name`, where it is nested deeper than 64
// levels: whoever walks through a document may call itself once a level.
template <typename Json>
Json parse_bounded_json(const std::string& text, const std::string& name) {
  constexpr int kMostLevels = 64;
  const auto check = [&](int depth, typename Json::parse_event_t, Json&) {
    if (depth > kMostLevels)
      throw InputError(name + ": nested deeper than " + std::to_string(kMostLevels) + " levels, expected at most that");
    return true;
  };
  return Json::parse(text, check, false);
}

}  // namespace ae::value
