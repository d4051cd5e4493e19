// Networks of several members against the same networks one by one.
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>

#include "config/document.hpp"
#include "data/images/geometry.hpp"
#include "loss/autoencoder.hpp"
#include "model/threads.hpp"
#include "score/head.hpp"
#include "train/reconstruction.hpp"

namespace ae::ensemble_test {
namespace {

constexpr std::int64_t kMembers = 4;
const std::vector<model::Element> kMixed{{"a", 0, false}, {"b", 0, false}, {"colour", 4, false}, {"fixed", 0, true}};

model::Batch mixed_rows(std::int64_t samples, std::uint64_t seed) {
  torch::manual_seed(seed);
  auto values = torch::randn({samples, 4});
  values.select(1, 1).add_(values.select(1, 0));
  values.select(1, 2).copy_(torch::randint(4, {samples}, torch::kFloat32));
  values.select(1, 3).zero_();
  const auto observed = (torch::rand({samples, 4}) > 0.1).to(torch::kFloat32);
  return {values * observed, observed};
}

// Images of two channels, some pixels not observed, in memory.
class Images final : public model::Samples {
 public:
  Images(std::int64_t count, std::uint64_t seed) {
    torch::manual_seed(seed);
    const auto observed = (torch::rand({count, 2, 12, 16}) > 0.1).to(torch::kFloat32);
    all_ = {torch::rand({count, 2, 12, 16}) * observed, observed};
  }
  std::int64_t size() const override { return all_.samples(); }
  model::Batch batch(const std::vector<std::int64_t>& indices) const override {
    const auto index = torch::tensor(indices);
    return {all_.values.index_select(0, index), all_.observed.index_select(0, index)};
  }
  model::Batch range(std::int64_t begin, std::int64_t end) const override {
    return {all_.values.narrow(0, begin, end - begin), all_.observed.narrow(0, begin, end - begin)};
  }
  bool has_missing() const override { return true; }

 private:
  model::Batch all_;
};

std::unique_ptr<model::Samples> samples_for(const std::string& type, std::int64_t count, std::uint64_t seed) {
  if (type == "conv" || type == "conv_variational" || type == "unet") return std::make_unique<Images>(count, seed);
  return std::make_unique<model::TableSamples>(mixed_rows(count, seed));
}

// A pair of the given settings, drawn from seed 4.
struct Pair {
  config::Variant<model::Family> family;
  loss::LossOptions options;
  std::unique_ptr<loss::Autoencoder> autoencoder;
  Pair(const std::string& settings, std::int64_t members, const std::string& type = "dense")
      : family(model::families(), type) {
    config::read_text(*family.value(), "{" + settings + R"(, "members": )" + std::to_string(members) + "}", "test",
                      ".");
    data::Geometry geometry;
    geometry.channels = 2;
    geometry.height = 12;
    geometry.width = 16;
    const model::Domain domain = family->reads_grids() ? model::image_domain(geometry) : model::Domain(kMixed);
    options.resolve(domain.elements, family->variational());
    autoencoder = std::make_unique<loss::Autoencoder>(*family, options.terms, domain, true, 4);
  }
};

const std::string kPlain = R"("hidden": [8], "latent": 3)";
const std::string kImages = R"("levels": 2, "width": 4, "code": 3)";

void copy_state(model::Network& from, model::Network& to) {
  const torch::NoGradGuard no_grad;
  const auto source = from.state();
  const auto target = to.state();
  ASSERT_EQ(source.size(), target.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    ASSERT_EQ(source[i].first, target[i].first);
    auto tensor = target[i].second;
    tensor.copy_(source[i].second);
  }
}

double largest_difference(model::Network& one, model::Network& other) {
  const auto a = one.state();
  const auto b = other.state();
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].second.sizes(), b[i].second.sizes()) << a[i].first;
    const auto difference = a[i].second.detach().to(torch::kFloat64) - b[i].second.detach().to(torch::kFloat64);
    largest = std::max(largest, difference.abs().max().item<double>());
  }
  return largest;
}

struct Recipe {
  std::string name;
  std::string model = kPlain;
  std::string training = "{}";
  std::string type = "dense";
};
std::ostream& operator<<(std::ostream& out, const Recipe& recipe) { return out << recipe.name; }

class EveryRecipe : public testing::TestWithParam<Recipe> {};

