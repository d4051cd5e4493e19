// Error maps, their calibration on held-out good images and the regions of defects.
#include "score/maps.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "apply/regions.hpp"
#include "base/error.hpp"
#include "config/document.hpp"
#include "loss/ssim.hpp"

namespace ae::score::maps_test {
namespace {

// A fully convolutional "autoencoder" without weights: the mean of the 3 x 3 observed surroundings.
class Blur final : public model::Network {
 public:
  model::Code encode(const model::Batch& batch) override {
    const auto sums = [](const at::Tensor& x) { return torch::avg_pool2d(x, {3, 3}, {1, 1}, {1, 1}, false, true, 1); };
    return {sums(batch.values * batch.observed) / sums(batch.observed).clamp_min(1), {}, {}};
  }
  at::Tensor decode(const at::Tensor& latent) override { return latent; }
  model::NamedTensors parameters() const override { return {}; }
  model::NamedTensors buffers() const override { return {}; }
  void set_training(bool) override {}
  void to_double() override {}
  std::int64_t latent_size() const override { return 1; }
};

class BlurFamily final : public model::Family {
 public:
  void fields(config::Fields&) override {}
  std::unique_ptr<model::Network> build(const model::Interface&) const override { return std::make_unique<Blur>(); }
  bool reads_grids() const override { return true; }
  double weights(const model::Interface&) const override { return 0; }
};

loss::Autoencoder blur(std::int64_t channels, std::int64_t height, std::int64_t width) {
  static const BlurFamily family;
  static const loss::TermList terms = [] {
    loss::TermList list{loss::terms()};
    list.append().select("mse");
    return list;
  }();
  std::vector<model::Element> elements;
  for (std::int64_t c = 0; c < channels; ++c) elements.push_back({"c" + std::to_string(c), 0, false, true});
  return {family, terms, {std::move(elements), {height, width}}, false, 0};
}

data::Geometry geometry(std::int64_t height, std::int64_t width, std::int64_t tile = 0, std::int64_t margin = 0) {
  data::Geometry g;
  g.height = height;
  g.width = width;
  g.tile.size = tile;
  g.tile.margin = margin;
  return g;
}

std::unique_ptr<MapHead> head(const std::string& settings) {
  auto made = std::make_unique<MapHead>();
  config::read_text(*made, settings, "test", ".");
  return made;
}

GoodImages good_images(const std::vector<at::Tensor>& images) {
  return {{},
          static_cast<std::int64_t>(images.size()),
          [&images](std::int64_t i) { return images[static_cast<std::size_t>(i)]; },
          [&images](std::int64_t i) {
            const auto& image = images[static_cast<std::size_t>(i)];
            return data::Size{image.size(1), image.size(2)};
          },
          {}};
}

std::vector<at::Tensor> noise_images(std::int64_t count, std::int64_t height, std::int64_t width) {
  std::vector<at::Tensor> images;
  for (std::int64_t i = 0; i < count; ++i) images.push_back(torch::rand({1, height, width}));
  return images;
}

// Calibrates without any image.
void know_nothing(MapHead& head, std::int64_t channels, std::int64_t height, std::int64_t width) {
  const auto pair = blur(channels, height, width);
  const auto g = geometry(height, width);
  SilentReporter silent;
  head.calibrate(Reconstructor(pair, g), GoodImages{}, silent);
}

TEST(Reconstructor, TilesGiveWhatTheWholeImageGives) {
  torch::manual_seed(1);
  const auto pair = blur(1, 16, 16);
  std::vector<at::Tensor> images;
  for (const auto& [height, width] : {std::pair{16, 16}, {16, 40}, {53, 31}, {64, 64}}) {
    images.push_back(torch::rand({1, height, width}));
  }
  const auto tiled_geometry = geometry(16, 16, 16, 2);
  const auto tiled = Reconstructor(pair, tiled_geometry)(images);
  for (std::size_t i = 0; i < images.size(); ++i) {
    const auto whole_geometry = geometry(images[i].size(1), images[i].size(2));
    const auto whole = Reconstructor(pair, whole_geometry)(std::span(&images[i], 1));
    EXPECT_LT((tiled[i] - whole[0]).abs().max().item<float>(), 1e-6) << images[i].sizes();
  }
}

TEST(Reconstructor, AnImageSmallerThanATileIsNotDisturbedByWhatIsBesideIt) {
  torch::manual_seed(2);
  const auto pair = blur(1, 16, 16);
  const std::vector<at::Tensor> images{torch::rand({1, 9, 12})};
  const auto tiled_geometry = geometry(16, 16, 16, 2), whole_geometry = geometry(9, 12);
  const auto tiled = Reconstructor(pair, tiled_geometry)(images);
  const auto whole = Reconstructor(pair, whole_geometry)(images);
  EXPECT_LT((tiled[0] - whole[0]).abs().max().item<float>(), 1e-6);
}

TEST(Reconstructor, AnswerOfAnImageDoesNotDependOnTheOthers) {
  torch::manual_seed(3);
  const auto pair = blur(1, 16, 16);
  const auto g = geometry(16, 16, 16, 3);
  const Reconstructor reconstruct(pair, g);
  std::vector<at::Tensor> images = noise_images(5, 30, 20);
  images.push_back(torch::rand({1, 80, 17}));
  const auto together = reconstruct(images);
  for (std::size_t i = 0; i < images.size(); ++i) {
    EXPECT_TRUE(torch::equal(reconstruct(std::span(&images[i], 1))[0], together[i])) << i;
  }
}

TEST(Maps, OfEachKindAreWhatTheirNamesSay) {
  torch::manual_seed(4);
  const auto x = torch::rand({3, 12, 15}), y = torch::rand({3, 12, 15});
  const std::string plain = R"("sigma": 0, "image_sigma": 0, "border": 0, "normalize": "none"})";
  const auto map = [&](const std::string& kind) {
    auto made = head("{\"kind\": \"" + kind + "\", " + plain);
    know_nothing(*made, 3, 12, 15);
    return made->answer(x, y).map;
  };
  EXPECT_TRUE(torch::allclose(map("abs"), (x - y).abs().mean(0), 1e-5, 1e-6));
  EXPECT_TRUE(torch::allclose(map("squared"), (x - y).square().mean(0), 1e-5, 1e-6));
  // An implementation of its own: products with band matrices.
  const auto wide = [](const at::Tensor& image) { return image.unsqueeze(0).to(torch::kFloat64); };
  const auto factors = loss::ssim_factors(wide(x), wide(y), torch::ones_like(wide(x)), {11, 1.5}, {1e-4, 9e-3});
  const auto ssim = (1 - factors.luminance * factors.structure).squeeze(0).mean(0).to(torch::kFloat32);
  EXPECT_TRUE(torch::allclose(map("ssim"), ssim, 1e-4, 1e-5));
}

// The loss term and the error map have an implementation each.
TEST(Maps, StructuralSimilarityIsThatOfTheLossTerm) {
  torch::manual_seed(14);
  const auto x = torch::rand({2, 40, 33}), y = 0.6 * x + 0.4 * torch::rand_like(x);
  struct Settings {
    std::int64_t side;
    std::string sigma, c1, c2;
  };
  for (const auto& [side, sigma, c1, c2] :
       {Settings{11, "1.5", "1e-4", "9e-3"}, {11, "1.5", "1e-4", "9e-4"}, {7, "3", "0.01", "0.1"}}) {
    const std::string constants = R"(, "c1": )" + c1 + R"(, "c2": )" + c2;
    auto made = head(R"({"kind": "ssim", "sigma": 0, "image_sigma": 0, "border": 0, "normalize": "none",
                         "ssim_window": )" +
                     std::to_string(side) + R"(, "ssim_sigma": )" + sigma + constants + "}");
    know_nothing(*made, 2, 40, 33);
    config::Variant<loss::Term> term(loss::terms(), "ssim");
    config::read_text(*term, R"({"window": )" + std::to_string(side) + R"(, "sigma": )" + sigma + constants + "}",
                      "test", ".");
    const auto exact = [](const at::Tensor& image) { return image.unsqueeze(0).to(torch::kFloat64); };
    const auto loss = term->masked_loss(exact(y).unsqueeze(2), exact(x), torch::ones_like(exact(x))).mean(1).squeeze(0);
    const auto inside = [side = side](const at::Tensor& map) {
      return map.narrow(0, side / 2, 40 - side + 1).narrow(1, side / 2, 33 - side + 1);
    };
    const auto difference = (inside(made->answer(x, y).map) - inside(loss)).abs().max().item<double>();
    EXPECT_LT(difference, 1e-5) << side << ' ' << c2;
    EXPECT_GT(inside(loss).mean().item<double>(), 0.02) << "too much alike to tell anything";
  }
}

// Why the map's c2 is larger than the loss's: noise in x that y lacks counts v / (v + c2), v its variance.
TEST(Maps, StructuralSimilarityIsCalmAboutNoise) {
  torch::manual_seed(15);
  constexpr double kNoise = 0.02;
  const auto y = torch::full({1, 200, 200}, 0.5), x = y + kNoise * torch::randn_like(y);
  const auto mean = [&](const std::string& c2) {
    auto made = head(R"({"kind": "ssim", "sigma": 0, "image_sigma": 0, "border": 0, "normalize": "none")" + c2 + "}");
    know_nothing(*made, 1, 200, 200);
    return made->answer(x, y).map.mean().item<double>();
  };
  const auto expected = [](double c2) { return kNoise * kNoise / (kNoise * kNoise + c2); };
  EXPECT_NEAR(mean(""), expected(9e-3), 0.1 * expected(9e-3));
  EXPECT_NEAR(mean(R"(, "c2": 9e-4)"), expected(9e-4), 0.1 * expected(9e-4));
}

TEST(Maps, ScoreIsTheMeanOfTheLargestPixelsAwayFromTheBorder) {
  auto image = torch::zeros({1, 20, 20});
  image[0][0][5] = 1.0;    // in the border
  image[0][10][10] = 0.9;  // the two largest of the 16 x 16 pixels inside
  image[0][3][3] = 0.5;
  image[0][15][4] = 0.2;
  const auto score = [&](const std::string& reduction, double fraction) {
    auto made = head(
        "{\"kind\": \"abs\", \"sigma\": 0, \"image_sigma\": 0, \"border\": 2, \"normalize\": \"none\", "
        "\"reduction\": \"" +
        reduction + "\", \"fraction\": " + std::to_string(fraction) + "}");
    know_nothing(*made, 1, 20, 20);
    const auto answer = made->answer(image, torch::zeros_like(image));
    EXPECT_EQ(answer.map[0][5].item<float>(), 0);
    return answer.score;
  };
  EXPECT_NEAR(score("max", 0.5), 0.9, 1e-6);
  EXPECT_NEAR(score("mean", 0.5), 1.6 / 256, 1e-6);
  EXPECT_NEAR(score("top", 2.0 / 256), 0.7, 1e-6);
  EXPECT_NEAR(score("top", 1e-4), 0.9, 1e-6);
}

// A single differing pixel shows the filter itself: the sum of two Gaussians.
TEST(Maps, MayAddAWiderSmoothing) {
  constexpr int kSide = 61, kMiddle = 30;
  auto image = torch::zeros({1, kSide, kSide});
  image[0][kMiddle][kMiddle] = 1;
  auto made = head(R"({"kind": "abs", "sigma": 1.5, "wide_sigma": 4, "border": 0, "normalize": "none"})");
  know_nothing(*made, 1, kSide, kSide);
  const auto map = made->answer(image, torch::zeros_like(image)).map;
  const auto gaussian = [](double distance, double sigma) {
    double sum = 0;
    for (int i = -kMiddle; i <= kMiddle; ++i) sum += std::exp(-i * i / (2 * sigma * sigma));
    return std::exp(-distance * distance / (2 * sigma * sigma)) / (sum * sum);
  };
  for (const auto& [y, x] : {std::pair{0, 0}, {1, 0}, {2, 3}, {0, 6}, {5, 5}}) {
    const double distance = std::hypot(y, x);
    const double expected = gaussian(distance, 1.5) + gaussian(distance, 4);
    EXPECT_NEAR(map[kMiddle + y][kMiddle - x].item<float>(), expected, 0.01 * expected) << y << ", " << x;
  }
}

TEST(Maps, MayBeRelativeToTheImagesOwnMeanError) {
  torch::manual_seed(6);
  const auto pair = blur(1, 16, 16);
  const auto g = geometry(16, 16);
  const Reconstructor reconstruct(pair, g);
  const auto images = noise_images(5, 16, 16);
  const auto inside = [](const at::Tensor& map) { return map.narrow(0, 2, 12).narrow(1, 2, 12); };
  SilentReporter silent;
  for (const std::string kind : {"abs", "squared", "ssim", "fused"}) {
    const auto bare = [&](double relative) {
      return head("{\"kind\": \"" + kind +
                  "\", \"sigma\": 0, \"image_sigma\": 0, \"border\": 2, \"normalize\": \"none\", "
                  "\"reduction\": \"mean\", \"relative\": " +
                  std::to_string(relative) + "}");
    };
    const auto made = [&](double relative) {
      auto map_head = bare(relative);
      map_head->calibrate(reconstruct, good_images(images), silent);
      return map_head;
    };
    const auto absolute = made(0), relative = made(0.5);
    const auto answers = reconstruct(images);
    double level = 0;
    for (std::size_t i = 0; i < images.size(); ++i) {
      level += inside(absolute->answer(images[i], answers[i]).map).mean().item<double>() / 5;
    }
    const auto odd = torch::rand({1, 16, 16}).square(), shown = reconstruct(std::span(&odd, 1))[0];
    const auto map = absolute->answer(odd, shown).map;
    const double divisor = 1 + 0.5 * inside(map).mean().item<double>() / level;
    const auto answer = relative->answer(odd, shown);
    EXPECT_TRUE(torch::allclose(answer.map, map / divisor, 1e-4, 1e-7)) << kind;
    EXPECT_NEAR(answer.score, absolute->answer(odd, shown).score, 1e-6) << kind;
    // Restored, it answers the same.
    auto restored = bare(0.5);
    restored->restore(relative->state(), pair);
    EXPECT_TRUE(torch::equal(restored->answer(odd, shown).map, answer.map)) << kind;
  }
}

TEST(Maps, AreStandardisedByTheOtherImagesAtTheSamePosition) {
  torch::manual_seed(5);
  const auto pair = blur(1, 8, 8);
  const auto g = geometry(8, 8);
  const Reconstructor reconstruct(pair, g);
  const auto images = noise_images(7, 8, 8);
  auto made = head(R"({"kind": "squared", "sigma": 0, "image_sigma": 0, "border": 0, "normalize": "position",
                       "reduction": "max"})");
  SilentReporter silent;
  const auto scores = made->calibrate(reconstruct, good_images(images), silent);
  std::vector<at::Tensor> errors;
  for (const auto& image : images) {
    errors.push_back((image - reconstruct(std::span(&image, 1))[0]).square()[0].to(torch::kFloat64));
  }
  const auto standardised = [&](const at::Tensor& error, const std::vector<at::Tensor>& others) {
    const auto all = torch::stack(others);
    const double n = static_cast<double>(others.size()), weight = n / (n + 10);
    const auto mean = weight * all.mean(0) + (1 - weight) * all.mean();
    const auto variance = weight * all.var(0, false) + (1 - weight) * all.var(false);
    return (error - mean) / variance.sqrt();
  };
  for (std::size_t i = 0; i < images.size(); ++i) {
    auto others = errors;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_NEAR(scores[i], standardised(errors[i], others).max().item<double>(), 1e-4);
  }
  const auto fresh = torch::rand({1, 8, 8});
  const auto reconstruction = reconstruct(std::span(&fresh, 1))[0];
  const auto expected = standardised((fresh - reconstruction).square()[0].to(torch::kFloat64), errors);
  EXPECT_TRUE(torch::allclose(made->answer(fresh, reconstruction).map, expected.to(torch::kFloat32), 1e-4, 1e-4));
}

