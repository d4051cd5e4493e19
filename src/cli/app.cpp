#include "cli/app.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <exception>
#include <iostream>
#include <limits>
#include <new>
#include <span>
#include <system_error>
#include <type_traits>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "cli/console.hpp"
#include "cli/version.hpp"

namespace ae::cli {
namespace {

// A program started with a standard stream closed would get its number for the next file it opens and write results
// into it. The wrong access mode keeps every use of such a stream an error.
void occupy_closed_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) == -1 && errno == EBADF) {
      (void)!::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
  }
}

// Batches come and go in the same sizes: memory that is given back to the system after each comes back as page faults,
// a tenth of the time of scoring a table.
void keep_freed_memory() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
#endif
}

void write_to_stdout(std::string_view text) {
  Output output = Output::open("-", false);
  output.write(text);
  output.commit();
}

// What a program printed through stdio or std::cout counts as written only when it has left the process.
void flush_standard_output() {
  errno = 0;
  std::cout.flush();
  const bool flushed = std::fflush(stdout) == 0;
  const int error_number = errno;
  if (flushed && std::cout.good() && std::ferror(stdout) == 0) return;
  if (error_number == EPIPE) throw ClosedPipe();
  throw RunError("standard output: cannot write: " +
                 (error_number != 0 ? std::generic_category().message(error_number) : "an earlier write failed"));
}

std::string help_text(const Program& program, const CLI::App& app) {
  std::string text = std::string(program.name) + ": " + std::string(program.description) + "\n\nExamples:\n";
  for (const auto& [command, meaning] : program.examples) {
    text += "  " + std::string(command) + "\n      " + std::string(meaning) + "\n";
  }
  return text + "\n" + app.help();
}

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

// `--out=` would take the next argument as its value.
std::string empty_value_line(const CLI::App& app, const std::vector<std::string>& arguments) {
  const std::vector<std::string> names = long_names(app);
  for (const std::string& argument : option_part(arguments)) {
    if (!argument.starts_with("--") || argument.find('=') != argument.size() - 1) continue;
    const std::string name = argument.substr(2, argument.size() - 3);
    if (std::find(names.begin(), names.end(), name) != names.end()) return "--" + name + ": found no value after \"=\"";
  }
  return {};
}

// CLI11's message in this project's words: what was found, what was expected.
std::string parse_error_line(const CLI::ParseError& error) {
  std::string text = error.what();
  const std::string name = text.substr(0, text.find(": "));
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    constexpr std::string_view repeated = ": At Most 1 required but received ";
    const std::size_t at = text.find(repeated);
    if (at != std::string::npos) return name + ": given " + text.substr(at + repeated.size()) + " times; expected once";
    if (text.ends_with(" missing")) return name + ": found no value after it";
  }
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) return text + " but was not given";
  if (dynamic_cast<const CLI::ExcludesError*>(&error) != nullptr) {
    const std::size_t at = text.find(" excludes ");
    if (at != std::string::npos) return text.substr(0, at) + " cannot be used together with " + text.substr(at + 10);
  }
  return text;
}

enum class Request { run, help, version };

