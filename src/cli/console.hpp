// The terminal side of a program: log lines on stderr, and how far long work has come.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/reporter.hpp"

namespace spdlog {
class logger;
}

namespace ae::cli {

struct Progress {
  std::string unit;
  std::uint64_t first = 0;  // done when the job began (a resumed job does not begin at 0)
  std::uint64_t done = 0;
  std::uint64_t total = 0;  // 0: unknown
  double seconds = 0;       // since the job began
  std::string status;
};

// One line of at most `columns` bytes: share, bar, count, rate, remaining time, status.
std::string progress_line(const Progress& progress, std::size_t columns);

// The same without the bar, for a line in a log.
std::string heartbeat_line(const Progress& progress);

// Log lines are `NAME: text`, `NAME: warning: text`, `NAME: error: text`; one line each whatever the text holds. Colour
// only on a terminal and without NO_COLOR. Progress is a bar on a terminal, else a log line now and then. Thread-safe.
//
// As JSON, every line is an object on its own: `time` (UTC), `level` (debug, info, warning, error, progress),
// `program`, `message`; with the level progress also `unit`, `done`, and where known `total`, `per_second`,
// `seconds_left`, `status`.
class Console final : public Reporter {
 public:
  // `heartbeat`: time between two log lines about progress.
  explicit Console(std::string_view program_name, std::chrono::milliseconds heartbeat = std::chrono::minutes(1));
  ~Console() override;

  void set_quiet() { quiet_ = true; }
  void set_verbose() { verbose_ = true; }
  void set_json() { json_ = true; }

  void info(std::string_view line) override;
  void detail(std::string_view line) override;
  void warning(std::string_view line) override;
  void error(std::string_view line);
  void progress(std::string_view unit, std::uint64_t done, std::uint64_t total, std::string_view status) override;
  void progress_done() override;

 private:
  using Clock = std::chrono::steady_clock;

  void log(int level, std::string_view line);
  void draw_bar(Clock::time_point now);
  void tell_progress(Clock::time_point now);
  void clear_bar();

  std::mutex mutex_;
  std::shared_ptr<spdlog::logger> logger_;
  bool quiet_ = false;
  bool verbose_ = false;
  bool json_ = false;
  const bool terminal_;
  const std::chrono::milliseconds heartbeat_;
  bool running_ = false;
  bool drawn_ = false;
  Progress progress_;
  Clock::time_point began_;
  Clock::time_point last_drawn_;
  Clock::time_point last_told_ = Clock::now();
};

}  // namespace ae::cli
