#include "replay/correction.hpp"
#include "replay/latent_codec.hpp"
#include "replay/store_manifest.hpp"
#include "value/q_network.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/script.h>

#include <cmath>

#include "base/random.hpp"
#include "support/errors.hpp"
#include "support/temporary_folder.hpp"

namespace ae::replay::replay_test {
namespace {

using ::testing::HasSubstr;
using value::expand, value::open_q_network, value::parse_q_network, value::QNetwork;

// Q(s) = (s0 + 2 s1)^2 - (s1 - s2)^2 + 3 s0 + 1, whose gradient and Hessian follow by hand.
std::unique_ptr<QNetwork> quadratic() {
  // The linear term as ((x + 1)^2 - (x - 1)^2) / 4 = x.
  return parse_q_network(R"({"layers": [
      {"weight": [[1, 2, 0], [0, 1, -1], [3, 0, 0], [3, 0, 0]], "bias": [0, 0, 1, -1], "activation": "square"},
      {"weight": [[1, -1, 0.25, -0.25]], "bias": [1]}]})",
                         "q.json");
}

TEST(QNetwork, OfSquaresHasTheValuesThatItsFormulaHas) {
  const auto s = torch::tensor({{1.0, 2.0, 0.5}, {-1.0, 0.0, 3.0}}, at::kDouble);
  EXPECT_TRUE(at::allclose(quadratic()->values(s), torch::tensor({{26.75}, {-10.0}}, at::kDouble)));
}

struct Law {
  const char* name;
  at::Tensor (*draw)(std::int64_t);
  std::vector<double> mean;
  std::vector<double> second;  // E e e', row-major
};

// For a quadratic Q the mean bias is g . m + tr(H M) / 2 whatever the law of the errors.
TEST(Expansion, OfAQuadraticIsTheMeanBiasOfMonteCarloForAnyErrors) {
  const std::vector<Law> laws{
      {"normal",
       [](std::int64_t n) {
         return 0.3 * at::randn({n, 3}, at::kDouble) + 0.1;
       },
       {0.1, 0.1, 0.1},
       {0.1, 0.01, 0.01, 0.01, 0.1, 0.01, 0.01, 0.01, 0.1}},
      {"uniform",
       [](std::int64_t n) {
         return at::rand({n, 3}, at::kDouble) - 0.25;
       },
       {0.25, 0.25, 0.25},
       {1 / 12. + 0.0625, 0.0625, 0.0625, 0.0625, 1 / 12. + 0.0625, 0.0625, 0.0625, 0.0625, 1 / 12. + 0.0625}},
      {"exponential, all the same",
       [](std::int64_t n) {
         return -at::rand({n, 1}, at::kDouble).log().expand({n, 3}) * 0.2;
       },
       {0.2, 0.2, 0.2},
       std::vector<double>(9, 0.08)}};
  const auto q = quadratic();
  const auto s = torch::tensor({{0.4, -0.7, 1.1}}, at::kDouble);
  torch::manual_seed(1);
  for (const auto& law : laws) {
    const auto mean = torch::tensor(law.mean, at::kDouble).unsqueeze(0);
    const auto second = torch::tensor(law.second, at::kDouble).reshape({3, 3});
    std::vector<at::Tensor> directions;
    const auto [values, vectors] = at::linalg_eigh(second);
    for (int k = 0; k < 3; ++k)
      directions.push_back((vectors.select(1, k) * values[k].clamp_min(0).sqrt()).unsqueeze(0));
    const auto found = expand(*q, s, mean, directions);
    const double formula = found.first.item<double>() + found.curvature.item<double>() / 2;
    // By hand: g = (2(s0 + 2 s1) + 3, 4(s0 + 2 s1) - 2(s1 - s2), 2(s1 - s2)), H likewise.
    const double a = 0.4 - 1.4, b = -0.7 - 1.1;
    EXPECT_TRUE(at::allclose(found.gradient, torch::tensor({{2 * a + 3, 4 * a - 2 * b, 2 * b}}, at::kDouble)));
    const auto hessian = torch::tensor({{2.0, 4.0, 0.0}, {4.0, 6.0, 2.0}, {0.0, 2.0, -2.0}}, at::kDouble);
    EXPECT_NEAR(found.curvature.item<double>(), (hessian * second).sum().item<double>(), 1e-10);
    constexpr std::int64_t kDraws = 1'000'000;
    double sum = 0, squares = 0;
    for (int part = 0; part < 4; ++part) {
      const auto bias = q->values(s + law.draw(kDraws)) - q->values(s);
      sum += bias.sum().item<double>();
      squares += bias.square().sum().item<double>();
    }
    const double n = 4.0 * kDraws, monte_carlo = sum / n;
    const double error = std::sqrt((squares / n - monte_carlo * monte_carlo) / n);
    EXPECT_NEAR(formula, monte_carlo, 3 * error) << law.name;
  }
}

