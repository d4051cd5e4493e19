#include "score/combination.hpp"

#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.hpp"
#include "score/makers.hpp"

namespace ae::score {
namespace {

constexpr std::array<config::Choice, 2> kCombinationKinds{{
    {"ratio", "mean of the members' scores, each over its median on normal rows; shares add up as they are"},
    {"log_z", "exp of the mean of the standardised logarithms of the members' scores"},
}};

// A judge's scores are all but equal on normal rows when their logarithms deviate by less than this.
constexpr double kSmallestDeviation = 0.02;
constexpr double kSmallestMedian = 1e-9;
// Share of the median that is added before taking logarithms.
constexpr double kOffset = 1e-3;
// Of standardised logarithms, so that their exponentials stay finite.
constexpr double kLargest = 600;

}  // namespace

std::span<const config::Choice> Combination::kinds() { return kCombinationKinds; }

Combination::Combination(std::string kind, std::vector<double> weights)
    : kind_(std::move(kind)),
      weights_(std::move(weights)),
      medians_(torch::ones({std::ssize(weights_)}, torch::kFloat64)),
      means_(torch::zeros_like(medians_)),
      deviations_(torch::ones_like(medians_)) {}

void Combination::fit(std::size_t judge, const SampleHead& head, const FitContext& context) {
  auto scores = honest_scores(context, head);
  // Without a held-out row only the training rows are left to look at.
  if (scores.empty()) scores = scores_of(context.autoencoder, head, context.training, true);
  standardise(static_cast<std::int64_t>(judge), std::move(scores));
}

void Combination::standardise(std::int64_t judge, std::vector<double> scores) {
  std::sort(scores.begin(), scores.end());
  const std::size_t half = scores.size() / 2;
  const double median = scores.size() % 2 == 1 ? scores[half] : (scores[half - 1] + scores[half]) / 2;
  // Rows that all repeat each other are reconstructed without error; any other row is then far.
  const double scale = std::max(median, kSmallestMedian);
  double mean = 0, square = 0;
  for (const double score : scores) mean += std::log(score + kOffset * scale);
  mean /= static_cast<double>(scores.size());
  for (const double score : scores) square += std::pow(std::log(score + kOffset * scale) - mean, 2);
  medians_[judge] = scale;
  means_[judge] = mean;
  deviations_[judge] = std::max(std::sqrt(square / static_cast<double>(scores.size())), kSmallestDeviation);
}

Answer Combination::combine(const std::vector<Answer>& answers, const at::Tensor& observed) const {
  Answer combined;
  at::Tensor loudest;
  at::Tensor exponent = torch::zeros({observed.size(0), 1}, torch::kFloat64);
  for (std::size_t m = 0; m < answers.size(); ++m) {
    const Answer& answer = answers[m];
    const auto at = static_cast<std::int64_t>(m);
    at::Tensor parts;
    if (kind_ == "ratio") {
      parts = answer.shares * (weights_[m] / medians_[at]);
    } else {
      // A judge speaks for its columns as loudly as it is alarmed; all of them at 0 have no say.
      const auto scores = answer.shares.sum(1, true);
      const auto z = ((scores.clamp_min(0) + kOffset * medians_[at]).log() - means_[at]) / deviations_[at];
      exponent = exponent + z * weights_[m];
      parts = (answer.shares / torch::where(scores > 0, scores, torch::ones_like(scores)) * torch::sigmoid(z) *
                   weights_[m] +
               1e-300) *
              observed;
    }
    combined.expected = m == 0 ? answer.expected : torch::where(parts > loudest, answer.expected, combined.expected);
    loudest = m == 0 ? parts : torch::maximum(parts, loudest);
    combined.shares = m == 0 ? parts : combined.shares + parts;
  }
  if (kind_ == "log_z") {
    const auto total = exponent.clamp(-kLargest, kLargest).exp() / combined.shares.sum(1, true);
    // A row without observed cells says nothing.
    combined.shares = combined.shares * torch::where(observed.sum(1, true) > 0, total, torch::zeros_like(total));
  }
  return combined;
}

Arrays Combination::state() const {
  return {{"medians", to_array(medians_)}, {"means", to_array(means_)}, {"deviations", to_array(deviations_)}};
}

void Combination::restore(const Arrays& arrays) {
  const auto count = std::ssize(weights_);
  medians_ = from_arrays(arrays, "medians", data::Dtype::f64, {count});
  means_ = from_arrays(arrays, "means", data::Dtype::f64, {count});
  deviations_ = from_arrays(arrays, "deviations", data::Dtype::f64, {count});
  if (medians_.min().item<double>() <= 0 || deviations_.min().item<double>() < kSmallestDeviation) {
    throw InputError("\"medians\" and \"deviations\" must be positive; the file is damaged");
  }
}

}  // namespace ae::score