// Held-out images set the thresholds; new good images then pass as often as was asked.
TEST(Maps, ThresholdsHoldOnNewGoodImages) {
  torch::manual_seed(6);
  const auto pair = blur(1, 16, 16);
  const auto g = geometry(16, 16);
  const Reconstructor reconstruct(pair, g);
  const auto draw = [](std::int64_t count) {  // images of different contrast
    auto images = noise_images(count, 16, 16);
    for (auto& image : images) image *= 0.5 + 0.5 * torch::rand({1}).item<float>();
    return images;
  };
  for (const std::string normalize : {"position", "global", "none"}) {
    auto made = head("{\"kind\": \"squared\", \"border\": 1, \"normalize\": \"" + normalize + "\"}");
    const auto held_out = draw(300);
    SilentReporter silent;
    auto scores = made->calibrate(reconstruct, good_images(held_out), silent);
    std::sort(scores.begin(), scores.end());
    double flagged = 0, pixels = 0, peaks = 0;
    constexpr std::int64_t kFresh = 1000;
    const auto fresh = draw(kFresh);
    const auto reconstructions = reconstruct(fresh);
    for (std::size_t i = 0; i < fresh.size(); ++i) {
      const auto answer = made->answer(fresh[i], reconstructions[i]);
      flagged += answer.score > scores[static_cast<std::size_t>(0.9 * 300)] ? 1 : 0;
      pixels += (answer.map > made->pixel_threshold(0.05)).sum().item<double>();
      peaks += answer.map.max().item<double>() > made->peak_threshold(0.2) ? 1 : 0;
    }
    EXPECT_NEAR(flagged / kFresh, 0.10, 0.05) << normalize;
    EXPECT_NEAR(pixels / (kFresh * 256.0), 0.05, 0.01) << normalize;
    EXPECT_NEAR(peaks / kFresh, 0.20, 0.07) << normalize;
  }
}

