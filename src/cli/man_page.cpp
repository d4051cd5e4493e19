// Man pages in the man(7) macros that groff and mandoc both know.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "base/version.hpp"
#include "cli/pages.hpp"

namespace ae::cli {
namespace {

using Line = std::pair<std::string_view, std::string_view>;

// The table of the README.
constexpr std::array<Line, 6> kExitStatus{
    {{"0", "done"},
     {"1", "the run failed: disk full, training diverged"},
     {"2", "the command line or the config is wrong"},
     {"3", "anomalies were flagged, and --fail-on-anomaly was given; or data have drifted, and --fail-on-drift was"},
     {"4", "a data or model file is missing or malformed"},
     {"128 + n", "ended by signal n, after saving"}}};

constexpr std::array<Line, 2> kEnvironment{
    {{"NO_COLOR", "Set to any text, it keeps colour out of messages"},
     {"TERM", "A terminal that is called dumb gets neither colour nor a progress bar"}}};

constexpr std::string_view kHabits =
    "Data goes to standard output, everything else to standard error; - is standard input or output. A file appears "
    "whole or not at all, and one that exists is not replaced without --force.";

// Text as it is: no character of it is taken for a request, an escape or a typographic quote, and every hyphen can be
// copied into a shell.
std::string literal(std::string_view text) {
  std::string out = text.starts_with('.') ? "\\&" : "";
  for (const char c : text) {
    switch (c) {
      case '\n':
        out += ' ';
        break;
      case '\\':
        out += "\\(rs";
        break;
      case '-':
        out += "\\-";
        break;
      case '\'':
        out += "\\(aq";
        break;
      case '"':
        out += "\\(dq";
        break;
      case '`':
        out += "\\(ga";
        break;
      case '^':
        out += "\\(ha";
        break;
      case '~':
        out += "\\(ti";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string bold(std::string_view text) { return "\\fB" + literal(text) + "\\fR"; }
// A line may end behind a comma, as long sets of choices have no other place for that.
std::string italic(std::string_view text) {
  std::string out = "\\fI";
  for (const char c : literal(text)) {
    out += c;
    if (c == ',') out += "\\:";
  }
  return out + "\\fR";
}

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Help texts and the meanings of examples have no full stop at their end; the latter begin small.
std::string sentence(std::string text) {
  if (!text.empty()) text.front() = upper(text.front());
  const bool ended = text.ends_with('.') || text.ends_with('?') || text.ends_with('!');
  return literal(text) + (ended ? "\n" : ".\n");
}

std::string section(std::string_view title) { return ".SH " + std::string(title) + "\n"; }

// "--alpha, --fdr or --roc".
std::string either(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
  }
  return text;
}

std::string argument_text(const Argument& argument) {
  std::string heading;
  for (const std::string& name : argument.names) {
    heading += (heading.empty() ? "" : ", ") + (argument.positional ? italic(name) : bold(name));
  }
  if (!argument.type.empty()) heading += " " + italic(argument.type);
  std::string text = ".TP\n" + heading + "\n" + sentence(argument.help);
  if (!argument.default_text.empty()) text += sentence("Default: " + argument.default_text);
  if (!argument.needs.empty()) text += sentence("Needs " + either(argument.needs));
  if (!argument.excludes.empty()) text += sentence("Not together with " + either(argument.excludes));
  return text;
}

std::string synopsis(const Program& program, const std::vector<Argument>& arguments) {
  std::string text = section("SYNOPSIS") + bold(program.name) + " [" + italic("OPTIONS") + "]";
  for (const Argument& argument : arguments) {
    if (!argument.positional) continue;
    const std::string name = italic(argument.names.front()) + (argument.repeats ? "..." : "");
    text += argument.required ? " " + name : " [" + name + "]";
  }
  return text + "\n";
}

std::string options(const std::vector<Argument>& arguments) {
  std::string text = section("OPTIONS");
  std::string group;
  for (const Argument& argument : arguments) {
    if (argument.group != group) text += ".SS " + literal(argument.group) + "\n";
    group = argument.group;
    text += argument_text(argument);
  }
  return text;
}

template <typename Lines>
std::string table(const Lines& lines) {
  std::string text;
  for (const auto& [name, meaning] : lines) text += ".TP\n" + bold(name) + "\n" + sentence(std::string(meaning));
  return text;
}

std::string examples(const Program& program) {
  std::string text;
  for (const auto& [command, meaning] : program.examples) {
    text += (text.empty() ? section("EXAMPLES") : ".PP\n") + sentence(std::string(meaning));
    text += ".PP\n.RS 4\n.nf\n" + literal(command) + "\n.fi\n.RE\n";
  }
  return text;
}

// What apropos lists: the first sentence, without its full stop and its capital.
std::string summary(const Program& program) {
  std::string text(program.description);
  const std::size_t end = std::min(text.find(". "), text.find("? "));
  if (end != std::string::npos) text.erase(end + 1);
  if (text.ends_with('.')) text.pop_back();
  if (!text.empty()) text.front() = lower(text.front());
  return text;
}

}  // namespace

std::string man_page(const Program& program, const std::vector<Argument>& arguments,
                     const std::vector<std::string>& other_programs) {
  std::string title(program.name);
  std::transform(title.begin(), title.end(), title.begin(), upper);
  std::string page = ".\\\" Generated by " + std::string(program.name) + " from its own declarations.\n";
  page += ".TH \"" + literal(title) + "\" 1 \"\" \"aetools " + version() + "\" \"User Commands\"\n";
  page += ".nh\n.ad l\n";  // a hyphen at a line's end would become part of an option's name
  page += section("NAME") + literal(program.name) + " \\- " + literal(summary(program)) + "\n";
  page += synopsis(program, arguments);
  page +=
      section("DESCRIPTION") + sentence(std::string(program.description)) + ".PP\n" + sentence(std::string(kHabits));
  page += options(arguments);
  page += section("EXIT STATUS") + table(kExitStatus);
  page += section("ENVIRONMENT") + table(kEnvironment) + table(program.environment);
  if (!program.files.empty()) page += section("FILES") + table(program.files);
  page += examples(program);
  if (other_programs.empty()) return page;
  page += section("SEE ALSO");
  for (const std::string& other : other_programs) {
    page += ".BR " + literal(other) + " (1)" + (other == other_programs.back() ? "\n" : ",\n");
  }
  return page;
}

}  // namespace ae::cli
