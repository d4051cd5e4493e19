#include "loss/term.hpp"

#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/text.hpp"
#include "base/vector_math.hpp"
#include "loss/backbone_terms.hpp"
#include "loss/count_terms.hpp"
#include "loss/image_terms.hpp"
#include "loss/value_term.hpp"

namespace ae::loss {

void Term::fields(config::Fields& f) {
  f.number("weight", weight, {0}, "Factor of this term in the sum.");
  if (grain() == Grain::element) {
    f.scalars("columns", columns,
              "Columns the term judges: names or patterns with * and ?; [] for every column it fits.");
  }
}

at::Tensor Judged::weights() const { return emphasis.defined() ? observed * emphasis : observed; }
at::Tensor Judged::in_unit(const at::Tensor& values) const {
  return values * spread.to(values.scalar_type()) + center.to(values.scalar_type());
}

at::Tensor Term::element_loss(const at::Tensor&, const at::Tensor&) const {
  throw std::logic_error("this loss term has no element grain");
}
at::Tensor Term::weighted_loss(const Judged& judged) const {
  return masked_loss(judged.prediction, judged.target, judged.observed) * judged.weights();
}
at::Tensor Term::expected(const at::Tensor& prediction) const { return prediction.squeeze(2); }
at::Tensor Term::detection(const at::Tensor&, const at::Tensor&) const { return {}; }
at::Tensor Term::conditional(const at::Tensor&, const at::Tensor&) const { return {}; }
at::Tensor Term::draw(const at::Tensor&, const at::Tensor&, const CountDraw&, at::Generator&) const { return {}; }
std::string Term::complaint(const at::Tensor&) const { return ""; }
at::Tensor Term::sample_loss(const model::Code&, std::int64_t) const {
  throw std::logic_error("this loss term has no sample grain");
}
double Term::ramp(double) const { return 1; }
void Term::fused_loss(const float*, const float*, std::int64_t, std::int64_t, float*, float*) const {
  throw std::logic_error("this loss term has no fused element loss");
}
double Term::fused_rows(const Rows&) const { throw std::logic_error("this loss term has no fused loss of rows"); }
double Term::fused_sample_loss(const float*, const float*, std::int64_t, std::int64_t, float, float*, float*) const {
  throw std::logic_error("this loss term has no fused sample loss");
}

namespace {

AE_VECTORISED void squared_errors(const float* __restrict__ prediction, const float* __restrict__ target,
                                  std::int64_t count, float* __restrict__ loss, float* __restrict__ gradient) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float error = prediction[i] - target[i];
    loss[i] = error * error;
    gradient[i] = 2 * error;
  }
}

AE_VECTORISED void absolute_errors(const float* __restrict__ prediction, const float* __restrict__ target,
                                   std::int64_t count, float* __restrict__ loss, float* __restrict__ gradient) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float error = prediction[i] - target[i];
    loss[i] = error < 0 ? -error : error;
    gradient[i] = static_cast<float>(error > 0) - static_cast<float>(error < 0);
  }
}

AE_VECTORISED void huber_errors(const float* __restrict__ prediction, const float* __restrict__ target,
                                std::int64_t count, float delta, float* __restrict__ loss,
                                float* __restrict__ gradient) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float error = prediction[i] - target[i];
    const float size = error < 0 ? -error : error;
    const float sign = error < 0 ? -1.0f : 1.0f;
    loss[i] = size < delta ? 0.5f * error * error : delta * (size - 0.5f * delta);
    gradient[i] = size < delta ? error : delta * sign;
  }
}

// max(x, 0) - x t + log(1 + e^-|x|), and its derivative logistic(x) - t.
AE_VECTORISED void binary_cross_entropies(const float* __restrict__ prediction, const float* __restrict__ target,
                                          std::int64_t count, float* __restrict__ loss, float* __restrict__ gradient) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float x = prediction[i];
    float t = target[i];
    t = t < 0 ? 0.0f : t;
    t = t > 1 ? 1.0f : t;
    const float e = vector_exp(x < 0 ? x : -x);
    const float share = e / (1 + e);
    loss[i] = (x < 0 ? 0.0f : x) - x * t + vector_log1p(e);
    gradient[i] = (x < 0 ? share : 1 - share) - t;
  }
}

// `codes` logits; returns log of their summed exponentials and leaves softmax in `share`.
AE_VECTORISED float softmax(const float* __restrict__ logits, std::int64_t codes, float* __restrict__ share) {
  float largest = logits[0];
  for (std::int64_t k = 1; k < codes; ++k) largest = logits[k] > largest ? logits[k] : largest;
  for (std::int64_t k = 0; k < codes; ++k) share[k] = vector_exp(logits[k] - largest);
  float sum = 0;
  for (std::int64_t k = 0; k < codes; ++k) sum += share[k];
  for (std::int64_t k = 0; k < codes; ++k) share[k] /= sum;
  return largest + std::log(sum);
}

constexpr const char* kValueScript = "prediction.squeeze(-1)";

