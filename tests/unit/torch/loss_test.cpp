#include <gtest/gtest.h>
#include <torch/script.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "base/error.hpp"
#include "config/document.hpp"
#include "loss/autoencoder.hpp"
#include "loss/composition.hpp"
#include "support/errors.hpp"

namespace ae::loss::loss_test {
namespace {

using model::Batch;
using model::Element;

Element number(std::string name) {
  Element element{std::move(name), 0, false};
  element.affine = true;
  element.center = 0.3;
  element.spread = 2.5;
  return element;
}
const std::vector<Element> kMixed{number("a"), number("b"), {"colour", 4, false}, {"size", 3, false}, number("c")};

const model::Domain kSmallImages{{{"red", 0, false, true}, {"blue", 0, false, true}}, {7, 6}};

Element gene(std::string name) {
  Element element{std::move(name), 0, false};
  element.counts = true;
  return element;
}
const model::Domain kGenes{{gene("A"), gene("B"), gene("C")}};

// Two residues of a protein's backbone: coordinates a bond's length from each other, or so.
const model::Domain kResidues = [] {
  std::vector<Element> elements;
  for (int i = 0; i < 24; ++i) elements.push_back(number("x" + std::to_string(i)));
  return model::Domain(elements);
}();

// A table of numbers in [0, 1] (so that every term can judge them) and level codes, or counts, or images; about a third
// not observed.
Batch random_batch(const model::Domain& domain, std::int64_t samples, std::uint64_t seed) {
  torch::manual_seed(seed);
  const auto& elements = domain.elements;
  const auto options = torch::TensorOptions().dtype(torch::kFloat64);
  std::vector<std::int64_t> shape{samples, static_cast<std::int64_t>(elements.size())};
  shape.insert(shape.end(), domain.grid.begin(), domain.grid.end());
  auto values = torch::rand(shape, options);
  for (std::size_t e = 0; e < elements.size(); ++e) {
    if (elements[e].categorical())
      values.select(1, static_cast<std::int64_t>(e)).copy_(torch::randint(elements[e].codes, {samples}, options));
  }
  auto observed = (torch::rand_like(values) > 0.3).to(torch::kFloat64);
  if (!elements.front().counts) return {values, observed};
  const auto sizes = torch::rand({samples}, options) + 0.5;
  return {torch::log1p(torch::poisson(3 * values) / sizes.unsqueeze(1)), observed, sizes};
}

model::Output random_output(const Composition& composition, std::int64_t samples, bool variational) {
  const auto options = torch::TensorOptions().dtype(torch::kFloat64).requires_grad(true);
  model::Output output;
  std::vector<std::int64_t> shape{samples, composition.outputs() + std::ssize(composition.constants())};
  shape.insert(shape.end(), composition.domain().grid.begin(), composition.domain().grid.end());
  output.prediction = torch::randn(shape, options);
  if (variational) {
    output.code.mean = torch::randn({samples, 3}, options);
    output.code.log_variance = torch::randn({samples, 3}, options);
    output.code.latent = output.code.mean;
  }
  return output;
}

// A network for the feature loss: one map of features and one vector.
std::string backbone_file() {
  const auto path = (std::filesystem::path(testing::TempDir()) / "aetools_backbone.pt").string();
  torch::jit::Module module("backbone");
  module.define(
      "def forward(self, x):\n"
      "  return torch.avg_pool2d(x * x, [2, 2]), torch.mean(torch.tanh(x), [2, 3])\n");
  module.save(path);
  return path;
}

// A Q network of two actions for the value loss.
std::string q_file() {
  const auto path = (std::filesystem::path(testing::TempDir()) / "aetools_q.json").string();
  std::ofstream(path) << R"({"layers": [{"weight": [[0.5, -0.2, 0.1], [0.3, 0.4, -0.6]], "bias": [0.1, -0.2],
                              "activation": "tanh"}, {"weight": [[1, -2], [0.5, 3]]}]})";
  return path;
}

