#include "cli/version.hpp"

#include <spdlog/version.h>

#include <CLI/Version.hpp>
#include <nlohmann/json.hpp>

#include "base/version.hpp"

namespace ae::cli {
namespace {

std::string dotted(int major, int minor, int patch) {
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

constexpr std::string_view compiler =
#if defined(__clang__)
    "Clang " __clang_version__;
#else
    "GCC " __VERSION__;
#endif

}  // namespace

std::string version_text(std::string_view program_name, const std::vector<std::string>& more) {
  std::string text(program_name);
  text += " " + version() + "\n";
  text += "git: " + git_hash() + "\n";
  text += "compiler: " + std::string(compiler) + "\n";
  text += "build type: " AETOOLS_BUILD_TYPE "\n";
  text += "nlohmann-json: " +
          dotted(NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH) + "\n";
  text += "CLI11: " CLI11_VERSION "\n";
  text += "spdlog: " + dotted(SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH) + "\n";
  for (const std::string& line : more) text += line + "\n";
  return text;
}

std::string version_line(std::string_view program_name) {
  return std::string(program_name) + " " + version() + ", git: " + git_hash();
}

}  // namespace ae::cli
