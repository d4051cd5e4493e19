#include "evaluate/roc.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "base/signals.hpp"
#include "evaluate/intervals.hpp"

namespace ae::evaluate {

namespace {

constexpr std::size_t kMostRows = std::size_t{1} << 31;

using Wide = __int128;  // sums of squared placements: up to 4 m^2 n^2

// m(m - 1) times the sample variance of m integers with these sums.
Wide scaled_variance(std::int64_t count, Wide sum, Wide sum_of_squares) { return count * sum_of_squares - sum * sum; }

// A placement is twice the Mann-Whitney kernel summed over the other class, an integer: 2 * below + equal. From the
// sums of placements of both classes to the variance of an AUROC (or of a difference of two).
struct PlacementSums {
  Wide sum = 0;
  Wide squares = 0;
  void add(std::int64_t placement, std::int64_t times = 1) {
    sum += static_cast<Wide>(placement) * times;
    squares += static_cast<Wide>(placement) * placement * times;
  }
};

double as_double(Wide value) { return static_cast<double>(static_cast<long double>(value)); }

// One class's share of DeLong's variance: S / count, S being the sample variance of placement / (2 * others).
double variance_share(std::int64_t count, std::int64_t others, Wide scaled) {
  const double scale = 2.0 * static_cast<double>(others);
  return as_double(scaled) / (static_cast<double>(count) * static_cast<double>(count - 1)) / (scale * scale) /
         static_cast<double>(count);
}

double delong_variance(std::int64_t m, const PlacementSums& anomalies, std::int64_t n, const PlacementSums& normals) {
  if (m < 2 || n < 2) return std::numeric_limits<double>::quiet_NaN();
  return variance_share(m, n, scaled_variance(m, anomalies.sum, anomalies.squares)) +
         variance_share(n, m, scaled_variance(n, normals.sum, normals.squares));
}

double area(Wide placement_sum, std::int64_t m, std::int64_t n) {
  return static_cast<double>(static_cast<long double>(placement_sum) /
                             (2.0L * static_cast<long double>(m) * static_cast<long double>(n)));
}

}  // namespace

LabeledScores::LabeledScores(std::vector<double> anomalies, std::vector<double> normals)
    : anomalies_(std::move(anomalies)), normals_(std::move(normals)) {
  if (anomalies_.empty() || normals_.empty()) throw std::invalid_argument("an ROC needs scores of both classes");
  for (auto* scores : {&anomalies_, &normals_}) {
    if (scores->size() > kMostRows) throw std::length_error("more than 2^31 rows of one class");
    if (!std::all_of(scores->begin(), scores->end(), [](double score) { return std::isfinite(score); }))
      throw std::invalid_argument("scores must be finite");
    std::sort(scores->begin(), scores->end(), std::greater<>());
  }
}

Estimate auroc(const LabeledScores& scores, double confidence) {
  const std::int64_t m = scores.anomaly_count();
  const std::int64_t n = scores.normal_count();
  PlacementSums anomalies;
  PlacementSums normals;
  std::int64_t anomalies_above = 0;
  std::int64_t normals_below = n;
  scores.for_each_score([&](double, std::int64_t a, std::int64_t b) {
    normals_below -= b;
    anomalies.add(2 * normals_below + b, a);
    normals.add(2 * anomalies_above + a, b);
    anomalies_above += a;
  });
  Estimate result;
  result.value = area(anomalies.sum, m, n);
  result.standard_error = std::sqrt(delong_variance(m, anomalies, n, normals));
  result.interval = {0, 1};
  if (std::isfinite(result.standard_error)) {
    const double half_width = two_sided_normal_quantile(confidence) * result.standard_error;
    result.interval = {std::max(0.0, result.value - half_width), std::min(1.0, result.value + half_width)};
  }
  return result;
}

namespace {

// For each score how many of `others` lie below, twice, plus how many are equal; or above instead of below.
enum class Side { below, above };
std::vector<std::int64_t> placements(const std::vector<double>& scores, const std::vector<double>& others_ascending,
                                     Side side) {
  std::vector<std::int64_t> result(scores.size());
  const auto total = 2 * static_cast<std::int64_t>(others_ascending.size());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const auto range = std::equal_range(others_ascending.begin(), others_ascending.end(), scores[i]);
    const auto twice_below_plus_equal =
        (range.first - others_ascending.begin()) + (range.second - others_ascending.begin());
    result[i] = side == Side::below ? twice_below_plus_equal : total - twice_below_plus_equal;
  }
  return result;
}

std::vector<double> ascending(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values;
}

// The placements of one source's rows, by class.
struct Placements {
  std::vector<std::int64_t> anomalies;
  std::vector<std::int64_t> normals;
  Placements(const std::vector<double>& of_anomalies, const std::vector<double>& of_normals)
      : anomalies(placements(of_anomalies, ascending(of_normals), Side::below)),
        normals(placements(of_normals, ascending(of_anomalies), Side::above)) {}
};

// Placement sums of one class for the first score, the second, their difference and their sum.
struct PairedSums {
  PlacementSums first, second, difference, total;
  PairedSums(const std::vector<std::int64_t>& x, const std::vector<std::int64_t>& y) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      first.add(x[i]);
      second.add(y[i]);
      difference.add(x[i] - y[i]);
      total.add(x[i] + y[i]);
    }
  }
};