// E max(Q1, Q2) - Q1 where Q2 - Q1 ~ N(-gap, v) after the error (Clark 1961, Operations Research 9, 145).
TEST(Expansion, OfTwoActionsHasTheKinkOfClark) {
  torch::manual_seed(2);
  constexpr std::int64_t kDraws = 1'000'000;
  for (const double gap : {0.0, 0.05, 0.2, 0.5}) {
    const auto q = parse_q_network(
        R"({"layers": [{"weight": [[1, 0.5], [0.2, 1.1]], "bias": [0, )" + std::to_string(-gap) + "]}]}", "q.json");
    const auto errors = 0.3 * at::randn({kDraws, 2}, at::kDouble);
    const auto found = expand(*q, at::zeros({kDraws, 2}, at::kDouble), errors, {});
    const auto expanded = std::get<0>((found.values + found.first + found.second / 2).max(1));
    const double v = 0.09 * (0.8 * 0.8 + 0.6 * 0.6), root = std::sqrt(v), x = -gap / root;
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * M_PI), below = std::erfc(-x / std::sqrt(2)) / 2;
    EXPECT_NEAR(expanded.mean().item<double>(), -gap * below + root * density, 1e-3) << gap;
  }
}

TEST(Expansion, AgreesWithFiniteDifferencesForEveryAction) {
  torch::manual_seed(3);
  const auto w = at::randn({6, 4}, at::kDouble), v = at::randn({3, 6}, at::kDouble);
  class Tanh final : public QNetwork {
   public:
    Tanh(at::Tensor w, at::Tensor v) : w_(std::move(w)), v_(std::move(v)) { actions_ = 3; }
    at::Tensor values(const at::Tensor& s) const override { return at::tanh(s.mm(w_.t())).mm(v_.t()); }

   private:
    at::Tensor w_, v_;
  };
  const Tanh q(w, v);
  const auto s = at::randn({5, 4}, at::kDouble), e = at::randn({5, 4}, at::kDouble);
  const auto direction = at::randn({5, 4}, at::kDouble);
  const auto found = expand(q, s, e, {direction, direction});
  constexpr double h = 1e-4;
  const auto plus = q.values(s + h * e), minus = q.values(s - h * e), middle = q.values(s);
  EXPECT_TRUE(at::allclose(found.first, (plus - minus) / (2 * h), 1e-6, 1e-6));
  EXPECT_TRUE(at::allclose(found.second, (plus + minus - 2 * middle) / (h * h), 1e-4, 1e-4));
  const auto best = found.greedy.unsqueeze(1);
  const auto of_best = [&](const at::Tensor& values) { return values.gather(1, best).squeeze(1); };
  EXPECT_TRUE(at::equal(found.greedy, middle.argmax(1)));
  EXPECT_TRUE(at::allclose((found.gradient * e).sum(1), of_best(found.first)));
  const auto curvature = of_best(q.values(s + h * direction) + q.values(s - h * direction) - 2 * middle) / (h * h);
  EXPECT_TRUE(at::allclose(found.curvature, 2 * curvature, 1e-4, 1e-4));
}

