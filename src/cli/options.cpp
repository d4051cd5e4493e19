#include "cli/options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>
#include <type_traits>

#include "base/text.hpp"
#include "cli/command_line.hpp"

namespace ae::cli {
namespace {

std::string range_text(const std::string& kind, const std::string& low, const std::string& high, bool low_bounded,
                       bool high_bounded) {
  if (low_bounded && high_bounded) return kind + " from " + low + " to " + high;
  if (low_bounded) return kind + " of at least " + low;
  if (high_bounded) return kind + " of at most " + high;
  return kind;
}

[[noreturn]] void refuse(const std::string& name, const std::string& found, const std::string& expected) {
  throw WrongValue(name + ": found " + ae::quoted(found) + "; expected " + expected);
}

double checked_number(const std::string& name, const std::string& text, double low, double high) {
  const std::optional<double> value = parse_number(text);
  if (value && *value >= low && *value <= high && std::isfinite(*value)) return *value;
  refuse(name, text,
         range_text("a number", number_text(low), number_text(high), std::isfinite(low), std::isfinite(high)));
}

std::int64_t checked_integer(const std::string& name, const std::string& text, std::int64_t low, std::int64_t high) {
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc() && rest == end && value >= low && value <= high) return value;
  using Limits = std::numeric_limits<std::int64_t>;
  refuse(name, text,
         range_text("a whole number", std::to_string(low), std::to_string(high), low != Limits::min(),
                    high != Limits::max()));
}

// "--top" of "-k,--top".
std::string shown_name(const std::string& name) { return name.substr(name.rfind(',') + 1); }

std::string shown_value(double value) { return number_text(value); }
std::string shown_value(std::int64_t value) { return std::to_string(value); }
template <typename Value>
std::string shown_value(const std::optional<Value>& value) {
  return value ? shown_value(*value) : std::string();
}

template <typename Target, typename Bound>
CLI::Option* add_checked(CLI::App& app, const std::string& name, Target& target, const std::string& help, Bound low,
                         Bound high, Bound (*check)(const std::string&, const std::string&, Bound, Bound)) {
  const auto read = [&target, shown = shown_name(name), low, high, check](const std::string& text) {
    target = check(shown, text, low, high);
  };
  return app.add_option_function<std::string>(name, read, help)
      ->type_name(std::is_same_v<Bound, double> ? "NUMBER" : "INTEGER")
      ->default_function([&target] { return shown_value(target); });
}

}  // namespace

CLI::Option* add_number(CLI::App& app, const std::string& name, double& value, const std::string& help, double low,
                        double high) {
  return add_checked(app, name, value, help, low, high, checked_number);
}

CLI::Option* add_number(CLI::App& app, const std::string& name, std::optional<double>& value, const std::string& help,
                        double low, double high) {
  return add_checked(app, name, value, help, low, high, checked_number);
}

CLI::Option* add_integer(CLI::App& app, const std::string& name, std::int64_t& value, const std::string& help,
                         std::int64_t low, std::int64_t high) {
  return add_checked(app, name, value, help, low, high, checked_integer);
}

CLI::Option* add_integer(CLI::App& app, const std::string& name, std::optional<std::int64_t>& value,
                         const std::string& help, std::int64_t low, std::int64_t high) {
  return add_checked(app, name, value, help, low, high, checked_integer);
}

CLI::Option* add_choice(CLI::App& app, const std::string& name, std::string& value, const std::string& help,
                        const std::vector<std::string>& choices) {
  const auto read = [&value, shown = shown_name(name), choices](const std::string& text) {
    if (std::find(choices.begin(), choices.end(), text) == choices.end()) {
      refuse(shown, text, (choices.size() > 1 ? "one of " : "") + ae::join(choices));
    }
    value = text;
  };
  return app.add_option_function<std::string>(name, read, help)
      ->type_name("{" + ae::join(choices, ",", choices.size()) + "}")
      ->default_function([&value] { return value; });
}

std::vector<std::string> choices_of_type(const std::string& type_name) {
  std::vector<std::string> choices;
  if (!type_name.starts_with('{') || !type_name.ends_with('}')) return choices;
  for (std::size_t begin = 1; begin < type_name.size();) {
    const std::size_t end = type_name.find_first_of(",}", begin);
    choices.push_back(type_name.substr(begin, end - begin));
    begin = end + 1;
  }
  return choices;
}

}  // namespace ae::cli
