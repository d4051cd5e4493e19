// The dense engine against LibTorch's autograd.
#include "train/dense_engine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "base/random.hpp"
#include "config/document.hpp"
#include "model/activation.hpp"
#include "model/dtypes.hpp"
#include "model/threads.hpp"
#include "support/errors.hpp"
#include "train/reconstruction.hpp"

namespace ae::train::dense_engine_test {
namespace {

const std::vector<model::Element> kNumbers{{"a", 0, false}, {"b", 0, false}, {"c", 0, false}, {"d", 0, false}};
const std::vector<model::Element> kMixed{{"a", 0, false},     {"colour", 4, false}, {"b", 0, false}, {"fixed", 0, true},
                                         {"shape", 3, false}, {"size", 4, false},   {"c", 0, false}};

const std::vector<model::Element> kGenes = [] {
  std::vector<model::Element> genes{{"A", 0, false}, {"B", 0, false}, {"C", 0, false}, {"D", 0, false}};
  for (auto& gene : genes) gene.counts = true;
  return genes;
}();

// Counts of cells that differ in size.
class Cells final : public model::Samples {
 public:
  explicit Cells(model::Batch all) : sizes_(torch::rand({all.samples()}) * 2 + 0.3), table_(counts_of(all, sizes_)) {}
  std::int64_t size() const override { return table_.size(); }
  model::Batch batch(const std::vector<std::int64_t>& indices) const override {
    auto batch = table_.batch(indices);
    batch.sizes = sizes_.index_select(0, torch::tensor(indices, torch::kInt64));
    return batch;
  }
  model::Batch range(std::int64_t begin, std::int64_t end) const override {
    auto batch = table_.range(begin, end);
    batch.sizes = sizes_.slice(0, begin, end);
    return batch;
  }
  bool gather_sizes(std::span<const std::int64_t> indices, float* sizes) const override {
    for (const auto index : indices) *sizes++ = sizes_.data_ptr<float>()[index];
    return true;
  }
  bool has_missing() const override { return table_.has_missing(); }

