#include "cli/app.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <iostream>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/signals.hpp"
#include "cli/version.hpp"

namespace ae::cli::app_test {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

struct Outcome {
  int code = -1;
  std::string out;
  std::string err;
};

struct ScoreOptions {
  std::string model;
  std::vector<std::string> inputs;
  std::string output = "-";
  double alpha = 0.05;
  std::optional<double> threshold;
  std::int64_t explain = 0;
  std::string unreadable = "report";
  std::string gallery;
  std::string truth;
  std::vector<std::string> set;
};

class App : public ::testing::Test {
 protected:
  Outcome call(std::vector<std::string> arguments, const std::function<int(Context&)>& run = {}) {
    arguments.insert(arguments.begin(), "ae-score");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    options = ScoreOptions();
    ran = false;
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    Outcome outcome;
    outcome.code = run_app(
        program, static_cast<int>(arguments.size()), argv.data(), [this](CLI::App& app) { declare(app); },
        [&](Context& context) {
          ran = true;
          common = context.options;
          return run ? run(context) : 0;
        },
        [] { return std::vector<std::string>{"LibTorch: none"}; });
    outcome.out = testing::internal::GetCapturedStdout();
    outcome.err = testing::internal::GetCapturedStderr();
    return outcome;
  }

  void declare(CLI::App& app) {
    app.add_option("MODEL", options.model, "Checkpoint")->required();
    app.add_option("INPUT", options.inputs, "Tables to score")->required();
    app.add_option("-o,--output", options.output, "Where to write");
    add_number(app, "--alpha", options.alpha, "False alarm rate", 0, 1);
    add_number(app, "--threshold", options.threshold, "Flag scores above", -HUGE_VAL, HUGE_VAL);
    add_integer(app, "--explain", options.explain, "Columns to show", 0, 100);
    add_choice(app, "--unreadable", options.unreadable, "What of such images", {"report", "ignore", "stop"});
    auto* gallery = app.add_option("--gallery", options.gallery, "Page to write");
    app.add_option("--truth", options.truth, "Masks to show")->needs(gallery);
    app.add_option("--set", options.set, "Settings")->expected(1)->take_all();
  }

  // Asserts the contract of a wrong command line: exit 2, nothing on stdout, one line with `message` and the hint.
  void expect_usage_error(const std::vector<std::string>& arguments, const std::string& message) {
    const Outcome outcome = call(arguments);
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err, "ae-score: error: " + message + "; see \"ae-score --help\"\n");
    EXPECT_FALSE(ran);
  }

  const Program program{"ae-score",
                        "How strange is each row, and in which columns?",
                        {{"ae-score model.safetensors new.csv", "scores of every row on standard output"},
                         {"ae-score model.safetensors - < new.csv", "the same from a pipe"}}};
  ScoreOptions options;
  CommonOptions common;
  bool ran = false;
};

