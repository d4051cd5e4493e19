#include "base/child_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "base/error.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"

namespace ae {
namespace {

constexpr int kLookMilliseconds = 100;  // for stop signals
constexpr std::size_t kKept = 1 << 14;  // bytes of standard error

std::string reason(int error_number) { return std::generic_category().message(error_number); }

// Where the program's standard error arrives.
class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) throw RunError("cannot make a pipe: " + reason(errno));
  }
  ~Pipe() {
    close_writer();
    ::close(ends_[0]);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  int reader() const { return ends_[0]; }
  int writer() const { return ends_[1]; }
  void close_writer() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

pid_t spawn(const std::filesystem::path& program, const std::vector<std::string>& arguments, const Pipe& errors,
            const std::filesystem::path& output) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, errors.writer(), STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t to_default, to_block;  // what we ignore would stay ignored, what this thread blocks would stay blocked
  sigemptyset(&to_default);
  sigaddset(&to_default, SIGPIPE);
  sigemptyset(&to_block);
  posix_spawnattr_setsigdefault(&attributes, &to_default);
  posix_spawnattr_setsigmask(&attributes, &to_block);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  std::vector<std::string> words{program.filename()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t pid = -1;
  const int error_number = ::posix_spawn(&pid, program.c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error_number != 0) throw RunError(program.string() + ": cannot be run: " + reason(error_number));
  return pid;
}

// Reads what the program says until it closes its standard error, or is killed; the last bytes are kept.
std::string listen(pid_t pid, const Pipe& errors) {
  std::string kept;
  bool passed_on = false;
  for (;;) {
    if (stop_signals() > 1) {
      ::kill(pid, SIGKILL);
      return kept;
    }
    if (stop_signal() != 0 && !passed_on) {
      ::kill(pid, stop_signal());
      passed_on = true;
    }
    pollfd waiting{errors.reader(), POLLIN, 0};
    const int ready = ::poll(&waiting, 1, kLookMilliseconds);
    if (ready <= 0) continue;  // time is over, or a signal came
    std::array<char, 4096> buffer;
    const ssize_t count = ::read(errors.reader(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return kept;
    kept.append(buffer.data(), static_cast<std::size_t>(count));
    if (kept.size() > 2 * kKept) kept.erase(0, kept.size() - kKept);
  }
}

std::string last_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return printable(text.substr(text.rfind('\n') + 1));
}

}  // namespace

std::filesystem::path find_program(std::string_view name) {
  std::error_code ignored;
  const auto beside = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path() / name;
  if (::access(beside.c_str(), X_OK) == 0) return beside;
  const char* const path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const auto end = std::min(rest.find(':'), rest.size());
    const auto candidate = std::filesystem::path(rest.substr(0, end)) / name;
    if (end > 0 && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  throw UsageError("the program " + std::string(name) +
                   " is neither beside this one nor on PATH; install it, or add its folder to PATH");
}

void run_program(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                 const std::string& what, const std::filesystem::path& output) {
  throw_if_stopped(what.c_str());
  Pipe errors;
  const pid_t pid = spawn(program, arguments, errors, output);
  errors.close_writer();
  const std::string said = listen(pid, errors);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    if (stop_signal() != 0) ::kill(pid, stop_signal());
  }
  throw_if_stopped(what.c_str());
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  const std::string ended = WIFEXITED(status) ? "ended with exit code " + std::to_string(WEXITSTATUS(status))
                                              : "was ended by signal " + std::to_string(WTERMSIG(status));
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  const bool known = code == static_cast<int>(ExitCode::usage) || code == static_cast<int>(ExitCode::bad_input);
  throw Error(known ? static_cast<ExitCode>(code) : ExitCode::failed,
              what + ": " + program.filename().string() + " " + ended +
                  (said.empty() ? std::string() : ": " + last_line(said)));
}

}  // namespace ae
