// Structural similarity of a gray image and its reconstruction, by position: as the map of an image's score computes it
// (OpenCV's separable filter), and as the loss term does (products with bands), without gradients. One thread.
#include <benchmark/benchmark.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "base/reporter.hpp"
#include "config/document.hpp"
#include "loss/autoencoder.hpp"
#include "loss/term.hpp"
#include "model/batch.hpp"
#include "model/threads.hpp"
#include "score/maps.hpp"

namespace {

struct Images {
  explicit Images(std::int64_t side) {
    torch::manual_seed(1);
    image = torch::rand({1, side, side});
    reconstruction = (image + 0.1 * torch::randn({1, side, side})).clamp(0, 1);
  }
  at::Tensor image, reconstruction;
};

// With the smoothing and reduction that every kind of map needs: the difference of the two kinds is what counts.
void map(benchmark::State& state) {
  ae::model::use_threads(1, 1, ae::model::Pool::openmp);
  const Images images(state.range(0));
  ae::config::Variant<ae::model::Family> family{ae::model::families(), "conv"};
  ae::loss::LossOptions loss;
  ae::data::Geometry geometry;
  geometry.height = geometry.width = 32;
  const auto domain = ae::model::image_domain(geometry);
  loss.resolve(domain.elements, false);
  const ae::loss::Autoencoder autoencoder(*family, loss.terms, domain, false, 1);
  ae::score::MapHead head;
  ae::config::read_text(head, state.range(1) == 1 ? R"({"kind": "ssim"})" : R"({"kind": "squared"})", "benchmark", ".");
  ae::SilentReporter silent;
  head.calibrate(ae::score::Reconstructor(autoencoder, geometry), {}, silent);  // takes the kind
  for (auto _ : state) benchmark::DoNotOptimize(head.answer(images.image, images.reconstruction).score);
}

void term(benchmark::State& state) {
  ae::model::use_threads(1, 1, ae::model::Pool::openmp);
  const torch::NoGradGuard no_grad;
  const Images images(state.range(0));
  ae::config::Variant<ae::loss::Term> term{ae::loss::terms(), "ssim"};
  const auto prediction = images.reconstruction.unsqueeze(0).unsqueeze(2), target = images.image.unsqueeze(0);
  const auto observed = torch::ones_like(target);
  for (auto _ : state) benchmark::DoNotOptimize(term->masked_loss(prediction, target, observed));
}

BENCHMARK(map)->ArgsProduct({{256, 1000}, {0, 1}})->ArgNames({"side", "ssim"})->Unit(benchmark::kMillisecond);
BENCHMARK(term)->Arg(256)->Arg(1000)->ArgName("side")->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