TEST_F(App, RunsWithOptionsAndPositionalsInAnyOrder) {
  const Outcome outcome = call({"--alpha", "0.1", "m", "--threads=3", "a.csv", "-o", "x", "b.csv", "-v", "--force"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(options.model, "m");
  EXPECT_EQ(options.inputs, (std::vector<std::string>{"a.csv", "b.csv"}));
  EXPECT_EQ(options.output, "x");
  EXPECT_EQ(options.alpha, 0.1);
  EXPECT_FALSE(options.threshold.has_value());
  EXPECT_EQ(common.threads, 3);
  EXPECT_TRUE(common.verbose);
  EXPECT_TRUE(common.force);
  EXPECT_FALSE(common.quiet);
}

TEST_F(App, ThreadsAreZeroWhenNotGiven) {
  call({"m", "a"});
  EXPECT_EQ(common.threads, 0);
}

TEST_F(App, ContextHoldsTheWholeCommandLine) {
  std::vector<std::string> seen;
  call({"m", "a.csv", "-q"}, [&](Context& context) {
    seen = context.arguments;
    return 0;
  });
  EXPECT_EQ(seen, (std::vector<std::string>{"ae-score", "m", "a.csv", "-q"}));
}

TEST_F(App, ReturnsTheExitCodeOfRun) {
  EXPECT_EQ(call({"m", "a"}, [](Context&) { return 3; }).code, 3);
}

TEST_F(App, HelpShowsDescriptionThenExamplesThenOptions) {
  const Outcome outcome = call({"--help"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_FALSE(ran);
  const std::size_t description = outcome.out.find("How strange");
  const std::size_t example = outcome.out.find("ae-score model.safetensors new.csv");
  const std::size_t usage = outcome.out.find("Usage: ae-score");
  const std::size_t own = outcome.out.find("--alpha");
  const std::size_t shared = outcome.out.find("Common options");
  EXPECT_LT(description, example);
  EXPECT_LT(example, usage);
  EXPECT_LT(usage, own);
  EXPECT_LT(own, shared);
  for (const char* flag : {"--help", "--version", "--verbose", "--quiet", "--threads", "--force"}) {
    EXPECT_THAT(outcome.out, HasSubstr(flag));
  }
  EXPECT_NE(shared, std::string::npos);
}

TEST_F(App, HelpDoesNotDependOnTheRestOfTheCommandLine) {
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {"-h"}, {"--bogus", "--help"}, {"--threads", "many", "--help"}, {"m", "-vh"}, {"--help", "--version"}}) {
    const Outcome outcome = call(arguments);
    EXPECT_EQ(outcome.code, 0);
    EXPECT_THAT(outcome.out, StartsWith("ae-score: How strange"));
    EXPECT_EQ(outcome.err, "");
  }
}

TEST_F(App, VersionNamesCommitCompilerAndLibraries) {
  const Outcome outcome = call({"--version"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, StartsWith("ae-score 0."));
  for (const char* what : {"\ngit: ", "\ncompiler: ", "\nbuild type: ", "\nnlohmann-json: 3.", "\nCLI11: 2.",
                           "\nspdlog: 1.", "\nLibTorch: none\n"}) {
    EXPECT_THAT(outcome.out, HasSubstr(what));
  }
  EXPECT_EQ(outcome.err, "");
}

TEST_F(App, UnknownOptionIsNamedWithTheNearestOne) {
  expect_usage_error({"m", "a", "--thresold", "3"}, R"(unknown option "--thresold"; did you mean "--threshold"?)");
  expect_usage_error({"--alhpa=3", "m", "a"}, R"(unknown option "--alhpa"; did you mean "--alpha"?)");
  expect_usage_error({"m", "a", "--thraeds", "2"}, R"(unknown option "--thraeds"; did you mean "--threads"?)");
  expect_usage_error({"m", "a", "-verbose"}, R"(unknown option "-verbose"; did you mean "--verbose"?)");
  expect_usage_error({"m", "a", "--zzzzzz"}, R"(unknown option "--zzzzzz")");
}

TEST_F(App, SuggestedOptionIsAccepted) {
  EXPECT_EQ(call({"m", "a", "--threshold", "3"}).code, 0);
  EXPECT_EQ(call({"--alpha=1", "m", "a"}).code, 0);
}

// The typo is the cause; that an argument is now missing is only its consequence.
TEST_F(App, UnknownOptionIsReportedBeforeAMissingArgument) {
  expect_usage_error({"--hlep"}, R"(unknown option "--hlep"; did you mean "--help"?)");
}

TEST_F(App, HostileOptionTextStaysOneLine) {
  expect_usage_error({"m", "a", "--x\n\x1b[31mfake: all is well\xff"},
                     R"(unknown option "--x\n\x1b[31mfake: all is well\xff")");
}

TEST_F(App, MissingArgumentsAreNamed) {
  expect_usage_error({}, "MODEL is required but was not given");
  expect_usage_error({"m"}, "INPUT is required but was not given");
}

TEST_F(App, OptionWithoutValueIsAnError) {
  expect_usage_error({"m", "a", "--alpha"}, "--alpha: found no value after it");
  expect_usage_error({"m", "a", "--output=", "x"}, "--output: found no value after \"=\"");
}

TEST_F(App, ShortOptionWithoutValueIsAnErrorAlsoBehindFlags) {
  expect_usage_error({"m", "a", "-o"}, "--output: found no value after it");
  expect_usage_error({"m", "a", "-vo"}, "--output: found no value after it");
}

TEST_F(App, FlagTakesNoValue) {
  expect_usage_error({"m", "a", "--force=no"}, "--force: found the value \"no\"; expected none");
  expect_usage_error({"m", "a", "--verbose=", "x"}, "--verbose: found the value \"\"; expected none");
}

TEST_F(App, ValueThatLooksLikeAnOptionIsAValue) {
  EXPECT_EQ(call({"m", "a", "--set", "--force=no", "--set", "--output=", "-vo", "--alpha="}).code, 0);
  EXPECT_EQ(options.set, (std::vector<std::string>{"--force=no", "--output="}));
  EXPECT_EQ(options.output, "--alpha=");
}

TEST_F(App, OptionGivenTooOftenIsAnError) {
  expect_usage_error({"m", "a", "--alpha", "0.1", "--alpha", "0.2"}, "--alpha: given 2 times; expected once");
  expect_usage_error({"m", "a", "-o", "x", "--output=y", "-oz"}, "--output: given 3 times; expected once");
}

TEST_F(App, FlagMayBeRepeated) {
  EXPECT_EQ(call({"m", "a", "-vv", "--verbose"}).code, 0);
  EXPECT_TRUE(common.verbose);
}

TEST_F(App, ChoiceIsOneOfItsWords) {
  expect_usage_error({"m", "a", "--unreadable", "skip"},
                     "--unreadable: found \"skip\"; expected one of report, ignore, stop");
  expect_usage_error({"m", "a", "--unreadable", ""}, "--unreadable: found \"\"; expected one of report, ignore, stop");
  EXPECT_EQ(call({"m", "a", "--unreadable=stop"}).code, 0);
  EXPECT_EQ(options.unreadable, "stop");
}

TEST_F(App, OptionThatNeedsAnotherOneNamesIt) {
  expect_usage_error({"m", "a", "--truth", "masks"}, "--truth needs --gallery as well");
  EXPECT_EQ(call({"m", "a", "--truth", "masks", "--gallery", "page"}).code, 0);
}

TEST_F(App, NumbersAreStrict) {
  for (const std::string text : {"abc", "", " 1", "1 ", "0x1", "nan", "inf", "1e", "1,5", "2", "-0.1"}) {
    expect_usage_error({"m", "a", "--alpha", text}, "--alpha: found \"" + text + "\"; expected a number from 0 to 1");
  }
  expect_usage_error({"m", "a", "--threshold", "1e999"}, "--threshold: found \"1e999\"; expected a number");
  for (const std::string text : {"1.5", "0", "1025", "-1", "99999999999999999999", "1k", "+1", ""}) {
    expect_usage_error({"m", "a", "--threads", text},
                       "--threads: found \"" + text + "\"; expected a whole number from 1 to 1024");
  }
}

TEST_F(App, NegativeNumberIsAnOptionsValue) {
  EXPECT_EQ(call({"m", "a", "--threshold", "-0.5"}).code, 0);
  EXPECT_EQ(options.threshold, -0.5);
  EXPECT_EQ(call({"m", "a", "--threshold=-1e-3"}).code, 0);
  EXPECT_EQ(options.threshold, -1e-3);
}

TEST_F(App, QuietAndVerboseExcludeEachOther) {
  expect_usage_error({"m", "a", "-q", "-v"}, "--verbose cannot be used together with --quiet");
}

TEST_F(App, ArgumentsAfterTwoDashesAreNotOptions) {
  EXPECT_EQ(call({"--alpha", "0.5", "--", "-m", "--help"}).code, 0);
  EXPECT_EQ(options.model, "-m");
  EXPECT_EQ(options.inputs, std::vector<std::string>{"--help"});
}

TEST_F(App, SingleDashIsAnArgument) {
  EXPECT_EQ(call({"m", "-"}).code, 0);
  EXPECT_EQ(options.inputs, std::vector<std::string>{"-"});
}

TEST(RunApp, SurplusArgumentIsNamed) {
  std::vector<std::string> arguments = {"ae-roc", "a.csv", "--", "b.csv"};
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  std::string path;
  testing::internal::CaptureStderr();
  const int code = run_app(
      {"ae-roc", "", {}}, 4, argv.data(), [&](CLI::App& app) { app.add_option("SCORES", path, ""); },
      [](Context&) { return 0; });
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "ae-roc: error: unexpected argument \"b.csv\"; see \"ae-roc --help\"\n");
  EXPECT_EQ(code, 2);
}

TEST(RunApp, SurvivesAnEmptyArgv) {
  char* argv[] = {nullptr};
  EXPECT_EQ(run_app(
                {"ae-roc", "", {}}, 0, argv, [](CLI::App&) {}, [](Context&) { return 0; }),
            0);
}

TEST_F(App, EveryLineOfAnErrorIsPrefixed) {
  const Outcome outcome = call({"m", "a"}, [](Context&) -> int {
    throw UsageError(std::vector<std::string>{"c.json: /a: unknown key", "c.json: /b: unknown key"});
  });
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.err, "ae-score: error: c.json: /a: unknown key\nae-score: error: c.json: /b: unknown key\n");
}

TEST_F(App, ErrorKindsHaveTheirExitCodes) {
  EXPECT_EQ(call({"m", "a"}, [](Context&) -> int { throw RunError("x"); }).code, 1);
  EXPECT_EQ(call({"m", "a"}, [](Context&) -> int { throw InputError("x"); }).code, 4);
  EXPECT_EQ(call({"m", "a"}, [](Context&) -> int { throw 5; }).code, 1);
}

TEST_F(App, UnexpectedExceptionIsOneLineWithoutTrace) {
  const Outcome outcome = call({"m", "a"}, [](Context&) -> int {
    throw std::runtime_error("size mismatch\nframe #0: at::native::addmm\nframe #1: main");
  });
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.err, "ae-score: error: unexpected failure: size mismatch\n");
}

TEST_F(App, OutOfMemoryIsOneLine) {
  const Outcome outcome = call({"m", "a"}, [](Context&) -> int { throw std::bad_alloc(); });
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, StartsWith("ae-score: error: out of memory"));
}

