#include "cli/console.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace ae::cli::console_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ProgressLine, ShowsShareRateAndRemainingTime) {
  const Progress progress{.unit = "rows", .first = 0, .done = 250, .total = 1000, .seconds = 5, .status = "loss 0.1"};
  EXPECT_EQ(progress_line(progress, 200), " 25% [=====>              ] 250/1000 rows, 50.0/s, 0:15 left, loss 0.1");
}

TEST(ProgressLine, CountsOnlyWhatThisRunDidWhenResumed) {
  const Progress progress{.unit = "epochs", .first = 50, .done = 60, .total = 100, .seconds = 20, .status = ""};
  EXPECT_EQ(progress_line(progress, 200), " 60% [============>       ] 60/100 epochs, 0.50/s, 1:20 left");
}

TEST(ProgressLine, WithoutTotalShowsElapsedTime) {
  const Progress progress{.unit = "rows", .first = 0, .done = 7'200'000, .total = 0, .seconds = 3600, .status = ""};
  EXPECT_EQ(progress_line(progress, 200), "7200000 rows, 2.00k/s, 1:00:00");
}

TEST(ProgressLine, SaysNothingOfTheRateBeforeAnythingWasDone) {
  const Progress progress{.unit = "rows", .first = 0, .done = 0, .total = 10, .seconds = 0, .status = ""};
  EXPECT_EQ(progress_line(progress, 200), "  0% [>                   ] 0/10 rows");
}

TEST(ProgressLine, IsFullAtTheEndAndNeverBeyond) {
  const Progress progress{.unit = "rows", .first = 0, .done = 12, .total = 10, .seconds = 1, .status = ""};
  EXPECT_EQ(progress_line(progress, 200), "100% [====================] 10/10 rows, 12.0/s, 0:00 left");
}

TEST(ProgressLine, FitsTheTerminalWithoutCuttingACharacterInTwo) {
  const Progress progress{.unit = "r", .first = 0, .done = 1, .total = 0, .seconds = 0, .status = "\xc3\xa9\xc3\xa9"};
  const std::string whole = progress_line(progress, 200);
  EXPECT_EQ(whole, "1 r, 0:00, \xc3\xa9\xc3\xa9");
  EXPECT_EQ(progress_line(progress, 14), "1 r, 0:00, \xc3\xa9");
  EXPECT_EQ(progress_line(progress, 0), "");
}

TEST(ProgressLine, StatusCannotMoveTheCursor) {
  const Progress progress{.unit = "r", .first = 0, .done = 1, .total = 0, .seconds = 0, .status = "\x1b[2J"};
  EXPECT_THAT(progress_line(progress, 200), HasSubstr("\\x1b[2J"));
}

TEST(HeartbeatLine, SaysTheSameWithoutABar) {
  EXPECT_EQ(
      heartbeat_line({.unit = "rows", .first = 0, .done = 250, .total = 1000, .seconds = 5, .status = "loss 0.1"}),
      "25%, 250/1000 rows, 50.0/s, 0:15 left, loss 0.1");
  EXPECT_EQ(heartbeat_line({.unit = "rows", .first = 0, .done = 7'200'000, .total = 0, .seconds = 3600, .status = ""}),
            "7200000 rows, 2.00k/s, 1:00:00");
}

// What `talk` writes where stderr is no terminal, and progress is told every `heartbeat`.
std::string in_a_log(std::chrono::milliseconds heartbeat, const std::function<void(Console&)>& talk) {
  testing::internal::CaptureStderr();
  Console console("ae-score", heartbeat);
  talk(console);
  return testing::internal::GetCapturedStderr();
}

TEST(Console, TellsProgressInALogNowAndThen) {
  const auto work = [](Console& console) {
    console.progress("rows", 0, 4, "");
    console.progress("rows", 1, 4, "loss 1");
    console.progress_done();
  };
  const std::string told = in_a_log(std::chrono::milliseconds(0), work);
  EXPECT_THAT(told, ::testing::StartsWith("ae-score: 0%, 0/4 rows\nae-score: 25%, 1/4 rows, "));
  EXPECT_THAT(told, ::testing::EndsWith(" left, loss 1\n"));
  EXPECT_EQ(in_a_log(std::chrono::hours(1), work), "");
  EXPECT_EQ(in_a_log(std::chrono::milliseconds(0),
                     [&](Console& console) {
                       console.set_quiet();
                       work(console);
                     }),
            "");
}