TEST(Maps, PeakThresholdIsExceededByTheAllowedShareOfHeldOutImages) {
  torch::manual_seed(7);
  const auto pair = blur(1, 16, 16);
  const auto g = geometry(16, 16);
  const Reconstructor reconstruct(pair, g);
  const auto images = noise_images(99, 16, 16);
  auto made = head(R"({"kind": "abs", "normalize": "none"})");
  SilentReporter silent;
  made->calibrate(reconstruct, good_images(images), silent);
  const auto reconstructions = reconstruct(images);
  for (const double alpha : {0.0, 0.005, 0.01, 0.3, 0.999, 1.0}) {
    std::int64_t above = 0;
    for (std::size_t i = 0; i < images.size(); ++i) {
      const auto answer = made->answer(images[i], reconstructions[i]);
      above += answer.map.max().item<double>() > made->peak_threshold(alpha) ? 1 : 0;
    }
    EXPECT_EQ(above, std::max<std::int64_t>(0, static_cast<std::int64_t>(std::floor(alpha * 100 + 1e-9)) - 1)) << alpha;
  }
}

// Reconstructions are always the same stripes: the brightness of the image then fills the squared error, the structure
// does not care.
class StripesNetwork final : public model::Network {
 public:
  static at::Tensor stripes() { return (torch::arange(32) % 4 < 2).to(torch::kFloat32).expand({1, 32, 32}) * 0.3; }
  model::Code encode(const model::Batch& batch) override { return {stripes().expand_as(batch.values) + 0.3, {}, {}}; }
  at::Tensor decode(const at::Tensor& latent) override { return latent; }
  model::NamedTensors parameters() const override { return {}; }
  model::NamedTensors buffers() const override { return {}; }
  void set_training(bool) override {}
  void to_double() override {}
  std::int64_t latent_size() const override { return 1; }
};
class StripesFamily final : public model::Family {
 public:
  void fields(config::Fields&) override {}
  std::unique_ptr<model::Network> build(const model::Interface&) const override {
    return std::make_unique<StripesNetwork>();
  }
  bool reads_grids() const override { return true; }
  double weights(const model::Interface&) const override { return 0; }
};