TEST_F(App, StopSignalEndsWith128PlusItsNumber) {
  const Outcome outcome =
      call({"m", "a"}, [](Context&) -> int { throw Interrupted(SIGTERM, "training stopped by SIGTERM; saved"); });
  EXPECT_EQ(outcome.code, 128 + SIGTERM);
  EXPECT_EQ(outcome.err, "ae-score: training stopped by SIGTERM; saved\n");
}

TEST_F(App, ClosedPipeEndsQuietly) {
  const Outcome outcome = call({"m", "a"}, [](Context&) -> int { throw ClosedPipe(); });
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.err, "");
}

TEST_F(App, QuietHidesInformationButNotWarnings) {
  const auto speak = [](Context& context) {
    context.reporter.info("fact");
    context.reporter.detail("detail");
    context.reporter.warning("caution");
    context.reporter.progress("rows", 1, 2);
    context.reporter.progress_done();
    return 0;
  };
  EXPECT_EQ(call({"m", "a"}, speak).err, "ae-score: fact\nae-score: warning: caution\n");
  EXPECT_EQ(call({"m", "a", "-q"}, speak).err, "ae-score: warning: caution\n");
  EXPECT_EQ(call({"m", "a", "-v"}, speak).err, "ae-score: fact\nae-score: detail\nae-score: warning: caution\n");
}

