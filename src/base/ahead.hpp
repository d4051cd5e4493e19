// Items made ahead of their use, so that making and using overlap.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "base/signals.hpp"

namespace ae {

// Item must be default-constructible and movable. Items come in the order in which they are made, each once.
template <typename Item>
class Ahead {
 public:
  // `make` overwrites an item, which may be a used one with its memory, and returns false instead after the last. At
  // most `waiting` items are made ahead, on one thread of their own; with 0 each is made when it is asked for, on the
  // thread that asks.
  Ahead(std::size_t waiting, std::function<bool(Item&)> make) : waiting_(waiting), make_(std::move(make)) {
    if (waiting_ > 0) thread_ = signal_free_thread([this] { run(); });
  }
  // Items not asked for are dropped; a `make` that is waiting in throw_if_stopped() is told to end.
  ~Ahead() {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(guard_);
      abandoned_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  Ahead(const Ahead&) = delete;
  Ahead& operator=(const Ahead&) = delete;

  // Replaces `item` by the next one; false after the last. What `make` threw is thrown here, in its place.
  bool next(Item& item) {
    if (waiting_ == 0) return make_(item);
    std::unique_lock lock(guard_);
    changed_.wait(lock, [&] { return over_ || !made_.empty(); });
    if (made_.empty()) {
      if (failure_) std::rethrow_exception(failure_);
      return false;
    }
    used_.push_back(std::exchange(item, std::move(made_.front())));
    made_.pop_front();
    lock.unlock();
    changed_.notify_all();
    return true;
  }

 private:
  void run() {
    abandon_waits_of_this_thread(abandoned_);
    for (;;) {
      Item item;
      {
        std::unique_lock lock(guard_);
        changed_.wait(lock, [&] { return abandoned_ || made_.size() < waiting_; });
        if (abandoned_) return;
        if (!used_.empty()) {
          item = std::move(used_.front());
          used_.pop_front();
        }
      }
      bool another = false;
      std::exception_ptr failure;
      try {
        another = make_(item);
      } catch (...) {
        failure = std::current_exception();
      }
      {
        const std::lock_guard lock(guard_);
        if (another) made_.push_back(std::move(item));
        failure_ = failure;
        over_ = !another;
      }
      changed_.notify_all();
      if (!another) return;
    }
  }

  const std::size_t waiting_;
  const std::function<bool(Item&)> make_;
  std::mutex guard_;
  std::condition_variable changed_;
  std::deque<Item> made_;
  std::deque<Item> used_;
  bool over_ = false;
  std::exception_ptr failure_;
  std::atomic<bool> abandoned_{false};
  std::thread thread_;
};

}  // namespace ae
