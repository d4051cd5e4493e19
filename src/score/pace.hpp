// How far a long piece of a head's work has come.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>

#include "base/reporter.hpp"
#include "base/signals.hpp"

namespace ae::score {

// Every thread that shares the work may advance it; the one that began it reports.
class Pace {
 public:
  // `unit`, `total`: of the work; `status`: what it is.
  Pace(Reporter& reporter, std::string_view unit, std::int64_t total, std::string_view status)
      : reporter_(reporter), unit_(unit), total_(total), status_(status) {
    advance(0);
  }
  ~Pace() { reporter_.progress_done(); }
  Pace(const Pace&) = delete;
  Pace& operator=(const Pace&) = delete;

  // So much more is done; 0: still at it. Interrupted when a stop signal has arrived.
  void advance(std::int64_t done = 0) {
    throw_if_stopped(status_.c_str());
    const std::int64_t all = done_ += done;
    if (std::this_thread::get_id() != owner_) return;
    reporter_.progress(unit_, static_cast<std::uint64_t>(all), static_cast<std::uint64_t>(total_), status_);
  }

 private:
  Reporter& reporter_;
  std::string unit_;
  std::int64_t total_;
  std::string status_;
  std::thread::id owner_ = std::this_thread::get_id();
  std::atomic<std::int64_t> done_{0};
};

}  // namespace ae::score