TEST_F(App, LogLineWithControlCharactersStaysOneLine) {
  const Outcome outcome = call({"m", "a"}, [](Context& context) {
    context.reporter.warning("a\nb\x1b[2J{}%v\xff \xc3\xa9");
    return 0;
  });
  EXPECT_EQ(outcome.err, "ae-score: warning: a\\nb\\x1b[2J{}%v\\xff \xc3\xa9\n");
}

// What happens to a real process: its exit code and what it printed, with `prepare` run in the child.
Outcome in_child(const std::function<void()>& prepare, std::vector<std::string> arguments,
                 const std::function<int(Context&)>& run) {
  int errors[2];
  EXPECT_EQ(::pipe(errors), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(errors[1], STDERR_FILENO);
    ::close(errors[0]);
    ::close(errors[1]);
    prepare();
    arguments.insert(arguments.begin(), "ae-score");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    ::_exit(run_app(
        {"ae-score", "text", {{"a", "b"}}}, static_cast<int>(argv.size()), argv.data(), [](CLI::App&) {}, run));
  }
  ::close(errors[1]);
  Outcome outcome;
  char buffer[4096];
  for (ssize_t count; (count = ::read(errors[0], buffer, sizeof buffer)) > 0;) {
    outcome.err.append(buffer, static_cast<std::size_t>(count));
  }
  ::close(errors[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return outcome;
}

void redirect_stdout(const char* path) {
  const int fd = ::open(path, O_WRONLY);
  ::dup2(fd, STDOUT_FILENO);
  ::close(fd);
}

void point_stdout_to_a_pipe_without_reader() {
  int ends[2];
  if (::pipe(ends) != 0) ::_exit(99);
  ::dup2(ends[1], STDOUT_FILENO);
  ::close(ends[0]);
  ::close(ends[1]);
}

int nothing(Context&) { return 0; }
int print_with_iostream(Context&) {
  std::cout << "hello\n";
  return 0;
}
int print_with_stdio(Context&) {
  std::fputs("hello\n", stdout);
  return 0;
}
int print_with_output(Context&) {
  Output output = Output::open("-", false);
  output.write("hello\n");
  output.commit();
  return 0;
}

TEST(RunApp, FullDiskOnStandardOutputIsAnError) {
  const std::string expected = "ae-score: error: standard output: cannot write: No space left on device\n";
  const auto full = [] { redirect_stdout("/dev/full"); };
  for (const auto& [arguments, run] :
       std::vector<std::pair<std::vector<std::string>, std::function<int(Context&)>>>{{{"--help"}, nothing},
                                                                                      {{"--version"}, nothing},
                                                                                      {{}, print_with_iostream},
                                                                                      {{}, print_with_stdio},
                                                                                      {{}, print_with_output}}) {
    const Outcome outcome = in_child(full, arguments, run);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(outcome.err, expected);
  }
}

TEST(RunApp, ClosedReaderOfStandardOutputIsQuiet) {
  for (const auto& [arguments, run] : std::vector<std::pair<std::vector<std::string>, std::function<int(Context&)>>>{
           {{"--help"}, nothing}, {{}, print_with_iostream}, {{}, print_with_output}}) {
    const Outcome outcome = in_child(point_stdout_to_a_pipe_without_reader, arguments, run);
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.err, "");
  }
}

TEST(RunApp, ClosedStandardOutputIsAnErrorAndNeverAnotherFile) {
  const Outcome outcome = in_child([] { ::close(STDOUT_FILENO); }, {"--help"}, nothing);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.err, "ae-score: error: standard output: cannot write: Bad file descriptor\n");
}

