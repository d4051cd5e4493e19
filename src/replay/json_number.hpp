// Numbers in the summaries of this room.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>

namespace ae::replay {

// null where it is not finite, for which JSON has no word.
inline nlohmann::ordered_json number_or_null(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

}  // namespace ae::replay