TEST(Maps, AutoTakesTheKindThatFindsSyntheticDefects) {
  torch::manual_seed(8);
  const StripesFamily family;
  loss::TermList terms{loss::terms()};
  terms.append().select("mse");
  const loss::Autoencoder pair(family, terms, {{{"gray", 0, false, true}}, {32, 32}}, false, 0);
  const auto g = geometry(32, 32);
  std::vector<at::Tensor> images;
  for (int i = 0; i < 40; ++i) {  // stripes under changing light, with a little noise
    images.push_back(StripesNetwork::stripes() + 0.3 + 0.3 * torch::rand({1}) + 0.01 * torch::randn({1, 32, 32}));
  }
  auto good = good_images(images);
  good.damaged = [](const at::Tensor& image, std::int64_t i) {  // stripes missing
    SyntheticImage damaged{image.clone(), torch::zeros({32, 32})};
    const auto at = 6 + i % 12;
    auto patch = damaged.image.narrow(1, at, 6).narrow(2, at, 6);
    patch.fill_(patch.mean().item<float>());
    damaged.mask.narrow(0, at, 6).narrow(1, at, 6).fill_(1);
    return damaged;
  };
  auto made = head(R"({"kind": "auto"})");
  SilentReporter silent;
  made->calibrate(Reconstructor(pair, g), good, silent);
  EXPECT_EQ(made->kind_name(), "ssim");
  // Steady light, but structure that the network does not know: now the size of the error tells more.
  images.clear();
  for (int i = 0; i < 40; ++i) images.push_back(StripesNetwork::stripes() + 0.3 + 0.1 * torch::randn({1, 32, 32}));
  good.damaged = [](const at::Tensor& image, std::int64_t i) {  // a bright patch
    SyntheticImage damaged{image.clone(), torch::zeros({32, 32})};
    const auto at = 6 + i % 12;
    damaged.image.narrow(1, at, 6).narrow(2, at, 6) += 0.25;
    damaged.mask.narrow(0, at, 6).narrow(1, at, 6).fill_(1);
    return damaged;
  };
  made->calibrate(Reconstructor(pair, g), good, silent);
  EXPECT_NE(made->kind_name(), "ssim");
}