TEST_P(EveryRecipe, TrainsEachMemberAsIfItWereAlone) {
  recipe::TrainingOptions options;
  config::read_text(options, GetParam().training, "test", ".");
  const auto training = samples_for(GetParam().type, 60, 1), held_out = samples_for(GetParam().type, 20, 2);
  Pair together(GetParam().model, kMembers, GetParam().type);
  std::vector<std::unique_ptr<Pair>> alone;
  for (std::int64_t m = 0; m < kMembers; ++m) {
    alone.push_back(std::make_unique<Pair>(GetParam().model, 1, GetParam().type));
    copy_state(together.autoencoder->member(m).network(), alone.back()->autoencoder->network());
  }
  const auto steps = [&](loss::Autoencoder& autoencoder) {
    train::ReconstructionObjective objective(autoencoder, *training, *held_out, options);
    std::vector<double> losses(2, 0.0);
    for (std::uint64_t step = 0; step < 40; ++step) {
      std::vector<std::int64_t> rows;
      for (std::uint64_t i = 0; i < 16; ++i) rows.push_back(static_cast<std::int64_t>((step * 7 + i * i) % 60));
      losses[0] = objective.step(rows, {step, static_cast<double>(step), 0.01}).front();
    }
    losses[1] = objective.validate().front();
    return losses;
  };
  const auto losses = steps(*together.autoencoder);
  std::vector<double> means(2, 0.0);
  for (std::int64_t m = 0; m < kMembers; ++m) {
    auto& single = *alone[static_cast<std::size_t>(m)]->autoencoder;
    const auto own = steps(single);
    for (std::size_t i = 0; i < means.size(); ++i) means[i] += own[i] / kMembers;
    EXPECT_LT(largest_difference(together.autoencoder->member(m).network(), single.network()), 1e-5) << "member " << m;
  }
  EXPECT_NEAR(losses[0], means[0], 1e-5);
  EXPECT_NEAR(losses[1], means[1], 1e-5);
}

INSTANTIATE_TEST_SUITE_P(
    All, EveryRecipe,
    testing::Values(Recipe{"plain"}, Recipe{"tied", R"("hidden": [8, 6], "latent": 2, "tied": true)"},
                    Recipe{"no_hidden", R"("hidden": [], "latent": 2)"},
                    // Biases before a batch normalisation have no gradient but rounding, which Adam would blow up.
                    Recipe{"batch_norm", R"("hidden": [8], "latent": 3, "norm": "batch")",
                           R"({"optimizer": {"type": "sgd"}})"},
                    Recipe{"layer_norm", R"("hidden": [8], "latent": 3, "norm": "layer", "activation": "gelu")"},
                    Recipe{"embedding", R"("hidden": [8], "latent": 3, "embedding": 5)"},
                    // So short that each member's gradient is cut in every step, each by its own length.
                    Recipe{"clipped", kPlain, R"({"clip_gradient": 0.05, "optimizer": {"type": "sgd"}})"},
                    Recipe{"adamw", kPlain, R"({"optimizer": {"type": "adamw", "weight_decay": 0.1}})"},
                    Recipe{"images", kImages, "{}", "conv"},
                    Recipe{"images_clipped", kImages + R"(, "norm": "group")",
                           R"({"clip_gradient": 0.05, "optimizer": {"type": "sgd"}})", "conv"},
                    Recipe{"images_batch_norm", kImages + R"(, "norm": "batch", "upsample": "transposed")",
                           R"({"optimizer": {"type": "sgd"}})", "conv"},
                    Recipe{"images_restored", kImages, "{}", "unet"}),
    [](const auto& info) { return info.param.name; });

TEST(Ensemble, BeginsWithTheNetworksThatFewerMembersBeginWith) {
  for (const auto* type : {"dense", "variational", "factors", "conv", "conv_variational"}) {
    const std::string settings = type[0] == 'c' ? kImages : kPlain;
    const Pair one(settings, 1, type), two(settings, 2, type), four(settings, 4, type);
    EXPECT_EQ(largest_difference(four.autoencoder->member(0).network(), one.autoencoder->network()), 0);
    for (std::int64_t m = 0; m < 2; ++m) {
      EXPECT_EQ(largest_difference(four.autoencoder->member(m).network(), two.autoencoder->member(m).network()), 0);
    }
    EXPECT_GT(largest_difference(four.autoencoder->member(2).network(), one.autoencoder->network()), 0.01);
    EXPECT_EQ(four.autoencoder->network().parameter_count(), 4 * one.autoencoder->network().parameter_count());
  }
}