// The same network without what is known of its layers.
class Opaque final : public QNetwork {
 public:
  explicit Opaque(const QNetwork& of) : of_(of) { actions_ = of.actions(); }
  at::Tensor values(const at::Tensor& s) const override { return of_.values(s); }

 private:
  const QNetwork& of_;
};

TEST(Expansion, OfLayersIsThatOfAutomaticDifferentiation) {
  torch::manual_seed(5);
  const auto s = at::randn({40, 4}, at::kDouble), e = at::randn({40, 4}, at::kDouble);
  const std::vector<at::Tensor> directions{at::randn({40, 4}, at::kDouble), at::randn({1, 4}, at::kDouble)};
  for (const char* activation : {"identity", "relu", "tanh", "sigmoid", "softplus", "silu", "elu", "square"}) {
    const auto layer = [&](const char* name, const at::Tensor& weight) {
      std::string text = R"({"weight": [)";
      for (std::int64_t i = 0; i < weight.size(0); ++i) {
        text += i == 0 ? "[" : ", [";
        for (std::int64_t k = 0; k < weight.size(1); ++k)
          text += (k == 0 ? "" : ", ") + std::to_string(weight[i][k].item<double>());
        text += "]";
      }
      return text + R"(], "activation": ")" + name + R"("})";
    };
    const auto json = R"({"layers": [)" + layer(activation, at::randn({3, 4})) + ", " +
                      layer(activation, at::randn({5, 3})) + ", " + layer("tanh", at::randn({6, 5})) + ", " +
                      layer(activation, at::randn({2, 6})) + "]}";
    const auto q = parse_q_network(json, "q.json");
    const auto found = expand(*q, s, e, directions), expected = expand(Opaque(*q), s, e, directions);
    EXPECT_TRUE(at::equal(found.values, expected.values)) << activation;
    EXPECT_TRUE(at::equal(found.greedy, expected.greedy)) << activation;
    EXPECT_TRUE(at::allclose(found.gradient, expected.gradient, 1e-9, 1e-12)) << activation;
    EXPECT_TRUE(at::allclose(found.first, expected.first, 1e-9, 1e-12)) << activation;
    EXPECT_TRUE(at::allclose(found.second, expected.second, 1e-9, 1e-12)) << activation;
    EXPECT_TRUE(at::allclose(found.curvature, expected.curvature, 1e-9, 1e-12)) << activation;
    EXPECT_EQ(q->embedded(s).size(1), 3);
    EXPECT_TRUE(at::allclose(q->values_of(q->embedded(s) + q->embedded_error(e)), q->values(s + e))) << activation;
  }
}

// --- files -----------------------------------------------------------------------------------------------------------

std::string script(const test::TemporaryFolder& folder, const std::string& body) {
  torch::jit::Module module("q");
  module.register_parameter("w", torch::tensor({{1.0f, 2.0f, 0.0f, -1.0f}, {0.5f, 0.0f, 1.0f, 1.0f}}), false);
  module.register_attribute("training", c10::BoolType::get(), true);
  module.define("def forward(self, x):\n" + body + "\n");
  const auto path = (folder.path() / "q.pt").string();
  module.save(path);
  return path;
}

TEST(QNetwork, OfTorchScriptTakesObservationsAsTheyAreOrFlat) {
  const test::TemporaryFolder folder;
  const auto examples = at::arange(8, at::kDouble).reshape({2, 4});
  const auto expected = torch::tensor({{-1.0, 5.0}, {7.0, 15.0}}, at::kDouble);
  const auto flat = open_q_network(script(folder, "  return torch.matmul(x, self.w.t())"), {2, 2}, examples);
  EXPECT_EQ(flat->actions(), 2);
  EXPECT_TRUE(at::allclose(flat->values(examples), expected));
  const auto shaped = open_q_network(script(folder, "  return torch.matmul(x[:, :, 0:2].reshape(-1, 4), self.w.t())"),
                                     {2, 2}, examples);
  EXPECT_TRUE(at::allclose(shaped->values(examples), expected));
  const auto channel = open_q_network(
      script(folder, "  assert x.size(1) == 1\n  return torch.matmul(x[:, :, :, 0:2].reshape(-1, 4), self.w.t())"),
      {2, 2}, examples);
  EXPECT_TRUE(at::allclose(channel->values(examples), expected));
}