 private:
  static model::Batch counts_of(const model::Batch& all, const at::Tensor& sizes) {
    return {torch::log1p(torch::poisson(torch::exp(all.values)) / sizes.unsqueeze(1)) * all.observed, all.observed};
  }
  at::Tensor sizes_;
  model::TableSamples table_;
};

model::Batch rows_of(const std::vector<model::Element>& elements, std::int64_t samples, double missing,
                     std::uint64_t seed) {
  torch::manual_seed(seed);
  const auto columns = static_cast<std::int64_t>(elements.size());
  auto values = torch::randn({samples, columns});
  for (std::int64_t e = 0; e < columns; ++e) {
    const auto& element = elements[static_cast<std::size_t>(e)];
    if (element.categorical()) values.select(1, e).copy_(torch::randint(element.codes, {samples}, torch::kFloat32));
    if (element.constant) values.select(1, e).zero_();
  }
  const auto observed = (torch::rand({samples, columns}) >= missing).to(torch::kFloat32);
  return {values * observed, observed};
}

struct Case {
  std::string type = "dense";
  // Not relu, of which so few units may be alive that what is left is rounding.
  std::string model = R"("hidden": [9, 6], "latent": 3, "activation": "elu")";
  std::string terms;  // "" = the default ones
  std::string training = "{}";
  std::vector<model::Element> elements = kMixed;
  double missing = 0.15;
  bool show_observed = true;
};

struct Pair {
  config::Variant<model::Family> family;
  loss::LossOptions loss;
  std::unique_ptr<loss::Autoencoder> autoencoder;
  explicit Pair(const Case& of, std::uint64_t seed = 4) : family(model::families(), of.type) {
    config::read_text(*family.value(), "{" + of.model + "}", "test", ".");
    if (!of.terms.empty()) config::read_text(loss, R"({"terms": [)" + of.terms + "]}", "test", ".");
    loss.resolve(of.elements, family->variational());
    autoencoder = std::make_unique<loss::Autoencoder>(*family, loss.terms, of.elements, of.show_observed, seed);
  }
  model::Network& network() const { return autoencoder->network(); }
};

recipe::TrainingOptions options_of(const std::string& text, const std::string& engine) {
  recipe::TrainingOptions options;
  config::read_text(options, text, "test", ".");
  options.engine = engine;
  return options;
}

std::vector<std::int64_t> rows_of_step(std::int64_t step, std::int64_t count, std::int64_t all) {
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < count; ++i) rows.push_back((step * 7 + i * i + i) % all);
  return rows;
}

// Losses and gradients of the first step by autograd in float64, with the draws that the engine makes.
struct Truth {
  std::vector<double> losses;
  std::vector<at::Tensor> gradients, buffers;
};
Truth truth_of(const Pair& pair, const model::Samples& samples, const std::vector<std::int64_t>& rows,
               const recipe::TrainingOptions& options, const StepContext& context) {
  auto& network = pair.network();
  network.to_double();
  network.set_training(true);
  const auto target = samples.batch(rows);
  std::vector<at::Tensor> values, observed, noise;
  const auto& domain = pair.autoencoder->domain();
  std::vector<bool> categorical;
  for (const auto& element : domain.elements) categorical.push_back(element.categorical());
  std::vector<float> scratch(static_cast<std::size_t>(3 * target.values.numel()));
  for (std::int64_t m = 0; m < network.members(); ++m) {
    const auto key = stream_key(context.key, "member", static_cast<std::uint64_t>(m));
    const model::Batch own{target.values.clone(), target.observed.clone()};
    std::uint64_t order = 0;
    for (const auto& corruption : options.corruption) {
      corruption->corrupt({target.samples(), target.values.size(1), own.values.data_ptr<float>(),
                           own.observed.data_ptr<float>(), &categorical, scratch.data()},
                          stream_key(key, "corruption", order++));
    }
    values.push_back(own.values);
    observed.push_back(own.observed);
    noise.push_back(torch::empty({target.samples(), network.latent_size()}));
    fill_normal(stream_key(key, "code"),
                {noise.back().data_ptr<float>(), static_cast<std::size_t>(noise.back().numel())});
  }
  const auto wide = [](const at::Tensor& tensor) { return tensor.to(torch::kFloat64); };
  const model::Batch input{wide(torch::cat(values)), wide(torch::cat(observed))};
  const auto repeated = target.repeated(network.members());
  const model::Batch wanted{wide(repeated.values), wide(repeated.observed),
                            repeated.sizes.defined() ? wide(repeated.sizes) : repeated.sizes};
  model::Output output;
  output.code = network.encode(input);
  if (network.variational()) {
    output.code.latent = output.code.mean + torch::exp(output.code.log_variance / 2) * wide(torch::cat(noise));
  }
  output.prediction = network.decode(output.code.latent);
  const auto changed = input.values.ne(wanted.values).logical_or(input.observed.ne(wanted.observed));
  const auto evaluation =
      pair.autoencoder->loss().evaluate(output, wanted, context.epoch, 1 + (options.emphasis - 1) * wide(changed));
  (evaluation.samples.mean() * network.members()).backward();
  Truth truth;
  truth.losses.push_back(evaluation.samples.mean().item<double>());
  for (const auto& part : evaluation.parts) truth.losses.push_back(part.mean().item<double>());
  for (const auto& [name, parameter] : network.parameters()) truth.gradients.push_back(parameter.grad());
  for (const auto& [name, buffer] : network.buffers()) truth.buffers.push_back(buffer);
  return truth;
}

void expect_agreement(const Case& of, std::int64_t batch = 13) {
  const auto made = [&](std::int64_t count, double missing) -> std::unique_ptr<model::Samples> {
    auto rows = rows_of(of.elements, count, missing, 1);
    if (of.elements.front().counts) return std::make_unique<Cells>(std::move(rows));
    return std::make_unique<model::TableSamples>(std::move(rows));
  };
  const auto all = made(40, of.missing), none = made(0, 0);
  const model::Samples &samples = *all, &nothing = *none;
  auto options = options_of(of.training, "dense");
  options.batch_size = batch;
  const StepContext context{77, 3.5, 1e-3};
  const auto rows = rows_of_step(1, batch, samples.size());
  const auto truth = truth_of(Pair(of), samples, rows, options, context);

  const Pair pair(of);
  ASSERT_EQ(DenseEngine::complaints(*pair.autoencoder, options), std::vector<std::string>());
  DenseEngine engine(*pair.autoencoder, samples, nothing, options);
  const auto losses = engine.step(rows, context);
  ASSERT_EQ(losses.size(), truth.losses.size());
  for (std::size_t i = 0; i < losses.size(); ++i) {
    EXPECT_NEAR(losses[i], truth.losses[i], 1e-5 * std::abs(truth.losses[i]) + 1e-9) << "loss " << i;
  }
  double largest = 0;
  for (const auto& gradient : truth.gradients) largest = std::max(largest, gradient.abs().max().item<double>());
  const auto gradients = engine.gradients();
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const auto& exact = truth.gradients[i];
    const double difference = (gradients[i].second.to(torch::kFloat64) - exact).abs().max().item<double>();
    // What should be 0, as of biases before a batch normalisation, is rounding in proportion to the rest.
    const double own = exact.abs().max().item<double>();
    const double size = own > 1e-9 * largest ? own : largest;
    EXPECT_LT(difference, 1e-5 * size) << gradients[i].first;
  }
  const auto buffers = pair.network().buffers();
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    EXPECT_TRUE(
        torch::allclose(buffers[i].second.to(torch::kFloat64), truth.buffers[i].to(torch::kFloat64), 1e-5, 1e-6))
        << buffers[i].first;
  }
}

