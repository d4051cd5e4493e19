#include "loss/count_terms.hpp"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/vector_math.hpp"

namespace ae::loss {
namespace {

// Logarithms of means and dispersions are held where their exponentials are finite and above 0.
constexpr double kLeastLog = -15, kMostLog = 15;

at::Tensor counts_of(const at::Tensor& target, const at::Tensor& sizes) {
  const auto norm = torch::expm1(target.clamp_min(0));
  return sizes.defined() ? norm * sizes : norm;
}

// The same value, with another gradient: that of `slope`.
at::Tensor with_slope(const at::Tensor& value, const at::Tensor& slope) { return value + (slope - slope.detach()); }

// What terms of counts share: the first output is the logarithm of a mean count per cell of median size.
class CountTerm : public Term {
 public:
  bool accepts(const model::Element& element) const override { return element.counts; }
  // Without the emphasis: what is hidden of counts is never 0, and would raise the mean.
  at::Tensor weighted_loss(const Judged& judged) const override { return deviance(judged) * judged.observed; }
  std::vector<double> first_outputs(const Typical& typical) const override { return {log_of(typical.norm)}; }
  at::Tensor expected(const at::Tensor& prediction) const override { return torch::log1p(log_norm(prediction).exp()); }
  at::Tensor conditional(const at::Tensor& prediction, const at::Tensor& sizes) const override {
    // E[x] = P(x > 0) E[x | x > 0]
    const auto share = detection(prediction, sizes).clamp_min(std::numeric_limits<float>::min());
    return torch::log1p(torch::expm1(expected(prediction)) / share);
  }

