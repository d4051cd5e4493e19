// Factor analysis as an autoencoder of table cells, for rows with any cells missing.
//
// A row's inputs x (numbers, categories one-hot) are taken for c + A z + noise, z ~ N(0, I) and noise of its own
// deviation s_j in each input. Of the inputs that are observed, o, the code is the posterior mean
//   z = (I + A_o' D A_o)^-1 A_o' D (x_o - c_o),  D = diag(s_o^-2)
// (Rubin and Thayer, EM algorithms for ML factor analysis, Psychometrika 47, 1982). So it is a linear function of the
// row for each pattern of missing cells, with no weights to be learned for each. A, c and s are learned by descent, as
// everything else: the decoder is linear, plus fully connected layers.
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <tuple>

#include "model/activation.hpp"
#include "model/affine.hpp"
#include "model/makers.hpp"
#include "model/module_network.hpp"
#include "model/stem.hpp"

namespace ae::model {
namespace {

struct FactorOptions {
  std::int64_t latent = 8;
  std::int64_t embedding = 0;
  std::vector<std::int64_t> hidden{64};
  std::string activation = "gelu";
  double dropout = 0;
};

// Inputs that stand for a category.
std::int64_t width_of(std::int64_t codes, std::int64_t embedding) { return embedding > 0 ? embedding : codes - 1; }

// The element that each input belongs to.
std::vector<std::int64_t> elements_of_inputs(const StemPlan& plan, std::int64_t embedding) {
  std::vector<std::int64_t> elements = plan.numeric;
  for (std::size_t c = 0; c < plan.categorical.size(); ++c) {
    elements.insert(elements.end(), static_cast<std::size_t>(width_of(plan.codes[c], embedding)), plan.categorical[c]);
  }
  return elements;
}

class FactorNetwork final : public ModuleNetwork {
 public:
  FactorNetwork(const FactorOptions& options, const Interface& interface, std::int64_t members)
      : options_(options), count_(members) {
    for (std::int64_t m = 0; members > 1 && m < members; ++m) {
      members_.push_back(std::make_shared<FactorNetwork>(options, interface, 1));
    }
    stem_ = root_.register_module("stem", Stem(interface.domain.elements, options.embedding, false, members));
    element_of_input_ = torch::tensor(elements_of_inputs(stem_->plan(), options.embedding), torch::kInt64);
    const std::int64_t inputs = stem_->inputs();
    constexpr double kLoading = 0.3;  // few factors then explain a part of the inputs' unit variance
    loadings_ =
        root_.register_parameter("loadings", torch::randn(stacked_shape(members, {inputs, options.latent})) * kLoading);
    center_ = root_.register_parameter("center", torch::zeros(stacked_shape(members, {inputs})));
    log_noise_ = root_.register_parameter("log_noise", torch::zeros(stacked_shape(members, {inputs})));
    linear_ = root_.register_module("linear", Affine(options.latent, interface.outputs, members));
    std::int64_t width = options.latent;
    for (std::size_t i = 0; i < options.hidden.size(); ++i) {
      layers_.push_back(
          root_.register_module("decoder_" + std::to_string(i), Affine(width, options.hidden[i], members)));
      width = options.hidden[i];
    }
    if (!layers_.empty()) output_ = root_.register_module("output", Affine(width, interface.outputs, members));
    stack_members(*this, members_);
  }

  Code encode(const Batch& batch) override {
    const std::int64_t factors = options_.latent;
    const auto blocks = [&](const torch::Tensor& rows) { return rows.reshape({count_, -1, rows.size(1)}); };
    const auto stacked = [&](const torch::Tensor& own) { return count_ == 1 ? own.unsqueeze(0) : own; };
    const auto loadings = stacked(loadings_);
    const auto observed = blocks(batch.observed.index_select(1, element_of_input_));
    const auto precision = observed * torch::exp(-2 * stacked(log_noise_)).unsqueeze(1);  // [members, rows, inputs]
    const auto squares = (loadings.unsqueeze(3) * loadings.unsqueeze(2)).flatten(2);  // [members, inputs, factors^2]
    const auto matrix =
        torch::bmm(precision, squares).view({-1, factors, factors}) + torch::eye(factors, batch.values.options());
    const auto deviation = precision * (blocks(stem_->forward(batch)) - stacked(center_).unsqueeze(1));
    const auto side = torch::bmm(deviation, loadings).view({-1, factors, 1});
    // I + a sum of squares can always be factored; what is not finite stays so, for the loop to find.
    const auto root = std::get<0>(torch::linalg_cholesky_ex(matrix));
    return {torch::cholesky_solve(side, root).squeeze(2), {}, {}};
  }