// As TorchScript reads a floating-point number: "1" would be a whole one.
std::string script_number(double value) { return "float(" + number_text(value) + ")"; }

class SquaredError final : public Term {
 public:
  at::Tensor element_loss(const at::Tensor& prediction, const at::Tensor& target) const override {
    return (prediction.squeeze(2) - target).square();
  }
  Script script() const override { return {"(prediction.squeeze(-1) - target).square()", kValueScript}; }
  bool fused() const override { return true; }
  void fused_loss(const float* prediction, const float* target, std::int64_t count, std::int64_t, float* loss,
                  float* gradient) const override {
    squared_errors(prediction, target, count, loss, gradient);
  }
};

class AbsoluteError final : public Term {
 public:
  at::Tensor element_loss(const at::Tensor& prediction, const at::Tensor& target) const override {
    return (prediction.squeeze(2) - target).abs();
  }
  Script script() const override { return {"(prediction.squeeze(-1) - target).abs()", kValueScript}; }
  bool fused() const override { return true; }
  void fused_loss(const float* prediction, const float* target, std::int64_t count, std::int64_t, float* loss,
                  float* gradient) const override {
    absolute_errors(prediction, target, count, loss, gradient);
  }
};

// Huber 1964: e^2 / 2 up to |e| = delta, then delta (|e| - delta / 2).
class Huber final : public Term {
 public:
  double delta = 1;
  void fields(config::Fields& f) override {
    Term::fields(f);
    f.number("delta", delta, {0, std::numeric_limits<double>::infinity(), true},
             "Error, in scaled units, at which the loss turns from squared to absolute.");
  }
  at::Tensor element_loss(const at::Tensor& prediction, const at::Tensor& target) const override {
    return torch::huber_loss(prediction.squeeze(2), target, at::Reduction::None, delta);
  }
  Script script() const override {
    return {"torch.huber_loss(prediction.squeeze(-1), target, 0, " + script_number(delta) + ")", kValueScript};
  }
  bool fused() const override { return true; }
  void fused_loss(const float* prediction, const float* target, std::int64_t count, std::int64_t, float* loss,
                  float* gradient) const override {
    huber_errors(prediction, target, count, static_cast<float>(delta), loss, gradient);
  }
};

// -t log p - (1 - t) log(1 - p) with p = logistic(output), for values in [0, 1].
class BinaryCrossEntropy final : public Term {
 public:
  std::string_view head() const override { return "logit"; }
  at::Tensor element_loss(const at::Tensor& prediction, const at::Tensor& target) const override {
    return torch::binary_cross_entropy_with_logits(prediction.squeeze(2), target.clamp(0, 1), {}, {},
                                                   at::Reduction::None);
  }
  Script script() const override {
    return {"torch.binary_cross_entropy_with_logits(prediction.squeeze(-1), target.clamp(0, 1), None, None, 0)",
            "torch.sigmoid(prediction.squeeze(-1))"};
  }
  bool fused() const override { return true; }
  void fused_loss(const float* prediction, const float* target, std::int64_t count, std::int64_t, float* loss,
                  float* gradient) const override {
    binary_cross_entropies(prediction, target, count, loss, gradient);
  }
  at::Tensor expected(const at::Tensor& prediction) const override { return torch::sigmoid(prediction.squeeze(2)); }
  std::string complaint(const at::Tensor& target) const override {
    if (target.numel() == 0) return "";
    const double low = target.min().item<double>();
    const double high = target.max().item<double>();
    if (low >= 0 && high <= 1) return "";
    return "bce needs values in [0, 1]; found " + std::to_string(low < 0 ? low : high) +
           " after scaling; set /data/scaling to \"none\" for such data, or use mse for this column";
  }
};

// -log softmax(outputs)[code]; the last code stands for every level not seen in training.
class CrossEntropy final : public Term {
 public:
  bool accepts(const model::Element& element) const override { return element.categorical(); }
  std::string_view head() const override { return "codes"; }
  std::int64_t outputs(const model::Element& element) const override { return element.codes; }
  at::Tensor element_loss(const at::Tensor& prediction, const at::Tensor& target) const override {
    const auto code = target.to(torch::kInt64).clamp(0, prediction.size(2) - 1).unsqueeze(2);
    return -torch::log_softmax(prediction, 2).gather(2, code).squeeze(2);
  }
  // 4 is int64.
  Script script() const override {
    return {
        "-torch.log_softmax(prediction, -1).gather(-1, "
        "target.to(4).clamp(0, prediction.size(-1) - 1).unsqueeze(-1)).squeeze(-1)",
        "prediction.narrow(-1, 0, max(1, prediction.size(-1) - 1)).argmax(-1).to(prediction.dtype)"};
  }
  bool fused() const override { return true; }
  void fused_loss(const float* prediction, const float* target, std::int64_t count, std::int64_t codes, float* loss,
                  float* gradient) const override {
    for (std::int64_t i = 0; i < count; ++i) {
      const float* logits = prediction + i * codes;
      float* share = gradient + i * codes;
      const auto code = std::clamp<std::int64_t>(static_cast<std::int64_t>(target[i]), 0, codes - 1);
      loss[i] = softmax(logits, codes, share) - logits[code];
      share[code] -= 1;
    }
  }
  at::Tensor expected(const at::Tensor& prediction) const override {
    return known(prediction).argmax(2).to(prediction.scalar_type());
  }
  at::Tensor probabilities(const at::Tensor& prediction) const override { return torch::softmax(known(prediction), 2); }

