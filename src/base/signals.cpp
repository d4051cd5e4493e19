#include "base/signals.hpp"

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <string>
#include <utility>

#include "base/error.hpp"

namespace ae {
namespace {

// Process-wide by nature: a signal handler reaches nothing else.
std::atomic<int> received{0};             // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
std::atomic<int> received_count{0};       // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
std::atomic<int> to_clean_up{0};          // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
std::atomic<std::int64_t> time_limit{0};  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables) 0: none
std::atomic<bool> signals_wait{false};    // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables)
thread_local const std::atomic<bool>* abandoned_here = nullptr;
static_assert(std::atomic<int>::is_always_lock_free, "the signal handler needs a lock-free flag");

std::atomic<std::int64_t> received_at{0};  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
// A second signal within this time is the first one once more: `timeout` sends it to the program and to its group.
constexpr std::int64_t kSameSignal = 500'000'000;  // ns

std::int64_t nanoseconds_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// The first signal asks for an orderly stop; whoever sends a second one does not want to wait for it.
extern "C" void on_stop_signal(int signal_number) {
  int none = 0;
  const auto now = nanoseconds_now();
  std::int64_t never = 0;
  received_at.compare_exchange_strong(never, now);  // before the number: another thread may be here as well
  if (received.compare_exchange_strong(none, signal_number)) {
    ++received_count;
    return;
  }
  if (signal_number == none && now - received_at < kSameSignal) return;  // `none` holds the first one by now
  ++received_count;
  if (to_clean_up > 0) return;
  std::signal(signal_number, SIG_DFL);
  std::raise(signal_number);
}

void install(int signal_number) {
  struct sigaction action {};
  action.sa_handler = on_stop_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = 0;  // no SA_RESTART: a read waiting on a pipe must return so that its loop sees the flag
  sigaction(signal_number, &action, nullptr);
}

}  // namespace

void install_stop_signals() {
  install(SIGINT);
  install(SIGTERM);
  struct sigaction hangup {};
  sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) install(SIGHUP);  // nohup stays in force
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit becomes a write error with a message
}

const char* signal_name(int signal_number) noexcept {
  switch (signal_number) {
    case SIGINT:
      return "SIGINT";
    case SIGTERM:
      return "SIGTERM";
    case SIGHUP:
      return "SIGHUP";
    default:
      return "a signal";
  }
}

int stop_signal() noexcept { return received.load(std::memory_order_relaxed); }

int stop_signals() noexcept { return received_count.load(std::memory_order_relaxed); }

void throw_if_stopped(const char* what) {
  if (abandoned_here != nullptr && *abandoned_here) throw Interrupted(0, std::string(what) + " is no longer wanted");
  const std::int64_t limit = time_limit.load(std::memory_order_relaxed);
  if (limit != 0) {
    if (nanoseconds_now() >= limit) throw Interrupted(0, std::string(what) + " took longer than it may");
    if (signals_wait.load(std::memory_order_relaxed)) return;
  }
  const int signal_number = stop_signal();
  if (signal_number == 0) return;
  throw Interrupted(signal_number, std::string(what) + " stopped by " + signal_name(signal_number));
}

TimeLimit::TimeLimit(double seconds, Signals signals) {
  signals_wait = signals == Signals::wait;
  time_limit = nanoseconds_now() + static_cast<std::int64_t>(seconds * 1e9);
}
TimeLimit::~TimeLimit() {
  time_limit = 0;
  signals_wait = false;
}

CleanUpFirst::CleanUpFirst() noexcept { ++to_clean_up; }
CleanUpFirst::~CleanUpFirst() { --to_clean_up; }

std::thread signal_free_thread(std::function<void()> work) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // inherited by the new thread
  std::thread thread(std::move(work));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

void abandon_waits_of_this_thread(const std::atomic<bool>& abandoned) noexcept { abandoned_here = &abandoned; }

}  // namespace ae
