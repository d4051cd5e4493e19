#include "cli/help.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "base/text.hpp"

namespace ae::cli {
namespace {

constexpr std::size_t kUsualColumns = 80;
constexpr std::size_t kFewestColumns = 40;
constexpr std::size_t kMostColumns = 160;  // longer lines are hard to read
constexpr std::size_t kNameColumns = 30;

// The words of `text` behind what stands in the first line already, which is `filled` characters long. A list too long
// for a line is continued behind one of its commas.
std::string wrapped(const std::string& text, std::size_t filled, std::size_t indent, std::size_t columns) {
  std::string lines;
  std::size_t at = filled;
  bool first_of_line = true;
  const auto put = [&](const std::string& word) {
    if (!first_of_line && at + 1 + word.size() > columns) {
      lines += "\n" + std::string(indent, ' ');
      at = indent;
      first_of_line = true;
    }
    lines += (first_of_line ? "" : " ") + word;
    at += word.size() + (first_of_line ? 0 : 1);
    first_of_line = false;
  };
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    std::string word = text.substr(begin, end - begin);
    begin = end + 1;
    while (indent + word.size() > columns) {
      const auto comma = word.rfind(',', columns - indent - 1);
      if (comma == std::string::npos) break;
      put(word.substr(0, comma + 1));
      word.erase(0, comma + 1);
      at = columns;
    }
    put(word);
  }
  return lines;
}

// "  -o,--output FILE"
std::string heading_of(const Argument& argument) {
  const std::string repeats = argument.repeats && argument.positional ? " ..." : "";
  return "  " + ae::join(argument.names, ",") + (argument.type.empty() ? "" : " " + argument.type) + repeats;
}

std::string explanation_of(const Argument& argument) {
  std::string text = argument.help;
  if (argument.required) text += " (required)";
  if (!argument.default_text.empty()) text += " (default: " + argument.default_text + ")";
  if (!argument.needs.empty()) text += " (needs " + ae::join(argument.needs) + ")";
  if (!argument.excludes.empty()) text += " (not with " + ae::join(argument.excludes) + ")";
  return text;
}

std::string entry_of(const Argument& argument, std::size_t columns) {
  // On a narrow terminal the names stand above the words.
  const std::size_t indent = columns >= kUsualColumns ? kNameColumns : 6;
  std::string text = heading_of(argument);
  if (text.size() + 2 > indent) {
    text = wrapped(text.substr(2), 2, 6, columns);
    text = "  " + text + "\n" + std::string(indent, ' ');
  } else {
    text.resize(indent, ' ');
  }
  return text + wrapped(explanation_of(argument), indent, indent, columns) + "\n";
}

std::string usage_of(const Program& program, const std::vector<Argument>& arguments) {
  std::string text = "Usage: " + std::string(program.name) + " [OPTIONS]";
  for (const Argument& argument : arguments) {
    if (!argument.positional) continue;
    const std::string name = argument.names.front() + (argument.repeats ? "..." : "");
    text += argument.required ? " " + name : " [" + name + "]";
  }
  return text;
}

std::string with_configs(std::string command, const std::string& folder) {
  constexpr std::string_view named = " configs/";
  for (std::size_t at = command.find(named); at != std::string::npos; at = command.find(named, at + folder.size())) {
    command.replace(at + 1, named.size() - 2, folder);
  }
  return command;
}

}  // namespace

std::string configs_folder() {
  constexpr std::string_view otherwise = "configs";
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return std::string(otherwise);
  const auto folder = (program.parent_path() / AETOOLS_DATA_FROM_PROGRAMS / otherwise).lexically_normal();
  constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+.,:/@%";
  const bool as_is = folder.string().find_first_not_of(plain) == std::string::npos;
  return as_is && std::filesystem::is_directory(folder, error) ? folder.string() : std::string(otherwise);
}

std::string help_text(const Program& program, const std::vector<Argument>& arguments, std::size_t columns,
                      const std::string& configs) {
  std::string text =
      wrapped(std::string(program.name) + ": " + std::string(program.description), 0, 0, columns) + "\n\nExamples:\n";
  for (const auto& [command, meaning] : program.examples) {
    text += "  " + with_configs(std::string(command), configs) + "\n      " +
            wrapped(std::string(meaning), 6, 6, columns) + "\n";
  }
  text += "\n" + wrapped(usage_of(program, arguments), 0, 2, columns) + "\n";
  std::string group;
  for (const Argument& argument : arguments) {
    if (argument.group != group) text += "\n" + argument.group + ":\n";
    group = argument.group;
    text += entry_of(argument, columns);
  }
  return text;
}

std::size_t help_columns() {
  const char* const told = std::getenv("COLUMNS");
  const auto number = told == nullptr ? std::nullopt : ae::parse_number(told);
  double columns = number.value_or(0);
  winsize size{};
  if (!(columns >= 1) && ::isatty(STDOUT_FILENO) == 1 && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
    columns = size.ws_col;
  }
  if (!(columns >= 1)) return kUsualColumns;
  return static_cast<std::size_t>(
      std::clamp(columns, static_cast<double>(kFewestColumns), static_cast<double>(kMostColumns)));
}

}  // namespace ae::cli