 protected:
  static double log_of(double norm) { return std::log(std::max(norm, 1e-4)); }
  virtual at::Tensor deviance(const Judged& judged) const = 0;
  static at::Tensor log_norm(const at::Tensor& prediction) {
    return prediction.select(2, 0).clamp(kLeastLog, kMostLog);
  }
  static at::Tensor log_mean(const at::Tensor& prediction, const at::Tensor& sizes) {
    return sizes.defined() ? log_norm(prediction) + sizes.log() : log_norm(prediction);
  }
};

// --- Drawn ---

at::Tensor draw_poisson(const at::Tensor& means, at::Generator& random) {
  return torch::poisson(means.to(torch::kFloat64), random);
}

// A Poisson count of a rate that is gamma distributed: of mean m and shape t.
at::Tensor draw_binomial(const at::Tensor& log_mean, const at::Tensor& log_dispersion, double depth,
                         at::Generator& random) {
  const auto shape = log_dispersion.to(torch::kFloat64).exp().expand_as(log_mean);
  const auto rate =
      at::_standard_gamma(shape, random) * ((log_mean - log_dispersion).to(torch::kFloat64).exp() * depth);
  return draw_poisson(rate, random);
}

// 1 with these probabilities, else 0.
at::Tensor draw_whether(const at::Tensor& probability, at::Generator& random) {
  return torch::rand(probability.sizes(), random, torch::kFloat64) < probability;
}

// --- Fused ---
// Most counts are 0: a row is first taken as if all were, by vectors, and then put right where there are some.

float held(float log) { return std::clamp(log, static_cast<float>(kLeastLog), static_cast<float>(kMostLog)); }
bool is_held(float log) { return log < static_cast<float>(kLeastLog) || log > static_cast<float>(kMostLog); }

// Derivative of lgamma: Abramowitz and Stegun, Handbook of Mathematical Functions, 6.3.5 and 6.3.18.
double digamma(double x) {
  double sum = 0;
  for (; x < 8; ++x) sum -= 1 / x;
  const double z = 1 / (x * x);
  return sum + std::log(x) - 0.5 / x - z * (1.0 / 12 - z * (1.0 / 120 - z * (1.0 / 252 - z * (1.0 / 240 - z / 132))));
}

struct Row {
  std::vector<float> loss, slope, other_slope;  // by the first output; by a constant or the second output
  explicit Row(std::int64_t group) {
    for (auto* array : {&loss, &slope, &other_slope}) array->resize(static_cast<std::size_t>(group));
  }
};

// What is predicted of row i, and what is asked.
struct RowPart {
  const float* prediction;
  const float* target;
  const float* share;
  const float* plain_share;
  float* gradient;
  double size, log_size;
  RowPart(const Term::Rows& rows, std::int64_t i)
      : prediction(rows.prediction + i * rows.stride),
        target(rows.target + i * rows.group),
        share(rows.share + i * rows.group),
        plain_share(rows.plain_share + i * rows.group),
        gradient(rows.gradient + i * rows.stride),
        size(rows.sizes == nullptr ? 1 : static_cast<double>(rows.sizes[i])),
        log_size(std::log(size)) {}
  double count(std::int64_t g) const { return std::expm1(static_cast<double>(target[g])) * size; }
};

AE_VECTORISED void poisson_zeros(const float* prediction, float log_size, std::int64_t group,
                                 float* __restrict__ loss) {
  for (std::int64_t g = 0; g < group; ++g) {
    float log = prediction[g];
    log = log < static_cast<float>(kLeastLog) ? static_cast<float>(kLeastLog) : log;
    log = log > static_cast<float>(kMostLog) ? static_cast<float>(kMostLog) : log;
    loss[g] = vector_exp(log + log_size);
  }
}

// t log(1 + m / t) and its derivatives by log m and log t.
AE_VECTORISED void binomial_zeros(const float* __restrict__ prediction, const float* __restrict__ log_dispersion,
                                  const float* __restrict__ dispersion, float log_size, std::int64_t group,
                                  float* __restrict__ loss, float* __restrict__ slope,
                                  float* __restrict__ dispersion_slope) {
  for (std::int64_t g = 0; g < group; ++g) {
    float log = prediction[g];
    log = log < static_cast<float>(kLeastLog) ? static_cast<float>(kLeastLog) : log;
    log = log > static_cast<float>(kMostLog) ? static_cast<float>(kMostLog) : log;
    const float d = log + log_size - log_dispersion[g];
    const float e = vector_exp(d < 0 ? d : -d);
    const float softplus = (d < 0 ? 0.0f : d) + vector_log1p(e);
    const float share = (d < 0 ? e : 1.0f) / (1 + e);  // m / (m + t)
    loss[g] = dispersion[g] * softplus;
    slope[g] = dispersion[g] * share;
    dispersion_slope[g] = dispersion[g] * (softplus - share);
  }
}

// softplus(l) and its derivative, of every other number.
AE_VECTORISED void hurdle_zeros(const float* __restrict__ prediction, std::int64_t group, float* __restrict__ loss,
                                float* __restrict__ slope) {
  for (std::int64_t g = 0; g < group; ++g) {
    const float l = prediction[2 * g];
    const float e = vector_exp(l < 0 ? l : -l);
    loss[g] = (l < 0 ? 0.0f : l) + vector_log1p(e);
    slope[g] = (l < 0 ? e : 1.0f) / (1 + e);
  }
}

double weighted(const std::vector<float>& loss, const float* share) {
  return sum_up<double>(std::ssize(loss), [&](std::int64_t g) {
    return static_cast<double>(loss[static_cast<std::size_t>(g)]) * static_cast<double>(share[g]);
  });
}

class Poisson final : public CountTerm {
 public:
  std::string_view head() const override { return "log_mean"; }
  at::Tensor draw(const at::Tensor& prediction, const at::Tensor& sizes, const CountDraw& what,
                  at::Generator& random) const override {
    if (what.detected) return {};
    return draw_poisson(log_mean(prediction, sizes).to(torch::kFloat64).exp() * what.depth, random);
  }
  at::Tensor detection(const at::Tensor& prediction, const at::Tensor& sizes) const override {
    return -torch::expm1(-log_mean(prediction, sizes).exp());
  }
  bool fused() const override { return true; }
  bool fused_by_rows() const override { return true; }
  double fused_rows(const Rows& rows) const override {
    double sum = 0;
    Row row(rows.group);
    for (std::int64_t i = 0; i < rows.samples; ++i) {
      const RowPart part(rows, i);
      poisson_zeros(part.prediction, static_cast<float>(part.log_size), rows.group, row.loss.data());
      row.slope = row.loss;
      for (std::int64_t g = 0; g < rows.group; ++g) {
        const auto at = static_cast<std::size_t>(g);
        if (part.target[g] > 0) {
          const double x = part.count(g), log = static_cast<double>(held(part.prediction[g])) + part.log_size;
          row.loss[at] = static_cast<float>(std::max(0.0, x * (std::log(x) - log) - x + std::exp(log)));
          row.slope[at] -= static_cast<float>(x);
        }
        if (!is_held(part.prediction[g])) part.gradient[g] += rows.factor * part.plain_share[g] * row.slope[at];
      }
      sum += weighted(row.loss, part.plain_share);
    }
    return sum;
  }

