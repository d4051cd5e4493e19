// Heads that judge the residuals of the network's reconstruction.
#include <torch/types.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/signals.hpp"
#include "score/makers.hpp"
#include "score/memberwise.hpp"
#include "score/pace.hpp"
#include "score/residuals.hpp"

namespace ae::score {
namespace {

constexpr std::int64_t kFitBatch = 1024;

// residuals and observed [samples, features]: of the elements, then of what else a head judges with them
// expected             [samples, elements]
struct Pass {
  at::Tensor residuals;
  at::Tensor observed;
  at::Tensor expected;
};

class ResidualHead : public SampleHead {
 public:
  void fit(const FitContext& context) override {
    prepare(context);
    ResidualJudge::Learner learner(kind());
    Pace pace(context.reporter, "rows", context.training.size(), "fitting the score head");
    for (std::int64_t begin = 0; begin < context.training.size(); begin += kFitBatch) {
      const auto batch = context.training.range(begin, std::min(begin + kFitBatch, context.training.size()));
      const auto pass = this->pass(context.autoencoder, batch);
      learner.add(pass.residuals, pass.observed);
      pace.advance(batch.samples());
    }
    judge_ = learner.judge();
  }

  Answer answer(const loss::Autoencoder& autoencoder, const model::Batch& batch, std::int64_t) const override {
    const auto pass = this->pass(autoencoder, batch);
    const auto verdict = judge_.judge(pass.residuals, pass.observed);
    const auto elements = batch.values.size(1);
    const auto distance = verdict.distance / batch.observed.sum(1).clamp_min(1);
    // What else was judged is blamed on the elements too: there is nothing else a user could look at.
    return {blame(verdict.gradient.narrow(1, 0, elements), judge_.diagonal().narrow(0, 0, elements), distance),
            pass.expected};
  }

  Arrays state() const override {
    Arrays arrays = judge_.state();
    add_state(arrays);
    return arrays;
  }
  void restore(const Arrays& arrays, const loss::Autoencoder& autoencoder) override {
    const auto extra = restore_own(arrays, autoencoder);
    judge_ = ResidualJudge::restored(kind(), arrays, static_cast<std::int64_t>(autoencoder.elements().size()) + extra);
  }

 protected:
  virtual std::string kind() const = 0;
  virtual Pass pass(const loss::Autoencoder& autoencoder, const model::Batch& batch) const {
    const auto reconstruction = autoencoder.reconstruct(batch);
    return {deviance_residuals(batch, reconstruction, autoencoder.domain()), batch.observed,
            reconstruction.expected.to(torch::kFloat64)};
  }
  virtual void prepare(const FitContext&) {}
  virtual void add_state(Arrays&) const {}
  virtual std::int64_t restore_own(const Arrays&, const loss::Autoencoder&) { return 0; }  // -> extra features

 private:
  ResidualJudge judge_;
};

class Normalized final : public ResidualHead {
 protected:
  std::string kind() const override { return "normalized"; }
};

class Mahalanobis final : public ResidualHead {
 public:
  bool latent = false;
  void fields(config::Fields& f) override {
    f.boolean("latent", latent, "Judge the latent code together with the residual.");
  }

 protected:
  std::string kind() const override { return "mahalanobis"; }

  // The code enters in the residuals' own scale, so that the covariance is shrunk towards a sensible target.
  void prepare(const FitContext& context) override {
    if (!latent) return;
    double squares = 0, cells = 0, rows = 0;
    Pace pace(context.reporter, "rows", context.training.size(), "fitting the score head");
    at::Tensor spread;  // [latent] sums of squares about the centre, block by block (Chan, Golub and LeVeque 1983)
    for (std::int64_t begin = 0; begin < context.training.size(); begin += kFitBatch) {
      const auto batch = context.training.range(begin, std::min(begin + kFitBatch, context.training.size()));
      const auto reconstruction = context.autoencoder.reconstruct(batch);
      const auto codes = reconstruction.latent.to(torch::kFloat64);
      const auto more = static_cast<double>(codes.size(0));
      const auto center = codes.mean(0);
      const auto own = (codes - center).square().sum(0);
      const auto apart = rows > 0 ? center - center_ : torch::zeros_like(center);
      spread = rows > 0 ? spread + own + apart.square() * (rows * more / (rows + more)) : own;
      center_ = rows > 0 ? center_ + apart * (more / (rows + more)) : center;
      rows += more;
      squares += reconstruction.elements.to(torch::kFloat64).sum().item<double>();
      cells += batch.observed.sum().item<double>();
      pace.advance(batch.samples());
    }
    const auto deviation = (spread / rows).sqrt();
    // A unit that does not vary says nothing; it stays unscaled instead of being blown up.
    scale_ = torch::where(deviation > 1e-6, std::sqrt(std::max(squares / std::max(cells, 1.0), 1e-12)) / deviation,
                          torch::ones_like(deviation));
  }

