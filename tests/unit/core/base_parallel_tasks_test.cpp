#include "base/parallel_tasks.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace ae::base_parallel_tasks_test {
namespace {

TEST(RunTasks, RunsEachTaskOnceOnAnyNumberOfThreads) {
  for (const int threads : {1, 2, 7, 50}) {
    std::vector<std::atomic<int>> ran(40);
    std::atomic<bool> known_threads = true;
    std::int64_t told = 0;
    run_tasks(
        40, threads, "tasks",
        [&](std::int64_t task, int thread) {
          ++ran[static_cast<std::size_t>(task)];
          if (thread < 0 || thread >= threads) known_threads = false;
        },
        [&](std::int64_t done) { told = done; });
    for (const auto& times : ran) EXPECT_EQ(times, 1);
    EXPECT_TRUE(known_threads);
    EXPECT_LE(told, 40);
    if (threads == 1) {
      EXPECT_EQ(told, 40);
    }
  }
  run_tasks(0, 1, "tasks", [](std::int64_t, int) { FAIL(); });
}

TEST(RunTasks, TellsTheFailureThatOneThreadWouldHaveMet) {
  for (const int threads : {1, 4}) {
    std::atomic<int> begun = 0;
    try {
      run_tasks(1000, threads, "tasks", [&](std::int64_t task, int) {
        ++begun;
        // The later of two failures comes first.
        if (task == 2) std::this_thread::sleep_for(std::chrono::milliseconds(50));
        if (task == 2 || task == 3) throw std::runtime_error(std::to_string(task));
        // On a busy machine who has task 3 may wait while others go on.
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      });
      FAIL();
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(error.what(), std::string("2"));
    }
    EXPECT_LT(begun, 1000);
  }
}

TEST(TaskThreads, AreNoMoreThanTasks) {
  EXPECT_EQ(task_threads(8, 3), 3);
  EXPECT_EQ(task_threads(2, 3), 2);
  EXPECT_EQ(task_threads(2, 0), 1);
  EXPECT_GE(task_threads(0, 1000), 1);
}

}  // namespace
}  // namespace ae::base_parallel_tasks_test