Request parse(CLI::App& app, const std::vector<std::string>& arguments) {
  // Help is for whoever got the command line wrong: it does not depend on the rest being right.
  if (asks_for(arguments, "--help") || asks_for(arguments, "-h")) return Request::help;
  if (asks_for(arguments, "--version")) return Request::version;
  std::string problem = empty_value_line(app, arguments);
  try {
    if (problem.empty()) app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {  // -vh
    return Request::help;
  } catch (const CLI::ParseError& error) {
    problem = parse_error_line(error);
  }
  // A mistyped option is the cause; a missing or odd argument elsewhere may only be its consequence.
  if (const std::string leftover = leftover_line(app, arguments); !leftover.empty()) problem = leftover;
  if (!problem.empty()) throw UsageError(problem + "; see \"" + app.get_name() + " --help\"");
  return Request::run;
}

void declare_common_options(CLI::App& app, CommonOptions& options, std::optional<std::int64_t>& threads) {
  app.set_help_flag("-h,--help", "Print this help and exit")->group("Common options");
  app.add_flag_callback(
         "--version", [] {}, "Print version, commit, compiler and libraries and exit")
      ->group("Common options");
  auto* const verbose = app.add_flag("-v,--verbose", options.verbose, "Tell more on stderr");
  auto* const quiet = app.add_flag("-q,--quiet", options.quiet, "Only warnings and errors on stderr");
  verbose->group("Common options")->excludes(quiet);
  quiet->group("Common options");
  add_integer(app, "--threads", threads, "Processor threads to use; default: chosen by the size of the work", 1, 1024)
      ->group("Common options");
  app.add_flag("--force", options.force, "Overwrite existing outputs")->group("Common options");
}

int run_parsed(const Program& program, std::vector<std::string> arguments, Console& console,
               const std::function<void(CLI::App&)>& declare, const std::function<int(Context&)>& run,
               const VersionLines& versions) {
  CLI::App app{"", std::string(program.name)};
  CommonOptions options;
  std::optional<std::int64_t> threads;
  app.get_formatter()->column_width(32);
  declare(app);
  declare_common_options(app, options, threads);
  app.allow_extras();  // so that this file, not CLI11, tells what is wrong with them

  const std::vector<std::string> given(arguments.begin() + (arguments.empty() ? 0 : 1), arguments.end());
  switch (parse(app, given)) {
    case Request::help:
      write_to_stdout(help_text(program, app));
      return 0;
    case Request::version:
      write_to_stdout(version_text(program.name, versions ? versions() : std::vector<std::string>()));
      return 0;
    case Request::run:
      break;
  }
  options.threads = static_cast<int>(threads.value_or(0));
  if (options.quiet) console.set_quiet();
  if (options.verbose) console.set_verbose();
  Context context(options, console, std::move(arguments));
  const int code = run(context);
  flush_standard_output();
  return code;
}

// Some libraries put a stack trace behind the first line of their message.
std::string first_line(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

std::string range_text(const std::string& kind, const std::string& low, const std::string& high, bool low_bounded,
                       bool high_bounded) {
  if (low_bounded && high_bounded) return kind + " from " + low + " to " + high;
  if (low_bounded) return kind + " of at least " + low;
  if (high_bounded) return kind + " of at most " + high;
  return kind;
}

double checked_number(const std::string& name, const std::string& text, double low, double high) {
  const std::optional<double> value = parse_number(text);
  if (value && *value >= low && *value <= high && std::isfinite(*value)) return *value;
  throw CLI::ValidationError(
      name, "found " + ae::quoted(text) + "; expected " +
                range_text("a number", number_text(low), number_text(high), std::isfinite(low), std::isfinite(high)));
}

std::int64_t checked_integer(const std::string& name, const std::string& text, std::int64_t low, std::int64_t high) {
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc() && rest == end && value >= low && value <= high) return value;
  using Limits = std::numeric_limits<std::int64_t>;
  throw CLI::ValidationError(name, "found " + ae::quoted(text) + "; expected " +
                                       range_text("a whole number", std::to_string(low), std::to_string(high),
                                                  low != Limits::min(), high != Limits::max()));
}

template <typename Target, typename Bound>
CLI::Option* add_checked(CLI::App& app, const std::string& name, Target& target, const std::string& help, Bound low,
                         Bound high, Bound (*check)(const std::string&, const std::string&, Bound, Bound)) {
  const std::string shown = name.substr(name.rfind(',') + 1);
  return app
      .add_option_function<std::string>(
          name, [&target, shown, low, high, check](const std::string& text) { target = check(shown, text, low, high); },
          help)
      ->type_name(std::is_same_v<Bound, double> ? "NUMBER" : "INTEGER");
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

std::string shell_command(std::string_view program, const std::vector<std::string>& arguments) {
  constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+.,:/@%";
  std::string command(program);
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    const bool as_is = !argument.empty() && argument.find_first_not_of(plain) == std::string::npos;
    command += ' ';
    if (as_is) {
      command += argument;
      continue;
    }
    command += '\'';
    for (const char c : argument) command += c == '\'' ? std::string("'\\''") : std::string(1, c);
    command += '\'';
  }
  return command;
}

int run_app(const Program& program, int argc, char** argv, const std::function<void(CLI::App&)>& declare,
            const std::function<int(Context&)>& run, const VersionLines& versions) {
  occupy_closed_standard_streams();
  keep_freed_memory();
  install_stop_signals();
  Console console(program.name);
  try {
    return run_parsed(program, std::vector<std::string>(argv, argv + argc), console, declare, run, versions);
  } catch (const ClosedPipe&) {
    return static_cast<int>(ExitCode::ok);
  } catch (const Interrupted& stop) {
    console.info(stop.what());
    return 128 + stop.signal;
  } catch (const Error& error) {
    for (const std::string& line : error.lines()) console.error(line);
    return static_cast<int>(error.code());
  } catch (const std::bad_alloc&) {
    console.error("out of memory; use smaller batches or fewer threads, or free memory");
  } catch (const std::exception& error) {
    console.error("unexpected failure: " + first_line(error.what()));
  } catch (...) {
    console.error("unexpected failure of unknown kind");
  }
  return static_cast<int>(ExitCode::failed);
}

}  // namespace ae::cli