TEST(DenseEngine, HasTheLossAndGradientOfAutogradForEveryNetwork) {
  std::int64_t seed = 0;
  for (const auto& activation : model::activations()) {
    for (const auto* norm : {"none", "batch", "layer"}) {
      for (const auto* type : {"dense", "variational"}) {
        for (const bool tied : {false, true}) {
          if (tied && std::string(type) == "variational") continue;
          for (const auto* hidden : {"[9, 6]", "[17]", "[]"}) {
            Random chance(static_cast<std::uint64_t>(++seed));
            Case of;
            of.type = type;
            const auto pick = [&](std::uint64_t bound) { return static_cast<std::int64_t>(chance.below(bound)); };
            of.model = R"("activation": ")" + std::string(activation.name) + R"(", "norm": ")" + norm +
                       R"(", "hidden": )" + hidden + R"(, "latent": )" + std::to_string(2 + pick(3)) +
                       R"(, "embedding": )" + std::to_string(pick(2) * 3) + R"(, "members": )" +
                       std::to_string(1 + pick(2) * 2) + (tied ? R"(, "tied": true)" : "");
            of.elements = pick(3) == 0 ? kNumbers : kMixed;
            of.show_observed = pick(2) == 0;
            of.missing = pick(2) == 0 ? 0 : 0.2;
            SCOPED_TRACE(of.type + " {" + of.model + "} of " + std::to_string(of.elements.size()) + " columns");
            expect_agreement(of, 11 + pick(20));
          }
        }
      }
    }
  }
}

TEST(DenseEngine, HasTheLossAndGradientOfAutogradForEveryTerm) {
  const std::string categories = R"(, {"type": "cross_entropy", "weight": 0.7})";
  std::size_t fused = 0;
  for (const auto& entry : loss::terms()) fused += entry.make()->fused() ? 1 : 0;
  EXPECT_EQ(fused, 10u);
  for (const auto& term : {
           R"({"type": "mse"})",
           R"({"type": "l1", "weight": 2})",
           R"({"type": "huber", "delta": 0.6})",
           R"({"type": "bce"})",
           R"({"type": "mse", "columns": ["a", "fixed", "d"]}, {"type": "bce", "weight": 0.5, "columns": ["b", "c"]})",
           R"({"type": "mse"}, {"type": "l1", "columns": "b"}, {"type": "huber", "weight": 0.3}, {"type": "bce"})",
       }) {
    for (const auto* type : {"dense", "variational"}) {
      for (const auto* elements : {&kNumbers, &kMixed}) {
        Case of;
        of.type = type;
        of.elements = *elements;
        of.terms = term;
        if (elements == &kMixed) of.terms += categories;
        if (of.type == "variational") of.terms += R"(, {"type": "kl", "weight": 0.4, "warm_up": 10})";
        const bool names_d = of.terms.find("\"d\"") != std::string::npos;
        if (names_d && elements == &kMixed) of.terms.replace(of.terms.find(", \"d\""), 5, "");
        if (names_d && elements == &kNumbers) of.terms.replace(of.terms.find("\"fixed\", "), 9, "");
        SCOPED_TRACE(of.type + " " + of.terms);
        expect_agreement(of);
      }
    }
  }
}

