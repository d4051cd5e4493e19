// For those who listen in on what is told to the user.
#pragma once

#include "base/reporter.hpp"

namespace ae {

// Hands everything on to another one, which must outlive this.
class ForwardingReporter : public Reporter {
 public:
  explicit ForwardingReporter(Reporter& to) : to_(to) {}
  void info(std::string_view line) override { to_.info(line); }
  void detail(std::string_view line) override { to_.detail(line); }
  void warning(std::string_view line) override { to_.warning(line); }
  void progress(std::string_view unit, std::uint64_t done, std::uint64_t total, std::string_view status) override {
    to_.progress(unit, done, total, status);
  }
  void progress_done() override { to_.progress_done(); }

 private:
  Reporter& to_;
};

}  // namespace ae
