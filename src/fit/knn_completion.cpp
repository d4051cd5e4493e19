#include <algorithm>
#include <numeric>

#include "base/random.hpp"
#include "base/signals.hpp"
#include "fit/completion.hpp"

namespace ae::fit {
namespace {

constexpr double kPriorColumns = 4;  // common columns that chance is worth

// Entries by columns, of some of the rows.
struct ByColumns {
  std::vector<std::int64_t> begins;
  std::vector<std::int32_t> rows;  // numbered among the candidates
  std::vector<float> values;

  ByColumns(const PartialMatrix& matrix, const std::vector<std::int64_t>& candidates)
      : begins(static_cast<std::size_t>(matrix.columns) + 1) {
    for (const auto row : candidates)
      for (const auto c : matrix.places_of(row)) ++begins[static_cast<std::size_t>(c) + 1];
    std::partial_sum(begins.begin(), begins.end(), begins.begin());
    rows.resize(static_cast<std::size_t>(begins.back()));
    values.resize(rows.size());
    auto next = begins;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const auto places = matrix.places_of(candidates[i]);
      const auto of_row = matrix.values_of(candidates[i]);
      for (std::size_t e = 0; e < places.size(); ++e) {
        const auto at = static_cast<std::size_t>(next[static_cast<std::size_t>(places[e])]++);
        rows[at] = static_cast<std::int32_t>(i);
        values[at] = of_row[e];
      }
    }
  }
};

class KnnCompletion final : public Completion {
 public:
  explicit KnnCompletion(const KnnOptions& options) : options_(options) {}

  void fit(const PartialMatrix& matrix, std::uint64_t seed, Reporter& reporter) override {
    matrix_ = &matrix;
    means_ = column_means(matrix).of_observed;
    choose_candidates(seed);
    const ByColumns by_columns(matrix, candidates_);
    const double by_chance = 2 * variance_around_means();
    neighbours_.assign(static_cast<std::size_t>(matrix.rows()), {});
    std::vector<float> squares(candidates_.size()), common(candidates_.size());
    for (std::int64_t row = 0; row < matrix.rows(); ++row) {
      throw_if_stopped("search for neighbours");
      if (row % 256 == 0)
        reporter.progress("rows", static_cast<std::uint64_t>(row), static_cast<std::uint64_t>(matrix.rows()), "knn");
      compare(row, by_columns, squares, common);
      neighbours_[static_cast<std::size_t>(row)] = nearest(row, by_chance, squares, common);
    }
    reporter.progress_done();
  }

  void row(std::int64_t row, std::span<float> guess) const override {
    std::vector<double> sums(guess.size()), counts(guess.size());
    for (const auto neighbour : neighbours_[static_cast<std::size_t>(row)]) {
      const auto places = matrix_->places_of(neighbour);
      const auto values = matrix_->values_of(neighbour);
      for (std::size_t e = 0; e < places.size(); ++e) {
        sums[static_cast<std::size_t>(places[e])] += values[e];
        ++counts[static_cast<std::size_t>(places[e])];
      }
    }
    for (std::size_t c = 0; c < guess.size(); ++c) {
      const double weight = counts[c] + options_.shrinkage;
      guess[c] = static_cast<float>(weight > 0 ? (sums[c] + options_.shrinkage * means_[c]) / weight : means_[c]);
    }
  }

 private:
  void choose_candidates(std::uint64_t seed) {
    candidates_ = permutation(matrix_->rows(), Random(stream_key(seed, "knn candidates")));
    if (std::ssize(candidates_) > options_.most_candidates)
      candidates_.resize(static_cast<std::size_t>(options_.most_candidates));
    std::ranges::sort(candidates_);
  }

  double variance_around_means() const {
    double squares = 0;
    for (std::size_t i = 0; i < matrix_->values.size(); ++i) {
      const double deviation = matrix_->values[i] - means_[static_cast<std::size_t>(matrix_->places[i])];
      squares += deviation * deviation;
    }
    return squares / std::max<double>(1, static_cast<double>(matrix_->values.size()));
  }

  // With each candidate: sum of squared differences over common columns, and their number.
  void compare(std::int64_t row, const ByColumns& by_columns, std::vector<float>& squares,
               std::vector<float>& common) const {
    std::ranges::fill(squares, 0.0f);
    std::ranges::fill(common, 0.0f);
    const auto places = matrix_->places_of(row);
    const auto values = matrix_->values_of(row);
    for (std::size_t e = 0; e < places.size(); ++e) {
      const auto column = static_cast<std::size_t>(places[e]);
      const auto end = static_cast<std::size_t>(by_columns.begins[column + 1]);
      for (auto at = static_cast<std::size_t>(by_columns.begins[column]); at < end; ++at) {
        const float difference = values[e] - by_columns.values[at];
        const auto other = static_cast<std::size_t>(by_columns.rows[at]);
        squares[other] += difference * difference;
        common[other] += 1;
      }
    }
  }

  // Row numbers; of equal distances the first.
  std::vector<std::int64_t> nearest(std::int64_t row, double by_chance, const std::vector<float>& squares,
                                    const std::vector<float>& common) const {
    std::vector<std::pair<double, std::int64_t>> all;
    for (std::size_t i = 0; i < candidates_.size(); ++i) {
      if (candidates_[i] == row || common[i] == 0) continue;
      all.emplace_back((squares[i] + kPriorColumns * by_chance) / (common[i] + kPriorColumns), candidates_[i]);
    }
    const auto kept = std::min(std::ssize(all), options_.neighbours);
    std::partial_sort(all.begin(), all.begin() + kept, all.end());
    std::vector<std::int64_t> rows;
    for (std::int64_t i = 0; i < kept; ++i) rows.push_back(all[static_cast<std::size_t>(i)].second);
    return rows;
  }

  KnnOptions options_;
  const PartialMatrix* matrix_ = nullptr;
  std::vector<double> means_;
  std::vector<std::int64_t> candidates_;
  std::vector<std::vector<std::int64_t>> neighbours_;
};

}  // namespace

std::unique_ptr<Completion> knn_completion(const KnnOptions& options) {
  return std::make_unique<KnnCompletion>(options);
}

}  // namespace ae::fit
