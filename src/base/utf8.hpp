// UTF-8 by the Unicode standard's table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <string_view>

namespace ae {

struct Utf8Character {
  std::size_t length = 0;  // in bytes; 0: there is no valid character
  char32_t code_point = 0;
};

Utf8Character first_character(std::string_view text);  // not empty
bool is_utf8(std::string_view text);                   // what JSON can hold

}  // namespace ae
