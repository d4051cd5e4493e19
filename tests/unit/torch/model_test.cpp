#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <set>

#include "config/document.hpp"
#include "loss/autoencoder.hpp"
#include "model/network.hpp"
#include "recipe/corruption.hpp"
#include "recipe/optimizer.hpp"
#include "recipe/schedule.hpp"
#include "score/head.hpp"

namespace ae::model::model_test {
namespace {

const std::vector<Element> kMixed{{"a", 0, false}, {"b", 0, false}, {"colour", 4, false}, {"fixed", 0, true}};

Batch mixed_batch(std::int64_t samples) {
  torch::manual_seed(samples);
  auto values = torch::randn({samples, 4});
  values.select(1, 2).copy_(torch::randint(4, {samples}, torch::kFloat32));
  auto observed = (torch::rand({samples, 4}) > 0.2).to(torch::kFloat32);
  return {values * observed, observed};
}

// Two residues, of which the fourth coordinate is the same in all.
std::vector<Element> chain() {
  std::vector<Element> elements(24, {"coordinate", 0, false});
  for (auto& element : elements) element.affine = true;
  elements[3].constant = true;
  return elements;
}

class EveryFamily : public testing::TestWithParam<std::string> {
 protected:
  bool of_chains() const { return GetParam().starts_with("backbone"); }
  std::vector<Element> elements() const { return of_chains() ? chain() : kMixed; }
  std::int64_t outputs() const { return of_chains() ? 24 : 9; }
  Batch batch(std::int64_t samples) const {
    if (!of_chains()) return mixed_batch(samples);
    torch::manual_seed(samples);
    const auto values = torch::randn({samples, 24});
    const auto observed = (torch::rand({samples, 24}) > 0.2).to(torch::kFloat32);
    return {values * observed, observed};
  }
  std::unique_ptr<Network> build(const std::string& settings, bool observed_matters) const {
    config::Variant<Family> family(families(), GetParam());
    config::read_text(*family.value(), settings, "test", ".");
    const Interface interface { elements(), outputs(), observed_matters };
    torch::manual_seed(3);
    auto network = family->build(interface);
    EXPECT_LE(family->weights(interface), static_cast<double>(network->parameter_count()));
    EXPECT_GE(family->weights(interface), 0.3 * static_cast<double>(network->parameter_count()));
    return network;
  }
};

TEST_P(EveryFamily, GivesCodesAndPredictionsOfTheDeclaredShape) {
  for (const auto* settings : {R"({"latent": 3})", R"({"latent": 3, "embedding": 5})"}) {
    for (const bool observed_matters : {false, true}) {
      auto network = build(settings, observed_matters);
      const auto output = network->forward(batch(7));
      EXPECT_EQ(output.prediction.sizes(), (torch::IntArrayRef{7, outputs()}));
      EXPECT_EQ(output.code.latent.sizes(), (torch::IntArrayRef{7, 3}));
      EXPECT_EQ(output.code.mean.defined(), network->variational());
    }
  }
}

TEST_P(EveryFamily, NamesEveryWeightOnceAndTrainsAllOfThem) {
  auto network = build(R"({"embedding": 2})", true);
  std::set<std::string> names;
  network->forward(batch(16)).prediction.square().sum().backward();
  for (const auto& [name, tensor] : network->parameters()) {
    EXPECT_TRUE(names.insert(name).second) << name;
    if (network->variational() && name.starts_with("log_variance")) continue;
    EXPECT_TRUE(tensor.grad().defined()) << name;
  }
}

TEST_P(EveryFamily, DoesNotSeeUnobservedOrConstantCells) {
  auto network = build("{}", true);
  network->set_training(false);
  const auto seen = batch(20);
  auto changed = seen.values.clone();
  changed = torch::where(seen.observed > 0, changed, torch::full_like(changed, 2.0));
  changed.select(1, 3).fill_(5.0);
  EXPECT_TRUE(torch::equal(network->forward(seen).prediction, network->forward({changed, seen.observed}).prediction));
}

TEST_P(EveryFamily, EvaluationIsDeterministic) {
  auto network = build("{}", false);
  network->set_training(false);
  const auto seen = batch(20);
  EXPECT_TRUE(torch::equal(network->forward(seen).prediction, network->forward(seen).prediction));
}

std::vector<std::string> family_names() {
  std::vector<std::string> names;
  for (const auto& entry : families()) {
    if (const auto family = entry.make(); family->has_network() && !family->reads_grids())
      names.emplace_back(entry.name);
  }
  return names;
}
INSTANTIATE_TEST_SUITE_P(Registry, EveryFamily, testing::ValuesIn(family_names()),
                         [](const auto& name) { return name.param; });

TEST(Model, TiedDecoderUsesTheTransposedEncoder) {
  config::Variant<Family> family(families(), "dense");
  config::read_text(*family.value(), R"({"hidden": [6], "latent": 2, "tied": true, "activation": "tanh"})", "test",
                    ".");
  const std::vector<Element> elements{{"a", 0, false}, {"b", 0, false}, {"c", 0, false}};
  auto network = family->build({elements, 3, false});
  // weights 3x6 and 6x2 once, biases 6 + 2 + 6 + 3
  EXPECT_EQ(network->parameter_count(), 18 + 12 + 17);
  std::map<std::string, torch::Tensor> weights;
  for (const auto& [name, tensor] : network->parameters()) weights[name] = tensor;
  const auto x = torch::randn({5, 3});
  const auto h = torch::tanh(x.mm(weights.at("encoder_0.affine.weight").t()) + weights.at("encoder_0.affine.bias"));
  const auto z = h.mm(weights.at("bottleneck.weight").t()) + weights.at("bottleneck.bias");
  const auto g = torch::tanh(z.mm(weights.at("bottleneck.weight")) + weights.at("decoder_0.affine.bias"));
  const auto y = g.mm(weights.at("encoder_0.affine.weight")) + weights.at("output.bias");
  EXPECT_TRUE(torch::allclose(network->forward({x, torch::ones_like(x)}).prediction, y, 1e-5, 1e-6));
}

// Of jointly normal z and x = c + A z + noise, E[z | x_o] = A_o' (A_o A_o' + S_o)^-1 (x_o - c_o), with the covariance
// of the inputs, where the network works with its inverse.
TEST(Model, CodesOfFactorAnalysisAreThoseToBeExpectedOfWhateverIsObserved) {
  config::Variant<Family> family(families(), "factors");
  config::read_text(*family.value(), R"({"latent": 2, "hidden": []})", "test", ".");
  std::vector<Element> elements;
  for (const char* name : {"a", "b", "c", "d", "e"}) elements.push_back({name, 0, false});
  torch::manual_seed(5);
  auto network = family->build({elements, 5, true});
  network->to_double();
  std::map<std::string, torch::Tensor> weights;
  for (const auto& [name, tensor] : network->parameters()) {
    const torch::NoGradGuard no_grad;
    auto weight = tensor;
    weight.normal_();
    weights[name] = tensor.detach();
  }
  const auto x = torch::randn({6, 5}, torch::kFloat64);
  auto observed = torch::ones_like(x);
  for (int row = 0; row < 6; ++row) observed[row].narrow(0, 0, row).zero_();  // row r misses its first r cells
  const auto latent = network->encode({x, observed}).latent.detach();
  for (int row = 0; row < 5; ++row) {
    const auto seen = torch::arange(row, 5, torch::kInt64);
    const auto loadings = weights.at("loadings").index_select(0, seen);
    const auto noise = torch::diag(torch::exp(2 * weights.at("log_noise").index_select(0, seen)));
    const auto deviation = (x[row] - weights.at("center")).index_select(0, seen).unsqueeze(1);
    const auto expected = loadings.t().mm(torch::linalg_solve(loadings.mm(loadings.t()) + noise, deviation, true));
    EXPECT_TRUE(torch::allclose(latent[row], expected.squeeze(1), 1e-9, 1e-12)) << row;
  }
  EXPECT_EQ(latent[5].abs().max().item<double>(), 0);  // nothing is known
}

TEST(Model, HugeSizesAreCountedWithoutAllocating) {
  config::Variant<Family> family(families(), "dense");
  config::read_text(*family.value(), R"({"hidden": [65536, 65536, 65536], "latent": 65536})", "test", ".");
  EXPECT_GT(family->weights({std::vector<Element>{{"a", 0, false}}, 1, false}), 1e10);
}

// The best rank-k linear reconstruction is the projection on the k leading principal components (Eckart-Young): a
// trained linear autoencoder must reach its error, found here by an eigendecomposition of the covariance.
TEST(Model, TrainedLinearAutoencoderReachesThePcaError) {
  for (const std::int64_t seed : {1, 2, 3}) {
    torch::manual_seed(seed);
    const auto x = torch::randn({200, 3}).mm(torch::randn({3, 6})) + 0.3 * torch::randn({200, 6});
    const auto centered = x - x.mean(0);
    const auto eigenvalues = torch::linalg_eigvalsh(centered.t().mm(centered) / 200);
    const double best = eigenvalues.narrow(0, 0, 3).sum().item<double>() / 6;
    config::Variant<Family> family(families(), "linear");
    config::read_text(*family.value(), R"({"latent": 3})", "test", ".");
    loss::TermList terms{loss::terms()};
    terms.append().select("mse");
    std::vector<Element> elements;
    for (const char* name : {"a", "b", "c", "d", "e", "f"}) elements.push_back({name, 0, false});
    const loss::Autoencoder pair(*family, terms, elements, false, static_cast<std::uint64_t>(seed));
    config::Variant<recipe::OptimizerOptions> options(recipe::optimizers(), "adam");
    auto optimizer = options->build(pair.network().parameters());
    const Batch batch{x, torch::ones_like(x)};
    double loss = 0;
    for (int step = 0; step < 1500; ++step) {
      const auto value = pair.loss().evaluate(pair.network().forward(batch), batch).samples.mean();
      optimizer->zero_gradients();
      value.backward();
      optimizer->step(0.02 * (1 - step / 1500.0));
      loss = value.item<double>();
    }
    EXPECT_NEAR(loss, best, 0.01 * best);
    EXPECT_GE(loss, best * (1 - 1e-4));  // nothing linear of this rank can be better
  }
}

TEST(Optimizer, AdamFollowsThePublishedRule) {
  auto weight = torch::tensor({1.0, -2.0}, torch::requires_grad());
  config::Variant<recipe::OptimizerOptions> options(recipe::optimizers(), "adam");
  auto optimizer = options->build({{"w", weight}});
  double w[2] = {1.0, -2.0}, m[2] = {0, 0}, v[2] = {0, 0};
  for (int t = 1; t <= 5; ++t) {
    optimizer->zero_gradients();
    (weight.pow(3)).sum().backward();
    optimizer->step(0.1);
    for (int i = 0; i < 2; ++i) {
      const double g = 3 * w[i] * w[i];
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.999 * v[i] + 0.001 * g * g;
      w[i] -= 0.1 * (m[i] / (1 - std::pow(0.9, t))) / (std::sqrt(v[i] / (1 - std::pow(0.999, t))) + 1e-8);
      EXPECT_NEAR(weight[i].item<double>(), w[i], 1e-5);
    }
  }
}

class EveryOptimizer : public testing::TestWithParam<std::string> {};
TEST_P(EveryOptimizer, ContinuesBitForBitAfterSavingAndRestoring) {
  config::Variant<recipe::OptimizerOptions> options(recipe::optimizers(), GetParam());
  const auto step = [](recipe::Optimizer& optimizer, torch::Tensor& weight) {
    optimizer.zero_gradients();
    (weight.square().sum() + weight.sum()).backward();
    optimizer.step(0.05);
  };
  auto a = torch::tensor({1.0f, 2.0f, 3.0f}, torch::requires_grad());
  auto first = options->build({{"w", a}});
  for (int i = 0; i < 4; ++i) step(*first, a);
  std::map<std::string, data::NamedArray> arrays;
  first->save("optimizer.", arrays);
  auto b = a.detach().clone().requires_grad_();
  auto second = options->build({{"w", b}});
  second->restore("optimizer.", arrays);
  for (int i = 0; i < 4; ++i) {
    step(*first, a);
    step(*second, b);
  }
  EXPECT_TRUE(torch::equal(a, b));
}
INSTANTIATE_TEST_SUITE_P(Registry, EveryOptimizer, testing::Values("adam", "adamw", "sgd"));

double factor(const char* type, const char* settings, std::int64_t epoch, const std::vector<double>& losses = {}) {
  config::Variant<recipe::Schedule> schedule(recipe::schedules(), type);
  config::read_text(*schedule.value(), settings, "test", ".");
  return schedule->factor(epoch, 11, losses);
}

TEST(Schedule, FollowsItsClosedForm) {
  EXPECT_DOUBLE_EQ(factor("constant", "{}", 7), 1);
  EXPECT_DOUBLE_EQ(factor("cosine", "{}", 0), 1);
  EXPECT_NEAR(factor("cosine", "{}", 5), 0.5, 1e-12);
  EXPECT_NEAR(factor("cosine", "{}", 10), 0, 1e-12);
  EXPECT_NEAR(factor("cosine", R"({"floor": 0.2})", 10), 0.2, 1e-12);
  EXPECT_NEAR(factor("cosine", R"({"warm_up": 3})", 0), 0.25, 1e-12);
  EXPECT_NEAR(factor("step", R"({"every": 3, "factor": 0.5})", 8), 0.25, 1e-12);
  EXPECT_DOUBLE_EQ(factor("plateau", R"({"patience": 1, "factor": 0.5})", 0, {3, 2, 2.5}), 1);
  EXPECT_DOUBLE_EQ(factor("plateau", R"({"patience": 1, "factor": 0.5})", 0, {3, 2, 2.5, 2.4}), 0.5);
}

class EveryCorruption : public testing::TestWithParam<std::string> {};
TEST_P(EveryCorruption, NeverTouchesTheTargetNorUncoversCells) {
  config::Variant<recipe::Corruption> corruption(recipe::corruptions(), GetParam());
  const auto batch = mixed_batch(500);
  const auto values = batch.values.clone();
  const auto observed = batch.observed.clone();
  const auto corrupted = corruption->apply(batch, kMixed);
  EXPECT_TRUE(torch::equal(batch.values, values));
  EXPECT_TRUE(torch::equal(batch.observed, observed));
  EXPECT_EQ(((corrupted.observed > 0).logical_and(observed == 0)).sum().item<std::int64_t>(), 0);
  const bool same = torch::equal(corrupted.values, values) && torch::equal(corrupted.observed, observed);
  EXPECT_FALSE(same);
  // Level codes stay level codes.
  const auto codes = corrupted.values.select(1, 2);
  EXPECT_TRUE(torch::equal(codes, codes.round()));
}
INSTANTIATE_TEST_SUITE_P(Registry, EveryCorruption, testing::Values("mask", "gaussian", "swap"));

TEST(Corruption, MaskHidesTheAskedShareOfObservedCells) {
  for (const int seed : {1, 2, 3}) {
    for (const char* settings : {R"({"rate": 0.3})", R"({"rate": 0.3, "varied": true})"}) {
      torch::manual_seed(seed);
      config::Variant<recipe::Corruption> mask(recipe::corruptions(), "mask");
      config::read_text(*mask.value(), settings, "test", ".");
      const auto all = torch::ones({4000, 20});
      const double kept =
          mask->apply({torch::zeros_like(all), all}, std::vector<Element>(20)).observed.mean().item<double>();
      EXPECT_NEAR(kept, 0.7, 0.012) << settings;
    }
  }
}

TEST(Shares, SumExactlyInAnyOrder) {
  torch::manual_seed(0);
  for (int trial = 0; trial < 200; ++trial) {
    auto shares = torch::randn({50}, torch::kFloat64).exp() * std::pow(10.0, trial % 30 - 15);
    if (trial % 2 == 1) shares = shares * torch::randn({50}, torch::kFloat64).sign();
    const auto before = shares.clone();
    const double total = score::make_sum_exact(shares.data_ptr<double>(), 50);
    double forwards = 0, backwards = 0;
    for (int i = 0; i < 50; ++i) forwards += shares[i].item<double>();
    for (int i = 49; i >= 0; --i) backwards += shares[i].item<double>();
    EXPECT_EQ(forwards, total);
    EXPECT_EQ(backwards, total);
    EXPECT_LT((shares - before).abs().max().item<double>(), 1e-13 * before.abs().sum().item<double>());
  }
}

}  // namespace
}  // namespace ae::model::model_test
