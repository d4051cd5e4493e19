// Errors and the exit codes they end a program with.
//
// Every failure a user can cause is an ae::Error: one line per problem, ready to print. A line names the file, the
// line/column or JSON pointer, what was found, what was expected and how to mend it. Lines carry no program name and
// no trailing newline; run_app adds the former.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace ae {

enum class ExitCode : int {
  ok = 0,
  failed = 1,           // the run failed: I/O, disk full, divergence
  usage = 2,            // command line or config file is wrong
  anomalies_found = 3,  // only with --fail-on-anomaly
  bad_input = 4,        // a data or model file is missing, unreadable or malformed
};

class Error : public std::runtime_error {
 public:
  Error(ExitCode code, std::string line);
  Error(ExitCode code, std::vector<std::string> lines);  // lines must not be empty

  ExitCode code() const noexcept { return code_; }
  const std::vector<std::string>& lines() const noexcept { return lines_; }

 private:
  ExitCode code_;
  std::vector<std::string> lines_;
};

struct RunError : Error {
  explicit RunError(std::string line) : Error(ExitCode::failed, std::move(line)) {}
};
struct UsageError : Error {
  explicit UsageError(std::string line) : Error(ExitCode::usage, std::move(line)) {}
  explicit UsageError(std::vector<std::string> lines) : Error(ExitCode::usage, std::move(lines)) {}
};
struct InputError : Error {
  explicit InputError(std::string line) : Error(ExitCode::bad_input, std::move(line)) {}
  explicit InputError(std::vector<std::string> lines) : Error(ExitCode::bad_input, std::move(lines)) {}
};

// A termination signal asked the program to stop, and everything worth keeping is saved; ends with 128 + signal.
struct Interrupted : std::runtime_error {
  Interrupted(int signal_number, const std::string& line) : std::runtime_error(line), signal(signal_number) {}
  int signal;
};

// The reader of our standard output has gone (`| head -1`): not an error, the program ends quietly with 0.
struct ClosedPipe : std::runtime_error {
  ClosedPipe() : std::runtime_error("standard output was closed by its reader") {}
};

}  // namespace ae