model::Domain domain_for(const std::string& type) {
  config::Variant<Term> term(terms(), type);
  if (term->accepts(kGenes.elements.front()) && !term->accepts(kMixed.front())) return kGenes;
  if (term->record() > 1) return kResidues;
  return term->needs_grid() ? kSmallImages : model::Domain(kMixed);
}

// The given term, alone when it can be, else with what the composition needs besides.
TermList list_for(const std::string& type) {
  TermList list{terms()};
  auto& own = list.append().select(type);
  if (type == "feature") config::read_text(own, R"({"channels": 2, "path": ")" + backbone_file() + "\"}", "test", ".");
  if (type == "value") {
    config::read_text(own, R"({"path": ")" + q_file() + "\"}", "test", ".");
    list.append().select("mse");  // since it counts in training only
  }
  if (list[0]->needs_grid()) {
    list.append().select("mse");
    return list;
  }
  // Bonds between random places are off by hundreds of standard deviations: less rounding in differences.
  if (list[0]->record() > 1) list[0]->weight = 0.01;
  if (type == "kl" || type == "cross_entropy") list.append().select("mse");
  if (domain_for(type).elements.front().counts || list[0]->record() > 1) {
    list.append().select("mse");
  } else if (type != "cross_entropy") {
    list.append().select("cross_entropy");
  }
  return list;
}

bool variational(const std::string& type) { return type == "kl"; }

class EveryTerm : public testing::TestWithParam<std::string> {};

TEST_P(EveryTerm, HasHelp) {
  for (const auto& entry : terms()) {
    if (entry.name == GetParam()) {
      EXPECT_GT(entry.help.size(), 10u);
    }
  }
}

TEST_P(EveryTerm, GradientAgreesWithFiniteDifferencesInFloat64) {
  const auto list = list_for(GetParam());
  const Composition composition(list, domain_for(GetParam()), variational(GetParam()));
  const auto batch = random_batch(domain_for(GetParam()), 4, 7);
  auto output = random_output(composition, 4, variational(GetParam()));
  const auto loss = [&] { return composition.evaluate(output, batch).samples.mean(); };
  loss().backward();
  std::vector<torch::Tensor> inputs{output.prediction};
  if (variational(GetParam())) inputs = {output.code.mean, output.code.log_variance};
  constexpr double kStep = 1e-6;
  for (auto& input : inputs) {
    const auto gradient = input.grad().clone();
    torch::NoGradGuard no_grad;
    auto flat = input.view(-1);
    for (std::int64_t i = 0; i < flat.numel(); ++i) {
      // The gradient of constants is that of a likelihood (see count_loss_test.cpp).
      if (i % input.size(1) >= composition.outputs() && &input == &inputs.front() && !variational(GetParam())) continue;
      const double before = flat[i].item<double>();
      flat[i] = before + kStep;
      const double up = loss().item<double>();
      flat[i] = before - kStep;
      const double down = loss().item<double>();
      flat[i] = before;
      EXPECT_NEAR((up - down) / (2 * kStep), gradient.view(-1)[i].item<double>(), 1e-7) << GetParam() << " at " << i;
    }
  }
}

TEST_P(EveryTerm, IsNeverNegative) {
  const auto list = list_for(GetParam());
  const Composition composition(list, domain_for(GetParam()), variational(GetParam()));
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto batch = random_batch(domain_for(GetParam()), 50, seed);
    const auto evaluation = composition.evaluate(random_output(composition, 50, variational(GetParam())), batch);
    EXPECT_GE(evaluation.elements.min().item<double>(), 0.0);
    for (const auto& part : evaluation.parts) EXPECT_GE(part.min().item<double>(), 0.0);
  }
}

