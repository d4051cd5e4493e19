// Numbers with what they count.
#pragma once

#include <concepts>
#include <string>
#include <string_view>

namespace ae {

// "1 row", "3 rows"
std::string count_text(std::integral auto count, std::string_view one, std::string_view many) {
  return std::to_string(count) + " " + std::string(count == 1 ? one : many);
}

}  // namespace ae
