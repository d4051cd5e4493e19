// How well a prediction tells: the C-index, the area under the ROC curve and R2, each with what every row contributes
// to its sampling error.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "evaluate/evaluation.hpp"

namespace ae::fit {

// A figure and its influence function: how the figure changes, to first order, when a row's weight grows from 1. The
// variance of the figure is the sum of squares (the infinitesimal jackknife, Jaeckel 1972; for the C-index what
// survival::concordance reports, for the area nearly DeLong's). Figures of the same rows are compared, and averaged, by
// comparing and averaging all members.
struct Figure {
  double value = 0;
  std::vector<double> influence;  // one a row
  // Where the predictions are those of models which learned from the other rows: what groups of rows change as rows
  // that are learned from, centred and scaled as a grouped jackknife asks. Their squares add to the variance.
  std::vector<double> training = {};
  double standard_error() const;
};
Figure operator-(const Figure& a, const Figure& b);
Figure mean_of(std::span<const Figure> figures);  // of the same rows; at least one
// From values without each of two or more groups to deviations whose squares add up to the variance (Tukey 1958).
void jackknife(std::vector<double>& without);

// Normal interval, with its ends brought into [low, high].
evaluate::Estimate estimate(const Figure& figure, double confidence, double low, double high);

// Harrell's C: among the pairs of rows of which one is known to have had the event first, the share in which that row
// has the higher prediction; equal predictions count half. A pair counts when the earlier time is an event; at equal
// times when exactly one of the two is, which then counts as the earlier: the convention of survival::concordance. Only
// rows of the same group are paired (fold: predictions of different models do not compare); no groups = all rows are
// one. Sorting takes O(n log n). NaN without a pair.
struct SurvivalRows {
  std::span<const double> times;
  std::span<const std::uint8_t> events;
};
Figure concordance(const SurvivalRows& rows, std::span<const double> predictions,
                   std::span<const std::int32_t> groups = {});

// P(prediction of a positive row > that of a negative one) + P(equal) / 2 over pairs of the same group. NaN without a
// pair.
Figure area_under_roc(std::span<const std::uint8_t> positive, std::span<const double> predictions,
                      std::span<const std::int32_t> groups = {});

// 1 - (sum of squared errors) / (sum of squared deviations from the mean of `values`), the mean taken as given. NaN
// when all values are equal.
Figure r_squared(std::span<const double> values, std::span<const double> predictions);

}  // namespace ae::fit