  Pass pass(const loss::Autoencoder& autoencoder, const model::Batch& batch) const override {
    const auto reconstruction = autoencoder.reconstruct(batch);
    Pass pass{deviance_residuals(batch, reconstruction, autoencoder.domain()), batch.observed,
              reconstruction.expected.to(torch::kFloat64)};
    if (!latent) return pass;
    const auto code = (reconstruction.latent.to(torch::kFloat64) - center_) * scale_;
    pass.residuals = torch::cat({pass.residuals, code}, 1);
    pass.observed = torch::cat({pass.observed, torch::ones(code.sizes(), batch.observed.options())}, 1);
    return pass;
  }

  void add_state(Arrays& arrays) const override {
    if (!latent) return;
    arrays["center"] = to_array(center_);
    arrays["scale"] = to_array(scale_);
  }
  std::int64_t restore_own(const Arrays& arrays, const loss::Autoencoder& autoencoder) override {
    if (!latent) return 0;
    const auto size = autoencoder.network().latent_size();
    center_ = from_arrays(arrays, "center", data::Dtype::f64, {size});
    scale_ = from_arrays(arrays, "scale", data::Dtype::f64, {size});
    return size;
  }

 private:
  at::Tensor center_;  // [latent]
  at::Tensor scale_;   // [latent]
};

class Masked final : public ResidualHead {
 public:
  std::string judge = "normalized";
  std::int64_t groups = 4;
  std::int64_t repeats = 4;
  void fields(config::Fields& f) override {
    f.choice("judge", judge, ResidualJudge::kinds(), "How the residuals are judged.");
    f.integer("groups", groups, {1, 64}, "Groups of columns, each hidden in turn (at most one per column).");
    f.integer("repeats", repeats, {1, 64},
              "Random groupings whose residuals are averaged; a row takes groups x repeats passes.");
  }

 protected:
  std::string kind() const override { return judge; }
  void prepare(const FitContext& context) override {
    const auto elements = static_cast<std::int64_t>(context.autoencoder.elements().size());
    const auto groups_used = std::min(groups, elements);
    hidden_ = torch::zeros({repeats * groups_used, elements}, torch::kUInt8);
    auto* cells = hidden_.data_ptr<std::uint8_t>();
    for (std::int64_t repeat = 0; repeat < repeats; ++repeat) {
      const auto order =
          permutation(elements, Random(stream_key(context.seed, "masked groups", static_cast<std::uint64_t>(repeat))));
      for (std::int64_t i = 0; i < elements; ++i) {
        cells[(repeat * groups_used + i % groups_used) * elements + order[static_cast<std::size_t>(i)]] = 1;
      }
    }
  }

  Pass pass(const loss::Autoencoder& autoencoder, const model::Batch& batch) const override {
    auto residuals = torch::zeros(batch.values.sizes(), torch::kFloat64);
    auto expected = torch::zeros(batch.values.sizes(), torch::kFloat64);
    const auto asked = hidden_.to(torch::kFloat64).sum(0);  // how often each cell is hidden
    auto is_category = torch::zeros({batch.values.size(1)}, torch::kFloat64);
    for (std::size_t e = 0; e < autoencoder.elements().size(); ++e) {
      if (autoencoder.elements()[e].categorical()) is_category[static_cast<std::int64_t>(e)] = 1;
    }
    auto is_first = torch::ones({batch.values.size(1)}, torch::kFloat64);
    for (std::int64_t mask = 0; mask < hidden_.size(0); ++mask) {
      throw_if_stopped("scoring");
      const auto hidden = hidden_[mask].to(torch::kFloat64);
      const model::Batch seen{batch.values, batch.observed * (1 - hidden).to(torch::kFloat32)};
      const auto reconstruction = autoencoder.reconstruct(seen, batch);
      residuals += deviance_residuals(batch, reconstruction, autoencoder.domain()) * hidden;
      // Numbers are averaged; of categories the first answer counts.
      const auto weight = torch::where(is_category > 0, is_first, 1 / asked) * hidden;
      expected += reconstruction.expected.to(torch::kFloat64) * weight;
      is_first = is_first * (1 - hidden);
    }
    return {residuals / asked, batch.observed, expected};
  }

  void add_state(Arrays& arrays) const override { arrays["hidden"] = to_array(hidden_); }
  std::int64_t restore_own(const Arrays& arrays, const loss::Autoencoder& autoencoder) override {
    const auto elements = static_cast<std::int64_t>(autoencoder.elements().size());
    hidden_ = from_arrays(arrays, "hidden", data::Dtype::u8, {repeats * std::min(groups, elements), elements});
    if (hidden_.max().item<int>() > 1 || hidden_.to(torch::kInt64).sum(0).min().item<std::int64_t>() < 1) {
      throw InputError("\"hidden\" must hide every column at least once; the file is damaged");
    }
    return 0;
  }

 private:
  at::Tensor hidden_;  // [masks, elements] uint8: what each pass hides
};

}  // namespace

std::unique_ptr<Head> make_normalized() { return std::make_unique<Memberwise<Normalized>>(); }
std::unique_ptr<Head> make_mahalanobis() { return std::make_unique<Memberwise<Mahalanobis>>(); }
std::unique_ptr<Head> make_masked() { return std::make_unique<Memberwise<Masked>>(); }

}  // namespace ae::score