TEST(DenseEngine, HasTheLossAndGradientOfAutogradForCounts) {
  for (const auto* terms :
       {R"({"type": "poisson"})", R"({"type": "nb"})", R"({"type": "zinb"})", R"({"type": "hurdle"})",
        R"({"type": "nb", "weight": 0.5}, {"type": "hurdle"}, {"type": "mse", "weight": 2})"}) {
    for (const auto* training :
         {"{}", R"({"corruption": [{"type": "drop", "rate": 0.4, "varied": true}], "emphasis": 4})"}) {
      for (const auto* members : {"1", "3"}) {
        Case of;
        of.elements = kGenes;
        of.terms = terms;
        of.training = training;
        of.model += std::string(R"(, "members": )") + members;
        SCOPED_TRACE(of.terms + of.training + members);
        expect_agreement(of);
      }
    }
  }
}

// Rows of a head are taken as they lie.
TEST(DenseEngine, LeavesCountsOfSomeColumnsToAutograd) {
  Case of;
  of.elements = kGenes;
  of.terms = R"({"type": "nb", "columns": ["A", "C"]}, {"type": "poisson", "columns": ["B", "D"]})";
  EXPECT_EQ(DenseEngine::complaints(*Pair(of).autoencoder, options_of("{}", "dense")).size(), 2u);
}

TEST(DenseEngine, HasTheLossAndGradientOfAutogradForEveryCorruption) {
  for (const auto* corruption :
       {R"([{"type": "mask"}])", R"([{"type": "mask", "rate": 0.4, "varied": true}])", R"([{"type": "gaussian"}])",
        R"([{"type": "swap", "rate": 0.5}])", R"([{"type": "swap"}, {"type": "gaussian"}, {"type": "mask"}])"}) {
    for (const auto* emphasis : {"1", "3.5", "0"}) {
      for (const auto* members : {"1", "3"}) {
        Case of;
        of.model += std::string(R"(, "members": )") + members;
        of.training = std::string(R"({"corruption": )") + corruption + R"(, "emphasis": )" + emphasis + "}";
        SCOPED_TRACE(of.model + of.training);
        expect_agreement(of);
      }
    }
  }
}

TEST(DenseEngine, TrainsTheLinearFamily) {
  Case of;
  of.type = "linear";
  of.model = R"("latent": 2)";
  of.elements = kNumbers;
  expect_agreement(of);
}

// So large that its batch is cut into slices.
Case large_case() {
  Case of;
  of.model = R"("hidden": [256], "latent": 8, "activation": "elu")";
  of.elements.clear();
  for (int i = 0; i < 60; ++i) of.elements.push_back({std::to_string(i), 0, false});
  return of;
}
constexpr std::int64_t kLargeBatch = 1203;

TEST(DenseEngine, HasTheLossAndGradientOfAutogradInSlices) {
  for (const auto* type : {"dense", "variational"}) {
    for (const auto* norm : {"none", "layer"}) {
      for (const auto* corruption : {"[]", R"([{"type": "swap"}, {"type": "mask"}])"}) {
        for (const double missing : {0.0, 0.1}) {
          auto of = large_case();
          of.type = type;
          of.model += std::string(R"(, "norm": ")") + norm + "\"";
          of.missing = missing;
          of.training = std::string(R"({"emphasis": 2, "corruption": )") + corruption + "}";
          SCOPED_TRACE(of.type + of.model + of.training);
          expect_agreement(of, kLargeBatch);
        }
      }
    }
  }
}