TEST(QNetwork, ThatCannotBeUsedIsRefusedInOneLine) {
  const test::TemporaryFolder folder;
  const auto examples = at::arange(8, at::kDouble).reshape({2, 4});
  const auto error = [&](const std::string& body) {
    const auto path = script(folder, body);
    const auto lines = test::errors_of<InputError>([&] { open_q_network(path, {4}, examples); });
    return lines.size() == 1 ? lines.front() : "not one line";
  };
  EXPECT_THAT(error("  return torch.dropout(torch.matmul(x, self.w.t()), 0.5, True)"), HasSubstr("asked again"));
  EXPECT_THAT(error("  return torch.matmul(x - x.mean(0), self.w.t())"), HasSubstr("another batch"));
  EXPECT_THAT(error("  return torch.matmul(x, self.w)"), HasSubstr("does not take observations"));
  EXPECT_THAT(error("  return torch.log(torch.matmul(x, self.w.t()) - 6)"), HasSubstr("not finite"));
  EXPECT_THAT(error("  return torch.matmul(x.view(2, 4), self.w.t())"), HasSubstr("fails on 1 observation"));
  for (const auto& [text, words] : std::vector<std::pair<std::string, std::string>>{
           {"{", "no JSON"},
           {"{}", "/layers"},
           {R"({"layers": [{"weight": [[1, 2], [3]]}]})", "/layers/0/weight/1"},
           {R"({"layers": [{"weight": [[1, "x"]]}]})", "/layers/0/weight/0/1"},
           {R"({"layers": [{"weight": [[1]], "bias": [1, 2]}]})", "/layers/0/bias"},
           {R"({"layers": [{"weight": [[1]], "activation": "tan"}]})", "/layers/0/activation"},
           {R"({"layers": [{"weight": [[1]]}, {"weight": [[1, 2]]}]})", "/layers/1/weight"},
           {R"({"layers": [{"weigth": [[1]]}]})", R"(/layers/0/weigth: unknown key; did you mean "weight")"},
           {R"({"layers": [{"weight": [[1]]}], "activation": "tanh"})", "/activation: unknown key"},
           {R"({"layers": [{"weight": [[1]], "activation": "tahn"}]})", R"(did you mean "tanh")"},
           {R"({"layers": [{"weight": [[1]], "activation": [["tanh"]]}]})", "/layers/0/activation"},
           {R"({"layers": )" + std::string(200, '[') + std::string(200, ']') + "}", "deeper than 64"}})
    EXPECT_THAT(test::error_of<InputError>([&, text = text] { parse_q_network(text, "q.json"); }),
                ::testing::AllOf(HasSubstr("q.json"), HasSubstr(words)));
}

StoreManifest some_manifest() {
  StoreManifest manifest;
  manifest.model = "model-0123456789abcdef.safetensors";
  manifest.observation_shape = {2};
  manifest.latents = {{5, -1, 1}, {7, 0, 2}};
  manifest.actions = manifest.rewards = true;
  for (const char* name : {"part-000000.npz", "part-000001.npz"})
    manifest.parts.push_back({name, 100, 110, 0, 5000, 1600, 880, {0.1, {0, 0.1}, {{1, 0}, {0, 1}}, {1, 2, 3, 4}}});
  return manifest;
}

TEST(StoreManifest, IsReadAsItWasWritten) {
  const auto manifest = some_manifest();
  const auto read = parse_manifest(manifest_json(manifest), "manifest.json");
  EXPECT_EQ(manifest_json(read), manifest_json(manifest));
  EXPECT_EQ(read.transitions(), 200);
  EXPECT_DOUBLE_EQ(read.ratio(), 3200.0 / (2 * 165));
  EXPECT_DOUBLE_EQ(read.ratio_once(), 1760.0 / (2 * 165));
}