// Members with the same weights stay the same unless they draw for themselves.
TEST(Ensemble, DrawsDropoutCodesAndCorruptionForEachMember) {
  struct Draw {
    std::string type, model, training;
    bool apart;
  };
  const Draw draws[] = {{"dense", kPlain, "{}", false},
                        {"dense", kPlain + R"(, "dropout": 0.5)", "{}", true},
                        {"variational", kPlain, "{}", true},
                        {"dense", kPlain, R"({"corruption": [{"type": "gaussian", "sigma": 0.5}]})", true},
                        {"conv", kImages, "{}", false},
                        {"conv_variational", kImages, "{}", true},
                        {"conv", kImages, R"({"corruption": [{"type": "synthetic"}]})", true}};
  for (const auto& draw : draws) {
    const auto training = samples_for(draw.type, 60, 1), held_out = samples_for(draw.type, 20, 2);
    const Pair pair(draw.model, 2, draw.type);
    auto& first = pair.autoencoder->member(0).network();
    auto& second = pair.autoencoder->member(1).network();
    copy_state(first, second);
    recipe::TrainingOptions options;
    config::read_text(options, draw.training, "test", ".");
    train::ReconstructionObjective objective(*pair.autoencoder, *training, *held_out, options);
    objective.step({0, 1, 2, 3, 4, 5, 6, 7}, {1, 0, 0.01});
    if (draw.apart) {
      EXPECT_GT(largest_difference(first, second), 1e-4) << draw.type << draw.model << draw.training;
    } else {
      EXPECT_LT(largest_difference(first, second), 1e-6);
    }
  }
}

// The members as pairs of their own, with copies of their weights.
std::vector<std::unique_ptr<Pair>> singles_of(const Pair& together) {
  std::vector<std::unique_ptr<Pair>> singles;
  for (std::int64_t m = 0; m < together.autoencoder->members(); ++m) {
    singles.push_back(std::make_unique<Pair>(kPlain, 1));
    copy_state(together.autoencoder->member(m).network(), singles.back()->autoencoder->network());
  }
  return singles;
}

class EveryNetworkHead : public testing::TestWithParam<std::pair<std::string, std::string>> {};