class Training {
 public:
  Training(const Case& of, const std::string& engine)
      : samples_(rows_of(of.elements, 60, of.missing, 1)),
        held_out_(rows_of(of.elements, 300, of.missing, 2)),
        options_(options_of(of.training, engine)),
        pair_(of),
        objective_(*pair_.autoencoder, samples_, held_out_, options_) {}
  void steps(std::int64_t begin, std::int64_t end, std::int64_t rows = 10) {
    for (std::int64_t step = begin; step < end; ++step) {
      losses_.push_back(objective_.step(rows_of_step(step, rows + step % 7, samples_.size()),
                                        {static_cast<std::uint64_t>(step), static_cast<double>(step), 0.01}));
    }
  }
  recipe::Arrays saved() const {
    recipe::Arrays arrays;
    recipe::save_tensors("weights.", objective_.weights(), arrays);
    objective_.save_state(arrays);
    return arrays;
  }
  void restore(const recipe::Arrays& arrays) {
    recipe::restore_tensors("weights.", objective_.weights(), arrays, "test");
    objective_.restore_state(arrays);
  }
  ReconstructionObjective& objective() { return objective_; }
  loss::Autoencoder& autoencoder() { return *pair_.autoencoder; }
  const model::TableSamples& held_out() const { return held_out_; }
  const std::vector<std::vector<double>>& losses() const { return losses_; }

 private:
  model::TableSamples samples_, held_out_;
  recipe::TrainingOptions options_;
  Pair pair_;
  ReconstructionObjective objective_;
  std::vector<std::vector<double>> losses_;
};

double largest_difference(const recipe::Arrays& one, const recipe::Arrays& other) {
  EXPECT_EQ(one.size(), other.size());
  double largest = 0;
  for (const auto& [name, array] : one) {
    EXPECT_TRUE(other.contains(name)) << name;
    const auto a = model::to_tensor(array).to(torch::kFloat64),
               b = model::to_tensor(other.at(name)).to(torch::kFloat64);
    EXPECT_EQ(a.sizes(), b.sizes()) << name;
    largest = std::max(largest, (a - b).abs().max().item<double>());
  }
  return largest;
}

const std::vector<std::string> kOptimizers{
    R"({"type": "adam"})",
    R"({"type": "adam", "weight_decay": 0.1, "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-4})",
    R"({"type": "adamw", "weight_decay": 0.2})",
    R"({"type": "sgd"})",
    R"({"type": "sgd", "momentum": 0})",
    R"({"type": "sgd", "nesterov": true, "weight_decay": 0.1})",
};

TEST(DenseEngine, TakesTheStepsOfAutograd) {
  for (const auto& optimizer : kOptimizers) {
    for (const auto* clip : {"", R"(, "clip_gradient": 0.05)"}) {
      for (const auto* members : {"1", "2"}) {
        Case of;
        of.model += std::string(R"(, "members": )") + members;
        of.training = R"({"optimizer": )" + optimizer + clip + "}";
        SCOPED_TRACE(of.model + of.training);
        Training dense(of, "dense"), autograd(of, "autograd");
        dense.steps(0, 60);
        autograd.steps(0, 60);
        for (std::size_t i = 0; i < dense.losses().size(); ++i) {
          for (std::size_t p = 0; p < dense.losses()[i].size(); ++p) {
            EXPECT_NEAR(dense.losses()[i][p], autograd.losses()[i][p], 2e-5 * autograd.losses()[i][p]) << "step " << i;
          }
        }
        // Weights and the optimiser's state, which the engines could hand to each other.
        EXPECT_LT(largest_difference(dense.saved(), autograd.saved()), 2e-4);
        const auto held_out = dense.objective().validate();
        EXPECT_NEAR(held_out.front(), autograd.objective().validate().front(), 2e-5 * held_out.front());
      }
    }
  }
}