TEST(Maps, AnswerTheSameAfterBeingStored) {
  torch::manual_seed(9);
  const auto pair = blur(1, 16, 16);
  const auto g = geometry(16, 16);
  const Reconstructor reconstruct(pair, g);
  const auto images = noise_images(12, 16, 16);
  for (const std::string normalize : {"position", "global", "none"}) {
    auto made = head("{\"kind\": \"ssim\", \"normalize\": \"" + normalize + "\"}");
    SilentReporter silent;
    made->calibrate(reconstruct, good_images(images), silent);
    auto restored = head("{\"kind\": \"ssim\", \"normalize\": \"" + normalize + "\"}");
    restored->restore(made->state(), pair);
    const auto reconstruction = reconstruct(std::span(&images[0], 1))[0];
    EXPECT_TRUE(
        torch::equal(restored->answer(images[0], reconstruction).map, made->answer(images[0], reconstruction).map));
    EXPECT_EQ(restored->answer(images[0], reconstruction).score, made->answer(images[0], reconstruction).score);
    EXPECT_EQ(restored->pixel_threshold(0.01), made->pixel_threshold(0.01));
    EXPECT_EQ(restored->peak_threshold(0.2), made->peak_threshold(0.2));
    for (const auto& [name, array] : made->state()) {
      auto damaged = made->state();
      damaged[name].dtype = data::Dtype::u8;
      EXPECT_THROW(restored->restore(damaged, pair), InputError) << name;
    }
  }
}

