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

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace ae::cli {

// What `--help` says before the options: two runnable examples first.
struct Program {
  std::string_view name;                                                // "ae-score"
  std::string_view description;                                         // one or two sentences for a stranger
  std::vector<std::pair<std::string_view, std::string_view>> examples;  // command line, what it does
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

// A number option: strict syntax (no hex, no blanks, no nan), `low <= value <= high`, and an error line that tells what
// was found and what is expected. `low` and `high` may be infinite; `name` is "--alpha" or "-k,--top".
CLI::Option* add_number(CLI::App& app, const std::string& name, double& value, const std::string& help, double low,
                        double high);
CLI::Option* add_number(CLI::App& app, const std::string& name, std::optional<double>& value, const std::string& help,
                        double low, double high);
CLI::Option* add_integer(CLI::App& app, const std::string& name, std::int64_t& value, const std::string& help,
                         std::int64_t low, std::int64_t high);
CLI::Option* add_integer(CLI::App& app, const std::string& name, std::optional<std::int64_t>& value,
                         const std::string& help, std::int64_t low, std::int64_t high);

}  // namespace ae::cli