 protected:
  // x log(x / m) - (x - m)
  at::Tensor deviance(const Judged& judged) const override {
    const auto counts = counts_of(judged.target, judged.sizes);
    const auto log = log_mean(judged.prediction, judged.sizes);
    return (torch::xlogy(counts, counts) - counts * log - counts + log.exp()).clamp_min(0);
  }
};

// log P(x) of a negative binomial of mean m and dispersion t (variance m + m^2 / t) but for -log x!, from log m and
// log t:
//   lgamma(x + t) - lgamma(t) + t log t + x log m - (x + t) log(m + t)
at::Tensor log_likelihood(const at::Tensor& counts, const at::Tensor& log_mean, const at::Tensor& log_dispersion) {
  const auto dispersion = log_dispersion.exp();
  return torch::lgamma(counts + dispersion) - torch::lgamma(dispersion) + dispersion * log_dispersion +
         counts * log_mean - (counts + dispersion) * torch::logaddexp(log_mean, log_dispersion);
}

// x log(x / m) - (x + t) log((x + t) / (m + t)), whose second logarithm is that of a number near 1 where t is large.
at::Tensor half_deviance(const at::Tensor& counts, const at::Tensor& log_mean, const at::Tensor& log_dispersion) {
  const auto mean = log_mean.exp(), dispersion = log_dispersion.exp();
  const auto value = torch::xlogy(counts, counts) - counts * log_mean -
                     (counts + dispersion) * torch::log1p((counts - mean) / (mean + dispersion));
  return value.clamp_min(0);
}

// log P(0) = -t log(1 + m / t)
at::Tensor log_zero(const at::Tensor& log_mean, const at::Tensor& log_dispersion) {
  return -log_dispersion.exp() * torch::softplus(log_mean - log_dispersion);
}

double log_of_sum(double a, double b) { return std::max(a, b) + std::log1p(std::exp(-std::abs(a - b))); }

// Half deviances of negative binomials whose dispersions are the terms' constants, and their slopes by the logarithms
// of mean and dispersion.
class Dispersions {
 public:
  explicit Dispersions(const Term::Rows& rows)
      : log_(static_cast<std::size_t>(rows.group)),
        plain_(log_.size()),
        digamma_(log_.size()),
        slopes_(log_.size(), 0.0) {
    for (std::size_t g = 0; g < log_.size(); ++g) {
      log_[g] = held(rows.constants[g]);
      plain_[g] = std::exp(log_[g]);
      digamma_[g] = digamma(static_cast<double>(plain_[g]));
    }
  }
  std::size_t size() const { return log_.size(); }

  // As if all counts of a row were 0. `log_norms` [group].
  void judge_zeros(const float* log_norms, const RowPart& part, Row& row) const {
    binomial_zeros(log_norms, log_.data(), plain_.data(), static_cast<float>(part.log_size),
                   static_cast<std::int64_t>(size()), row.loss.data(), row.slope.data(), row.other_slope.data());
  }
  void judge_count(std::size_t g, float log_norm, const RowPart& part, Row& row) const {
    const double x = part.count(static_cast<std::int64_t>(g)), t = static_cast<double>(plain_[g]);
    const double log = static_cast<double>(held(log_norm)) + part.log_size;
    const double both = log_of_sum(log, static_cast<double>(log_[g]));  // log(m + t)
    const double share = std::exp(log - both), more = x + t;
    row.loss[g] = static_cast<float>(std::max(0.0, x * (std::log(x) - log) - more * (std::log(more) - both)));
    row.slope[g] = static_cast<float>(more * share - x);
    row.other_slope[g] = static_cast<float>(
        -t * (digamma(more) - digamma_[g] + static_cast<double>(log_[g]) + 1 - both - more * std::exp(-both)));
  }
  void add_slope(std::size_t g, float slope) { slopes_[g] += static_cast<double>(slope); }
  void hand_on(const Term::Rows& rows) const {
    for (std::size_t g = 0; g < size(); ++g)
      if (!is_held(rows.constants[g])) rows.constants_gradient[g] += static_cast<float>(slopes_[g]);
  }

