// The page of scored samples: takes each as it is scored, and keeps what a page can show at constant memory.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "apply/flagging.hpp"
#include "apply/reasons.hpp"
#include "apply/score_samples.hpp"

namespace ae::apply {

class SamplePage {
 public:
  // UsageError when the page exists. Everything given must outlive this. `kept`: names of what SampleBlock::kept holds.
  SamplePage(const recipe::Checkpoint& checkpoint, const ScoreOptions& options, std::vector<std::string> kept);

  void add(Reasons& reasons, const Answered& answered, std::int64_t sample, const std::string& id, double p_value);
  // Publishes the page. `flagging` has finished, and these are its totals.
  void finish(const FlagTotals& totals, const Flagging& flagging, const std::vector<std::string>& warnings);

 private:
  static bool stranger(const report::PageRow& a, const report::PageRow& b) { return a.score > b.score; }
  void fill_bins(report::TablePage& page, const std::optional<double>& threshold) const;

  const recipe::Checkpoint& checkpoint_;
  const ScoreOptions& options_;
  std::vector<std::string> kept_;
  Output output_;
  std::size_t most_rows_;
  std::vector<report::PageRow> rows_;      // a heap with the least strange one first
  std::map<double, std::int64_t> counts_;  // of scores that share their first bits, by the smallest such number
};

}  // namespace ae::apply