TEST(StoreManifest, WhoseCountsWouldOverflowIsRefused) {
  const auto error = [](void (*change)(StoreManifest&)) {
    auto manifest = some_manifest();
    change(manifest);
    return test::error_of<InputError>([&] { parse_manifest(manifest_json(manifest), "manifest.json"); });
  };
  EXPECT_THAT(error([](StoreManifest& m) {
                for (auto& part : m.parts) part.transitions = part.observations = kMostTransitions - 1;
              }),
              HasSubstr("/parts/1/transitions"));
  EXPECT_THAT(error([](StoreManifest& m) {
                m.parts[0].transitions = m.parts[0].observations = kMostTransitions / 2;
                m.action_width = 1 << 24;
              }),
              HasSubstr("too many for actions"));
  EXPECT_THAT(error([](StoreManifest& m) { m.parts[1].bytes = std::int64_t{1} << 61; }), HasSubstr("/parts/1/bytes"));
  EXPECT_THAT(error([](StoreManifest& m) { m.model = "../model"; }), HasSubstr("/model"));
}

// What is damaged is read as something else, or refused in one line.
TEST(QNetworksAndManifests, OfAnyBytesAreReadOrRefusedInOneLine) {
  const std::string network =
      R"({"layers": [{"weight": [[1, -2.5e1]], "bias": [0.25], "activation": "tanh"}, {"weight": [[3]]}]})";
  const auto manifest = manifest_json(some_manifest());
  Random random(9);
  constexpr std::string_view kBytes = "[]{}\",:-.0123456789eE\\ntfu";
  int refused = 0;
  for (int i = 0; i < 4000; ++i) {
    auto text = i % 2 == 0 ? network : manifest;
    for (std::uint64_t n = 1 + random.below(3); n > 0; --n) {
      const auto at = random.below(text.size()), length = std::min<std::uint64_t>(random.below(4), text.size() - at);
      text.replace(at, length, random.below(3), kBytes[random.below(kBytes.size())]);
    }
    const auto lines = test::errors_of<InputError>([&] {
      if (i % 2 == 0)
        parse_q_network(text, "q.json");
      else
        parse_manifest(text, "manifest.json");
    });
    refused += !lines.empty();
    ASSERT_LE(lines.size(), 1u) << text;
    for (const auto& line : lines) ASSERT_EQ(line.find('\n'), std::string::npos) << text;
  }
  EXPECT_GT(refused, 1000);
}

// --- corrections -----------------------------------------------------------------------------------------------------

// Noise does not depend on what is stored, and a coordinate that is left out does.
TEST(Correction, TellsNoiseFromWhatIsLeftOut) {
  torch::manual_seed(4);
  const auto q =
      parse_q_network(R"({"layers": [{"weight": [[1]], "activation": "square"}, {"weight": [[-2]]}]})", "q.json");
  constexpr std::int64_t kPairs = 4000;
  PairSample noise;
  noise.observations = at::randn({kPairs, 1}, at::kDouble);
  noise.original = 0.9 * noise.observations + 0.2 * at::randn({kPairs, 1}, at::kDouble);
  noise.stored = noise.original + 0.3 * at::randn({kPairs, 1}, at::kDouble);
  const auto of_noise = check_correction(*q, noise, 0);
  EXPECT_EQ(of_noise.model, ErrorModel::independent);
  EXPECT_NEAR(of_noise.mean_before, -2 * 0.09, 0.1);
  EXPECT_LT(std::abs(of_noise.mean_after), 0.1);
  // A coordinate that the store leaves out, and that the other one tells.
  const auto q2 =
      parse_q_network(R"({"layers": [{"weight": [[1, 0.5]], "activation": "square"}, {"weight": [[-2]]}]})", "q.json");
  PairSample left_out;
  left_out.original = torch::cat({noise.original, noise.original.square()}, 1);
  left_out.stored = torch::cat({noise.original, at::zeros_like(noise.original)}, 1);
  const auto of_left_out = check_correction(*q2, left_out, 0);
  EXPECT_EQ(of_left_out.model, ErrorModel::local);
  EXPECT_LT(of_left_out.rms_after, 0.35 * of_left_out.rms_before);  // few are like the outermost ones
  EXPECT_FALSE(of_left_out.harms);
}

