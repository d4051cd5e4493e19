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
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/text.hpp"
#include "base/utc.hpp"

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

// What this run did, by the time it took; 0: not known yet.
double rate_of(const Progress& progress) {
  const std::uint64_t gained = progress.done - std::min(progress.first, progress.done);
  return progress.seconds > 0 ? static_cast<double>(gained) / progress.seconds : 0;
}

double seconds_left(const Progress& progress) {
  return static_cast<double>(progress.total - std::min(progress.done, progress.total)) / rate_of(progress);
}

std::string progress_text(const Progress& progress, bool with_bar) {
  const double rate = rate_of(progress);
  std::string text;
  if (progress.total > 0) {
    const std::uint64_t done = std::min(progress.done, progress.total);
    const double share = static_cast<double>(done) / static_cast<double>(progress.total);
    text = with_bar ? formatted("%3.0f%% ", 100 * share) + bar(share) + " " : formatted("%.0f%%, ", 100 * share);
    text += std::to_string(done) + "/" + std::to_string(progress.total) + " " + progress.unit;
    if (rate > 0) text += ", " + short_number(rate) + "/s, " + duration_text(seconds_left(progress)) + " left";
  } else {
    text = std::to_string(progress.done) + " " + progress.unit;
    if (rate > 0) text += ", " + short_number(rate) + "/s";
    text += ", " + duration_text(progress.seconds);
  }
  if (!progress.status.empty()) text += ", " + printable(progress.status);
  return text;
}

// "2026-11-29T18:04:48.123Z"
std::string utc_now() {
  const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  std::string text = utc_text(now);
  return text.insert(text.size() - 1, formatted(".%03d", static_cast<int>(now.time_since_epoch().count() % 1000)));
}

using Json = nlohmann::ordered_json;

Json json_line(std::string_view level, const std::string& program, std::string_view message) {
  return {{"time", utc_now()}, {"level", std::string(level)}, {"program", program}, {"message", std::string(message)}};
}

void print_json(const Json& line) { print_to_stderr(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"); }

std::string_view level_name(int level) {
  switch (level) {
    case spdlog::level::debug:
      return "debug";
    case spdlog::level::warn:
      return "warning";
    case spdlog::level::err:
      return "error";
    default:
      return "info";
  }
}

}  // namespace

std::string progress_line(const Progress& progress, std::size_t columns) {
  return cut(progress_text(progress, true), columns);
}

std::string heartbeat_line(const Progress& progress) { return progress_text(progress, false); }

Console::Console(std::string_view program_name, std::chrono::milliseconds heartbeat)
    : terminal_(stderr_is_capable_terminal()), heartbeat_(heartbeat) {
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
  const std::lock_guard lock(mutex_);
  if (json_) return print_json(json_line(level_name(level), logger_->name(), line));
  const std::string text = printable(line);
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
  if (quiet_) return;
  const std::lock_guard lock(mutex_);
  const Clock::time_point now = Clock::now();
  if (!running_ || progress_.unit != unit || done < progress_.done) {
    progress_ = {.unit = std::string(unit), .first = done, .done = done, .total = total, .seconds = 0, .status = {}};
    began_ = last_drawn_ = now;
    running_ = true;
  }
  progress_.done = done;
  const bool as_bar = terminal_ && !json_;
  if (as_bar ? now - last_drawn_ < std::chrono::milliseconds(100) : now - last_told_ < heartbeat_) return;
  progress_.total = total;
  progress_.seconds = std::chrono::duration<double>(now - began_).count();
  progress_.status = status;
  as_bar ? draw_bar(now) : tell_progress(now);
}

void Console::draw_bar(Clock::time_point now) {
  last_drawn_ = now;
  std::string bar_line(1, '\r');
  bar_line += progress_line(progress_, terminal_columns() - 1);
  bar_line += "\x1b[K";
  print_to_stderr(bar_line);
  drawn_ = true;
}

void Console::tell_progress(Clock::time_point now) {
  last_told_ = now;
  const std::string text = heartbeat_line(progress_);
  if (!json_) return logger_->log(spdlog::level::info, spdlog::string_view_t(text.data(), text.size()));
  Json line = json_line("progress", logger_->name(), text);
  line["unit"] = progress_.unit;
  line["done"] = progress_.done;
  if (progress_.total > 0) line["total"] = progress_.total;
  if (rate_of(progress_) > 0) {
    line["per_second"] = rate_of(progress_);
    if (progress_.total > 0) line["seconds_left"] = seconds_left(progress_);
  }
  if (!progress_.status.empty()) line["status"] = progress_.status;
  print_json(line);
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
