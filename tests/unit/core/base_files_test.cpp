#include "base/files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "base/signals.hpp"
#include "support/errors.hpp"
#include "support/temporary_folder.hpp"

namespace ae::base_files_test {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Files : public ::testing::Test {
 protected:
  std::vector<std::string> listing() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

  const test::TemporaryFolder temporary;
  const fs::path& folder = temporary.path();
};

TEST_F(Files, OutputAppearsOnlyOnCommit) {
  Output output = Output::open(folder / "out.csv", false);
  output.write("first\n");
  output.flush();
  EXPECT_FALSE(fs::exists(folder / "out.csv"));
  output.write("second\n");
  output.commit();
  EXPECT_EQ(read_file(folder / "out.csv", FileKind::data), "first\nsecond\n");
  EXPECT_THAT(listing(), ElementsAre("out.csv"));
}

TEST_F(Files, OutputWithoutCommitLeavesNothing) {
  {
    Output output = Output::open(folder / "out.csv", false);
    output.write(std::string(1 << 20, 'x'));
    output.flush();
  }
  EXPECT_THAT(listing(), IsEmpty());
}

TEST_F(Files, KilledProgramLeavesNothing) {
  const pid_t child = ::fork();
  if (child == 0) {
    Output output = Output::open(folder / "out.csv", false);
    output.write(std::string(1 << 20, 'x'));
    output.flush();
    ::raise(SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_THAT(listing(), IsEmpty());
}

TEST_F(Files, ExistingOutputIsRefusedUnlessOverwritten) {
  write_file(folder / "out.csv", "old");
  EXPECT_EQ(error_of<UsageError>([&] { Output::open(folder / "out.csv", false); }),
            (folder / "out.csv").string() + " exists; use --force to overwrite it");
  EXPECT_EQ(read_file(folder / "out.csv", FileKind::data), "old");
  {
    Output output = Output::open(folder / "out.csv", true);
    output.write("new");
    EXPECT_EQ(read_file(folder / "out.csv", FileKind::data), "old");
    output.commit();
  }
  EXPECT_EQ(read_file(folder / "out.csv", FileKind::data), "new");
  EXPECT_THAT(listing(), ElementsAre("out.csv"));
}

TEST_F(Files, OldFileSurvivesAFailedOverwrite) {
  write_file(folder / "out.csv", "old");
  { Output::open(folder / "out.csv", true).write("new"); }
  EXPECT_EQ(read_file(folder / "out.csv", FileKind::data), "old");
  EXPECT_THAT(listing(), ElementsAre("out.csv"));
}

TEST_F(Files, FileThatAppearsMeanwhileIsNotOverwritten) {
  Output output = Output::open(folder / "out.csv", false);
  output.write("ours");
  write_file(folder / "out.csv", "theirs");
  EXPECT_THAT(error_of<UsageError>([&] { output.commit(); }), HasSubstr("exists; use --force"));
  EXPECT_EQ(read_file(folder / "out.csv", FileKind::data), "theirs");
}

TEST_F(Files, OverwritingKeepsPermissionsAndFollowsLinks) {
  write_file(folder / "real.csv", "old");
  ::chmod((folder / "real.csv").c_str(), 0600);
  fs::create_symlink("real.csv", folder / "link.csv");
  write_file(folder / "link.csv", "new");
  EXPECT_TRUE(fs::is_symlink(folder / "link.csv"));
  EXPECT_EQ(read_file(folder / "real.csv", FileKind::data), "new");
  struct stat status {};
  ASSERT_EQ(::stat((folder / "real.csv").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);

  fs::create_symlink("later.csv", folder / "dangling.csv");
  write_file(folder / "dangling.csv", "x");
  EXPECT_EQ(read_file(folder / "later.csv", FileKind::data), "x");
  EXPECT_TRUE(fs::is_symlink(folder / "dangling.csv"));
}

TEST_F(Files, NewFileHonoursTheUmask) {
  const mode_t before = ::umask(027);
  write_file(folder / "out", "x");
  ::umask(before);
  struct stat status {};
  ASSERT_EQ(::stat((folder / "out").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640u);
}

TEST_F(Files, ImpossibleOutputsAreRefusedAtOnce) {
  EXPECT_THAT(error_of<RunError>([&] { Output::open(folder / "none" / "out", false); }),
              EndsWith("does not exist; create it first"));
  EXPECT_THAT(error_of<RunError>([&] { Output::open(folder, true); }), EndsWith("cannot write: Is a directory"));
  write_file(folder / "file", "x");
  EXPECT_THAT(error_of<RunError>([&] { Output::open(folder / "file" / "out", true); }), EndsWith("Not a directory"));
  EXPECT_THAT(error_of<RunError>([&] { Output::open(folder / std::string(300, 'x'), true); }),
              EndsWith("File name too long"));
  EXPECT_THROW(Output::open("", true), UsageError);
  fs::create_symlink("loop", folder / "loop");
  EXPECT_THAT(error_of<RunError>([&] { Output::open(folder / "loop", true); }),
              EndsWith("Too many levels of symbolic links"));
}

TEST_F(Files, LongestFileNameIsWritten) {
  const fs::path path = folder / std::string(255, 'x');
  write_file(path, "1");
  write_file(path, "2");
  EXPECT_EQ(read_file(path, FileKind::data), "2");
}

TEST_F(Files, FullDiskIsNamed) {
  EXPECT_EQ(error_of<RunError>([] { write_file("/dev/full", "x"); }),
            "/dev/full: cannot write: No space left on device");
}

// Without /proc an unnamed file could never get its name, which also stands for file systems without O_TMPFILE.
bool enter_root_without_proc(const fs::path& root) {
  if (::chroot(root.c_str()) == 0) return ::chdir("/") == 0;
  return ::unshare(CLONE_NEWUSER) == 0 && ::chroot(root.c_str()) == 0 && ::chdir("/") == 0;
}

int write_without_unnamed_files() {
  { Output::open("/abandoned", false).write("x"); }
  write_file("/out", "first");
  write_file("/out", "second");
  Output late = Output::open("/late", false);
  late.write("ours");
  write_file("/late", "theirs");
  try {
    late.commit();
  } catch (const UsageError&) {
    return 0;
  }
  return 1;
}

TEST_F(Files, AreWholeOrAbsentWithoutUnnamedTemporaryFilesToo) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(enter_root_without_proc(folder) ? write_without_unnamed_files() : 77);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "this machine lets nobody change the root";
  EXPECT_EQ(status, 0);
  EXPECT_THAT(listing(), ElementsAre("late", "out"));
  EXPECT_EQ(read_file(folder / "out", FileKind::data), "second");
  EXPECT_EQ(read_file(folder / "late", FileKind::data), "theirs");
}

// A file-size limit stands for a disk that fills up during the run.
TEST_F(Files, FailedWriteLeavesNoPartialFile) {
  const pid_t child = ::fork();
  if (child == 0) {
    install_stop_signals();  // ignores SIGXFSZ
    const rlimit limit{1 << 20, 1 << 20};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    int code = 1;
    try {
      Output output = Output::open(folder / "out", false);
      for (int i = 0; i < 100; ++i) output.write(std::string(1 << 16, 'x'));
    } catch (const RunError& error) {
      code = std::string(error.what()).ends_with("cannot write: File too large") ? 0 : 2;
    }
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(listing(), IsEmpty());
}

TEST_F(Files, DevicesAndPipesAreWrittenDirectly) {
  write_file("/dev/null", "x");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  const fs::path fifo = folder / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  std::string received;
  std::thread reader([&] { received = read_file(fifo, FileKind::data); });
  Output output = Output::open(fifo, false);  // a pipe is no result to protect
  output.write("through");
  output.commit();
  output = Output::open("/dev/null", false);  // closes the pipe
  reader.join();
  EXPECT_EQ(received, "through");
  EXPECT_TRUE(fs::is_fifo(fifo));
}

TEST_F(Files, StandardOutputHasThreeNames) {
  for (const char* name : {"-", "/dev/stdout", "/dev/fd/1"}) {
    testing::internal::CaptureStdout();
    Output output = Output::open(name, false);
    EXPECT_TRUE(output.is_stdout());
    output.write("data\n");
    output.commit();
    EXPECT_EQ(testing::internal::GetCapturedStdout(), "data\n") << name;
  }
}

TEST_F(Files, ReaderThatLeftIsAClosedPipe) {
  std::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  Output output = Output::open("/dev/fd/" + std::to_string(ends[1]), false);
  output.write("x");
  EXPECT_THROW(output.flush(), ClosedPipe);
  ::close(ends[1]);
}

TEST_F(Files, StreamReaderGetsWholeLinesWhenTheProgramFails) {
  testing::internal::CaptureStdout();
  {
    Output output = Output::open("-", false);
    for (int i = 0; i < 30'000; ++i) output.write("0123456789\n");
  }
  const std::string text = testing::internal::GetCapturedStdout();
  EXPECT_GT(text.size(), 200'000u);
  EXPECT_EQ(text.size() % 11, 0u);
}

TEST_F(Files, EveryByteArrivesInOrderWhateverThePieces) {
  std::string expected;
  Output output = Output::open(folder / "out", false);
  for (std::size_t size : {0u, 1u, 70'000u, 3u, 65'535u, 65'536u, 65'537u, 10u, 200'000u, 5u}) {
    std::string piece(size, static_cast<char>('a' + expected.size() % 26));
    if (size > 2) piece[size / 2] = '\n';
    output.write(piece);
    expected += piece;
  }
  output.commit();
  EXPECT_EQ(read_file(folder / "out", FileKind::data), expected);
}

TEST_F(Files, UnreadableInputIsNamedWithTheCodeOfItsKind) {
  EXPECT_EQ(error_of<UsageError>([&] { read_file(folder / "c.json", FileKind::config); }),
            (folder / "c.json").string() + ": cannot read: No such file or directory");
  EXPECT_THAT(error_of<InputError>([&] { read_file(folder / "d.csv", FileKind::data); }),
              EndsWith("cannot read: No such file or directory"));
  EXPECT_THAT(error_of<InputError>([&] { read_file(folder, FileKind::data); }),
              EndsWith("cannot read: Is a directory"));
}

TEST_F(Files, InputOverItsLimitIsRefused) {
  write_file(folder / "f", "12345");
  EXPECT_EQ(read_file(folder / "f", FileKind::data, 5), "12345");
  EXPECT_THAT(error_of<InputError>([&] { read_file(folder / "f", FileKind::data, 4); }),
              EndsWith("is 5 bytes long; expected at most 4"));
  EXPECT_THAT(error_of<UsageError>([] { read_file("/dev/zero", FileKind::config, 100'000); }),
              EndsWith("is more than 100000 bytes long; expected at most 100000"));
}

// FIPS 180-2 appendix B and the empty message.
TEST(Sha256, MatchesThePublishedVectors) {
  EXPECT_EQ(sha256_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256_of(std::string(1'000'000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_F(Files, Sha256OfAFileIsThatOfItsBytes) {
  write_file(folder / "a", std::string(1'000'000, 'a'));
  EXPECT_EQ(sha256_of_file(folder / "a"), sha256_of(std::string(1'000'000, 'a')));
  EXPECT_THROW(sha256_of_file(folder / "none"), InputError);
}

TEST(ErrorLines, AreKeptOneByOne) {
  const InputError error(std::vector<std::string>{"a", "b"});
  EXPECT_EQ(error.code(), ExitCode::bad_input);
  EXPECT_THAT(error.lines(), ElementsAre("a", "b"));
  EXPECT_STREQ(error.what(), "a\nb");
}

}  // namespace
}  // namespace ae::base_files_test