TEST_P(EveryTerm, DoesNotChangeWhenUnobservedCellsChange) {
  const auto list = list_for(GetParam());
  const Composition composition(list, domain_for(GetParam()), variational(GetParam()));
  const auto batch = random_batch(domain_for(GetParam()), 30, 3);
  auto other = random_batch(domain_for(GetParam()), 30, 4);
  const Batch changed{torch::where(batch.observed > 0, batch.values, other.values), batch.observed, batch.sizes};
  const auto output = random_output(composition, 30, variational(GetParam()));
  const auto a = composition.evaluate(output, batch);
  const auto b = composition.evaluate(output, changed);
  EXPECT_TRUE(torch::equal(a.samples, b.samples));
  EXPECT_TRUE(torch::equal(a.elements, b.elements));
  EXPECT_EQ((a.elements * (1 - batch.observed)).abs().max().item<double>(), 0.0);
}

TEST_P(EveryTerm, SumsToTheSampleLossWithItsWeight) {
  auto list = list_for(GetParam());
  for (std::size_t t = 0; t < list.size(); ++t) list[t]->weight = 0.5 + 1.5 * static_cast<double>(t);
  const Composition composition(list, domain_for(GetParam()), variational(GetParam()));
  const auto batch = random_batch(domain_for(GetParam()), 40, 11);
  const auto output = random_output(composition, 40, variational(GetParam()));
  const auto whole = composition.evaluate(output, batch);
  auto sum = torch::zeros_like(whole.samples);
  for (const auto& part : whole.parts) sum = sum + part;
  EXPECT_LT((sum - whole.samples).abs().max().item<double>(), 1e-6);
  // The element grain holds the same numbers: its observed mean is the sum of the element terms.
  auto elements = whole.elements.flatten(1).sum(1) / batch.observed.flatten(1).sum(1).clamp_min(1);
  for (std::size_t t = 0; t < list.size(); ++t) {
    if (list[t]->grain() == Grain::sample) elements = elements + whole.parts[t];
  }
  EXPECT_LT((elements - whole.samples).abs().max().item<double>(), 1e-6);
  // An emphasis multiplies the elements, and what it multiplies by 0 does not count.
  const auto emphasis = torch::rand_like(batch.values) * (torch::rand_like(batch.values) < 0.7);
  const auto stressed = composition.evaluate(output, batch, kRamped, emphasis);
  // Likelihoods of counts do not have it, hurdle in part (count_loss_test.cpp).
  if (!domain_for(GetParam()).elements.front().counts) {
    EXPECT_LT((stressed.elements - whole.elements * emphasis).abs().max().item<double>(), 1e-9);
  }
  const auto at_elements =
      (stressed.elements.flatten(1).sum(1) / batch.observed.flatten(1).sum(1).clamp_min(1)).to(torch::kFloat64);
  auto in_samples = stressed.samples.clone();
  for (std::size_t t = 0; t < list.size(); ++t) {
    if (list[t]->grain() == Grain::sample) in_samples = in_samples - whole.parts[t];
  }
  EXPECT_LT((at_elements - in_samples).abs().max().item<double>(), 1e-6);
  // Doubling a weight doubles its part and leaves the others.
  list[0]->weight *= 2;
  const auto doubled = Composition(list, domain_for(GetParam()), variational(GetParam())).evaluate(output, batch);
  EXPECT_LT((doubled.parts[0] - 2 * whole.parts[0]).abs().max().item<double>(), 1e-9);
  EXPECT_TRUE(torch::equal(doubled.parts[1], whole.parts[1]));
}

