#include "apply/sample_page.hpp"

#include <algorithm>
#include <cmath>

#include "base/text.hpp"

namespace ae::apply {
namespace {

constexpr std::size_t kRows = 100, kMostRows = 1000, kReasons = 6;
constexpr std::size_t kBins = 60;

// The score without most of its digits: to 1 part in 128.
double coarse(double score) {
  int exponent = 0;
  const double fraction = std::frexp(score, &exponent);
  return std::ldexp(std::floor(fraction * 256) / 256, exponent);
}

}  // namespace

SamplePage::SamplePage(const recipe::Checkpoint& checkpoint, const ScoreOptions& options, std::vector<std::string> kept)
    : checkpoint_(checkpoint),
      options_(options),
      kept_(std::move(kept)),
      output_(Output::open(options.page, options.overwrite)),
      most_rows_(std::min(options.flag.top ? static_cast<std::size_t>(*options.flag.top) : kRows, kMostRows)) {}

void SamplePage::add(Reasons& reasons, const Answered& answered, std::int64_t sample, const std::string& id,
                     double p_value) {
  const auto at = static_cast<std::size_t>(sample);
  const double score = answered.scored.scores[at];
  ++counts_[coarse(score)];
  if (rows_.size() == most_rows_) {
    if (rows_.empty() || score <= rows_.front().score) return;
    std::pop_heap(rows_.begin(), rows_.end(), stranger);
    rows_.pop_back();
  }
  report::PageRow row;
  row.id = id;
  if (!answered.block.labels.empty()) row.label = answered.block.labels[at];
  row.score = score;
  row.p_value = p_value;
  const auto kept = answered.block.kept.begin() + static_cast<std::ptrdiff_t>(at * kept_.size());
  row.kept.assign(kept, kept + std::ssize(kept_));
  const double positive = reasons.positive_share(answered, sample);
  for (const auto element : reasons.largest(answered, sample, kReasons)) {
    auto reason = reasons.about(answered, sample, element, positive);
    if (reason.percent > 0) row.reasons.push_back(std::move(reason));
  }
  rows_.push_back(std::move(row));
  std::push_heap(rows_.begin(), rows_.end(), stranger);
}

void SamplePage::finish(const FlagTotals& totals, const Flagging& flagging, const std::vector<std::string>& warnings) {
  report::TablePage page;
  page.title = "Scored " + std::string(checkpoint_.kind().domain().samples);
  page.noun = std::string(checkpoint_.kind().domain().samples);
  page.scored = totals.scored;
  page.flagged = totals.flagged;
  page.bad = totals.bad;
  page.any_rule = options_.flag.any();
  page.threshold = page.any_rule ? totals.threshold : std::nullopt;
  page.rule = flagging.threshold_rule();
  page.drifted = totals.drifted;
  page.drift_p_value = totals.drift.p_value;
  fill_bins(page, page.threshold);
  page.kept = kept_;
  std::stable_sort(rows_.begin(), rows_.end(), stranger);
  for (auto& row : rows_) row.flagged = page.threshold && row.score >= *page.threshold;
  page.rows = std::move(rows_);
  for (const auto& column : totals.columns) {
    const auto rows = static_cast<double>(std::max<std::int64_t>(1, column.observed + column.missing));
    page.columns.push_back({column.column, column.p_value, column.distance, static_cast<double>(column.missing) / rows,
                            column.missing_in_training, column.unseen, column.drifted, column.shares});
  }
  page.warnings = warnings;
  page.command = options_.command;
  page.facts = {{"Model", checkpoint_.name() + " (" + checkpoint_.digest() + ")"},
                {"Input", join(options_.inputs)},
                {"Calibration", std::to_string(checkpoint_.calibration().size()) + " normal " + page.noun}};
  report::write_table_page(output_, page);
  output_.commit();
}

// Bars of one width, on a logarithmic axis when the largest score is far from most of them.
void SamplePage::fill_bins(report::TablePage& page, const std::optional<double>& threshold) const {
  if (counts_.empty()) return;
  const auto& normal = checkpoint_.calibration().sorted();
  double from = counts_.begin()->first, to = counts_.rbegin()->first * (1 + 1.0 / 128);
  if (!normal.empty()) {
    from = std::min(from, normal.front());
    to = std::max(to, normal.back());
  }
  if (threshold && std::isfinite(*threshold)) {
    from = std::min(from, *threshold);
    to = std::max(to, *threshold);
  }
  std::int64_t so_far = 0;
  double median = from;
  for (const auto& [score, count] : counts_) {
    if (2 * (so_far += count) < page.scored) continue;
    median = score;
    break;
  }
  page.logarithmic = from > 0 && to > 30 * median;
  const auto bend = [&](double x) { return page.logarithmic ? std::log(x) : x; };
  const auto straighten = [&](double x) { return page.logarithmic ? std::exp(x) : x; };
  const double low = bend(from), width = std::max(bend(to) - low, 1e-12) / static_cast<double>(kBins);
  const auto bin_of = [&](double x) {
    return std::min(kBins - 1, static_cast<std::size_t>(std::max(0.0, (bend(x) - low) / width)));
  };
  for (std::size_t i = 0; i < kBins; ++i) {
    page.bins.push_back(
        {straighten(low + static_cast<double>(i) * width), straighten(low + static_cast<double>(i + 1) * width), 0, 0});
  }
  for (const auto& [score, count] : counts_) page.bins[bin_of(score)].rows += count;
  const double weight = static_cast<double>(page.scored) / static_cast<double>(std::max<std::size_t>(normal.size(), 1));
  for (const double score : normal) page.bins[bin_of(score)].usual += weight;
}

}  // namespace ae::apply