// Without gradients a network answers by the engine's kernels, with them by LibTorch.
TEST(DenseEngine, AnswersAsLibTorchDoes) {
  for (const auto* type : {"dense", "variational"}) {
    for (const auto* settings :
         {R"("hidden": [9, 6], "activation": "gelu")", R"("hidden": [9, 6], "norm": "batch", "embedding": 3)",
          R"("hidden": [17], "norm": "layer", "dropout": 0.2, "members": 3)", R"("hidden": [], "members": 2)",
          R"("hidden": [300, 200], "activation": "tanh")"}) {
      for (const bool show_observed : {false, true}) {
        Case of;
        of.type = type;
        of.model = settings;
        of.show_observed = show_observed;
        SCOPED_TRACE(of.type + " {" + of.model + "}");
        Training trained(of, "dense");
        trained.steps(0, 5);
        auto& network = trained.autoencoder().network();
        network.set_training(false);
        for (const std::int64_t rows : {1, 40, 300}) {
          const auto batch = trained.held_out().range(0, rows).repeated(network.members());
          const auto exact = network.forward(batch);
          EXPECT_TRUE(exact.prediction.requires_grad());
          const torch::NoGradGuard no_grad;
          const auto output = network.forward(batch);
          EXPECT_TRUE(torch::allclose(output.prediction, exact.prediction, 1e-5, 1e-5));
          EXPECT_TRUE(torch::allclose(output.code.latent, exact.code.latent, 1e-5, 1e-5));
          ASSERT_EQ(output.code.mean.defined(), exact.code.mean.defined());
          if (!output.code.mean.defined()) continue;
          EXPECT_TRUE(torch::allclose(output.code.mean, exact.code.mean, 1e-5, 1e-5));
          EXPECT_TRUE(torch::allclose(output.code.log_variance, exact.code.log_variance, 1e-5, 1e-5));
        }
      }
    }
  }
}

// Nothing is computed in LibTorch's tensors but by LibTorch, and yet they are up to date.
TEST(DenseEngine, LeavesTheWeightsToTheNetwork) {
  for (const auto* settings :
       {R"("hidden": [8], "norm": "batch", "dropout": 0.2, "members": 3)", R"("hidden": [8, 5], "tied": true)"}) {
    Case of;
    of.model = settings;
    Training dense(of, "dense");
    dense.steps(0, 20);
    const auto& autoencoder = dense.autoencoder();
    auto losses = torch::zeros({dense.held_out().size()});
    for (std::int64_t m = 0; m < autoencoder.members(); ++m) {
      const auto batch = dense.held_out().range(0, dense.held_out().size());
      losses += autoencoder.member(m).reconstruct(batch).elements.sum(1) / batch.observed.sum(1).clamp_min(1);
    }
    EXPECT_NEAR(dense.objective().validate().front(), losses.mean().item<double>() / autoencoder.members(), 1e-5);
    Case same = of;
    Pair other(same, 9);
    recipe::Arrays saved;
    recipe::save_tensors("", dense.objective().weights(), saved);
    recipe::restore_tensors("", other.network().state(), saved, "test");
    const auto row = dense.held_out().range(0, 1);
    EXPECT_TRUE(torch::equal(other.autoencoder->expected(row), autoencoder.expected(row)));
  }
}

const std::string kStochastic =
    R"("hidden": [16, 9], "latent": 3, "norm": "batch", "dropout": 0.3, "activation": "silu")";
const std::string kCorrupted = R"({"corruption": [{"type": "swap"}, {"type": "gaussian"}, {"type": "mask"}],
                                   "emphasis": 2, "clip_gradient": 0.5)";

TEST(DenseEngine, ContinuesToTheSameBytes) {
  for (const auto* type : {"dense", "variational"}) {
    for (const auto& optimizer : kOptimizers) {
      Case of;
      of.type = type;
      of.model = kStochastic + R"(, "members": 2)";
      of.training = kCorrupted + R"(, "optimizer": )" + optimizer + "}";
      Training whole(of, "dense"), first(of, "dense"), second(of, "dense");
      whole.steps(0, 20);
      first.steps(0, 9);
      second.steps(0, 3);  // forgotten
      second.restore(first.saved());
      second.steps(9, 20);
      EXPECT_EQ(largest_difference(second.saved(), whole.saved()), 0) << of.training;
      EXPECT_EQ(second.losses().back(), whole.losses().back());
      EXPECT_EQ(second.objective().validate(), whole.objective().validate());
    }
  }
}

