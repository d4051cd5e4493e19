// Reads a command line into the variables of a CLI11 app. Within this room; programs call run_app.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace ae::cli {

// What an option's own check throws for a value that it does not take; `line` is the whole message.
struct WrongValue : CLI::ParseError {
  explicit WrongValue(std::string line) : CLI::ParseError(std::move(line), CLI::ExitCodes::ValidationError) {}
};

enum class Request { run, help, version };

// `arguments` are those after the program's name. Throws UsageError with one line that names the cause. The app must
// allow extras: what is wrong with those is told here, too.
Request parse(CLI::App& app, const std::vector<std::string>& arguments);

}  // namespace ae::cli
