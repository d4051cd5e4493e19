// SIGINT, SIGTERM and SIGHUP set a flag; every long loop looks at it, saves what it has and throws Interrupted.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

namespace ae {

void install_stop_signals();  // idempotent; also ignores SIGPIPE so that a closed pipe is a write error
int stop_signal() noexcept;   // 0, or the first stop signal received
int stop_signals() noexcept;  // how many were received, that which comes again within half a second counted once
const char* signal_name(int signal_number) noexcept;  // "SIGTERM" ...
void throw_if_stopped(
    const char* what);  // Interrupted("<what> stopped by SIGTERM") when the flag is set; for loops with nothing to save

// Work that must not take longer: while one lives, throw_if_stopped() on every thread throws when the time is over,
// Interrupted with signal 0. One at a time.
class TimeLimit {
 public:
  enum class Signals {
    stop,  // as ever
    wait,  // until the time is over, so that what is begun may still be ended after a stop signal
  };
  TimeLimit(double seconds, Signals signals);
  ~TimeLimit();
  TimeLimit(const TimeLimit&) = delete;
  TimeLimit& operator=(const TimeLimit&) = delete;
};

// While one lives, a second stop signal is counted only, and does not end the process at once: it would leave behind
// what the owner has to remove. Where that takes long, a loop looks at stop_signals().
class CleanUpFirst {
 public:
  CleanUpFirst() noexcept;
  ~CleanUpFirst();
  CleanUpFirst(const CleanUpFirst&) = delete;
  CleanUpFirst& operator=(const CleanUpFirst&) = delete;
};

// A thread to which no signal is delivered: they are for the thread that works.
std::thread signal_free_thread(std::function<void()> work);
// From now on throw_if_stopped() on this thread also throws when `abandoned` becomes true: nobody waits for its work.
void abandon_waits_of_this_thread(const std::atomic<bool>& abandoned) noexcept;

}  // namespace ae
