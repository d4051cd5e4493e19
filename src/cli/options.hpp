// Options whose values are checked as they are read, with an error line that tells what was found and what is expected.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace ae::cli {

// A number: strict syntax (no hex, no blanks, no nan), `low <= value <= high`. `low` and `high` may be infinite; `name`
// is "--alpha" or "-k,--top". capture_default_str() shows the value that the target had.
CLI::Option* add_number(CLI::App& app, const std::string& name, double& value, const std::string& help, double low,
                        double high);
CLI::Option* add_number(CLI::App& app, const std::string& name, std::optional<double>& value, const std::string& help,
                        double low, double high);
CLI::Option* add_integer(CLI::App& app, const std::string& name, std::int64_t& value, const std::string& help,
                         std::int64_t low, std::int64_t high);
CLI::Option* add_integer(CLI::App& app, const std::string& name, std::optional<std::int64_t>& value,
                         const std::string& help, std::int64_t low, std::int64_t high);

// One of a few words. Its type name, "{report,ignore,stop}", tells them to --help, man pages and shells.
CLI::Option* add_choice(CLI::App& app, const std::string& name, std::string& value, const std::string& help,
                        const std::vector<std::string>& choices);

// The words of such a type name; none for another one.
std::vector<std::string> choices_of_type(const std::string& type_name);

}  // namespace ae::cli