 private:
  std::vector<float> log_, plain_;
  std::vector<double> digamma_, slopes_;
};

class NegativeBinomial final : public CountTerm {
 public:
  std::string_view head() const override { return "log_mean_dispersion"; }
  at::Tensor draw(const at::Tensor& prediction, const at::Tensor& sizes, const CountDraw& what,
                  at::Generator& random) const override {
    if (what.detected) return {};
    return draw_binomial(log_mean(prediction, sizes), log_dispersion(prediction), what.depth, random);
  }
  std::vector<double> constants() const override { return {0}; }
  at::Tensor detection(const at::Tensor& prediction, const at::Tensor& sizes) const override {
    return -torch::expm1(log_zero(log_mean(prediction, sizes), log_dispersion(prediction)));
  }
  bool fused() const override { return true; }
  bool fused_by_rows() const override { return true; }
  double fused_rows(const Rows& rows) const override {
    Dispersions dispersions(rows);
    double sum = 0;
    Row row(rows.group);
    for (std::int64_t i = 0; i < rows.samples; ++i) {
      const RowPart part(rows, i);
      dispersions.judge_zeros(part.prediction, part, row);
      for (std::size_t g = 0; g < dispersions.size(); ++g) {
        if (part.target[g] > 0) dispersions.judge_count(g, part.prediction[g], part, row);
        const float weight = rows.factor * part.plain_share[g];
        if (!is_held(part.prediction[g])) part.gradient[g] += weight * row.slope[g];
        dispersions.add_slope(g, weight * row.other_slope[g]);
      }
      sum += weighted(row.loss, part.plain_share);
    }
    dispersions.hand_on(rows);
    return sum;
  }

 protected:
  static at::Tensor log_dispersion(const at::Tensor& prediction) {
    return prediction.select(2, 1).clamp(kLeastLog, kMostLog);
  }
  at::Tensor deviance(const Judged& judged) const override {
    const auto counts = counts_of(judged.target, judged.sizes);
    const auto log = log_mean(judged.prediction, judged.sizes), dispersion = log_dispersion(judged.prediction);
    auto value = half_deviance(counts, log, dispersion.detach());
    if (!torch::GradMode::is_enabled()) return value;
    return with_slope(value, -log_likelihood(counts, log.detach(), dispersion));
  }
};

// Zeros with probability p, logistic of the second output, else a negative binomial.
class ZeroInflated final : public CountTerm {
 public:
  std::string_view head() const override { return "log_mean_zeros"; }
  at::Tensor draw(const at::Tensor& prediction, const at::Tensor& sizes, const CountDraw& what,
                  at::Generator& random) const override {
    if (what.detected) return {};
    const auto some = draw_whether(torch::sigmoid(-prediction.select(2, 1)), random);
    const auto dispersion = prediction.select(2, 2).clamp(kLeastLog, kMostLog);
    return draw_binomial(log_mean(prediction, sizes), dispersion, what.depth, random) * some;
  }
  std::int64_t outputs(const model::Element&) const override { return 2; }
  std::vector<double> constants() const override { return {0}; }
  std::vector<double> first_outputs(const Typical& typical) const override { return {log_of(typical.norm), -2}; }
  bool fused() const override { return true; }
  bool fused_by_rows() const override { return true; }
  double fused_rows(const Rows& rows) const override {
    Dispersions dispersions(rows);
    std::vector<float> log_norms(dispersions.size());
    double sum = 0;
    Row row(rows.group);
    for (std::int64_t i = 0; i < rows.samples; ++i) {
      const RowPart part(rows, i);
      for (std::size_t g = 0; g < log_norms.size(); ++g) log_norms[g] = part.prediction[2 * g];
      dispersions.judge_zeros(log_norms.data(), part, row);
      for (std::size_t g = 0; g < log_norms.size(); ++g) {
        const auto zeros = static_cast<double>(part.prediction[2 * g + 1]);
        const double share = 1 / (1 + std::exp(-zeros));  // of zeros of their own
        double slope = share, own = 0;                    // own: how likely a zero is one of these
        if (part.target[g] > 0) {
          dispersions.judge_count(g, log_norms[g], part, row);
          row.loss[g] += static_cast<float>(log_of_sum(zeros, 0));
        } else {
          const double log_zero = -static_cast<double>(row.loss[g]);
          own = 1 / (1 + std::exp(log_zero - zeros));
          slope -= own;
          row.loss[g] = static_cast<float>(std::max(0.0, log_of_sum(zeros, 0) - log_of_sum(zeros, log_zero)));
        }
        const float weight = rows.factor * part.plain_share[g], of_binomial = weight * static_cast<float>(1 - own);
        if (!is_held(log_norms[g])) part.gradient[2 * g] += of_binomial * row.slope[g];
        part.gradient[2 * g + 1] += weight * static_cast<float>(slope);
        dispersions.add_slope(g, of_binomial * row.other_slope[g]);
      }
      sum += weighted(row.loss, part.plain_share);
    }
    dispersions.hand_on(rows);
    return sum;
  }
  at::Tensor expected(const at::Tensor& prediction) const override {
    return torch::log1p(log_norm(prediction).exp() * torch::sigmoid(-prediction.select(2, 1)));
  }
  at::Tensor detection(const at::Tensor& prediction, const at::Tensor& sizes) const override {
    const auto seen = torch::sigmoid(-prediction.select(2, 1));
    return -seen *
           torch::expm1(log_zero(log_mean(prediction, sizes), prediction.select(2, 2).clamp(kLeastLog, kMostLog)));
  }

