// How the rooms speak to the user without knowing the terminal: the command line implements it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ae {

class Reporter {
 public:
  virtual ~Reporter() = default;
  virtual void info(std::string_view line) = 0;     // silent with -q
  virtual void detail(std::string_view line) = 0;   // only with -v
  virtual void warning(std::string_view line) = 0;  // one line; shown also with -q
  // Progress of one long job in its own unit ("rows", "steps"); total 0 = unknown. On a terminal a bar, else
  // a line a minute, with rate, remaining time and `status`; cheap enough to call per batch.
  virtual void progress(std::string_view unit, std::uint64_t done, std::uint64_t total,
                        std::string_view status = {}) = 0;
  virtual void progress_done() = 0;  // clears the bar
};

// For tests and library users who want silence.
class SilentReporter final : public Reporter {
 public:
  void info(std::string_view) override {}
  void detail(std::string_view) override {}
  void warning(std::string_view) override {}
  void progress(std::string_view, std::uint64_t, std::uint64_t, std::string_view) override {}
  void progress_done() override {}
};

}  // namespace ae