TEST_P(EveryNetworkHead, ScoresByTheMeanOfTheMembersScoresOverTheirMedians) {
  const auto& [type, settings] = GetParam();
  const auto head = [&, type = type, settings = settings] {
    config::Variant<score::Head> made(score::heads(), type);
    config::read_text(*made.value(), settings, "test", ".");
    return made;
  };
  const Pair together(kPlain, kMembers);
  const model::TableSamples training(mixed_rows(80, 1)), held_out(mixed_rows(21, 2));
  const auto batch = mixed_rows(30, 3);
  SilentReporter reporter;
  const auto whole = head();
  whole->for_samples()->fit({*together.autoencoder, training, held_out, 7, reporter});
  const auto scored = score::score(*together.autoencoder, *whole->for_samples(), batch);

  std::vector<double> expected(30, 0.0);
  auto shares = torch::zeros({30, 4}, torch::kFloat64);
  auto numbers = torch::zeros({30, 4}, torch::kFloat64);
  std::vector<at::Tensor> codes;
  for (const auto& single : singles_of(together)) {
    const auto part = head();
    part->for_samples()->fit({*single->autoencoder, training, held_out, 7, reporter});
    auto normal = score::scores_of(*single->autoencoder, *part->for_samples(), held_out);
    std::sort(normal.begin(), normal.end());
    const auto own = score::score(*single->autoencoder, *part->for_samples(), batch);
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += own.scores[i] / normal[10] / kMembers;
    shares += own.shares / normal[10] / kMembers;
    numbers += own.expected / kMembers;
    codes.push_back(own.expected.select(1, 2));
  }
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(scored.scores[i], expected[i], 1e-5 * expected[i]);
  EXPECT_TRUE(torch::allclose(scored.shares, shares, 1e-5, 1e-7));
  for (const int e : {0, 1, 3}) {
    EXPECT_TRUE(torch::allclose(scored.expected.select(1, e), numbers.select(1, e), 1e-4, 1e-5)) << e;
  }
  // No other code of the category is expected by more members.
  const auto votes_for = [&](const at::Tensor& code) { return (torch::stack(codes) == code).sum(0); };
  for (int code = 0; code < 5; ++code) {
    const auto others = votes_for(torch::full({30}, code, torch::kFloat64));
    EXPECT_TRUE((votes_for(scored.expected.select(1, 2)) >= others).all().item<bool>()) << code;
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryNetworkHead,
                         testing::Values(std::pair<std::string, std::string>{"loss", "{}"},
                                         std::pair<std::string, std::string>{"normalized", "{}"},
                                         std::pair<std::string, std::string>{"mahalanobis", R"({"latent": true})"},
                                         std::pair<std::string, std::string>{"masked", R"({"repeats": 2})"}));

TEST(Ensemble, ReconstructsNumbersByTheMeanOfItsMembers) {
  const Pair together(kPlain, kMembers);
  const auto batch = mixed_rows(300, 3);
  const auto whole = together.autoencoder->reconstruct(batch);
  EXPECT_EQ(whole.latent.sizes(), (torch::IntArrayRef{300, 3 * kMembers}));
  EXPECT_TRUE(torch::equal(whole.expected, together.autoencoder->expected(batch)));
  auto mean = torch::zeros({300, 4});
  std::vector<torch::Tensor> codes;
  for (const auto& single : singles_of(together)) {
    const auto own = single->autoencoder->reconstruct(batch);
    mean += own.expected / kMembers;
    codes.push_back(own.latent);
  }
  EXPECT_TRUE(torch::allclose(whole.latent, torch::cat(codes, 1), 1e-5, 1e-6));
  for (const std::int64_t e : {0, 1, 3}) {
    EXPECT_TRUE(torch::allclose(whole.expected.select(1, e), mean.select(1, e), 1e-5, 1e-6)) << e;
  }
}

TEST(Ensemble, ReconstructsImagesByTheMeanOfItsMembers) {
  for (const auto* type : {"conv", "unet", "conv_variational"}) {
    const Pair together(kImages, kMembers, type);
    const auto batch = Images(9, 3).range(0, 9);
    const auto whole = together.autoencoder->reconstruct(batch);
    auto mean = torch::zeros_like(batch.values);
    std::vector<torch::Tensor> codes;
    for (std::int64_t m = 0; m < kMembers; ++m) {
      const Pair single(kImages, 1, type);
      copy_state(together.autoencoder->member(m).network(), single.autoencoder->network());
      const auto own = single.autoencoder->reconstruct(batch);
      mean += own.expected / kMembers;
      codes.push_back(own.latent);
    }
    EXPECT_TRUE(torch::allclose(whole.expected, mean, 1e-5, 1e-6)) << type;
    EXPECT_TRUE(torch::allclose(whole.latent, torch::cat(codes, 1), 1e-5, 1e-6)) << type;
    EXPECT_EQ(whole.latent.sizes(), (torch::IntArrayRef{9, 3 * kMembers, 3, 4}));
  }
}

// Members share nothing, so which thread trains them is of no consequence.
TEST(Ensemble, TrainsImagesToTheSameWeightsOnAnyNumberOfThreads) {
  const Images training(24, 1), held_out(8, 2);
  recipe::TrainingOptions options;
  config::read_text(options, R"({"corruption": [{"type": "synthetic"}], "emphasis": 3})", "test", ".");
  const Pair one(kImages, 3, "conv"), two(kImages, 3, "conv");
  for (const auto* pair : {&one, &two}) {
    model::use_threads(pair == &one ? 1 : 2, 0, model::Pool::openmp);
    train::ReconstructionObjective objective(*pair->autoencoder, training, held_out, options);
    for (std::uint64_t step = 0; step < 10; ++step) objective.step({0, 5, 9, 17}, {step, 0, 0.01});
  }
  model::use_threads(1, 0, model::Pool::openmp);
  EXPECT_EQ(largest_difference(one.autoencoder->network(), two.autoencoder->network()), 0);
}

TEST(Ensemble, DistrustsTheRowsWithTheHighestMeanLoss) {
  const Pair together(kPlain, kMembers);
  const model::TableSamples samples(mixed_rows(40, 5));
  auto losses = torch::zeros({40});
  for (const auto& single : singles_of(together)) {
    auto& network = single->autoencoder->network();
    const auto batch = samples.range(0, 40);
    losses += single->autoencoder->loss().evaluate(network.forward(batch), batch).samples.detach();
  }
  const auto worst = std::get<0>(std::get<1>(losses.topk(8)).sort());
  const auto found = train::highest_losses(*together.autoencoder, samples, 0.2);
  ASSERT_EQ(found.size(), 8u);
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(found[i], worst[static_cast<std::int64_t>(i)].item<std::int64_t>());
}

TEST(Ensemble, MembersFollowWhenWeightsAreReplacedOrMadeDouble) {
  const Pair together(kPlain, 2);
  {
    const torch::NoGradGuard no_grad;
    for (const auto& [name, tensor] : together.autoencoder->network().state()) {
      auto target = tensor;
      target.mul_(2).add_(0.1);
    }
  }
  const auto follows = [&] {
    const auto all = together.autoencoder->network().state();
    for (std::int64_t m = 0; m < 2; ++m) {
      const auto own = together.autoencoder->member(m).network().state();
      for (std::size_t i = 0; i < all.size(); ++i) {
        EXPECT_TRUE(torch::equal(all[i].second.select(0, m), own[i].second)) << all[i].first;
      }
    }
  };
  follows();
  together.autoencoder->network().to_double();
  follows();
  EXPECT_EQ(together.autoencoder->member(1).network().state()[0].second.scalar_type(), torch::kFloat64);
}

}  // namespace
}  // namespace ae::ensemble_test
