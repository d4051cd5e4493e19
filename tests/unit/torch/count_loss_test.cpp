// Likelihoods of counts against their definitions, summed and integrated slowly in float64.
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <functional>

#include "config/document.hpp"
#include "loss/autoencoder.hpp"
#include "loss/composition.hpp"
#include "recipe/corruption.hpp"

namespace ae::loss::count_loss_test {
namespace {

double log_poisson(double x, double mean) { return x * std::log(mean) - mean - std::lgamma(x + 1); }

double log_nb(double x, double mean, double dispersion) {
  const double more = dispersion + mean;
  return std::lgamma(x + dispersion) - std::lgamma(dispersion) - std::lgamma(x + 1) +
         dispersion * std::log(dispersion / more) + (x == 0 ? 0 : x * std::log(mean / more));
}

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

model::Domain genes(std::int64_t count) {
  std::vector<model::Element> elements;
  for (std::int64_t i = 0; i < count; ++i) {
    elements.push_back({std::to_string(i).append("g"), 0, false});
    elements.back().counts = true;
  }
  return elements;
}

TermList only(const std::string& type) {
  TermList list{terms()};
  list.append().select(type);
  return list;
}

at::Tensor row(const std::vector<double>& numbers) { return torch::tensor(numbers, torch::kFloat64).unsqueeze(0); }

// Of one gene of one cell.
struct Case {
  std::string type;
  std::vector<double> outputs;  // and constants
  double size;
  std::function<double(double)> probability;  // of a count
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const double size : {0.3, 1.0, 2.5}) {
    for (const double log_norm : {-3.0, 0.2, 2.0}) {
      const double mean = size * std::exp(log_norm);
      all.push_back({"poisson", {log_norm}, size, [=](double x) { return std::exp(log_poisson(x, mean)); }});
      for (const double log_dispersion : {-1.0, 0.0, 3.0}) {
        const double dispersion = std::exp(log_dispersion);
        all.push_back(
            {"nb", {log_norm, log_dispersion}, size, [=](double x) { return std::exp(log_nb(x, mean, dispersion)); }});
        for (const double zeros : {-2.0, 1.0}) {
          const double p = logistic(zeros);
          all.push_back({"zinb", {log_norm, zeros, log_dispersion}, size, [=](double x) {
                           return (x == 0 ? p : 0) + (1 - p) * std::exp(log_nb(x, mean, dispersion));
                         }});
        }
      }
    }
  }
  return all;
}

TEST(CountLoss, IsHalfADeviance) {
  for (const auto& one : cases()) {
    const TermList list = only(one.type);
    const Composition composition(list, genes(1), false);
    for (const double count : {0.0, 1.0, 2.0, 7.0, 40.0}) {
      // The saturated model: the largest probability of this count over all means, and over all shares of zeros.
      const double dispersion = std::exp(one.outputs.back());
      const double best = count == 0              ? 0
                          : one.type == "poisson" ? log_poisson(count, count)
                                                  : log_nb(count, count, dispersion);
      const double expected = best - std::log(one.probability(count));
      const model::Batch batch{row({std::log1p(count / one.size)}), row({1}),
                               torch::tensor({one.size}, torch::kFloat64)};
      const auto loss = composition.evaluate({row(one.outputs), {}}, batch).samples.item<double>();
      EXPECT_NEAR(loss, expected, 1e-9 * std::max(1.0, expected)) << one.type << " " << count << " size " << one.size;
    }
  }
}

// As scores are: of numbers of single precision, up to the largest dispersions.
TEST(CountLoss, IsExactInSinglePrecisionForLargeDispersions) {
  for (const std::string type : {"nb", "zinb"}) {
    const TermList list = only(type);
    const Composition composition(list, genes(1), false);
    for (const double log_dispersion : {5.0, 10.0, 12.0, 15.0}) {
      for (const auto& [count, mean] : {std::pair{0.0, 0.05}, {1.0, 0.3}, {3.0, 8.0}, {40.0, 38.0}}) {
        const std::vector<double> outputs = type == "nb" ? std::vector{std::log(mean), log_dispersion}
                                                         : std::vector{std::log(mean), -9.0, log_dispersion};
        const auto single = [](const at::Tensor& numbers) { return numbers.to(torch::kFloat32); };
        const model::Batch batch{single(row({std::log1p(count)})), single(row({1})), torch::ones({1})};
        const auto loss = composition.evaluate({single(row(outputs)), {}}, batch).samples.item<double>();
        const double dispersion = std::exp(log_dispersion), share = type == "nb" ? 0 : std::log1p(std::exp(-9.0));
        double expected = 0;
        if (count > 0) {
          expected = log_nb(count, count, dispersion) - log_nb(count, mean, dispersion) + share;
        } else if (type == "nb") {
          expected = -log_nb(0, mean, dispersion);
        } else {
          expected = -std::log(logistic(-9) + (1 - logistic(-9)) * std::exp(log_nb(0, mean, dispersion)));
        }
        EXPECT_NEAR(loss, expected, 2e-5 * std::max(1.0, count)) << type << " " << count << " log t " << log_dispersion;
      }
    }
  }
}

TEST(CountLoss, TellsDetectionsAndExpectedCounts) {
  for (const auto& one : cases()) {
    const TermList list = only(one.type);
    const Composition composition(list, genes(1), false);
    double mean = 0, detection = 0;
    for (double x = 1; x < 20000; ++x) {
      const double p = one.probability(x);
      mean += x * p;
      detection += p;
    }
    const auto prediction = row(one.outputs), sizes = row({one.size});
    EXPECT_NEAR(std::expm1(composition.expected(prediction).item<double>()) * one.size, mean, 1e-6 * mean) << one.type;
    EXPECT_NEAR(composition.detection(prediction, sizes).item<double>(), detection, 1e-6 * detection) << one.type;
    EXPECT_NEAR(std::expm1(composition.conditional(prediction, sizes).item<double>()) * one.size, mean / detection,
                1e-6 * mean / detection)
        << one.type;
  }
}

// Of 40,000 draws, mean and share of zeros as summed above, within 4 standard errors; also of another depth, at which
// means are so many times as large and the dispersion is the same.
TEST(CountLoss, DrawsFromItsDistribution) {
  constexpr std::int64_t kDraws = 40000;
  at::Generator random = at::make_generator<at::CPUGeneratorImpl>(1);
  for (const auto& one : cases()) {
    const TermList list = only(one.type);
    const Composition composition(list, genes(1), false);
    const auto prediction = row(one.outputs).expand({kDraws, -1}).contiguous();
    const auto sizes = torch::full({kDraws, 1}, one.size, torch::kFloat64);
    double mean = 0, square = 0;
    for (double x = 1; x < 20000; ++x) {
      mean += x * one.probability(x);
      square += x * x * one.probability(x);
    }
    const auto error = [&](double variance) { return 4 * std::sqrt(variance / kDraws) + 1e-9; };
    const auto drawn = composition.draw(prediction, sizes, {}, random);
    EXPECT_NEAR(drawn.mean().item<double>(), mean, error(square - mean * mean)) << one.type << " size " << one.size;
    const double zero = one.probability(0);
    EXPECT_NEAR((drawn == 0).to(torch::kFloat64).mean().item<double>(), zero, error(zero * (1 - zero))) << one.type;
    const auto thin = composition.draw(prediction, sizes, {.depth = 0.1}, random);
    EXPECT_NEAR(thin.mean().item<double>(), 0.1 * mean, 0.1 * error(square + 10 * mean)) << one.type;
    EXPECT_FALSE(composition.draw(prediction, sizes, {.detected = true}, random).defined());
  }
  const TermList list = only("hurdle");
  const Composition composition(list, genes(1), false);
  const auto prediction = row({0.4, 2.2, std::log(0.3)}).expand({kDraws, -1}).contiguous();
  const auto sizes = torch::full({kDraws, 1}, 2.0, torch::kFloat64);
  const auto amounts = composition.draw(prediction, sizes, {.detected = true, .whole = false}, random);
  EXPECT_NEAR(torch::log1p(amounts / 2).mean().item<double>(), 2.2, 4 * 0.3 / std::sqrt(kDraws));
  EXPECT_NEAR(torch::log1p(amounts / 2).std().item<double>(), 0.3, 4 * 0.3 / std::sqrt(2.0 * kDraws));
  const auto whole = composition.draw(prediction, sizes, {}, random);
  EXPECT_TRUE(torch::equal(whole, whole.round()));
  const double seen = logistic(0.4);
  EXPECT_NEAR((whole > 0).to(torch::kFloat64).mean().item<double>(), seen, 4 * std::sqrt(seen * (1 - seen) / kDraws));
  const auto mean = 2 * std::expm1(composition.expected(prediction.narrow(0, 0, 1)).item<double>());
  EXPECT_NEAR(whole.mean().item<double>(), mean, 4 * whole.std().item<double>() / std::sqrt(kDraws));
}

// log(1 + x) is normal where there is anything: by the trapezoidal rule.
TEST(CountLoss, HurdleIsADetectionAndALogNormalAmount) {
  const TermList list = only("hurdle");
  const Composition composition(list, genes(1), false);
  const double logit = 0.4, centre = 1.2, spread = 0.5;
  const auto prediction = row({logit, centre, std::log(spread)});
  double mean = 0;
  const int steps = 20000;
  for (int i = 0; i <= steps; ++i) {
    const double z = -10 + 20.0 * i / steps;
    mean += std::expm1(centre + spread * z) * std::exp(-0.5 * z * z) / std::sqrt(2 * M_PI) * 20 / steps;
  }
  EXPECT_NEAR(std::expm1(composition.expected(prediction).item<double>()), logistic(logit) * mean, 1e-6);
  EXPECT_NEAR(composition.detection(prediction, {}).item<double>(), logistic(logit), 1e-12);
  EXPECT_NEAR(composition.conditional(prediction, {}).item<double>(), centre, 1e-12);
  const auto loss = [&](double value, const at::Tensor& emphasis = {}) {
    return composition.evaluate({prediction, {}}, {row({value}), row({1})}, kRamped, emphasis).samples.item<double>();
  };
  EXPECT_NEAR(loss(0), -std::log(1 - logistic(logit)), 1e-12);
  const double amount = 0.5 * std::pow((0.7 - centre) / spread, 2);
  EXPECT_NEAR(loss(0.7), -std::log(logistic(logit)) + amount, 1e-12);
  EXPECT_NEAR(loss(0.7, row({9})), -std::log(logistic(logit)) + 9 * amount, 1e-12);
  EXPECT_NEAR(loss(0, row({9})), loss(0), 1e-12);
}

// Of counts only those above 0 are hidden: an emphasis of these would raise the mean.
TEST(CountLoss, LikelihoodsAreWithoutEmphasis) {
  for (const auto& one : cases()) {
    const TermList list = only(one.type);
    const Composition composition(list, genes(1), false);
    const auto loss = [&](const at::Tensor& emphasis) {
      return composition.evaluate({row(one.outputs), {}}, {row({0.7}), row({1})}, kRamped, emphasis)
          .samples.item<double>();
    };
    EXPECT_EQ(loss(row({9})), loss({})) << one.type;
  }
}

// Whichever is declared first: amounts are those of the hurdle, expected counts those of the other term.
TEST(CountLoss, OfTwoTermsEachTellsWhatItLearns) {
  const double logit = 0.4, amount = 1.2, log_spread = -0.7, log_norm = 0.3, log_dispersion = 0.5;
  const TermList hurdle = only("hurdle"), nb = only("nb");
  const Composition of_hurdle(hurdle, genes(1), false), of_nb(nb, genes(1), false);
  const auto sizes = row({1.5});
  for (const bool hurdle_first : {true, false}) {
    TermList list{terms()};
    list.append().select(hurdle_first ? "hurdle" : "nb");
    list.append().select(hurdle_first ? "nb" : "hurdle");
    const Composition both(list, genes(1), false);
    const auto prediction = hurdle_first ? row({logit, amount, log_norm, log_spread, log_dispersion})
                                         : row({log_norm, logit, amount, log_dispersion, log_spread});
    const auto by_hurdle = row({logit, amount, log_spread}), by_nb = row({log_norm, log_dispersion});
    EXPECT_EQ(both.expected(prediction).item<double>(), of_nb.expected(by_nb).item<double>());
    EXPECT_EQ(both.conditional(prediction, sizes).item<double>(),
              of_hurdle.conditional(by_hurdle, sizes).item<double>());
    EXPECT_EQ(both.detection(prediction, sizes).item<double>(), of_hurdle.detection(by_hurdle, sizes).item<double>());
    const auto drawn = [&](const Composition& composition, const at::Tensor& from, const CountDraw& what) {
      at::Generator random = at::make_generator<at::CPUGeneratorImpl>(7);
      return composition.draw(from, sizes, what, random).item<double>();
    };
    EXPECT_EQ(drawn(both, prediction, {}), drawn(of_nb, by_nb, {}));
    EXPECT_EQ(drawn(both, prediction, {.detected = true}), drawn(of_hurdle, by_hurdle, {.detected = true}));
  }
}

// A deviance falls to 0 with the dispersion; what is learned of it must be what is likeliest.
TEST(CountLoss, GradientOfTheDispersionIsThatOfTheLikelihood) {
  constexpr double kStep = 1e-5;
  for (const auto& one : cases()) {
    if (one.type == "poisson") continue;
    const TermList list = only(one.type);
    const Composition composition(list, genes(1), false);
    const double mean = one.size * std::exp(one.outputs[0]);
    const double zeros = one.type == "zinb" ? logistic(one.outputs[1]) : 0;
    for (const double count : {0.0, 1.0, 9.0}) {
      const auto likelihood = [&](double log_dispersion) {
        const double nb = std::exp(log_nb(count, mean, std::exp(log_dispersion)));
        return std::log((count == 0 ? zeros : 0) + (1 - zeros) * nb);
      };
      const double at = one.outputs.back();
      const double slope = -(likelihood(at + kStep) - likelihood(at - kStep)) / (2 * kStep);
      auto prediction = row(one.outputs).requires_grad_(true);
      const model::Batch batch{row({std::log1p(count / one.size)}), row({1}),
                               torch::tensor({one.size}, torch::kFloat64)};
      composition.evaluate({prediction, {}}, batch).samples.sum().backward();
      EXPECT_NEAR(prediction.grad()[0][-1].item<double>(), slope, 1e-6 * std::max(1.0, std::abs(slope))) << one.type;
    }
  }
}

TEST(CountLoss, SpreadOfAHurdleIsLearnedFromItsAmounts) {
  const TermList list = only("hurdle");
  const Composition composition(list, genes(1), false);
  torch::manual_seed(3);
  const auto values = (2 + 0.3 * torch::randn({4000, 1}, torch::kFloat64)).clamp_min(0.01);
  auto spread = torch::full({1}, -1.0, torch::kFloat64).requires_grad_(true);
  for (int step = 0; step < 400; ++step) {
    const auto prediction =
        torch::cat({torch::zeros_like(values), torch::full_like(values, 2), spread.expand({4000, 1})}, 1);
    const auto loss = composition.evaluate({prediction, {}}, {values, torch::ones_like(values)}).samples.mean();
    const auto slope = torch::autograd::grad({loss}, {spread})[0];
    const torch::NoGradGuard no_grad;
    spread -= 0.1 * slope;
  }
  EXPECT_NEAR(spread.exp().item<double>(), 0.3, 0.01);
}

TEST(CountLoss, ConstantsFollowThePredictionsOfEveryMember) {
  for (const std::string members : {"1", "3"}) {
    config::Variant<model::Family> family(model::families(), "dense");
    config::read_text(*family, R"({"hidden": [5], "latent": 2, "members": )" + members + "}", "test", ".");
    TermList list = only("nb");
    list.append().select("hurdle");
    const Autoencoder pair(*family, list, genes(4), true, 1);
    EXPECT_EQ(pair.loss().outputs(), 4 + 8);
    ASSERT_EQ(pair.loss().constants().size(), 8u);
    EXPECT_EQ(pair.loss().constants()[0], 0);
    EXPECT_EQ(pair.loss().constants()[7], -1);
    const auto parameters = pair.network().parameters();
    EXPECT_EQ(parameters.back().first, "constants.values");
    EXPECT_EQ(parameters.back().second.numel(), 8 * pair.members());
    const model::Batch batch{torch::rand({6, 4}), torch::ones({6, 4}), torch::ones({6})};
    const auto prediction = pair.network().forward(batch.repeated(pair.members())).prediction;
    EXPECT_EQ(prediction.size(1), 20);
    EXPECT_TRUE(torch::equal(prediction.select(1, 19), torch::full({6 * pair.members()}, -1.0f)));
    const auto counts = pair.counts(batch);
    EXPECT_EQ(counts.detection.sizes(), batch.values.sizes());
    EXPECT_TRUE(torch::equal(counts.expected, pair.expected(batch)));
    // A member alone sees the constants that the whole has.
    {
      const torch::NoGradGuard no_grad;
      parameters.back().second.fill_(0.5);
    }
    EXPECT_EQ(pair.member(pair.members() - 1).network().forward(batch).prediction[2][15].item<double>(), 0.5);
  }
}

TEST(CountLoss, DropsCountsAndTellsOtherDataOfMasks) {
  config::Variant<recipe::Corruption> drop(recipe::corruptions(), "drop");
  config::read_text(*drop, R"({"rate": 0.3})", "test", ".");
  torch::manual_seed(5);
  const model::Batch batch{torch::rand({200, 50}) + 0.1, torch::ones({200, 50}), torch::ones({200})};
  const auto seen = drop->apply(batch, genes(50));
  EXPECT_TRUE(torch::equal(seen.observed, batch.observed));
  const auto zero = (seen.values == 0).to(torch::kFloat64);
  EXPECT_NEAR(zero.mean().item<double>(), 0.3, 0.02);
  EXPECT_TRUE(torch::equal(torch::where(seen.values > 0, seen.values, batch.values), batch.values));
  EXPECT_EQ(drop->complaint(genes(2)), "");
  EXPECT_NE(drop->complaint(std::vector<model::Element>{{"x", 0, false}}), "");
}

}  // namespace
}  // namespace ae::loss::count_loss_test
