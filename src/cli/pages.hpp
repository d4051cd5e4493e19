// Man pages and shell completions, written from what a program declares for its command line and nothing else. The
// build asks each program for them by an argument that --help does not tell: `ae-score --generate man ae-train ae-roc`,
// with the other programs, for SEE ALSO; likewise bash, zsh, fish, and json, the declarations themselves for tests.
#pragma once

#include <string>
#include <vector>

#include "cli/app.hpp"

namespace ae::cli {

// One option or positional.
struct Argument {
  std::vector<std::string> names;  // "-o", "--output"; of a positional its name alone
  std::string group;               // its heading in --help
  std::string type;                // "FILE", "{report,ignore,stop}"; "" for a flag
  std::string help;
  std::string default_text = {};
  bool positional = false;
  bool required = false;
  bool repeats = false;
  std::vector<std::string> excludes = {};  // long names of options
  std::vector<std::string> needs = {};
  std::vector<std::string> beginnings = {};  // of values, as the program knows them
};

// In the order of --help: positionals, then options group by group.
std::vector<Argument> declared_arguments(const CLI::App& app);

std::string man_page(const Program& program, const std::vector<Argument>& arguments,
                     const std::vector<std::string>& other_programs);
std::string bash_completion(const Program& program, const std::vector<Argument>& arguments);
std::string zsh_completion(const Program& program, const std::vector<Argument>& arguments);
std::string fish_completion(const Program& program, const std::vector<Argument>& arguments);

// `arguments` are those after the program's name. Throws UsageError when the kind of page is none of the above.
bool asks_for_page(const std::vector<std::string>& arguments);
std::string requested_page(const Program& program, const CLI::App& app, const std::vector<std::string>& arguments);

}  // namespace ae::cli