std::vector<std::string> term_names() {
  std::vector<std::string> names;
  for (const auto& entry : terms()) names.emplace_back(entry.name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(Registry, EveryTerm, testing::ValuesIn(term_names()),
                         [](const auto& name) { return name.param; });

// One element, one sample: the closed form of each term.
double single(const std::string& type, double prediction, double target) {
  TermList list{terms()};
  list.append().select(type);
  const Composition composition(list, std::vector<Element>{{"x", 0, false}}, false);
  const auto options = torch::TensorOptions().dtype(torch::kFloat64);
  const Batch batch{torch::full({1, 1}, target, options), torch::ones({1, 1}, options)};
  model::Output output;
  output.prediction = torch::full({1, 1}, prediction, options);
  return composition.evaluate(output, batch).samples.item<double>();
}

TEST(Loss, EqualsItsClosedForm) {
  EXPECT_NEAR(single("mse", 1.5, -0.5), 4.0, 1e-12);
  EXPECT_NEAR(single("l1", 1.5, -0.5), 2.0, 1e-12);
  EXPECT_NEAR(single("huber", 0.4, 0.0), 0.08, 1e-12);
  EXPECT_NEAR(single("huber", 3.0, 0.0), 2.5, 1e-12);
  const double p = 1 / (1 + std::exp(-0.7));
  EXPECT_NEAR(single("bce", 0.7, 1.0), -std::log(p), 1e-12);
  EXPECT_NEAR(single("bce", 0.7, 0.25), -0.25 * std::log(p) - 0.75 * std::log(1 - p), 1e-12);
}

TEST(Loss, OfValueIsTheSquareOfWhatQChangesBy) {
  TermList list{terms()};
  auto& own = list.append().select("value");
  const auto path = (std::filesystem::path(testing::TempDir()) / "aetools_linear_q.json").string();
  std::ofstream(path) << R"({"layers": [{"weight": [[2, 0], [0, -1]], "bias": [5, 7]}]})";
  config::read_text(own, R"({"path": ")" + path + "\"}", "test", ".");
  list.append().select("mse");
  list[1]->weight = 0;
  std::vector<Element> elements{number("x"), number("y")};
  elements[1].spread = 4;
  const Composition composition(list, elements, false);
  const auto options = torch::TensorOptions().dtype(torch::kFloat64);
  const Batch batch{torch::tensor({{1.0, 2.0}, {0.0, 1.0}}, options), torch::tensor({{1.0, 1.0}, {1.0, 0.0}}, options)};
  model::Output output;
  output.prediction = torch::tensor({{1.5, 1.0}, {-1.0, 9.0}}, options);
  const auto loss = composition.evaluate(output, batch).samples;
  // Errors of 0.5 * 2.5 and -1 * 4 in the unit of the data; then of -1 * 2.5, and y is not observed.
  EXPECT_NEAR(loss[0].item<double>(), (std::pow(2 * 1.25, 2) + std::pow(4, 2)) / 2, 1e-12);
  EXPECT_NEAR(loss[1].item<double>(), std::pow(2 * -2.5, 2) / 2, 1e-12);
  // A model that is applied has no Q beside it.
  EXPECT_EQ(composition.applied(output, batch).elements.abs().max().item<double>(), 0);
}

TEST(Loss, CrossEntropyIsTheNegativeLogProbabilityOfTheLevel) {
  TermList list{terms()};
  list.append().select("cross_entropy");
  const Composition composition(list, std::vector<Element>{{"c", 3, false}}, false);
  const auto options = torch::TensorOptions().dtype(torch::kFloat64);
  model::Output output;
  output.prediction = torch::tensor({{1.0, 2.0, -1.0}}, options);
  const Batch batch{torch::full({1, 1}, 1.0, options), torch::ones({1, 1}, options)};
  const double expected = -std::log(std::exp(2.0) / (std::exp(1.0) + std::exp(2.0) + std::exp(-1.0)));
  EXPECT_NEAR(composition.evaluate(output, batch).samples.item<double>(), expected, 1e-12);
  EXPECT_EQ(composition.expected(output.prediction).item<double>(), 1.0);
}

// Of two levels and the code of unseen ones, which no answer may name.
TEST(Loss, ProbabilitiesOfLevelsAreASoftmaxOverThoseSeen) {
  TermList list{terms()};
  list.append().select("mse");
  list.append().select("cross_entropy");
  const Composition composition(list, std::vector<Element>{{"x", 0, false}, {"c", 3, false}}, false);
  const auto prediction = torch::tensor({{0.5, -1.0, 0.5, 4.0}, {-0.5, 2.0, 1.0, -3.0}}, torch::kFloat64);
  const auto levels = composition.probabilities(prediction);
  ASSERT_EQ(levels.size(), 2u);
  EXPECT_FALSE(levels[0].defined());
  const double p = 1 / (1 + std::exp(-1.5)), q = 1 / (1 + std::exp(1.0));
  const auto truth = torch::tensor({{1 - p, p}, {1 - q, q}}, torch::kFloat64);
  EXPECT_TRUE(torch::allclose(levels[1], truth, 1e-12, 1e-12));
  EXPECT_TRUE(
      torch::equal(composition.expected(prediction), torch::tensor({{0.5, 1.0}, {-0.5, 0.0}}, torch::kFloat64)));
}

TEST(Loss, KlIsThatOfTwoNormalDistributionsPerElement) {
  TermList list{terms()};
  list.append().select("mse");
  list.append().select("kl");
  const Composition composition(list, std::vector<Element>{{"x", 0, false}, {"y", 0, false}}, true);
  const auto options = torch::TensorOptions().dtype(torch::kFloat64);
  model::Output output;
  output.prediction = torch::zeros({1, 2}, options);
  output.code.mean = torch::tensor({{0.5, -1.0, 0.0}}, options);
  output.code.log_variance = torch::tensor({{0.2, -0.7, 0.0}}, options);
  const Batch batch{torch::zeros({1, 2}, options), torch::ones({1, 2}, options)};
  double kl = 0;
  for (const auto& [m, v] : {std::pair{0.5, 0.2}, {-1.0, -0.7}, {0.0, 0.0}}) kl += 0.5 * (m * m + std::exp(v) - v - 1);
  EXPECT_NEAR(composition.evaluate(output, batch).parts[1].item<double>(), kl / 2, 1e-12);
}

TEST(Loss, KlWarmUpRisesLinearlyInTrainingAndIsOverInScoring) {
  TermList list{terms()};
  list.append().select("mse");
  list.append().select("kl");
  config::read_text(list.at(1).value()[0], R"({"warm_up": 10})", "test", ".");
  EXPECT_DOUBLE_EQ(list[1]->ramp(0), 0.0);
  EXPECT_DOUBLE_EQ(list[1]->ramp(2.5), 0.25);
  EXPECT_DOUBLE_EQ(list[1]->ramp(10), 1.0);
  EXPECT_DOUBLE_EQ(list[1]->ramp(1e18), 1.0);
}

TEST(Loss, SampleIsTheMeanOfObservedElementsOnly) {
  TermList list{terms()};
  list.append().select("mse");
  const Composition composition(list, std::vector<Element>{{"x", 0, false}, {"y", 0, false}, {"z", 0, false}}, false);
  const auto options = torch::TensorOptions().dtype(torch::kFloat64);
  model::Output output;
  output.prediction = torch::tensor({{1.0, 2.0, 3.0}, {1.0, 1.0, 1.0}}, options);
  const Batch batch{torch::zeros({2, 3}, options), torch::tensor({{1.0, 0.0, 1.0}, {0.0, 0.0, 0.0}}, options)};
  const auto evaluation = composition.evaluate(output, batch);
  EXPECT_DOUBLE_EQ(evaluation.samples[0].item<double>(), (1.0 + 9.0) / 2);
  EXPECT_DOUBLE_EQ(evaluation.samples[1].item<double>(), 0.0);  // nothing observed
}

TEST(Loss, TermsSelectColumnsByPattern) {
  TermList list{terms()};
  list.append().select("mse");
  list[0]->columns = {"a*"};
  list.append().select("l1");
  list[1]->columns = {"b", "c"};
  const Composition composition(
      list, std::vector<Element>{{"a1", 0, false}, {"b", 0, false}, {"a2", 0, false}, {"c", 0, false}}, false);
  EXPECT_EQ(composition.outputs(), 4);
  const auto options = torch::TensorOptions().dtype(torch::kFloat64);
  model::Output output;
  output.prediction = torch::full({1, 4}, 3.0, options);
  const Batch batch{torch::zeros({1, 4}, options), torch::ones({1, 4}, options)};
  const auto elements = composition.evaluate(output, batch).elements;
  EXPECT_TRUE(torch::equal(elements, torch::tensor({{9.0, 3.0, 9.0, 3.0}}, options)));
}

// Half the squares of the code's mean, or 3 of a network that gives none.
class Spread final : public Term {
 public:
  Grain grain() const override { return Grain::sample; }
  at::Tensor sample_loss(const model::Code& code, std::int64_t) const override {
    if (!code.mean.defined()) return torch::full({code.latent.size(0)}, 3.0);
    return 0.5 * code.mean.square().sum(1);
  }
  bool fused() const override { return true; }
  double fused_sample_loss(const float* mean, const float*, std::int64_t latent, std::int64_t, float factor,
                           float* mean_gradient, float*) const override {
    if (mean == nullptr) return 3.0;
    double sum = 0;
    for (std::int64_t i = 0; i < latent; ++i) {
      sum += 0.5 * mean[i] * mean[i];
      mean_gradient[i] += factor * mean[i];
    }
    return sum;
  }
};

TEST(Loss, FusedTermsOfSamplesNeedNoCode) {
  constexpr std::int64_t kSamples = 4, kLatent = 3;
  std::vector<config::Entry<Term>> registry(terms().begin(), terms().end());
  registry.push_back({"spread", "For this test.", [] { return std::unique_ptr<Term>(std::make_unique<Spread>()); }});
  for (const bool variational : {false, true}) {
    TermList list{registry};
    list.append().select("mse");
    list.append().select("spread");
    list[1]->weight = 0.5;
    if (variational) list.append().select("kl");
    const Composition composition(list, std::vector<Element>{{"x", 0, false}, {"y", 0, false}}, variational);
    ASSERT_TRUE(composition.not_fused().empty());
    torch::manual_seed(1);
    const auto prediction = torch::randn({kSamples, 2}), target = torch::randn({kSamples, 2});
    const auto mean = torch::randn({kSamples, kLatent}), log_variance = torch::zeros({kSamples, kLatent});
    auto gradient = torch::zeros({kSamples, 2}), share = torch::full({kSamples, 2}, 0.5f);
    auto mean_gradient = torch::zeros({kSamples, kLatent}), log_variance_gradient = torch::zeros({kSamples, kLatent});
    const auto of_code = [&](at::Tensor& tensor) { return variational ? tensor.data_ptr<float>() : nullptr; };
    auto code = mean, spread = log_variance;
    std::vector<double> parts(list.size(), 0.0);
    std::vector<float> scratch;
    composition.fused({kSamples, kSamples, kLatent, prediction.data_ptr<float>(), target.data_ptr<float>(),
                       share.data_ptr<float>(), of_code(code), of_code(spread)},
                      kRamped, {gradient.data_ptr<float>(), of_code(mean_gradient), of_code(log_variance_gradient)},
                      parts.data(), scratch);
    const double expected = variational ? 0.5 * 0.5 * mean.square().sum().item<double>() / kSamples : 0.5 * 3.0;
    EXPECT_NEAR(parts[1], expected, 1e-6) << variational;
    const model::Output output{prediction, {mean, variational ? mean : at::Tensor(), log_variance}};
    const auto evaluation = composition.evaluate(output, {target, torch::ones_like(target)});
    EXPECT_NEAR(evaluation.parts[1].mean().item<double>(), expected, 1e-6) << variational;
    // Of both terms of the code: mean * weight / samples, that of kl also by the number of elements.
    const auto slope = mean * ((0.5 + 1.0 / 2) / kSamples) * (variational ? 1.0 : 0.0);
    EXPECT_LT((mean_gradient - slope).abs().max().item<double>(), 1e-6) << variational;
  }
}

std::vector<std::string> problems_of(const TermList& list, const model::Domain& domain, bool variational = false) {
  return test::errors_of<UsageError>([&] { Composition(list, domain, variational); });
}

TEST(Loss, RefusesTermsThatDoNotFitTheTable) {
  TermList typo{terms()};
  typo.append().select("mse");
  typo[0]->columns = {"lenght"};
  EXPECT_EQ(problems_of(typo, model::Domain({{"length", 0, false}})).front(),
            "/loss/terms/0/columns: no feature column matches \"lenght\"; did you mean \"length\"?");
  TermList only_numbers{terms()};
  only_numbers.append().select("mse");
  const model::Domain mixed{{{"x", 0, false}, {"colour", 3, false}}}, numbers{{{"x", 0, false}}};
  EXPECT_EQ(problems_of(only_numbers, mixed),
            std::vector<std::string>{"/loss/terms: no term judges column \"colour\"; add a term (mse for numbers, "
                                     "cross_entropy for categories) or give the column the role \"ignore\" in "
                                     "/data/columns"});
  TermList wrong_kind{terms()};
  wrong_kind.append().select("mse");
  wrong_kind[0]->columns = {"*"};
  EXPECT_EQ(
      problems_of(wrong_kind, mixed).front(),
      "/loss/terms/0/columns: column \"colour\" is categorical, which mse cannot judge; use cross_entropy for it");
  EXPECT_EQ(problems_of(only_numbers, numbers, true),
            std::vector<std::string>{"/loss/terms: a variational model needs a kl term; add {\"type\": \"kl\"}"});
  TermList kl{terms()};
  kl.append().select("mse");
  kl.append().select("kl");
  EXPECT_EQ(problems_of(kl, numbers).front(),
            "/loss/terms/1: kl needs a variational model; remove the term or set /model/type to \"variational\"");
  EXPECT_EQ(problems_of(kl, kSmallImages).front(),
            "/loss/terms/1: kl needs a variational model; remove the term or set /model/type to \"conv_variational\"");
  TermList of_surroundings{terms()};
  of_surroundings.append().select("gradient");
  EXPECT_EQ(problems_of(of_surroundings, model::Domain({{"colour", 3, false}})).front(),
            "/loss/terms/0: gradient judges images, the data are a table; use cross_entropy");
}

TEST(Loss, DefaultTermsFollowTheColumnsAndTheModel) {
  LossOptions options;
  options.resolve(kMixed, true);
  ASSERT_EQ(options.terms.size(), 3u);
  EXPECT_EQ(options.terms[0].type(), "mse");
  EXPECT_EQ(options.terms[1].type(), "cross_entropy");
  EXPECT_EQ(options.terms[2].type(), "kl");
}

TEST(Autoencoder, AnswerOfASampleDoesNotDependOnItsCompany) {
  TermList list{terms()};
  list.append().select("mse");
  list.append().select("cross_entropy");
  config::Variant<model::Family> family(model::families(), "dense");
  const Autoencoder pair(*family, list, kMixed, true, 1);
  auto batch = random_batch(kMixed, 700, 5);
  batch = {batch.values.to(torch::kFloat32), batch.observed.to(torch::kFloat32)};
  const auto whole = pair.reconstruct(batch);
  for (const auto& [begin, rows] : {std::pair{0, 1}, {3, 5}, {239, 2}, {255, 2}, {300, 400}, {475, 8}, {699, 1}}) {
    const auto part = pair.reconstruct({batch.values.narrow(0, begin, rows), batch.observed.narrow(0, begin, rows)});
    EXPECT_TRUE(torch::equal(part.elements, whole.elements.narrow(0, begin, rows))) << begin;
    EXPECT_TRUE(torch::equal(part.expected, whole.expected.narrow(0, begin, rows))) << begin;
  }
}

}  // namespace
}  // namespace ae::loss::loss_test