  torch::Tensor decode(const torch::Tensor& latent) override {
    const auto linear = linear_->forward(latent);
    if (layers_.empty()) return linear;
    auto x = latent;
    for (auto& layer : layers_) {
      x = activate(options_.activation, layer->forward(x));
      if (options_.dropout == 0 || !training()) continue;
      const double kept = 1 - options_.dropout;
      x = x * BatchPart::draw(x, [&](at::Tensor& factors) { factors.bernoulli_(kept).div_(kept); });
    }
    return linear + output_->forward(x);
  }

  std::int64_t latent_size() const override { return options_.latent; }
  std::int64_t members() const override { return count_; }
  std::shared_ptr<Network> member(std::int64_t m) override {
    return members_.empty() ? nullptr : members_.at(static_cast<std::size_t>(m));
  }
  std::optional<FactorPlan> factor_plan() const override {
    FactorPlan plan;
    plan.members = count_;
    plan.stem = stem_->plan();
    plan.element_of_input = elements_of_inputs(plan.stem, options_.embedding);
    plan.loadings = loadings_;
    plan.center = center_;
    plan.log_noise = log_noise_;
    plan.linear = linear_->plan();
    for (const auto& layer : layers_) plan.layers.push_back({layer->plan(), {}, options_.activation, options_.dropout});
    if (!layers_.empty()) plan.layers.push_back({output_->plan(), {}, "", 0});
    return plan;
  }
  void to_double() override {
    for (auto& member : members_) member->to_double();
    ModuleNetwork::to_double();
    stack_members(*this, members_);
  }

 private:
  FactorOptions options_;
  std::int64_t count_;
  Stem stem_{nullptr};
  torch::Tensor element_of_input_;  // [inputs]
  torch::Tensor loadings_;          // A [inputs, factors]; all of several members stacked
  torch::Tensor center_;            // c [inputs]
  torch::Tensor log_noise_;         // log s [inputs]
  Affine linear_{nullptr};
  std::vector<Affine> layers_;
  Affine output_{nullptr};
  std::vector<std::shared_ptr<FactorNetwork>> members_;  // none of a single network
};

class FactorFamily final : public Family {
 public:
  void fields(config::Fields& f) override {
    f.integer("latent", options_.latent, {1, 256}, "Factors: numbers in a latent code.");
    f.integer("embedding", options_.embedding, {0, 4096},
              "Length of the learned vector that stands for a category; 0 uses one-hot codes.");
    f.integers("hidden", options_.hidden, {1, 65536},
               "Widths of the decoder's hidden layers, which add to its linear part; [] for none.");
    f.choice("activation", options_.activation, activations(), "Non-linearity after each hidden layer.");
    f.number("dropout", options_.dropout, {0, 1, false, true},
             "Share of hidden units set to zero at random in training.");
    members_field(f, members_);
  }
  std::unique_ptr<Network> build(const Interface& interface) const override {
    return std::make_unique<FactorNetwork>(options_, interface, members_);
  }
  double weights(const Interface& interface) const override {
    double inputs = 0;
    for (const auto& element : interface.domain.elements) {
      if (element.categorical()) inputs += static_cast<double>(width_of(element.codes, options_.embedding));
      if (!element.categorical() && !element.constant) ++inputs;
    }
    const auto latent = static_cast<double>(options_.latent), outputs = static_cast<double>(interface.outputs);
    double total = (inputs + outputs) * latent, width = latent;
    for (const auto next : options_.hidden) {
      total += width * static_cast<double>(next);
      width = static_cast<double>(next);
    }
    if (!options_.hidden.empty()) total += width * outputs;
    return static_cast<double>(members_) * total;
  }

 private:
  FactorOptions options_;
  std::int64_t members_ = 1;
};

}  // namespace

std::unique_ptr<Family> make_factors() { return std::make_unique<FactorFamily>(); }

}  // namespace ae::model
