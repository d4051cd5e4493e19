#include "cli/pages.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.hpp"
#include "base/text.hpp"

namespace ae::cli {
namespace {

template <typename Options>
std::vector<std::string> names_of(const CLI::App& app, const Options& options) {
  std::vector<std::string> names;  // in the order of declaration, not of addresses as in CLI11's sets
  for (const CLI::Option* option : app.get_options()) {
    const bool among_them = std::find(options.begin(), options.end(), option) != options.end();
    if (among_them) names.push_back(option->get_name());
  }
  return names;
}

Argument argument_of(const CLI::App& app, const CLI::Option& option) {
  Argument argument;
  argument.positional = option.get_positional();
  if (argument.positional) {
    argument.names = {option.get_name(true)};
  } else {
    for (const std::string& name : option.get_snames()) argument.names.push_back("-" + name);
    for (const std::string& name : option.get_lnames()) argument.names.push_back("--" + name);
  }
  argument.group = argument.positional ? "Positionals" : option.get_group();
  if (option.get_items_expected_max() > 0) argument.type = option.get_type_name();
  argument.help = option.get_description();
  argument.default_text = option.get_default_str();
  argument.required = option.get_required();
  argument.repeats = option.get_expected_max() == CLI::detail::expected_max_vector_size ||
                     option.get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll;
  argument.excludes = names_of(app, option.get_excludes());
  argument.needs = names_of(app, option.get_needs());
  return argument;
}

std::string json_page(const Program& program, const std::vector<Argument>& arguments) {
  nlohmann::ordered_json options = nlohmann::ordered_json::array();
  for (const Argument& argument : arguments) {
    options.push_back({{"names", argument.names},
                       {"group", argument.group},
                       {"type", argument.type},
                       {"choices", choices_of_type(argument.type)},
                       {"help", argument.help},
                       {"default", argument.default_text},
                       {"positional", argument.positional},
                       {"required", argument.required},
                       {"repeats", argument.repeats},
                       {"excludes", argument.excludes},
                       {"needs", argument.needs},
                       {"beginnings", argument.beginnings}});
  }
  const nlohmann::ordered_json page = {
      {"program", program.name}, {"description", program.description}, {"arguments", std::move(options)}};
  return page.dump(2) + "\n";
}

}  // namespace

std::vector<Argument> declared_arguments(const CLI::App& app) {
  std::vector<Argument> arguments;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) arguments.push_back(argument_of(app, *option));
  }
  for (const std::string& group : app.get_groups()) {
    for (const CLI::Option* option : app.get_options()) {
      const bool listed = !group.empty() && option->get_group() == group && !option->get_positional();
      if (listed) arguments.push_back(argument_of(app, *option));
    }
  }
  return arguments;
}

bool asks_for_page(const std::vector<std::string>& arguments) {
  return !arguments.empty() && arguments.front() == "--generate";
}

std::string requested_page(const Program& program, const CLI::App& app, const std::vector<std::string>& arguments) {
  std::vector<Argument> declared = declared_arguments(app);
  for (const auto& [option, beginnings] : program.beginnings) {
    for (Argument& argument : declared) {
      if (argument.names.back() == option) argument.beginnings = beginnings();
    }
  }
  const std::string kind = arguments.size() > 1 ? arguments[1] : std::string();
  if (kind == "man") return man_page(program, declared, {arguments.begin() + 2, arguments.end()});
  if (kind == "bash") return bash_completion(program, declared);
  if (kind == "zsh") return zsh_completion(program, declared);
  if (kind == "fish") return fish_completion(program, declared);
  if (kind == "json") return json_page(program, declared);
  throw UsageError("--generate: found " + ae::quoted(kind) + "; expected one of man, bash, zsh, fish, json");
}

}  // namespace ae::cli
