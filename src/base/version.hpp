// Which aetools this is.
#pragma once

#include <string>

namespace ae {

std::string version();   // "0.2.0"
std::string git_hash();  // short hash of the sources' commit; "unknown" without git

}  // namespace ae