 private:
  // The last code stands for levels that training never saw: nobody can say which, so it is never what is expected.
  static at::Tensor known(const at::Tensor& prediction) {
    return prediction.narrow(2, 0, std::max<std::int64_t>(1, prediction.size(2) - 1));
  }
};

// KL(N(mean, variance) || N(0, 1)) per sample, summed over the code (Kingma and Welling 2014, appendix B), divided by
// the number of elements so that its weight is on the scale of the element mean. With mse, the evidence lower bound of
// a unit-variance Gaussian decoder has kl weight 2.
class KullbackLeibler final : public Term {
 public:
  double warm_up = 0;
  void fields(config::Fields& f) override {
    Term::fields(f);
    f.number("warm_up", warm_up, {0, 1e6}, "Epochs over which the weight rises linearly from 0.");
  }
  Grain grain() const override { return Grain::sample; }
  bool needs_variational() const override { return true; }
  at::Tensor sample_loss(const model::Code& code, std::int64_t elements) const override {
    // expm1(v) - v >= 0 keeps the sum non-negative in floating point too.
    const auto excess = torch::expm1(code.log_variance) - code.log_variance;
    return 0.5 * (code.mean.square() + excess).flatten(1).sum(1) / static_cast<double>(elements);
  }
  bool fused() const override { return true; }
  double fused_sample_loss(const float* mean, const float* log_variance, std::int64_t latent, std::int64_t elements,
                           float factor, float* mean_gradient, float* log_variance_gradient) const override {
    const float share = factor / static_cast<float>(elements);
    double sum = 0;
    for (std::int64_t i = 0; i < latent; ++i) {
      const float growth = vector_expm1(log_variance[i]);
      sum += mean[i] * mean[i] + (growth - log_variance[i]);
      mean_gradient[i] += share * mean[i];
      log_variance_gradient[i] += 0.5f * share * growth;
    }
    return 0.5 * sum / static_cast<double>(elements);
  }
  double ramp(double epoch) const override { return warm_up > 0 ? std::min(1.0, epoch / warm_up) : 1.0; }
};

template <typename T>
std::unique_ptr<Term> make() {
  return std::make_unique<T>();
}

constexpr std::array<config::Entry<Term>, 22> kTerms{{
    {"mse", "Squared error of numeric cells.", make<SquaredError>},
    {"l1", "Absolute error of numeric cells.", make<AbsoluteError>},
    {"huber", "Squared error for small, absolute error for large deviations.", make<Huber>},
    {"bce", "Binary cross-entropy of values in [0, 1].", make<BinaryCrossEntropy>},
    {"cross_entropy", "Surprise at the level of a categorical cell.", make<CrossEntropy>},
    {"kl", "Divergence of the latent code from the standard normal distribution (variational models).",
     make<KullbackLeibler>},
    {"value", "Error of what a Q network of yours says of the sample: reconstruction in units of value.", make_value},
    {"ssim", "1 - structural similarity of the surroundings of a pixel.", make_ssim},
    {"ms_ssim", "1 - structural similarity over several scales.", make_ms_ssim},
    {"gradient", "Error of the differences between neighbouring pixels.", make_gradient},
    {"feature", "Distance of the features that your own TorchScript network sees in input and reconstruction.",
     make_feature},
    {"poisson", "Deviance of counts around a mean for each cell and gene: Poisson.", make_poisson},
    {"nb", "Deviance of counts: negative binomial, with a dispersion for each gene.", make_negative_binomial},
    {"zinb", "Deviance of counts: negative binomial, and zeros of their own beside it.", make_zero_inflated},
    {"hurdle", "Whether there is a count at all, and how many where there is one: a log-normal amount.", make_hurdle},
    {"kabsch_mse", "Squared error of backbones in Angstrom, once prediction and target are superposed.", make_kabsch},
    {"geometry", "How far backbones are from what chemistry allows: bond + angle + planarity + clash.", make_geometry},
    {"bond", "Deviations of a backbone's bonds from their ideal lengths, in standard deviations.", make_bond},
    {"angle", "Deviations of a backbone's angles from their ideal values, in standard deviations.", make_angle},
    {"planarity", "Peptide bonds of a backbone that are neither trans nor cis, in standard deviations.",
     make_planarity},
    {"clash", "Atoms of a backbone that overlap.", make_clash},
    {"torsion", "Difference of a backbone's torsions, which tell it from its mirror image.", make_torsion},
}};

}  // namespace

std::span<const config::Entry<Term>> terms() { return kTerms; }

}  // namespace ae::loss
