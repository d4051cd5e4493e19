#include "recipe/profile.hpp"

#include <torch/types.h>

#include <algorithm>
#include <cmath>

#include "base/random.hpp"
#include "base/signals.hpp"

namespace ae::recipe {
namespace {

constexpr std::int64_t kMostRows = 16384, kMostAnswers = 1024, kPiece = 256;

// Calls visit(begin, end) for pieces that lie evenly over `size` samples, at most `most` in all.
template <typename Visit>
void evenly(std::int64_t size, std::int64_t most, Visit&& visit) {
  const std::int64_t pieces = (size + kPiece - 1) / kPiece, wanted = std::min(pieces, most / kPiece);
  for (std::int64_t i = 0; i < wanted; ++i) {
    throw_if_stopped("describing the training rows");
    const std::int64_t begin = i * pieces / wanted * kPiece;
    visit(begin, std::min(begin + kPiece, size));
  }
}

class Describing {
 public:
  explicit Describing(const std::vector<model::Element>& elements)
      : elements_(elements), values_(elements.size()), levels_(elements.size()), residuals_(elements.size()) {
    for (std::size_t e = 0; e < elements.size(); ++e)
      if (elements[e].categorical()) levels_[e].assign(static_cast<std::size_t>(elements[e].codes - 1), 0);
  }

  void add_values(const model::Batch& batch) {
    rows_ += batch.samples();
    for_each_observed(batch, [&](std::size_t, std::size_t e, double value) {
      if (!elements_[e].categorical()) {
        values_[e].push_back(value);
      } else if (const auto code = std::llround(value); code >= 0 && code < std::ssize(levels_[e])) {
        ++levels_[e][static_cast<std::size_t>(code)];
      }
    });
  }

  void add_residuals(const model::Batch& batch, const at::Tensor& expected) {
    const double* expectation = expected.data_ptr<double>();
    for_each_observed(batch, [&](std::size_t row, std::size_t e, double value) {
      const double residual = value - expectation[row * elements_.size() + e];
      if (!elements_[e].categorical() && std::isfinite(residual)) residuals_[e].push_back(residual);
    });
  }

  void add_hidden(const model::Batch& hidden, const at::Tensor& expected) {
    const double* expectation = expected.data_ptr<double>();
    for_each_observed(hidden, [&](std::size_t row, std::size_t e, double value) {
      const double error = value - expectation[row * elements_.size() + e];
      if (elements_[e].categorical() || !std::isfinite(error)) return;
      hidden_squares_[e] += error * error;
      ++hidden_[e];
    });
  }

  Profile finish() {
    constexpr std::size_t kFewest = 20;  // for one of twenty to be beyond
    Profile profile;
    for (std::size_t e = 0; e < elements_.size(); ++e) {
      profile.columns.push_back(elements_[e].categorical()
                                    ? stats::ColumnProfile::of_codes(levels_[e], rows_)
                                    : stats::ColumnProfile::of_numbers(std::move(values_[e]), rows_));
      if (hidden_[e] >= static_cast<std::int64_t>(kFewest))
        profile.columns.back().hidden_error = std::sqrt(hidden_squares_[e] / static_cast<double>(hidden_[e]));
      auto& residuals = residuals_[e];
      if (residuals.size() < kFewest) continue;
      std::sort(residuals.begin(), residuals.end());
      const auto tail = static_cast<std::size_t>(0.05 * static_cast<double>(residuals.size()));
      profile.columns.back().residual = {residuals[tail], residuals[residuals.size() - 1 - tail]};
    }
    return profile;
  }

 private:
  template <typename Visit>
  void for_each_observed(const model::Batch& batch, Visit&& visit) const {
    const auto values = batch.values.contiguous(), observed = batch.observed.contiguous();
    const float* value = values.data_ptr<float>();
    const float* seen = observed.data_ptr<float>();
    for (std::size_t cell = 0; cell < static_cast<std::size_t>(values.numel()); ++cell)
      if (seen[cell] != 0) visit(cell / elements_.size(), cell % elements_.size(), value[cell]);
  }

  const std::vector<model::Element>& elements_;
  std::int64_t rows_ = 0;
  std::vector<std::vector<double>> values_;
  std::vector<std::vector<std::int64_t>> levels_;
  std::vector<std::vector<double>> residuals_;
  std::vector<double> hidden_squares_ = std::vector<double>(elements_.size(), 0);
  std::vector<std::int64_t> hidden_ = std::vector<std::int64_t>(elements_.size(), 0);
};

// The samples, from number `first` on, with cells hidden at random; the same ones each time.
model::Batch hide_cells(const model::Batch& batch, double rate, std::int64_t first) {
  model::Batch seen{batch.values.clone().contiguous(), batch.observed.clone().contiguous(), batch.sizes};
  float* values = seen.values.data_ptr<float>();
  float* observed = seen.observed.data_ptr<float>();
  const std::int64_t elements = seen.values.size(1);
  for (std::int64_t row = 0; row < seen.samples(); ++row) {
    Random random(stream_key(0, "hidden cells of held-out rows", static_cast<std::uint64_t>(first + row)));
    for (std::int64_t e = 0; e < elements; ++e)
      if (random.uniform() < rate) values[row * elements + e] = observed[row * elements + e] = 0;
  }
  return seen;
}

}  // namespace

Profile profile_of(const loss::Autoencoder& autoencoder, const score::Head& head, const model::Samples& training,
                   const model::Samples& held_out, double mask_rate) {
  const auto* judge = head.for_samples();
  const model::Domain& domain = autoencoder.domain();
  if (judge == nullptr || domain.gridded()) return {};
  Describing describing(domain.elements);
  evenly(training.size(), kMostRows,
         [&](std::int64_t begin, std::int64_t end) { describing.add_values(training.range(begin, end)); });
  const auto answer = [&](const model::Samples& samples, bool trained_on) {
    evenly(samples.size(), kMostAnswers, [&](std::int64_t begin, std::int64_t end) {
      const auto batch = samples.range(begin, end);
      describing.add_residuals(batch, score::score(autoencoder, *judge, batch, trained_on ? begin : -1).expected);
    });
  };
  // A model that never saw the rows tells best; one that hid their cells at random while it learned, well enough.
  const auto& judged = held_out.size() > 0 ? held_out : training;
  const auto answer_hidden = [&](std::int64_t begin, std::int64_t end) {
    const auto batch = judged.range(begin, end);
    const auto seen = hide_cells(batch, mask_rate, begin);
    const model::Batch hidden{batch.values, batch.observed * (1 - seen.observed), batch.sizes};
    describing.add_hidden(hidden, autoencoder.expected(seen).to(torch::kFloat64).contiguous());
  };
  if (held_out.size() > 0) {
    answer(held_out, false);
  } else if (judge->leaves_out()) {
    answer(training, true);
  }
  if (mask_rate > 0 && autoencoder.has_network()) evenly(judged.size(), kMostAnswers, answer_hidden);
  return describing.finish();
}

}  // namespace ae::recipe