 protected:
  at::Tensor deviance(const Judged& judged) const override {
    const auto counts = counts_of(judged.target, judged.sizes);
    const auto log = log_mean(judged.prediction, judged.sizes);
    const auto zeros = judged.prediction.select(2, 1);
    const auto dispersion = judged.prediction.select(2, 2).clamp(kLeastLog, kMostLog), fixed = dispersion.detach();
    // A zero is predicted exactly by p = 1, another count by p = 0 and m = x.
    const auto zero = torch::logaddexp(zeros, log_zero(log, fixed));
    auto value =
        (torch::where(counts > 0, half_deviance(counts, log, fixed), -zero) + torch::softplus(zeros)).clamp_min(0);
    if (!torch::GradMode::is_enabled()) return value;
    return with_slope(value, -likelihood(counts, log.detach(), zeros.detach(), dispersion));
  }

 private:
  static at::Tensor likelihood(const at::Tensor& counts, const at::Tensor& log, const at::Tensor& zeros,
                               const at::Tensor& dispersion) {
    const auto zero = torch::logaddexp(zeros, log_zero(log, dispersion));
    return torch::where(counts > 0, log_likelihood(counts, log, dispersion), zero) - torch::softplus(zeros);
  }
};

// Whether there is a count, with probability logistic of the first output, and log(1 + count / size) where there is:
// normal around the second output, with a standard deviation for each gene.
class Hurdle final : public Term {
 public:
  bool accepts(const model::Element& element) const override { return element.counts; }
  std::string_view head() const override { return "hurdle"; }
  bool learns_amounts() const override { return true; }
  std::int64_t outputs(const model::Element&) const override { return 2; }
  std::vector<double> constants() const override { return {-1}; }  // log of the standard deviation
  std::vector<double> first_outputs(const Typical& typical) const override {
    const double share = std::clamp(typical.detected, 1e-3, 1 - 1e-3);
    return {std::log(share / (1 - share)), typical.amount};
  }
  bool fused() const override { return true; }
  bool fused_by_rows() const override { return true; }
  double fused_rows(const Rows& rows) const override {
    const auto group = static_cast<std::size_t>(rows.group);
    std::vector<float> precision(group);  // 1 / s^2
    std::vector<double> slopes(group, 0.0);
    for (std::size_t g = 0; g < group; ++g)
      precision[g] = std::exp(-2 * std::clamp(rows.constants[g], kLeastSpread, kMostSpread));
    double sum = 0;
    Row row(rows.group);
    for (std::int64_t i = 0; i < rows.samples; ++i) {
      const RowPart part(rows, i);
      hurdle_zeros(part.prediction, rows.group, row.loss.data(), row.slope.data());
      for (std::size_t g = 0; g < group; ++g) {
        const float logit = part.prediction[2 * g];
        if (part.target[g] > 0) {
          row.loss[g] -= logit;  // softplus(-l)
          row.slope[g] -= 1;
          const float error = part.prediction[2 * g + 1] - part.target[g], square = error * error * precision[g];
          sum += 0.5 * static_cast<double>(part.share[g] * square);
          const float weight = rows.factor * part.share[g];
          part.gradient[2 * g + 1] += weight * error * precision[g];
          slopes[g] += static_cast<double>(weight * (1 - square));
        }
        part.gradient[2 * g] += rows.factor * part.plain_share[g] * row.slope[g];
      }
      sum += weighted(row.loss, part.plain_share);
    }
    for (std::size_t g = 0; g < group; ++g) {
      const bool outside = rows.constants[g] < kLeastSpread || rows.constants[g] > kMostSpread;
      if (!outside) rows.constants_gradient[g] += static_cast<float>(slopes[g]);
    }
    return sum;
  }
  // An emphasis is of amounts: hidden counts are never 0, and would make detections of zeros.
  at::Tensor weighted_loss(const Judged& judged) const override {
    const auto there = (judged.target > 0).to(judged.target.scalar_type());
    const auto detected =
        torch::binary_cross_entropy_with_logits(judged.prediction.select(2, 0), there, {}, {}, at::Reduction::None);
    const auto error = judged.prediction.select(2, 1) - judged.target;
    const auto spread = log_spread(judged.prediction), fixed = spread.detach();
    auto amount = 0.5 * error.square() * (-2 * fixed).exp();
    if (torch::GradMode::is_enabled())
      amount = with_slope(amount, 0.5 * error.detach().square() * (-2 * spread).exp() + spread);
    amount = amount * there;
    if (judged.emphasis.defined()) amount = amount * judged.emphasis;
    return (detected + amount) * judged.observed;
  }
  at::Tensor detection(const at::Tensor& prediction, const at::Tensor&) const override {
    return torch::sigmoid(prediction.select(2, 0));
  }
  at::Tensor conditional(const at::Tensor& prediction, const at::Tensor&) const override {
    return prediction.select(2, 1).clamp_min(0);
  }
  // Detections are those of the depth at which the term has learned; at another, counts are drawn as Poisson's around
  // what is drawn at that.
  at::Tensor draw(const at::Tensor& prediction, const at::Tensor& sizes, const CountDraw& what,
                  at::Generator& random) const override {
    const auto mean = prediction.select(2, 1).clamp(0, kMostLog).to(torch::kFloat64);
    const auto spread = log_spread(prediction).to(torch::kFloat64).exp();
    auto counts = torch::expm1((mean + spread * torch::randn(mean.sizes(), random, torch::kFloat64)).clamp_min(0));
    if (sizes.defined()) counts = counts * sizes;
    const auto some = torch::sigmoid(prediction.select(2, 0));
    if (what.depth != 1) {
      if (!what.detected) counts = counts * draw_whether(some, random);
      return draw_poisson(counts * what.depth, random);
    }
    // Up or down by chance, which leaves the mean as it is.
    if (what.whole) counts = counts.floor() + draw_whether(counts - counts.floor(), random);
    if (!what.detected) return counts * draw_whether(some, random);
    return what.whole ? counts.clamp_min(1) : counts;
  }
  // The mean of a log-normal is above the exponential of the mean logarithm: E[1 + x] = exp(m + s^2 / 2).
  at::Tensor expected(const at::Tensor& prediction) const override {
    const auto logarithm = prediction.select(2, 1).clamp(0, kMostLog) + 0.5 * (2 * log_spread(prediction)).exp();
    return torch::log1p(torch::sigmoid(prediction.select(2, 0)) * torch::expm1(logarithm));
  }

 private:
  static constexpr float kLeastSpread = -6, kMostSpread = 1;
  static at::Tensor log_spread(const at::Tensor& prediction) {
    return prediction.select(2, 2).clamp(kLeastSpread, kMostSpread);
  }
};

template <typename T>
std::unique_ptr<Term> made() {
  return std::make_unique<T>();
}

}  // namespace

std::unique_ptr<Term> make_poisson() { return made<Poisson>(); }
std::unique_ptr<Term> make_negative_binomial() { return made<NegativeBinomial>(); }
std::unique_ptr<Term> make_zero_inflated() { return made<ZeroInflated>(); }
std::unique_ptr<Term> make_hurdle() { return made<Hurdle>(); }

}  // namespace ae::loss
