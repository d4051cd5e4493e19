// Which program, built how and with what: the text of --version.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ae::cli {

// `NAME VERSION`, then one `what: version` line each for commit, compiler, build type, libraries and `more`.
std::string version_text(std::string_view program_name, const std::vector<std::string>& more);

}  // namespace ae::cli
