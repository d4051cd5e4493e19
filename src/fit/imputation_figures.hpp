// How good guesses for hidden entries are, and whether they put too much where there was nothing: figures of one pass
// over the entries, for one method or several side by side.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "stats/value_histogram.hpp"

namespace ae::fit {

// Of hidden entries, whose truth is known, and of entries known to be 0. NaN where there is nothing to tell from.
struct MaskedResult {
  std::int64_t entries = 0;  // hidden
  std::int64_t zeros = 0;
  // Root mean square error over the standard deviation of the truth, both over all hidden entries.
  double nrmse = 0;
  // Pearson correlation of truth and guess, both less the mean of the column's observed values: what is known beyond
  // which column it is. 0 when one of them does not vary, as of column means.
  double centred_correlation = 0;
  double mean_at_zeros = 0;  // guess
  // P(guess at a hidden entry > guess at a zero) + P(equal) / 2. Guesses that share a bin of ValueHistogram, within
  // 2^-9 of each other, count as equal: an error of at most half the share of such pairs.
  double zero_auc = 0;
};

class MaskedFigures {
 public:
  // `column_means`: of the observed values (column_means().of_observed), [columns]; must outlive this.
  explicit MaskedFigures(std::span<const double> column_means) : column_means_(column_means) {}
  void add(std::int64_t column, double truth, double guess);  // a hidden entry
  void add_zeros(std::span<const float> guesses);
  MaskedResult result() const;

 private:
  std::span<const double> column_means_;
  std::int64_t entries_ = 0;
  double squared_error_ = 0;
  double truth_mean_ = 0, truth_squares_ = 0;
  double x_mean_ = 0, y_mean_ = 0, xx_ = 0, yy_ = 0, xy_ = 0;  // of deviations from column means
  double zero_sum_ = 0;
  stats::ValueHistogram at_hidden_, at_zeros_;
};

// Of all entries of the held-out molecules' matrix, those without a molecule included.
struct ThinnedResult {
  std::int64_t entries = 0;
  std::int64_t molecules = 0;  // held out
  // Mean over entries of mu - x log(mu), the Poisson log-likelihood's negative without log x!, which no guess changes.
  double poisson_nll = 0;
  double sum_ratio = 0;         // predicted over held-out molecules; above 1 = too many are put in
  std::int64_t impossible = 0;  // entries with molecules whose mu was below kLeastMean, and was taken for it
};

class ThinnedFigures {
 public:
  static constexpr double kLeastMean = 1e-8;
  // Entries [n]: molecules found, and expected number of them in the held-out part. With a share s of molecules held
  // out and an estimate c of a cell's kept counts, that is c * s / (1 - s).
  void add(std::span<const float> found, std::span<const float> expected);
  ThinnedResult result() const;

 private:
  std::int64_t entries_ = 0, impossible_ = 0;
  double sum_ = 0, found_ = 0, expected_ = 0;
};

// How often the truth lies in the central 90 % of what was drawn for it. With M draws, all of them and the truth are
// ranked; if they are of one distribution, each of the M + 1 ranks is as likely. Among equals the rank is drawn, and so
// is the place within it, without which counts, most of them 0, would lie in any interval (Czado, Gneiting and Held
// 2009, Biometrics 65, 1254-1261: randomised probability integral transform).
class Coverage {
 public:
  static constexpr double kCentral = 0.9;
  // Of `draws`, so many are below the truth, and equal to it; `uniform`: random in [0, 1).
  void add(std::int64_t below, std::int64_t equal, std::int64_t draws, double uniform);
  double share() const;  // NaN when there was none

 private:
  std::int64_t entries_ = 0, covered_ = 0;
};

struct MethodFigures {
  std::string method;
  std::optional<MaskedResult> masked;
  std::optional<ThinnedResult> thinned;
  std::optional<double> coverage;  // see Coverage
};

// An array of objects; figures that are NaN are null.
nlohmann::ordered_json figures_json(std::span<const MethodFigures> methods);
// A table with a line for each method, its columns those that some method has.
std::string figures_text(std::span<const MethodFigures> methods);

}  // namespace ae::fit
