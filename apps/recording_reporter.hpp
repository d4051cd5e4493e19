// What was told on the way, for pages and summaries to repeat.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/forwarding_reporter.hpp"

namespace ae::apps {

class RecordingReporter final : public ForwardingReporter {
 public:
  using ForwardingReporter::ForwardingReporter;
  void info(std::string_view line) override {
    notes.emplace_back(line);
    ForwardingReporter::info(line);
  }
  void warning(std::string_view line) override {
    warnings.emplace_back(line);
    ForwardingReporter::warning(line);
  }

  std::vector<std::string> warnings;
  std::vector<std::string> notes;
};

}  // namespace ae::apps
