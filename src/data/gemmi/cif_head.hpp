// CIF told by how it begins.
#pragma once

#include <algorithm>
#include <string_view>

#include "base/text.hpp"

namespace ae::data {

// Whether a file that begins so can be CIF: with data_ in any case of letters, behind blanks and comments.
inline bool begins_cif(std::string_view head) {
  for (;;) {
    const auto begin = head.find_first_not_of(" \t\r\n");
    if (begin == std::string_view::npos) return false;
    head.remove_prefix(begin);
    if (head.front() != '#') break;
    head.remove_prefix(std::min(head.size(), head.find('\n')));
  }
  constexpr std::string_view kBlock = "data_";
  return lower_case(head.substr(0, kBlock.size())) == kBlock;
}

}  // namespace ae::data
