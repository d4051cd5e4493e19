// What all programs share: common flags, logging, exit codes, version. With this room's .cpp files the only place that
// knows CLI11 and spdlog.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/reporter.hpp"
#include "cli/options.hpp"

namespace ae::cli {

using Explained = std::vector<std::pair<std::string_view, std::string_view>>;  // what, and what it means

// What `--help` says before the options, two runnable examples first, and what only the man page tells.
struct Program {
  std::string_view name;         // "ae-score"
  std::string_view description;  // one or two sentences for a stranger
  Explained examples;            // command line, what it does
  Explained environment = {};    // variables it reads besides those that all programs read
  Explained files = {};          // what it writes or finds beside what the command line names
  // By option: how its values may begin, for shells to complete.
  std::vector<std::pair<std::string_view, std::vector<std::string> (*)()>> beginnings = {};
};

struct CommonOptions {
  bool quiet = false;
  bool verbose = false;
  bool force = false;
  int threads = 0;  // 0 = chosen by the program from the size of the work
};

class Context {
 public:
  Context(const CommonOptions& options, Reporter& reporter, std::vector<std::string> arguments)
      : options(options), reporter(reporter), arguments(std::move(arguments)) {}
  const CommonOptions& options;
  Reporter& reporter;
  std::vector<std::string> arguments;  // argv, for the run manifest
};

// The command line by the program's name, quoted: a shell splits it into the same arguments again.
std::string shell_command(std::string_view program, const std::vector<std::string>& arguments);

// Lines that --version prints besides our own (LibTorch, BLAS): programs that link LibTorch pass torch_versions().
using VersionLines = std::function<std::vector<std::string>()>;

// The whole life of a program: parses (every parse error is exit 2, one line), installs signals and logging, runs
// `run`, turns exceptions into one line per problem on stderr ("ae-score: error: ...") and the contract's exit codes,
// flushes stdout and reports a failed flush. `declare` adds the program's own options to the CLI11 app. `run` returns
// the exit code.
int run_app(const Program& program, int argc, char** argv, const std::function<void(CLI::App&)>& declare,
            const std::function<int(Context&)>& run, const VersionLines& versions = {});

}  // namespace ae::cli
