#include "cli/app.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <iostream>
#include <new>
#include <system_error>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/signals.hpp"
#include "cli/command_line.hpp"
#include "cli/console.hpp"
#include "cli/help.hpp"
#include "cli/pages.hpp"
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

constexpr std::string_view kLogJson = "--log-json";

// Looked for before anything is parsed, so that complaints about the command line are JSON too.
bool asks_for_json(const std::vector<std::string>& arguments) {
  const auto end = std::find(arguments.begin(), arguments.end(), "--");
  return std::find(arguments.begin(), end, kLogJson) != end;
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
  app.add_flag_callback(
         std::string(kLogJson), [] {}, "Write every line on stderr as a JSON object, for programs that read logs")
      ->group("Common options");
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
  declare(app);
  declare_common_options(app, options, threads);
  app.allow_extras();  // so that we, not CLI11, tell what is wrong with them

  const std::vector<std::string> given(arguments.begin() + (arguments.empty() ? 0 : 1), arguments.end());
  if (asks_for_page(given)) {
    write_to_stdout(requested_page(program, app, given));
    return 0;
  }
  switch (parse(app, given)) {
    case Request::help:
      write_to_stdout(help_text(program, declared_arguments(app), help_columns(), configs_folder()));
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

}  // namespace

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
  const std::vector<std::string> arguments(argv, argv + argc);
  if (asks_for_json(arguments)) console.set_json();
  try {
    return run_parsed(program, arguments, console, declare, run, versions);
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