TEST(DenseEngine, DoesNotDependOnTheNumberOfThreads) {
  Case members;
  members.type = "variational";
  members.model = kStochastic + R"(, "members": 5)";
  members.training = kCorrupted + "}";
  Case large = large_case();
  large.model += R"(, "dropout": 0.2)";
  large.training = kCorrupted + R"(, "batch_size": )" + std::to_string(kLargeBatch) + "}";
  const auto trained = [&](const Case& of, int threads) {
    model::use_threads(threads, 0, model::Pool::blas);
    Training training(of, "dense");
    &of == &large ? training.steps(0, 5, kLargeBatch) : training.steps(0, 200);
    auto arrays = training.saved();
    const auto losses = training.objective().validate();
    arrays["losses"] = data::NamedArray::of(data::Dtype::f64, {static_cast<std::int64_t>(losses.size())}, losses.data(),
                                            losses.size());
    const auto expected = training.autoencoder().expected(training.held_out().range(0, 290));
    arrays["expected"] = data::NamedArray::of(data::Dtype::f32, expected.sizes().vec(), expected.data_ptr<float>(),
                                              static_cast<std::size_t>(expected.numel()));
    return arrays;
  };
  for (const Case* of : {&members, &large}) {
    const auto one = trained(*of, 1);
    for (const int threads : {2, 3, 8}) EXPECT_EQ(largest_difference(trained(*of, threads), one), 0) << threads;
  }
  model::use_threads(1, 0, model::Pool::blas);
}

// The loss falls by rate * |gradient|^2 along the gradient while the draws stay the same, dropout's too.
TEST(DenseEngine, HasTheGradientOfItsOwnDraws) {
  for (const auto* type : {"dense", "variational"}) {
    Case of;
    of.type = type;
    of.model = kStochastic;
    of.training = R"({"corruption": [{"type": "mask"}], "optimizer": {"type": "sgd", "momentum": 0}})";
    const model::TableSamples samples(rows_of(of.elements, 60, of.missing, 1));
    const auto options = options_of(of.training, "dense");
    const Pair pair(of);
    DenseEngine engine(*pair.autoencoder, samples, samples, options);
    std::vector<std::int64_t> rows(60);
    std::iota(rows.begin(), rows.end(), 0);
    double squares = 0;
    constexpr double kRate = 1e-3;
    const double before = engine.step(rows, {5, 1e9, kRate}).front();
    for (const auto& [name, gradient] : engine.gradients()) squares += gradient.square().sum().item<double>();
    const double after = engine.step(rows, {5, 1e9, kRate}).front();
    EXPECT_NEAR((before - after) / (kRate * squares), 1, 0.02) << type;
    EXPECT_NE(engine.step(rows, {6, 1e9, kRate}).front(), engine.step(rows, {7, 1e9, kRate}).front());
  }
}

// A table of which only what is not 0 is kept.
class Sparse final : public model::Samples {
 public:
  explicit Sparse(const model::Batch& all) : values_(all.values.to_sparse()), observed_(all.observed.to_sparse()) {}
  std::int64_t size() const override { return values_.size(0); }
  model::Batch batch(const std::vector<std::int64_t>& indices) const override {
    const auto index = torch::tensor(indices, torch::kInt64);
    return {values_.index_select(0, index).to_dense(), observed_.index_select(0, index).to_dense()};
  }
  model::Batch range(std::int64_t begin, std::int64_t end) const override {
    std::vector<std::int64_t> indices(static_cast<std::size_t>(end - begin));
    std::iota(indices.begin(), indices.end(), begin);
    return batch(indices);
  }
  bool has_missing() const override { return observed_._nnz() < observed_.numel(); }

 private:
  at::Tensor values_, observed_;
};

