#include "cli/command_line.hpp"

#include <algorithm>
#include <optional>
#include <span>
#include <string_view>

#include "base/error.hpp"
#include "base/text.hpp"

namespace ae::cli {
namespace {

// The arguments before `--`: only these can be options.
std::span<const std::string> option_part(const std::vector<std::string>& arguments) {
  const auto end = std::find(arguments.begin(), arguments.end(), "--");
  return {arguments.data(), static_cast<std::size_t>(end - arguments.begin())};
}

bool asks_for(const std::vector<std::string>& arguments, std::string_view flag) {
  const auto part = option_part(arguments);
  return std::find(part.begin(), part.end(), flag) != part.end();
}

std::vector<std::string> long_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back(name);
  }
  return names;
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }
bool given(const CLI::Option* option) { return option->count() > 0; }

// By a name without dashes; nullptr when there is none.
const CLI::Option* long_option(const CLI::App& app, const std::string& name) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->check_lname(name)) return option;
  }
  return nullptr;
}

const CLI::Option* short_option(const CLI::App& app, char name) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->check_sname(std::string(1, name))) return option;
  }
  return nullptr;
}

// The option that takes the argument after this one as its value: of "--out", "-o" and "-vo", not of "--out=x" or
// "-ox".
const CLI::Option* awaits_value(const CLI::App& app, const std::string& argument) {
  if (argument.starts_with("--")) {
    const CLI::Option* const option = long_option(app, argument.substr(2));
    return option != nullptr && takes_value(*option) ? option : nullptr;
  }
  if (!argument.starts_with('-')) return nullptr;
  for (std::size_t i = 1; i < argument.size(); ++i) {
    const CLI::Option* const option = short_option(app, argument[i]);
    if (option == nullptr) return nullptr;
    if (takes_value(*option)) return i + 1 == argument.size() ? option : nullptr;
  }
  return nullptr;
}

// CLI11 would take the argument after `--out=` as its value, and `--force=no` as a flag that is not given.
std::string equals_sign_line(const CLI::App& app, const std::vector<std::string>& arguments) {
  const auto part = option_part(arguments);
  for (std::size_t i = 0; i < part.size(); ++i) {
    const std::string& argument = part[i];
    if (awaits_value(app, argument) != nullptr) {
      ++i;
      continue;
    }
    const std::size_t equals = argument.find('=');
    if (!argument.starts_with("--") || equals == std::string::npos) continue;
    const CLI::Option* const option = long_option(app, argument.substr(2, equals - 2));
    if (option == nullptr) continue;
    const std::string value = argument.substr(equals + 1);
    if (takes_value(*option) && value.empty()) return option->get_name() + ": found no value after \"=\"";
    if (!takes_value(*option)) return option->get_name() + ": found the value " + ae::quoted(value) + "; expected none";
  }
  return {};
}

std::string missing_line(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_required() && !given(option)) return option->get_name() + " is required but was not given";
  }
  return {};
}

// The first pair of options that `wrong` says must not be as they are: one is given, the other is or is not.
template <typename Related, typename Wrong>
std::string pair_line(const CLI::App& app, Related related, Wrong wrong, const std::string& verdict,
                      const std::string& end = {}) {
  for (const CLI::Option* option : app.get_options(given)) {
    const auto others = related(*option);
    for (const CLI::Option* other : app.get_options(wrong)) {
      const bool is_related = std::find(others.begin(), others.end(), other) != others.end();
      if (is_related) return option->get_name() + verdict + other->get_name() + end;
    }
  }
  return {};
}

// Options that are given too often, or the last one on the line, which found nothing more.
std::string count_line(const CLI::App& app, const std::vector<std::string>& arguments) {
  for (const CLI::Option* option : app.get_options(given)) {
    const auto most = static_cast<std::size_t>(std::max(1, option->get_items_expected_max()));
    const bool all_count = option->get_multi_option_policy() == CLI::MultiOptionPolicy::Throw;
    if (all_count && option->count() > most) {
      return option->get_name() + ": given " + std::to_string(option->count()) + " times; expected once";
    }
  }
  if (arguments.empty()) return {};
  const CLI::Option* const last = awaits_value(app, arguments.back());
  return last != nullptr ? last->get_name() + ": found no value after it" : std::string();
}