Comparison compare(const Placements& one, const Placements& other, double confidence) {
  const auto m = static_cast<std::int64_t>(one.anomalies.size());
  const auto n = static_cast<std::int64_t>(one.normals.size());
  const PairedSums of_anomalies(one.anomalies, other.anomalies);
  const PairedSums of_normals(one.normals, other.normals);

  const double first_variance = delong_variance(m, of_anomalies.first, n, of_normals.first);
  const double second_variance = delong_variance(m, of_anomalies.second, n, of_normals.second);
  // Taken from the rows' differences: exactly 0 for identical rankings, where v1 + v2 - 2 cov would leave rounding.
  const double difference_variance = delong_variance(m, of_anomalies.difference, n, of_normals.difference);
  const double sum_variance = delong_variance(m, of_anomalies.total, n, of_normals.total);

  Comparison result;
  result.rows = m + n;
  result.covariance = (sum_variance - difference_variance) / 4;
  const double spread = std::sqrt(first_variance) * std::sqrt(second_variance);
  result.correlation = spread == 0 ? 0 : std::clamp(result.covariance / spread, -1.0, 1.0);
  result.difference.value = area(of_anomalies.difference.sum, m, n);
  result.difference.standard_error = std::sqrt(difference_variance);
  if (std::isnan(difference_variance)) {
    result.difference.interval = {-1, 1};
    result.z = result.p_value = result.correlation = std::numeric_limits<double>::quiet_NaN();
    return result;
  }
  const double half_width = two_sided_normal_quantile(confidence) * result.difference.standard_error;
  result.difference.interval = {result.difference.value - half_width, result.difference.value + half_width};
  result.z = result.difference.value == 0 ? 0 : result.difference.value / result.difference.standard_error;
  result.p_value = two_sided_normal_p_value(result.z);
  return result;
}

}  // namespace

std::vector<PairTest> compare_auroc(const std::vector<std::vector<double>>& anomalies,
                                    const std::vector<std::vector<double>>& normals, double confidence) {
  const auto whole = [](const std::vector<std::vector<double>>& scores) {
    return !scores.front().empty() && std::all_of(scores.begin(), scores.end(), [&](const auto& of_source) {
      return of_source.size() == scores.front().size();
    });
  };
  if (anomalies.size() < 2 || anomalies.size() != normals.size() || !whole(anomalies) || !whole(normals))
    throw std::invalid_argument("a paired comparison needs all scores of every row and rows of both classes");
  std::vector<Placements> of_source;
  for (std::size_t i = 0; i < anomalies.size(); ++i) of_source.emplace_back(anomalies[i], normals[i]);
  std::vector<PairTest> tests;
  std::vector<double> p_values;
  for (std::size_t first = 0; first < of_source.size(); ++first) {
    for (std::size_t second = first + 1; second < of_source.size(); ++second) {
      throw_if_stopped("comparing scores");
      tests.push_back({first, second, compare(of_source[first], of_source[second], confidence), 1});
      p_values.push_back(tests.back().comparison.p_value);
    }
  }
  const auto adjusted = holm_adjusted(p_values);
  for (std::size_t i = 0; i < tests.size(); ++i) tests[i].adjusted_p_value = adjusted[i];
  return tests;
}

std::vector<double> holm_adjusted(const std::vector<double>& p_values) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < p_values.size(); ++i)
    if (!std::isnan(p_values[i])) order.push_back(i);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p_values[a] < p_values[b]; });
  std::vector<double> result(p_values.size(), std::numeric_limits<double>::quiet_NaN());
  double largest = 0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    largest = std::max(largest, std::min(1.0, static_cast<double>(order.size() - rank) * p_values[order[rank]]));
    result[order[rank]] = largest;
  }
  return result;
}

