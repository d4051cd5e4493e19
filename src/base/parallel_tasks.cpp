#include "base/parallel_tasks.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "base/signals.hpp"

namespace ae {

int task_threads(int asked, std::int64_t tasks) {
  const std::int64_t available = asked > 0 ? asked : std::max<std::int64_t>(1, std::thread::hardware_concurrency());
  return static_cast<int>(std::clamp<std::int64_t>(tasks, 1, available));
}

void run_tasks(std::int64_t tasks, int threads, const char* what,
               const std::function<void(std::int64_t task, int thread)>& work,
               const std::function<void(std::int64_t done)>& progress) {
  std::atomic<std::int64_t> next = 0, done = 0;
  std::mutex guard;
  std::exception_ptr failure;
  std::int64_t failed = tasks;  // the lowest task that did
  const auto loop = [&](int thread) {
    for (std::int64_t task = next++; task < tasks && stop_signal() == 0; task = next++) {
      try {
        work(task, thread);
      } catch (...) {
        next = tasks;
        const std::lock_guard lock(guard);
        if (task < failed) failure = std::current_exception();
        failed = std::min(failed, task);
        return;
      }
      ++done;
      if (thread == 0 && progress) progress(done);
    }
  };
  std::vector<std::thread> helpers;
  helpers.reserve(static_cast<std::size_t>(threads));
  try {
    for (int thread = 1; thread < threads; ++thread)
      helpers.push_back(signal_free_thread([&loop, thread] { loop(thread); }));
  } catch (const std::exception&) {  // no more threads to be had: those that are do the work
  }
  loop(0);
  for (auto& helper : helpers) helper.join();
  if (failure) std::rethrow_exception(failure);
  throw_if_stopped(what);
}

}  // namespace ae
