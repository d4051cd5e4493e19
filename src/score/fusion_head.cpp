// Several heads in one score.
#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.hpp"
#include "base/text.hpp"
#include "score/makers.hpp"

namespace ae::score {
namespace {

constexpr std::array<config::Choice, 2> kCombinations{{
    {"ratio", "mean of the members' scores, each over its median on normal rows; shares add up as they are"},
    {"log_z", "exp of the mean of the standardised logarithms of the members' scores"},
}};

// A member's scores are all but equal on normal rows when their logarithms deviate by less than this.
constexpr double kSmallestDeviation = 0.02;
constexpr double kSmallestMedian = 1e-9;
// Share of the median that is added before taking logarithms.
constexpr double kOffset = 1e-3;
// Of standardised logarithms, so that their exponentials stay finite.
constexpr double kLargest = 600;

// A typical normal row has a fused score of about 1, whatever the units of the members' scores s. "log_z" is exp of the
// mean of z = (log(s + offset) - mean) / deviation; "ratio" the mean of s / median. Medians, means and deviations are
// those of honest scores of normal rows.
class Fusion final : public Head {
 public:
  HeadList members{fusable_heads()};
  bool members_set = false;
  std::string combine = "ratio";
  std::vector<std::int64_t> weights;

  void fields(config::Fields& f) override {
    f.variants("members", members, members_set, "The heads that are fused, each with its own settings.");
    f.choice("combine", combine, kCombinations, "How standardised scores become one.");
    f.integers("weights", weights, {1, 1000}, "How much each member counts; [] for all alike.");
  }
  void check(std::vector<config::Problem>& problems) const override {
    if (members.empty()) {
      problems.push_back({"/members",
                          "a fusion needs members; for example [{\"type\": \"neighbours\"}, "
                          "{\"type\": \"normalized\"}]"});
    }
    if (!weights.empty() && weights.size() != members.size()) {
      problems.push_back({"/weights", "found " + std::to_string(weights.size()) + " weights for " +
                                          std::to_string(members.size()) + " members; give one for each, or []"});
    }
  }

  double weight(std::size_t member) const {
    if (weights.empty()) return 1 / static_cast<double>(members.size());
    double sum = 0;
    for (const auto each : weights) sum += static_cast<double>(each);
    return static_cast<double>(weights[member]) / sum;
  }

  bool judges(const model::Domain& domain) const override {
    return !domain.images() &&
           std::all_of(members.begin(), members.end(), [&](const auto& member) { return member->judges(domain); });
  }

  void fit(const FitContext& context) override {
    medians_ = torch::ones({static_cast<std::int64_t>(members.size())}, torch::kFloat64);
    means_ = torch::zeros_like(medians_);
    deviations_ = torch::ones_like(medians_);
    for (std::size_t m = 0; m < members.size(); ++m) {
      members[m]->fit(context);
      auto scores = honest_scores(context, *members[m]);
      // Without a held-out row only the training rows are left to look at.
      if (scores.empty()) scores = scores_of(context.autoencoder, *members[m], context.training, true);
      standardise(static_cast<std::int64_t>(m), std::move(scores));
    }
  }

  Answer answer(const loss::Autoencoder& autoencoder, const model::Batch& batch,
                std::int64_t first_training) const override {
    Answer fused;
    at::Tensor loudest;
    at::Tensor exponent = torch::zeros({batch.samples(), 1}, torch::kFloat64);
    for (std::size_t m = 0; m < members.size(); ++m) {
      const auto answer = members[m]->answer(autoencoder, batch, first_training);
      const auto at = static_cast<std::int64_t>(m);
      at::Tensor parts;
      if (combine == "ratio") {
        parts = answer.shares * (weight(m) / medians_[at]);
      } else {
        // A member speaks for its columns as loudly as it is alarmed; all of them at 0 have no say.
        const auto scores = answer.shares.sum(1, true);
        const auto z = ((scores.clamp_min(0) + kOffset * medians_[at]).log() - means_[at]) / deviations_[at];
        exponent = exponent + z * weight(m);
        parts = (answer.shares / torch::where(scores > 0, scores, torch::ones_like(scores)) * torch::sigmoid(z) *
                     weight(m) +
                 1e-300) *
                batch.observed;
      }
      // What should have been there is told by the member that complains most.
      fused.expected = m == 0 ? answer.expected : torch::where(parts > loudest, answer.expected, fused.expected);
      loudest = m == 0 ? parts : torch::maximum(parts, loudest);
      fused.shares = m == 0 ? parts : fused.shares + parts;
    }
    if (combine == "log_z") {
      const auto total = exponent.clamp(-kLargest, kLargest).exp() / fused.shares.sum(1, true);
      // A row without observed cells says nothing.
      fused.shares = fused.shares * torch::where(batch.observed.sum(1, true) > 0, total, torch::zeros_like(total));
    }
    return fused;
  }

  bool asks_network() const override {
    return std::any_of(members.begin(), members.end(), [](const auto& member) { return member->asks_network(); });
  }

  bool leaves_out() const override {
    return std::all_of(members.begin(), members.end(), [](const auto& member) { return member->leaves_out(); });
  }

  Arrays state() const override {
    Arrays arrays{{"medians", to_array(medians_)}, {"means", to_array(means_)}, {"deviations", to_array(deviations_)}};
    for (std::size_t m = 0; m < members.size(); ++m) {
      data::put_under(arrays, std::to_string(m) + ".", members[m]->state());
    }
    return arrays;
  }

  void restore(const Arrays& arrays, const loss::Autoencoder& autoencoder) override {
    const auto count = static_cast<std::int64_t>(members.size());
    medians_ = from_arrays(arrays, "medians", data::Dtype::f64, {count});
    means_ = from_arrays(arrays, "means", data::Dtype::f64, {count});
    deviations_ = from_arrays(arrays, "deviations", data::Dtype::f64, {count});
    if (medians_.min().item<double>() <= 0 || deviations_.min().item<double>() < kSmallestDeviation) {
      throw InputError("\"medians\" and \"deviations\" must be positive; the file is damaged");
    }
    for (std::size_t m = 0; m < members.size(); ++m) {
      members[m]->restore(data::arrays_under(arrays, std::to_string(m) + "."), autoencoder);
    }
  }

 private:
  void standardise(std::int64_t member, std::vector<double> scores) {
    std::sort(scores.begin(), scores.end());
    const std::size_t half = scores.size() / 2;
    const double median = scores.size() % 2 == 1 ? scores[half] : (scores[half - 1] + scores[half]) / 2;
    // Rows that all repeat each other are reconstructed without error; any other row is then far.
    const double scale = std::max(median, kSmallestMedian);
    double mean = 0, square = 0;
    for (const double score : scores) mean += std::log(score + kOffset * scale);
    mean /= static_cast<double>(scores.size());
    for (const double score : scores) square += std::pow(std::log(score + kOffset * scale) - mean, 2);
    medians_[member] = scale;
    means_[member] = mean;
    deviations_[member] = std::max(std::sqrt(square / static_cast<double>(scores.size())), kSmallestDeviation);
  }

  at::Tensor medians_;     // [members]
  at::Tensor means_;       // [members]
  at::Tensor deviations_;  // [members]
};

}  // namespace

std::unique_ptr<Head> make_fusion() { return std::make_unique<Fusion>(); }

}  // namespace ae::score
