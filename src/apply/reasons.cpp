#include "apply/reasons.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

namespace ae::apply {
namespace {

constexpr double kLeastPercent = 0.05;  // less is told as 0.0
constexpr double kNineOfTen = 1.645;    // standard deviations of a normal distribution, on both sides

std::string percent_text(double percent) {
  char text[32];
  std::snprintf(text, sizeof text, percent < 1 ? "%.1f" : "%.0f", percent);
  return text;
}

}  // namespace

Reasons::Reasons(const recipe::Checkpoint& checkpoint, const recipe::SampleStream& stream)
    : stream_(stream), elements_(checkpoint.kind().domain().elements), checkpoint_(checkpoint) {}

const std::vector<std::int64_t>& Reasons::largest(const Answered& answered, std::int64_t sample, std::size_t count) {
  const double* shares = answered.scored.shares.data_ptr<double>() + cell(sample, 0);
  order_.resize(elements_.size());
  std::iota(order_.begin(), order_.end(), 0);
  const auto end = order_.begin() + static_cast<std::ptrdiff_t>(std::min(count, order_.size()));
  std::partial_sort(order_.begin(), end, order_.end(), [&](std::int64_t a, std::int64_t b) {
    return shares[a] != shares[b] ? shares[a] > shares[b] : a < b;
  });
  order_.erase(end, order_.end());
  return order_;
}

double Reasons::positive_share(const Answered& answered, std::int64_t sample) const {
  const double* shares = answered.scored.shares.data_ptr<double>() + cell(sample, 0);
  return std::accumulate(shares, shares + elements_.size(), 0.0,
                         [](double sum, double share) { return sum + std::max(share, 0.0); });
}

report::RowReason Reasons::about(const Answered& answered, std::int64_t sample, std::int64_t element,
                                 double positive) const {
  const auto e = static_cast<std::size_t>(element), at = cell(sample, element);
  const double expected = answered.scored.expected.data_ptr<double>()[at];
  const double share = answered.scored.shares.data_ptr<double>()[at];
  const bool observed = answered.block.batch.observed.data_ptr<float>()[at] != 0;
  report::RowReason reason;
  reason.column = elements_[e].name;
  if (observed) reason.observed = stream_.observed_text(sample, e);
  reason.expected = stream_.value_text(e, expected, recipe::Digits::whole_too);
  reason.percent = positive > 0 ? 100 * std::max(share, 0.0) / positive : 0;
  if (elements_[e].categorical()) return reason;
  const auto& profile = checkpoint_.profile();
  if (profile.known() && profile.columns[e].residual) {
    const auto& [low, high] = *profile.columns[e].residual;
    reason.usual_low = stream_.value_text(e, expected + low, recipe::Digits::whole_too);
    reason.usual_high = stream_.value_text(e, expected + high, recipe::Digits::whole_too);
  }
  if (observed) place(reason, e, answered.block.batch.values.data_ptr<float>()[at], expected);
  return reason;
}

// On an axis in network units, as wide again as the training values on both sides together.
void Reasons::place(report::RowReason& reason, std::size_t element, double value, double expected) const {
  double smallest = -2 * kNineOfTen, largest = -smallest, low = -kNineOfTen, high = kNineOfTen;
  const auto& profile = checkpoint_.profile();
  if (profile.known() && !profile.columns[element].knots.empty()) {
    const auto& column = profile.columns[element];
    smallest = column.knots.front();
    largest = column.knots.back();
    low = column.quantile(0.05);
    high = column.quantile(0.95);
  }
  const double width = largest > smallest ? largest - smallest : 1;
  const auto share = [&](double x) { return std::clamp((x - smallest + width / 2) / (2 * width), 0.0, 1.0); };
  reason.at = share(value);
  reason.expected_at = share(expected);
  reason.low = share(low);
  reason.high = share(high);
}

std::string Reasons::in_words(const Answered& answered, std::int64_t sample,
                              const std::vector<std::int64_t>& elements) const {
  const double positive = positive_share(answered, sample);
  std::string words;
  for (const auto element : elements) {
    const auto reason = about(answered, sample, element, positive);
    if (!(reason.percent >= kLeastPercent)) break;
    words.append(words.empty() ? "" : "; ").append(reason.column).append(" ");
    words.append(reason.observed.empty() ? "missing" : reason.observed);
    // The likeliest level may still be less likely than usual.
    if (elements_[static_cast<std::size_t>(element)].categorical() && reason.observed == reason.expected) {
      words += ", which is less sure here than elsewhere";
    } else {
      words.append(" where ").append(reason.expected).append(" was expected");
    }
    if (!reason.usual_low.empty()) words += " (usually " + reason.usual_low + " to " + reason.usual_high + ")";
    words += ": " + percent_text(reason.percent) + " %";
  }
  return words;
}

}  // namespace ae::apply
