#include "base/local_sum.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <numeric>
#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"
#include "support/errors.hpp"

namespace ae::base_local_sum_test {
namespace {

constexpr std::chrono::milliseconds kPatient{20000};

// Runs work(sum) for each rank, 0 in this process and the others in their own; returns how those exited.
template <typename Work>
std::vector<int> in_processes(int size, std::chrono::milliseconds timeout, const Work& work) {
  auto own = LocalSum::make(size, timeout);
  std::vector<pid_t> children;
  for (int rank = 1; rank < size; ++rank) {
    const pid_t child = fork();
    if (child == 0) {
      try {
        const auto sum = LocalSum::find(own->address(), rank, size, timeout);
        _exit(sum == nullptr ? 99 : work(*sum, rank));
      } catch (...) {
        _exit(98);
      }
    }
    children.push_back(child);
  }
  EXPECT_EQ(work(*own, 0), 0);
  own.reset();
  std::vector<int> statuses;
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    statuses.push_back(status);
  }
  return statuses;
}

template <typename T>
std::vector<T> numbers_of(int rank, std::size_t count) {
  std::vector<float> draws(count);
  fill_uniform(stream_key(7, "numbers", static_cast<std::uint64_t>(rank), count), draws);
  return {draws.begin(), draws.end()};
}

// Sums of several sizes, one after another, compared bit by bit with a loop over the ranks; the exit code.
template <typename T>
int adds_up(LocalSum& sum, int rank, int size) {
  int wrong = 0;
  for (int round = 0; round < 3; ++round) {
    for (const std::size_t count : {1, 2, 1000, 65536, 65537, 200001, 0, 3}) {
      auto expected = numbers_of<T>(0, count);
      for (int other = 1; other < size; ++other) {
        const auto numbers = numbers_of<T>(other, count);
        for (std::size_t i = 0; i < count; ++i) expected[i] += numbers[i];
      }
      auto numbers = numbers_of<T>(rank, count);
      sum.add_up(std::span<T>(numbers));
      wrong += numbers != expected;
    }
  }
  return wrong;
}

class LocalSumOf : public testing::TestWithParam<int> {};

TEST_P(LocalSumOf, IsThatOfALoopOverTheRanks) {
  const int size = GetParam();
  const auto work = [size](LocalSum& sum, int rank) {
    return adds_up<float>(sum, rank, size) + adds_up<double>(sum, rank, size);
  };
  EXPECT_EQ(in_processes(size, kPatient, work), std::vector<int>(static_cast<std::size_t>(size - 1), 0));
}

INSTANTIATE_TEST_SUITE_P(Sizes, LocalSumOf, testing::Values(1, 2, 3, 5));

std::string failure_of(LocalSum& sum) {
  std::vector<float> numbers(10);
  return test::error_of<RunError>([&] { sum.add_up(std::span<float>(numbers)); });
}

TEST(LocalSum, NoticesThatAProcessHasEnded) {
  const auto statuses = in_processes(3, kPatient, [](LocalSum& sum, int rank) {
    std::vector<double> numbers(5);
    sum.add_up(std::span<double>(numbers));
    if (rank == 1) raise(SIGKILL);
    return failure_of(sum) == "the process of rank 1 has ended" ? 0 : 1;
  });
  EXPECT_TRUE(WIFSIGNALED(statuses[0]));
  EXPECT_EQ(statuses[1], 0);
}

TEST(LocalSum, NoticesThatAProcessHasGivenUp) {
  const auto sum = LocalSum::make(2, kPatient);
  const auto other = LocalSum::find(sum->address(), 1, 2, kPatient);  // which does not end
  ASSERT_NE(other, nullptr);
  other->give_up();
  EXPECT_EQ(failure_of(*sum), "another process has given up");
}

TEST(LocalSum, WaitsNoLongerThanTheTimeout) {
  auto sum = LocalSum::make(2, std::chrono::milliseconds(200));
  const auto other = LocalSum::find(sum->address(), 1, 2, kPatient);
  ASSERT_NE(other, nullptr);
  EXPECT_EQ(failure_of(*sum), "timed out waiting for the other processes of this machine");
}

TEST(LocalSum, FindsOnlyWhatWasMadeForIt) {
  const auto sum = LocalSum::make(2, kPatient);
  const std::string address = sum->address();
  EXPECT_EQ(LocalSum::find(address, 1, 3, kPatient), nullptr);
  EXPECT_EQ(LocalSum::find(address + "1", 1, 2, kPatient), nullptr);
  EXPECT_EQ(LocalSum::find("none", 1, 2, kPatient), nullptr);
  EXPECT_EQ(LocalSum::find("", 1, 2, kPatient), nullptr);
  EXPECT_EQ(LocalSum::find(std::to_string(getpid()) + " 0 0", 1, 2, kPatient), nullptr);
  EXPECT_EQ(LocalSum::find("999999999 3 0", 1, 2, kPatient), nullptr);
}

}  // namespace
}  // namespace ae::base_local_sum_test
