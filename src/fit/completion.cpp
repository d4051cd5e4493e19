#include "fit/completion.hpp"

#include <algorithm>
#include <array>

namespace ae::fit {

std::span<const std::int32_t> PartialMatrix::places_of(std::int64_t row) const {
  const auto begin = begins[static_cast<std::size_t>(row)], end = begins[static_cast<std::size_t>(row) + 1];
  return {places.data() + begin, static_cast<std::size_t>(end - begin)};
}

std::span<const float> PartialMatrix::values_of(std::int64_t row) const {
  const auto begin = begins[static_cast<std::size_t>(row)], end = begins[static_cast<std::size_t>(row) + 1];
  return {values.data() + begin, static_cast<std::size_t>(end - begin)};
}

void PartialMatrix::append(std::span<const float> row, std::span<const float> observed) {
  for (std::size_t c = 0; c < row.size(); ++c) {
    if (observed[c] == 0) continue;
    places.push_back(static_cast<std::int32_t>(c));
    values.push_back(row[c]);
  }
  begins.push_back(std::ssize(places));
}

ColumnMeans column_means(const PartialMatrix& matrix) {
  const auto columns = static_cast<std::size_t>(matrix.columns);
  std::vector<double> sums(columns), counts(columns);
  for (std::size_t i = 0; i < matrix.places.size(); ++i) {
    const auto column = static_cast<std::size_t>(matrix.places[i]);
    sums[column] += matrix.values[i];
    ++counts[column];
  }
  ColumnMeans means{sums, sums};
  const auto rows = static_cast<double>(std::max<std::int64_t>(1, matrix.rows()));
  for (std::size_t c = 0; c < columns; ++c) {
    means.of_observed[c] /= std::max(1.0, counts[c]);
    means.of_all[c] = matrix.holes_are_zero ? sums[c] / rows : means.of_observed[c];
  }
  return means;
}

namespace {

// The same guess for every row.
template <std::vector<double> ColumnMeans::*kind>
class MeanCompletion final : public Completion {
 public:
  void fit(const PartialMatrix& matrix, std::uint64_t, Reporter&) override {
    const auto means = column_means(matrix);
    means_.assign((means.*kind).begin(), (means.*kind).end());
  }
  void row(std::int64_t, std::span<float> guess) const override { std::ranges::copy(means_, guess.begin()); }
  bool averages() const override { return true; }

 private:
  std::vector<float> means_;
};

template <std::vector<double> ColumnMeans::*kind>
std::unique_ptr<Completion> make_mean() {
  return std::make_unique<MeanCompletion<kind>>();
}

constexpr std::array<config::Entry<Completion>, 4> kCompletions{{
    {"mean", "The column's mean; of counts over all rows, with the zeros.", make_mean<&ColumnMeans::of_all>},
    {"observed_mean", "The mean of the column's observed values.", make_mean<&ColumnMeans::of_observed>},
    {"knn", "The mean of the 20 nearest rows' observed values, drawn towards the column's mean.",
     [] { return knn_completion({}); }},
    {"low_rank", "A matrix of low rank by soft-thresholded singular values (softImpute).",
     []() -> std::unique_ptr<Completion> { return low_rank_completion({}); }},
}};

}  // namespace

std::span<const config::Entry<Completion>> completions() { return kCompletions; }

}  // namespace ae::fit
