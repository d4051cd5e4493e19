#include "model/threads.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

namespace ae::model::threads_test {
namespace {

TEST(Crew, DoesEveryItemOnce) {
  for (const int threads : {1, 2, 5}) {
    Crew crew(threads);
    EXPECT_EQ(crew.size(), threads);
    for (int round = 0; round < 2000; ++round) {
      const std::int64_t count = round % 13;
      std::vector<std::atomic<int>> done(static_cast<std::size_t>(count));
      std::atomic<bool> known = true;
      crew.share_out(count, [&](std::int64_t item, int thread) {
        ++done[static_cast<std::size_t>(item)];
        if (thread < 0 || thread >= threads) known = false;
      });
      EXPECT_TRUE(known);
      for (const auto& times : done) EXPECT_EQ(times, 1);
    }
  }
}

TEST(Crew, ThrowsWhatTheWorkThrewAndGoesOn) {
  Crew crew(3);
  for (int round = 0; round < 100; ++round) {
    const auto fail = [](std::int64_t item, int) {
      if (item == 7) throw std::runtime_error("item 7");
    };
    EXPECT_THROW(crew.share_out(50, fail), std::runtime_error);
    std::atomic<int> done = 0;
    crew.share_out(50, [&](std::int64_t, int) { ++done; });
    EXPECT_EQ(done, 50);
  }
}

TEST(SerialBlas, GivesTheThreadsBack) {
  use_threads(2, 0, Pool::blas);
  EXPECT_EQ(threads_in_use(), 2);
  {
    const SerialBlas serial;
    EXPECT_EQ(threads_in_use(), 1);
  }
  EXPECT_EQ(threads_in_use(), 2);
  use_threads(1, 0, Pool::blas);
}

}  // namespace
}  // namespace ae::model::threads_test