TEST(DenseEngine, TrainsSamplesThatAreNowhereDense) {
  for (const double missing : {0.0, 0.3}) {
    for (const auto* corruption : {"[]", R"([{"type": "swap"}, {"type": "mask"}])"}) {
      Case of;
      of.missing = missing;
      of.training = std::string(R"({"corruption": )") + corruption + "}";
      SCOPED_TRACE(of.training);
      const auto training = rows_of(of.elements, 60, missing, 1), held_out = rows_of(of.elements, 300, missing, 2);
      const auto options = options_of(of.training, "dense");
      const auto losses = [&](const model::Samples& samples, const model::Samples& others) {
        const Pair pair(of);
        DenseEngine engine(*pair.autoencoder, samples, others, options);
        std::vector<std::vector<double>> all;
        for (std::int64_t step = 0; step < 5; ++step) {
          all.push_back(engine.step(rows_of_step(step, 10, 60), {static_cast<std::uint64_t>(step), 1, 0.01}));
          all.push_back(engine.validate());
        }
        return all;
      };
      EXPECT_EQ(losses(Sparse(training), Sparse(held_out)),
                losses(model::TableSamples(training), model::TableSamples(held_out)));
    }
  }
}

TEST(DenseEngine, DropsTheShareAskedFor) {
  Case of;
  of.model = R"("hidden": [400], "latent": 1, "dropout": 0.3)";
  const model::TableSamples samples(rows_of(of.elements, 200, 0, 1));
  const Pair pair(of);
  const auto options = options_of("{}", "dense");
  DenseEngine engine(*pair.autoencoder, samples, samples, options);
  engine.step({0}, {1, 0, 1e-9});
  for (const auto& [name, gradient] : engine.gradients()) {
    if (name != "output.weight") continue;  // [outputs, hidden]: 0 where relu or dropout gave 0, which are alike
    const auto alive = (gradient.abs().sum(0) > 0).to(torch::kFloat32).mean().item<double>();
    EXPECT_NEAR(alive, 0.5 * 0.7, 0.08);
  }
}

TEST(DenseEngine, TellsNumbersThatAreNone) {
  Case of;
  of.training = R"({"optimizer": {"type": "sgd"}})";
  const model::TableSamples samples(rows_of(of.elements, 60, of.missing, 1));
  const Pair pair(of);
  const auto options = options_of(of.training, "dense");
  DenseEngine engine(*pair.autoencoder, samples, samples, options);
  double loss = 0;
  for (std::int64_t step = 0; step < 50 && std::isfinite(loss); ++step) {
    loss = engine.step(rows_of_step(step, 20, 60), {static_cast<std::uint64_t>(step), 0, 1e6}).front();
  }
  EXPECT_FALSE(std::isfinite(loss));
  EXPECT_FALSE(std::isfinite(engine.validate().front()));
}

TEST(DenseEngine, RefusesWhatItCannotTrain) {
  loss::LossOptions loss;
  config::read_text(loss, R"({"terms": [{"type": "mse"}, {"type": "ssim"}]})", "test", ".");
  config::Variant<model::Family> family(model::families(), "conv");
  const model::Domain images({{"gray", 0, false, true}}, {32, 32});
  const loss::Autoencoder autoencoder(*family, loss.terms, images, false, 1);
  auto options = options_of(R"({"corruption": [{"type": "mask"}, {"type": "synthetic"}]})", "dense");
  EXPECT_THAT(test::errors_of<UsageError>([&] { uses_dense_engine(autoencoder, options); }),
              testing::ElementsAre(testing::StartsWith("/model/type: the dense engine")));
  options.engine = "auto";
  EXPECT_FALSE(uses_dense_engine(autoencoder, options));
  const Pair pair({});
  EXPECT_TRUE(uses_dense_engine(*pair.autoencoder, options_of("{}", "auto")));
  EXPECT_FALSE(uses_dense_engine(*pair.autoencoder, options_of("{}", "autograd")));
  pair.network().to_double();
  EXPECT_FALSE(uses_dense_engine(*pair.autoencoder, options_of("{}", "auto")));
}

}  // namespace
}  // namespace ae::train::dense_engine_test
