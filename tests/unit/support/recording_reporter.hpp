// A reporter that remembers what it was told.
#pragma once

#include <string>
#include <vector>

#include "base/reporter.hpp"

namespace ae::test {

class RecordingReporter final : public Reporter {
 public:
  void info(std::string_view line) override { infos.emplace_back(line); }
  void detail(std::string_view) override {}
  void warning(std::string_view line) override { warnings.emplace_back(line); }
  void progress(std::string_view unit, std::uint64_t, std::uint64_t, std::string_view) override {
    units.emplace_back(unit);
  }
  void progress_done() override {}

  std::vector<std::string> infos;
  std::vector<std::string> warnings;
  std::vector<std::string> units;
};

}  // namespace ae::test
