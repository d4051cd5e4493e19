// Folders that processes leave behind when they are killed, and who may remove them.
#include "base/temporary_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "base/files.hpp"
#include "support/temporary_folder.hpp"

namespace ae::temporary_folder_test {
namespace {

namespace fs = std::filesystem;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class TemporaryFolders : public testing::Test {
 protected:
  TemporaryFolders() {
    if (const char* const before = std::getenv("TMPDIR")) before_ = std::make_unique<std::string>(before);
    fs::create_directory(scratch_);
    ::setenv("TMPDIR", scratch_.c_str(), 1);
  }
  ~TemporaryFolders() override { before_ ? ::setenv("TMPDIR", before_->c_str(), 1) : ::unsetenv("TMPDIR"); }
  std::set<std::string> names() const {
    std::set<std::string> found;
    for (const auto& entry : fs::directory_iterator(scratch_)) found.insert(entry.path().filename().string());
    return found;
  }
  // What the next one leaves of the others.
  std::set<std::string> left() const {
    { const TemporaryFolder next("ae-test-"); }
    return names();
  }

  const test::TemporaryFolder folder_;
  const fs::path scratch_ = folder_.path() / "scratch", outside_ = folder_.path() / "outside";
  std::unique_ptr<std::string> before_;
};

// A process with such a folder of its own that does this in it, and waits to be killed; with what `act` gave there.
template <typename Act>
std::pair<pid_t, pid_t> started(Act act) {
  int ready[2];
  EXPECT_EQ(::pipe(ready), 0);
  const pid_t process = ::fork();
  if (process == 0) {
    const TemporaryFolder own("ae-test-");
    const pid_t answer = act(own);
    [[maybe_unused]] const auto told = ::write(ready[1], &answer, sizeof answer);
    for (;;) ::pause();
  }
  pid_t answer = -1;
  EXPECT_EQ(::read(ready[0], &answer, sizeof answer), static_cast<ssize_t>(sizeof answer));
  ::close(ready[0]);
  ::close(ready[1]);
  return {process, answer};
}

void end(pid_t process) {
  ::kill(process, SIGKILL);
  int status = 0;
  ::waitpid(process, &status, 0);
}

TEST_F(TemporaryFolders, AreOfTheirOwnerAloneAndGoneWithIt) {
  fs::path path;
  {
    const TemporaryFolder one("ae-test-"), other("ae-test-");
    path = one.path();
    EXPECT_NE(path, other.path());
    EXPECT_EQ(path.parent_path(), scratch_);
    EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_all);
    write_file(path / "file", "x");
    fs::create_directory(path / "below");
    EXPECT_EQ(names().size(), 2u);
  }
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(TemporaryFolders, WhatNobodyHoldsIsRemovedAndNothingElse) {
  fs::create_directories(scratch_ / "ae-test-12345.aB3xyz" / "model");
  fs::create_directory(outside_);
  write_file(outside_ / "precious", "x");
  fs::create_directory_symlink(outside_, scratch_ / "ae-test-12345.aB3xyz" / "link");
  fs::create_directory_symlink(outside_, scratch_ / "ae-test-1.abcdef");
  write_file(scratch_ / "ae-test-2.abcdef", "a file");
  for (const char* name : {"ae-test-abcdef", "ae-test-1.abc", "ae-test-1.abcdefg", "ae-test-1.ab-def",
                           "ae-test-.abcdef", "ae-test-x1.abcdef", "ae-other-1.abcdef", "my-ae-test-1.abcdef"})
    fs::create_directory(scratch_ / name);
  EXPECT_THAT(left(), UnorderedElementsAre("ae-test-1.abcdef", "ae-test-2.abcdef", "ae-test-abcdef", "ae-test-1.abc",
                                           "ae-test-1.abcdefg", "ae-test-1.ab-def", "ae-test-.abcdef",
                                           "ae-test-x1.abcdef", "ae-other-1.abcdef", "my-ae-test-1.abcdef"));
  EXPECT_TRUE(fs::exists(outside_ / "precious"));
}

TEST_F(TemporaryFolders, AProcessKeepsItsOwnUntilItIsKilled) {
  const auto [process, wrote] = started([](const TemporaryFolder& own) {
    write_file(own.path() / "file", "x");
    return pid_t{1};
  });
  ASSERT_TRUE(process > 0 && wrote == 1);
  const auto with_it = names();
  EXPECT_EQ(with_it.size(), 1u);
  EXPECT_EQ(left(), with_it);
  end(process);
  EXPECT_EQ(names(), with_it);
  EXPECT_THAT(left(), IsEmpty());
}

// As a process that goes on training where what has started it was killed.
TEST_F(TemporaryFolders, AProgramThatWasStartedKeepsWhatItMayWriteInto) {
  const auto [process, program] = started([](const TemporaryFolder&) {
    const pid_t sleeping = ::fork();
    if (sleeping == 0) {
      ::execlp("sleep", "sleep", "100", nullptr);
      ::_exit(1);
    }
    return sleeping;
  });
  ASSERT_TRUE(process > 0 && program > 0);
  const auto with_it = names();
  end(process);
  EXPECT_EQ(left(), with_it);
  EXPECT_EQ(with_it.size(), 1u);
  // Nobody here may wait for it: its lock goes when it does.
  ::kill(program, SIGKILL);
  std::set<std::string> now = with_it;
  for (int i = 0; i < 1000 && !now.empty(); ++i) {
    ::usleep(10'000);
    now = left();
  }
  EXPECT_THAT(now, IsEmpty());
}

}  // namespace
}  // namespace ae::temporary_folder_test