// Told by the kind of CLI11's exception and by what the options hold: CLI11's own sentences, which differ from one of
// its versions to the next, are shown only for kinds that no option of ours causes.
std::string problem_line(const CLI::App& app, const std::vector<std::string>& arguments, const CLI::ParseError& error) {
  std::string line;
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    line = missing_line(app);
  } else if (dynamic_cast<const CLI::RequiresError*>(&error) != nullptr) {
    line = pair_line(
        app, [](const CLI::Option& option) { return option.get_needs(); },
        [](const CLI::Option* other) { return !given(other); }, " needs ", " as well");
  } else if (dynamic_cast<const CLI::ExcludesError*>(&error) != nullptr) {
    line = pair_line(
        app, [](const CLI::Option& option) { return option.get_excludes(); }, given, " cannot be used together with ");
  } else if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    line = count_line(app, arguments);
  }
  return line.empty() ? error.what() : line;
}

std::string unknown_option_line(const CLI::App& app, const std::string& found,
                                const std::vector<std::string>& arguments) {
  // CLI11 takes `-verbose` for `-v -erbose`; tell the user what was typed.
  std::string typed = found;
  for (const std::string& argument : arguments) {
    const bool is_source = !found.starts_with("--") && argument.starts_with("-") && argument.ends_with(found.substr(1));
    if (is_source) typed = argument;
  }
  const std::string name = typed.substr(0, typed.find('='));
  const std::size_t dashes = name.starts_with("--") ? 2 : 1;
  std::string line = "unknown option " + ae::quoted(name);
  if (const auto candidate = nearest(std::string_view(name).substr(dashes), long_names(app))) {
    return line + "; did you mean \"--" + *candidate + "\"?";
  }
  return line;
}

// PATH, FILE, DIR, or one with an ending: FILE.html, CONFIG.json.
bool names_a_file(const std::string& type) {
  return type == "PATH" || type == "FILE" || type == "DIR" || type.find('.') != std::string::npos;
}

// An unset variable of a script, in quotes: it would read as if the option had not been given.
std::string empty_name_line(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options(given)) {
    const auto& values = option->results();
    if (names_a_file(option->get_type_name()) && std::ranges::find(values, std::string()) != values.end())
      return option->get_name() + ": found an empty text, expected the name of a file or folder";
  }
  return {};
}

// The first argument that no option and no positional took, or "" if there is none.
std::string leftover_line(const CLI::App& app, const std::vector<std::string>& arguments) {
  bool options_ended = false;
  for (const std::string& argument : app.remaining()) {
    if (argument == "--" && !options_ended) {
      options_ended = true;
      continue;
    }
    if (!options_ended && argument.size() > 1 && argument.front() == '-') {
      return unknown_option_line(app, argument, arguments);
    }
    return "unexpected argument " + ae::quoted(argument, 200);
  }
  return {};
}

}  // namespace

Request parse(CLI::App& app, const std::vector<std::string>& arguments) {
  // Help is for whoever got the command line wrong: it does not depend on the rest being right.
  if (asks_for(arguments, "--help") || asks_for(arguments, "-h")) return Request::help;
  if (asks_for(arguments, "--version")) return Request::version;
  std::string problem = equals_sign_line(app, arguments);
  try {
    if (problem.empty()) {
      app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
      problem = empty_name_line(app);
    }
  } catch (const CLI::CallForHelp&) {  // -vh
    return Request::help;
  } catch (const WrongValue& error) {
    problem = error.what();
  } catch (const CLI::ParseError& error) {
    problem = problem_line(app, arguments, error);
  }
  // A mistyped option is the cause; a missing or odd argument elsewhere may only be its consequence.
  if (const std::string leftover = leftover_line(app, arguments); !leftover.empty()) problem = leftover;
  if (!problem.empty()) throw UsageError(problem + "; see \"" + app.get_name() + " --help\"");
  return Request::run;
}

}  // namespace ae::cli