// A coordinate that the store leaves out, and another one tells; and a third far from 0 that says nothing.
TEST(Correction, FindsNeighboursWhereObservationsLieFarFromZero) {
  torch::manual_seed(6);
  const auto q = parse_q_network(
      R"({"layers": [{"weight": [[1, 0.5, 0]], "activation": "square"}, {"weight": [[-2]]}]})", "q.json");
  const auto told = at::randn({1000, 1}, at::kDouble), far = at::full({1000, 1}, 1e9, at::kDouble);
  PairSample pairs;
  pairs.original = torch::cat({told, told.square(), far}, 1);
  pairs.stored = torch::cat({told, at::zeros_like(told), far}, 1);
  EXPECT_LT(check_correction(*q, pairs, 0).rms_after, 0.2 * check_correction(*q, pairs, 0).rms_before);
}

TEST(Correction, WithNothingToCorrectDoesNoHarm) {
  torch::manual_seed(7);
  const auto q = parse_q_network(
      R"({"layers": [{"weight": [[1, 0.3], [0.7, -2]], "activation": "tanh"}, {"weight": [[100, 20]]}]})", "q.json");
  PairSample pairs;
  pairs.original = pairs.stored = at::randn({1000, 2}, at::kDouble);
  EXPECT_FALSE(check_correction(*q, pairs, 0).harms);
}

TEST(Correction, IsRefusedWhereQIsNotFinite) {
  torch::manual_seed(8);
  class Logarithm final : public QNetwork {
   public:
    Logarithm() { name_ = "q.pt"; }
    at::Tensor values(const at::Tensor& s) const override { return s.log(); }
  };
  PairSample pairs;
  pairs.original = at::rand({1000, 1}, at::kDouble) + 0.01;
  pairs.stored = pairs.original + 0.1 * at::rand({1000, 1}, at::kDouble);
  EXPECT_THAT(test::error_of<InputError>([&] { check_correction(Logarithm(), pairs, 0); }), HasSubstr("not finite"));
}

// --- codes -----------------------------------------------------------------------------------------------------------

TEST(Codes, OfAnyNumberOfBitsAreReadBack) {
  Random random(7);
  std::string bytes;
  std::vector<std::pair<std::int64_t, std::uint64_t>> put;
  std::uint64_t at = 0;
  for (int i = 0; i < 500; ++i) {
    const auto bits = 1 + static_cast<std::int64_t>(random.below(16));
    put.emplace_back(bits, random.below(std::uint64_t{1} << bits));
    put_bits(bytes, at, bits, put.back().second);
    at += static_cast<std::uint64_t>(bits);
  }
  EXPECT_EQ(bytes.size(), (at + 7) / 8);
  at = 0;
  for (const auto& [bits, value] : put) {
    EXPECT_EQ(get_bits(bytes, at, bits), value);
    at += static_cast<std::uint64_t>(bits);
  }
}

TEST(Codes, AreOffByHalfAStepAtMostAndKeepTheEnds) {
  const Quantiser five{5, -1.5, 2};
  Random random(8);
  for (int i = 0; i < 1000; ++i) {
    const double value = -1.5 + 3.5 * random.uniform();
    EXPECT_LE(std::abs(five.value(five.code(value)) - value), 3.5 / 31 / 2 + 1e-12);
  }
  EXPECT_EQ(five.value(five.code(-9)), -1.5);
  EXPECT_EQ(five.value(five.code(9)), 2);
  const Quantiser constant{3, 1, 1};
  EXPECT_EQ(constant.value(constant.code(1)), 1);
}

}  // namespace
}  // namespace ae::replay::replay_test
