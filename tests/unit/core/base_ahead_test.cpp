#include "base/ahead.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <vector>

namespace ae::base_ahead_test {
namespace {

class Items : public testing::TestWithParam<std::size_t> {};

TEST_P(Items, ComeInOrderAndEnd) {
  int made = 0;
  Ahead<int> items(GetParam(), [&](int& item) {
    if (made == 100) return false;
    item = made++;
    return true;
  });
  std::vector<int> seen;
  for (int item = 0; items.next(item);) seen.push_back(item);
  ASSERT_EQ(seen.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], i);
  int item = 0;
  EXPECT_FALSE(items.next(item));
}

TEST_P(Items, AFailureComesAfterTheItemsBeforeIt) {
  int made = 0;
  Ahead<int> items(GetParam(), [&](int& item) {
    if (made == 3) throw std::runtime_error("the fourth");
    item = made++;
    return true;
  });
  int item = -1;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(items.next(item));
    EXPECT_EQ(item, i);
  }
  EXPECT_THROW(items.next(item), std::runtime_error);
}

TEST_P(Items, UseTheMemoryOfThoseBefore) {
  int made = 0, fresh = 0;
  {
    Ahead<std::vector<int>> items(GetParam(), [&](std::vector<int>& item) {
      if (item.capacity() == 0) ++fresh;
      item.assign(1000, made);
      return ++made <= 50;
    });
    for (std::vector<int> item; items.next(item);) EXPECT_EQ(item.size(), 1000u);
  }
  EXPECT_LE(fresh, static_cast<int>(GetParam()) + 2);
}

INSTANTIATE_TEST_SUITE_P(Ahead, Items, testing::Values(0, 1, 3));

TEST(Ahead, MakesNoMoreThanAsked) {
  std::atomic<int> made{0};
  Ahead<int> items(2, [&](int& item) {
    item = made++;
    return true;
  });
  int item = 0;
  ASSERT_TRUE(items.next(item));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_LE(made, 4);  // the one taken, two waiting, one being made
}

TEST(Ahead, EndsAMakerThatWaits) {
  std::atomic<bool> waiting{false};
  {
    Ahead<int> items(1, [&](int&) -> bool {
      waiting = true;
      for (;;) {
        throw_if_stopped("waiting for nothing");
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
    while (!waiting) std::this_thread::yield();
  }
  throw_if_stopped("this thread, which goes on");
}

}  // namespace
}  // namespace ae::base_ahead_test