TEST(Maps, StandardiseImagesOfAnotherSizeByAllPixels) {
  torch::manual_seed(10);
  const auto pair = blur(1, 16, 16);
  const auto g = geometry(16, 16, 16, 2);
  const Reconstructor reconstruct(pair, g);
  const auto images = noise_images(30, 16, 16);
  auto made = head(R"({"kind": "abs", "border": 0})");
  SilentReporter silent;
  made->calibrate(reconstruct, good_images(images), silent);
  EXPECT_TRUE(made->knows_positions_of({16, 16}));
  EXPECT_FALSE(made->knows_positions_of({64, 80}));
  const auto other = torch::rand({1, 64, 80});
  const auto map = made->answer(other, reconstruct(std::span(&other, 1))[0]).map;
  EXPECT_NEAR(map.mean().item<double>(), 0, 0.2);
  EXPECT_NEAR(map.std().item<double>(), 1, 0.2);
  // Different sizes in the held-out set leave no positions at all.
  auto mixed = images;
  mixed.push_back(other);
  made->calibrate(reconstruct, good_images(mixed), silent);
  EXPECT_FALSE(made->by_position());
  auto by_position = head(R"({"kind": "abs", "normalize": "position"})");
  EXPECT_THROW(by_position->calibrate(reconstruct, good_images(mixed), silent), UsageError);
}

// --- regions ---------------------------------------------------------------------------------------------------------

// Flood fill from every pixel.
std::vector<std::vector<std::pair<int, int>>> slow_components(const at::Tensor& above) {
  const int height = static_cast<int>(above.size(0)), width = static_cast<int>(above.size(1));
  std::vector<std::vector<int>> seen(static_cast<std::size_t>(height),
                                     std::vector<int>(static_cast<std::size_t>(width)));
  std::vector<std::vector<std::pair<int, int>>> components;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      std::vector<std::pair<int, int>> stack{{y, x}}, component;
      while (!stack.empty()) {
        const auto [i, j] = stack.back();
        stack.pop_back();
        if (i < 0 || j < 0 || i >= height || j >= width || seen[i][j] != 0 || !above[i][j].item<bool>()) continue;
        seen[i][j] = 1;
        component.emplace_back(i, j);
        for (int di = -1; di <= 1; ++di) {
          for (int dj = -1; dj <= 1; ++dj) stack.emplace_back(i + di, j + dj);
        }
      }
      if (!component.empty()) components.push_back(component);
    }
  }
  return components;
}