TEST(RunApp, FirstStopSignalAsksAndTheSecondKills) {
  const auto stop_in_time = [](Context&) -> int {
    ::raise(SIGINT);
    throw_if_stopped("scoring");
    return 0;
  };
  const Outcome asked = in_child([] {}, {}, stop_in_time);
  EXPECT_EQ(asked.code, 128 + SIGINT);
  EXPECT_EQ(asked.err, "ae-score: scoring stopped by SIGINT\n");

  const auto hang = [](Context&) -> int {
    ::raise(SIGINT);
    ::raise(SIGTERM);
    return 0;
  };
  EXPECT_EQ(in_child([] {}, {}, hang).code, -SIGTERM);

  // The same one at once is what `timeout` sends, to the program and to its group; later somebody is impatient.
  const auto at_once = [](Context&) -> int {
    ::raise(SIGTERM);
    ::raise(SIGTERM);
    return stop_signals();
  };
  EXPECT_EQ(in_child([] {}, {}, at_once).code, 1);
  const auto later = [](Context&) -> int {
    ::raise(SIGTERM);
    std::this_thread::sleep_for(std::chrono::milliseconds(600));
    ::raise(SIGTERM);
    return 0;
  };
  EXPECT_EQ(in_child([] {}, {}, later).code, -SIGTERM);
}

TEST(RunApp, LogsAreJsonFromTheFirstComplaintOn) {
  const Outcome wrong = in_child([] {}, {"--log-json", "--no-such-option"}, nothing);
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, StartsWith("{\"time\":\""));
  EXPECT_THAT(wrong.err, HasSubstr("\"level\":\"error\",\"program\":\"ae-score\",\"message\":\""));
  EXPECT_THAT(wrong.err, EndsWith("\"}\n"));
  EXPECT_THAT(in_child([] {}, {"--", "--log-json"}, nothing).err, StartsWith("ae-score: error: "));
}

TEST(Signals, ATimeLimitEndsWorkAndMayLetSignalsWait) {
  const auto outlast = [](Context&) -> int {
    {
      const TimeLimit limit(0, TimeLimit::Signals::stop);
      try {
        throw_if_stopped("work");
        return 1;
      } catch (const Interrupted& late) {
        if (late.signal != 0) return 2;
      }
    }
    throw_if_stopped("work without a limit");
    ::raise(SIGTERM);
    {
      const TimeLimit limit(1e6, TimeLimit::Signals::wait);
      throw_if_stopped("the last word");
    }
    const TimeLimit limit(1e6, TimeLimit::Signals::stop);
    throw_if_stopped("work");
    return 3;
  };
  const Outcome outcome = in_child([] {}, {}, outlast);
  EXPECT_EQ(outcome.code, 128 + SIGTERM);
  EXPECT_EQ(outcome.err, "ae-score: work stopped by SIGTERM\n");
}

TEST(RunApp, HangupIsIgnoredUnderNohup) {
  const auto survive = [](Context&) -> int {
    ::raise(SIGHUP);
    throw_if_stopped("scoring");
    return 0;
  };
  EXPECT_EQ(in_child([] { std::signal(SIGHUP, SIG_IGN); }, {}, survive).code, 0);
  EXPECT_EQ(in_child([] { std::signal(SIGHUP, SIG_DFL); }, {}, survive).code, 128 + SIGHUP);
}

}  // namespace
}  // namespace ae::cli::app_test
