// Which program, built how and with what: the text of --version.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ae::cli {

// `NAME VERSION`, then one `what: version` line each for commit, compiler, build type, libraries and `more`.
std::string version_text(std::string_view program_name, const std::vector<std::string>& more);

// "ae-roc 0.2.0, git: 0123abc": who made a file.
std::string version_line(std::string_view program_name);

}  // namespace ae::cli