TEST(Regions, AreTheConnectedComponentsThatCount) {
  torch::manual_seed(11);
  const auto map = torch::rand({23, 31});
  const apply::RegionRule rule{0.7, 0.95, 3, 1};
  const auto found = apply::find_regions(map, rule);
  auto expected_mask = torch::zeros({23, 31}, torch::kUInt8);
  std::size_t expected = 0;
  for (const auto& component : slow_components(map > 0.7)) {
    double peak = 0, sum = 0, x = 0, y = 0;
    int left = 1000, top = 1000, right = -1, bottom = -1;
    for (const auto& [i, j] : component) {
      const double value = map[i][j].item<double>();
      peak = std::max(peak, value);
      sum += value;
      x += j;
      y += i;
      left = std::min(left, j), right = std::max(right, j), top = std::min(top, i), bottom = std::max(bottom, i);
    }
    if (component.size() < 3 || peak <= 0.95) continue;
    ++expected;
    for (const auto& [i, j] : component) expected_mask[i][j] = 255;
    const auto n = static_cast<double>(component.size());
    const auto same = std::find_if(found.regions.begin(), found.regions.end(),
                                   [&](const auto& region) { return region.peak == peak; });
    ASSERT_NE(same, found.regions.end());
    EXPECT_EQ(same->area, static_cast<std::int64_t>(component.size()));
    EXPECT_EQ(same->x, left);
    EXPECT_EQ(same->y, top);
    EXPECT_EQ(same->width, right - left + 1);
    EXPECT_EQ(same->height, bottom - top + 1);
    EXPECT_NEAR(same->mean, sum / n, 1e-6);
    EXPECT_NEAR(same->centroid_x, x / n, 1e-9);
    EXPECT_NEAR(same->centroid_y, y / n, 1e-9);
  }
  EXPECT_GT(expected, 3u);
  EXPECT_EQ(found.regions.size(), expected);
  EXPECT_TRUE(torch::equal(found.mask, expected_mask));
  for (std::size_t r = 1; r < found.regions.size(); ++r) {
    EXPECT_GE(found.regions[r - 1].peak, found.regions[r].peak);
  }
}

TEST(Regions, OpeningRemovesWhatIsNarrow) {
  auto map = torch::zeros({20, 20});
  map.narrow(0, 10, 1).fill_(2);                  // a line through
  map.narrow(0, 4, 4).narrow(1, 4, 4).fill_(1);   // a block
  map.narrow(0, 9, 3).narrow(1, 12, 3).fill_(3);  // a block on the line
  const auto found = apply::find_regions(map, {0.5, 0.5, 1, 3});
  ASSERT_EQ(found.regions.size(), 2u);
  EXPECT_EQ(found.regions[0].area, 9);
  EXPECT_EQ(found.regions[1].area, 16);
}

TEST(Regions, TheStrongestOneHoldsTheLargestValue) {
  torch::manual_seed(12);
  const auto map = torch::rand({17, 29});
  const auto largest = map.argmax().item<std::int64_t>();
  for (const double threshold : {-1.0, 0.3, 0.6, 0.8, 2.0}) {
    const auto found = apply::strongest_region(map, threshold);
    ASSERT_EQ(found.regions.size(), 1u) << threshold;
    auto expected = torch::zeros({17, 29}, torch::kUInt8);
    const double reached = std::min(threshold, map.max().item<double>());
    for (const auto& component : slow_components(map >= reached)) {
      bool holds = false;
      for (const auto& [i, j] : component) holds = holds || i * 29 + j == largest;
      if (!holds) continue;
      for (const auto& [i, j] : component) expected[i][j] = 255;
    }
    EXPECT_TRUE(torch::equal(found.mask, expected)) << threshold;
    EXPECT_EQ(found.regions.front().area * 255, expected.sum().item<std::int64_t>());
    EXPECT_EQ(found.regions.front().peak, map.max().item<double>());
  }
  EXPECT_EQ(apply::strongest_region(torch::zeros({3, 4}), 1).regions.front().area, 12);
}

}  // namespace
}  // namespace ae::score::maps_test
