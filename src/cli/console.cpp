#include "cli/console.hpp"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/text.hpp"

namespace ae::cli {
namespace {

// "warning: " and "error: " in colour; nothing before information, which is most of what a user reads.
class LevelPrefix final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
    std::string_view prefix;
    if (message.level == spdlog::level::warn) prefix = "warning: ";
    if (message.level == spdlog::level::err) prefix = "error: ";
    message.color_range_start = out.size();
    out.append(prefix.data(), prefix.data() + prefix.size());
    message.color_range_end = out.size();
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<LevelPrefix>(); }
};

bool variable_is_set(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

bool stderr_is_capable_terminal() {
  const char* const terminal = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && terminal != nullptr && std::string_view(terminal) != "dumb";
}

std::size_t terminal_columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

void print_to_stderr(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

template <typename... Values>
std::string formatted(const char* format, Values... values) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), format, values...);
  return buffer.data();
}

// 950, 1.20k, 35.0M: three digits say enough.
std::string short_number(double value) {
  static constexpr std::array<const char*, 5> suffixes = {"", "k", "M", "G", "T"};
  std::size_t i = 0;
  while (value >= 999.5 && i + 1 < suffixes.size()) {
    value /= 1000;
    ++i;
  }
  const int decimals = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return formatted("%.*f%s", decimals, value, suffixes[i]);
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<long long>(std::min(seconds, 1e9));
  const long long hours = whole / 3600, minutes = whole / 60 % 60, rest = whole % 60;
  if (hours > 0) return formatted("%lld:%02lld:%02lld", hours, minutes, rest);
  return formatted("%lld:%02lld", minutes, rest);
}

std::string bar(double share) {
  constexpr std::size_t width = 20;
  const auto filled = static_cast<std::size_t>(share * width);
  std::string text(filled, '=');
  if (filled < width) text += '>';
  text.resize(width, ' ');
  return "[" + text + "]";
}

// At most `limit` bytes, not ending inside a UTF-8 character.
std::string cut(std::string text, std::size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xc0u) == 0x80u) --limit;
  text.resize(limit);
  return text;
}

}  // namespace

std::string progress_line(const Progress& progress, std::size_t columns) {
  const std::uint64_t gained = progress.done - std::min(progress.first, progress.done);
  const double rate = progress.seconds > 0 ? static_cast<double>(gained) / progress.seconds : 0;
  std::string text;
  if (progress.total > 0) {
    const std::uint64_t done = std::min(progress.done, progress.total);
    const double share = static_cast<double>(done) / static_cast<double>(progress.total);
    text = formatted("%3.0f%% ", 100 * share) + bar(share) + " " + std::to_string(done) + "/" +
           std::to_string(progress.total) + " " + progress.unit;
    if (rate > 0) {
      text += ", " + short_number(rate) + "/s, " + duration_text(static_cast<double>(progress.total - done) / rate) +
              " left";
    }
  } else {
    text = std::to_string(progress.done) + " " + progress.unit;
    if (rate > 0) text += ", " + short_number(rate) + "/s";
    text += ", " + duration_text(progress.seconds);
  }
  if (!progress.status.empty()) text += ", " + printable(progress.status);
  return cut(std::move(text), columns);
}

Console::Console(std::string_view program_name) : terminal_(stderr_is_capable_terminal()) {
  const auto color =
      variable_is_set("NO_COLOR") || !terminal_ ? spdlog::color_mode::never : spdlog::color_mode::automatic;
  auto sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>(color);
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<LevelPrefix>('*').set_pattern("%n: %*%v");
  sink->set_formatter(std::move(formatter));
  logger_ = std::make_shared<spdlog::logger>(std::string(program_name), std::move(sink));
  logger_->set_level(spdlog::level::trace);
}

Console::~Console() {
  const std::lock_guard lock(mutex_);
  clear_bar();
}

void Console::log(int level, std::string_view line) {
  const std::string text = printable(line);
  const std::lock_guard lock(mutex_);
  clear_bar();
  logger_->log(static_cast<spdlog::level::level_enum>(level), spdlog::string_view_t(text.data(), text.size()));
}

void Console::info(std::string_view line) {
  if (!quiet_) log(spdlog::level::info, line);
}

void Console::detail(std::string_view line) {
  if (verbose_) log(spdlog::level::debug, line);
}

void Console::warning(std::string_view line) { log(spdlog::level::warn, line); }

void Console::error(std::string_view line) { log(spdlog::level::err, line); }

void Console::progress(std::string_view unit, std::uint64_t done, std::uint64_t total, std::string_view status) {
  if (!terminal_ || quiet_) return;
  const std::lock_guard lock(mutex_);
  const Clock::time_point now = Clock::now();
  if (!running_ || progress_.unit != unit || done < progress_.done) {
    progress_ = {.unit = std::string(unit), .first = done, .done = done, .total = total, .seconds = 0, .status = {}};
    began_ = last_drawn_ = now;
    running_ = true;
  }
  progress_.done = done;
  if (now - last_drawn_ < std::chrono::milliseconds(100)) return;
  last_drawn_ = now;
  progress_.total = total;
  progress_.seconds = std::chrono::duration<double>(now - began_).count();
  progress_.status = status;
  std::string bar_line(1, '\r');
  bar_line += progress_line(progress_, terminal_columns() - 1);
  bar_line += "\x1b[K";
  print_to_stderr(bar_line);
  drawn_ = true;
}

void Console::progress_done() {
  const std::lock_guard lock(mutex_);
  clear_bar();
  running_ = false;
}

void Console::clear_bar() {
  if (drawn_) print_to_stderr("\r\x1b[K");
  drawn_ = false;
}

}  // namespace ae::cli