TEST(Console, WritesJsonWhateverTheTextHolds) {
  const std::string told = in_a_log(std::chrono::milliseconds(0), [](Console& console) {
    console.set_json();
    console.set_verbose();
    console.info("one \"line\"\nand a half, \xff");
    console.detail("detail");
    console.warning("caution");
    console.error("no");
    console.progress("rows", 0, 4, "");
    console.progress("rows", 1, 4, "loss 1");
    console.progress("bytes", 1, 0, "");
  });
  std::vector<nlohmann::json> lines;
  std::istringstream text(told);
  for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(lines.size(), 7u);
  EXPECT_EQ(lines[0]["message"], "one \"line\"\nand a half, \xef\xbf\xbd");
  const std::vector<std::string> levels{"info", "debug", "warning", "error", "progress", "progress", "progress"};
  for (std::size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i]["level"], levels[i]);
    EXPECT_EQ(lines[i]["program"], "ae-score");
    const std::string time = lines[i]["time"];
    EXPECT_THAT(time, ::testing::MatchesRegex("20..-..-..T..:..:..\\....Z"));
  }
  EXPECT_FALSE(lines[4].contains("per_second"));
  EXPECT_EQ(lines[5]["unit"], "rows");
  EXPECT_EQ(lines[5]["done"], 1);
  EXPECT_EQ(lines[5]["total"], 4);
  EXPECT_EQ(lines[5]["status"], "loss 1");
  EXPECT_NEAR(lines[5]["seconds_left"].get<double>() * lines[5]["per_second"].get<double>(), 3, 1e-6);
  EXPECT_FALSE(lines[6].contains("total"));
}

// What `talk` writes to a terminal, with environment variables set as given ("" = unset).
std::string on_a_terminal(const char* no_color, const char* term, const std::function<void(Console&)>& talk) {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  EXPECT_GE(master, 0);
  EXPECT_EQ(::grantpt(master), 0);
  EXPECT_EQ(::unlockpt(master), 0);
  const std::string slave_name = ::ptsname(master);
  const int slave = ::open(slave_name.c_str(), O_RDWR | O_NOCTTY);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(slave, STDERR_FILENO);
    ::unsetenv("COLORTERM");
    ::setenv("TERM", term, 1);
    *no_color != '\0' ? ::setenv("NO_COLOR", no_color, 1) : ::unsetenv("NO_COLOR");
    Console console("ae-score");
    talk(console);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  ::close(slave);
  std::string text;
  char buffer[4096];
  for (ssize_t count; (count = ::read(master, buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(count));
  }
  ::close(master);
  return text;
}

void warn(Console& console) { console.warning("caution"); }

TEST(Console, ColoursTheLevelOnATerminal) {
  EXPECT_EQ(on_a_terminal("", "xterm", warn), "ae-score: \x1b[33m\x1b[1mwarning: \x1b[mcaution\r\n");
}

TEST(Console, HonoursNoColorAndDumbTerminals) {
  EXPECT_EQ(on_a_terminal("1", "xterm", warn), "ae-score: warning: caution\r\n");
  EXPECT_EQ(on_a_terminal("", "dumb", warn), "ae-score: warning: caution\r\n");
}

void work_for_a_while(Console& console) {
  console.progress("rows", 0, 100, "");
  std::this_thread::sleep_for(std::chrono::milliseconds(120));
  console.progress("rows", 50, 100, "loss 1");
  console.info("note");
  console.progress_done();
}

TEST(Console, ClearsTheBarBeforeALogLine) {
  const std::string text = on_a_terminal("1", "xterm", work_for_a_while);
  EXPECT_THAT(text, HasSubstr("\r 50% [==========>         ] 50/100 rows, "));
  EXPECT_THAT(text, HasSubstr("\x1b[K\r\x1b[Kae-score: note\r\n"));
}

TEST(Console, DrawsNoBarOnADumbTerminalOrWhenQuiet) {
  EXPECT_EQ(on_a_terminal("1", "dumb", work_for_a_while), "ae-score: note\r\n");
  EXPECT_EQ(on_a_terminal("1", "xterm",
                          [](Console& console) {
                            console.set_quiet();
                            work_for_a_while(console);
                          }),
            "");
}

TEST(Console, DrawsAtMostTenTimesASecond) {
  const std::string text = on_a_terminal("1", "xterm", [](Console& console) {
    for (std::uint64_t i = 0; i < 100'000; ++i) console.progress("rows", i, 0, "");
  });
  EXPECT_LT(text.size(), 4096u);  // a hundred thousand calls, a handful of lines
}

}  // namespace
}  // namespace ae::cli::console_test
