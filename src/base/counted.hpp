// Numbers with the noun that fits, for messages.
#pragma once

#include <concepts>
#include <string>
#include <string_view>

namespace ae {

// "1 anomaly", "12 anomalies".
std::string counted(std::integral auto count, std::string_view one, std::string_view many) {
  return std::to_string(count).append(1, ' ').append(count == 1 ? one : many);
}

// "1 row", "12 rows", of "rows": for nouns that end in "s" for no other reason than being many.
std::string counted(std::integral auto count, std::string_view many) {
  return counted(count, many.substr(0, many.size() - 1), many);
}

}  // namespace ae