PartialAuroc partial_auroc(const LabeledScores& scores, double max_fpr) {
  PartialAuroc result{max_fpr, 0, 0};
  double last_tpr = 0;
  double last_fpr = 0;
  scores.for_each_threshold([&](double, const Confusion& counts) {
    const double tpr = counts.tpr();
    const double fpr = counts.fpr();
    if (last_fpr < max_fpr && fpr > last_fpr) {
      const double right = std::min(fpr, max_fpr);
      const double tpr_at_right = last_tpr + (tpr - last_tpr) * ((right - last_fpr) / (fpr - last_fpr));
      result.raw += (right - last_fpr) * (last_tpr + tpr_at_right) / 2;
    }
    last_tpr = tpr;
    last_fpr = fpr;
  });
  const double least = max_fpr * max_fpr / 2;
  result.standardized = (1 + (result.raw - least) / (max_fpr - least)) / 2;
  return result;
}

double average_precision(const LabeledScores& scores) {
  long double sum = 0;
  std::int64_t tp = 0;
  std::int64_t flagged = 0;
  scores.for_each_score([&](double, std::int64_t a, std::int64_t b) {
    tp += a;
    flagged += a + b;
    if (a > 0) sum += static_cast<long double>(a) * static_cast<long double>(tp) / static_cast<long double>(flagged);
  });
  return static_cast<double>(sum / static_cast<long double>(scores.anomaly_count()));
}

std::vector<CurvePoint> drawable_curve(const LabeledScores& scores, std::size_t limit, double keep) {
  std::size_t total = 0;
  scores.for_each_threshold([&](double, const Confusion&) { ++total; });
  const bool whole = total <= limit;
  // Steps of TPR, of FPR and of log(flagged) take about a third of the points each.
  const double step = 3.0 / static_cast<double>(std::max<std::size_t>(limit, 8));
  const auto rows = static_cast<double>(scores.anomaly_count() + scores.normal_count());
  const double growth = std::exp(std::log(rows + 1) * step);

  std::vector<CurvePoint> points;
  double last_threshold = 0;
  Confusion last_counts;
  scores.for_each_threshold([&](double threshold, const Confusion& counts) {
    last_threshold = threshold;
    last_counts = counts;
    if (!whole && !points.empty() && threshold != keep) {
      const Confusion& before = points.back().counts;
      const auto flagged = static_cast<double>(counts.tp + counts.fp);
      const bool moved = counts.tpr() - before.tpr() >= step || counts.fpr() - before.fpr() >= step ||
                         flagged >= static_cast<double>(before.tp + before.fp) * growth;
      if (!moved) return;
    }
    points.push_back({threshold, counts});
  });
  if (points.back().threshold != last_threshold) points.push_back({last_threshold, last_counts});
  return points;
}

namespace {

double median(const LabeledScores& scores) {
  const std::int64_t half = (scores.anomaly_count() + scores.normal_count()) / 2;
  double result = 0;
  std::int64_t seen = 0;
  scores.for_each_score([&](double score, std::int64_t a, std::int64_t b) {
    if (seen <= half) result = score;
    seen += a + b;
  });
  return result;
}

std::vector<double> bin_edges(double low, double high, std::size_t bins, bool logarithmic) {
  if (low == high) return {low, low + std::max(std::abs(low) * 1e-9, 1e-9)};
  std::vector<double> edges{low};
  for (std::size_t b = 1; b < bins; ++b) {
    const double part = static_cast<double>(b) / static_cast<double>(bins);
    // Weighted ends instead of low + part * (high - low), which can overflow.
    const double edge =
        logarithmic ? std::exp(std::log(low) * (1 - part) + std::log(high) * part) : low * (1 - part) + high * part;
    if (edge > edges.back() && edge < high) edges.push_back(edge);
  }
  edges.push_back(high);
  return edges;
}

std::vector<std::int64_t> count_in_bins(std::span<const double> highest_first, const std::vector<double>& edges) {
  std::vector<std::int64_t> counts(edges.size() - 1, 0);
  std::size_t bin = counts.size() - 1;
  for (const double score : highest_first) {
    while (bin > 0 && score < edges[bin]) --bin;
    ++counts[bin];
  }
  return counts;
}

}  // namespace

Histogram histogram(const LabeledScores& scores, std::size_t bins) {
  const double high = std::max(scores.anomalies().front(), scores.normals().front());
  const double low = std::min(scores.anomalies().back(), scores.normals().back());
  Histogram result;
  result.logarithmic = low > 0 && high > 50 * median(scores);
  result.edges = bin_edges(low, high, std::max<std::size_t>(bins, 1), result.logarithmic);
  result.normals = count_in_bins(scores.normals(), result.edges);
  result.anomalies = count_in_bins(scores.anomalies(), result.edges);
  return result;
}

}  // namespace ae::evaluate
