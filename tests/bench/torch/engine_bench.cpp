// Training engines side by side: steps of one network, whole trainings, and matrix products of this machine's BLAS. One
// thread unless the name says otherwise. scripts/bench.sh prints the ratios.
#include <benchmark/benchmark.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "config/document.hpp"
#include "loss/autoencoder.hpp"
#include "model/kernels.hpp"
#include "model/threads.hpp"
#include "train/loop.hpp"
#include "train/reconstruction.hpp"

namespace {

using ae::model::Batch;

struct Setting {
  std::int64_t columns, rows, batch;
  std::string model;
  std::string training;
};
const Setting kSmall{16, 4096, 32, R"({"hidden": [64], "latent": 4})", "{}"};
const Setting kSmallWide{16, 4096, 256, R"({"hidden": [64], "latent": 4})", "{}"};
const Setting kLarge{784, 4096, 256, R"({"hidden": [256], "latent": 64})", "{}"};
const Setting kMembers{20, 4096, 32, R"({"hidden": [64, 32], "latent": 8, "members": 8})", "{}"};

class Training {
 public:
  Training(const Setting& setting, const std::string& engine)
      : samples_(table(setting.rows, setting.columns)), held_out_(table(setting.rows / 4, setting.columns)) {
    ae::config::read_text(options_, setting.training, "benchmark", ".");
    options_.engine = engine;
    options_.batch_size = setting.batch;
    ae::config::read_text(*family_.value(), setting.model, "benchmark", ".");
    std::vector<ae::model::Element> elements;
    for (std::int64_t i = 0; i < setting.columns; ++i) elements.push_back({"x" + std::to_string(i), 0, false});
    loss_.resolve(elements, false);
    autoencoder_ = std::make_unique<ae::loss::Autoencoder>(*family_, loss_.terms, elements, false, 1);
    objective_ = std::make_unique<ae::train::ReconstructionObjective>(*autoencoder_, samples_, held_out_, options_);
  }
  void step() {
    rows_.resize(static_cast<std::size_t>(options_.batch_size));
    std::iota(rows_.begin(), rows_.end(), options_.batch_size * step_ % samples_.size());
    objective_->step(rows_, {static_cast<std::uint64_t>(step_++), 0, 1e-3});
  }
  void fit(std::int64_t epochs) {
    options_.epochs = epochs;
    options_.checkpoint.seconds = 1e9;
    ae::SilentReporter silent;
    ae::train::Loop loop(
        *objective_, options_, "", "", [](const auto&, const auto&, bool) {}, silent);
    loop.run();
  }
  // Of the matrix products of a step: one forward, two backward, but no gradient of the input.
  double operations() const {
    double weights = 0, first = 0;
    for (const auto& [name, tensor] : autoencoder_->network().parameters()) {
      if (tensor.dim() >= 2) weights += static_cast<double>(tensor.numel());
      if (name == "encoder_0.affine.weight") first = static_cast<double>(tensor.numel());
    }
    return 2 * static_cast<double>(options_.batch_size) * (3 * weights - first);
  }

 private:
  static Batch table(std::int64_t rows, std::int64_t columns) {
    torch::manual_seed(1);
    auto values = torch::randn({rows, columns});
    return {values, torch::ones_like(values)};
  }
  ae::config::Variant<ae::model::Family> family_{ae::model::families(), "dense"};
  ae::loss::LossOptions loss_;
  ae::recipe::TrainingOptions options_;
  ae::model::TableSamples samples_, held_out_;
  std::unique_ptr<ae::loss::Autoencoder> autoencoder_;
  std::unique_ptr<ae::train::ReconstructionObjective> objective_;
  std::vector<std::int64_t> rows_;
  std::int64_t step_ = 0;
};

void step(benchmark::State& state, const Setting& setting, const std::string& engine, int threads) {
  ae::model::use_threads(threads, 0, ae::model::Pool::blas);
  Training training(setting, engine);
  for (int i = 0; i < 20; ++i) training.step();
  for (auto _ : state) training.step();
  state.counters["flops"] = benchmark::Counter(training.operations(), benchmark::Counter::kIsIterationInvariantRate);
}

void fit(benchmark::State& state, const Setting& setting, const std::string& engine) {
  ae::model::use_threads(1, 0, ae::model::Pool::blas);
  constexpr std::int64_t kEpochs = 3;
  for (auto _ : state) {
    state.PauseTiming();
    auto training = std::make_unique<Training>(setting, engine);
    state.ResumeTiming();
    training->fit(kEpochs);
    state.PauseTiming();
    training.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * kEpochs);  // epochs
}

void sgemm(benchmark::State& state, int threads) {
  ae::model::use_threads(threads, 0, ae::model::Pool::blas);
  constexpr std::int64_t kSide = 2048;
  const auto a = torch::randn({kSide, kSide}), b = torch::randn({kSide, kSide});
  auto c = torch::zeros({kSide, kSide});
  for (auto _ : state) {
    ae::model::multiply_matrices(false, false, kSide, kSide, kSide, a.data_ptr<float>(), b.data_ptr<float>(), 0,
                                 c.data_ptr<float>());
  }
  state.counters["flops"] =
      benchmark::Counter(2.0 * kSide * kSide * kSide, benchmark::Counter::kIsIterationInvariantRate);
}

const std::string kPlainNetwork = R"({"hidden": [64], "latent": 4})";
const std::string kNormedNetwork = R"({"hidden": [64, 32], "latent": 4, "norm": "batch", "dropout": 0.1})";

const bool registered = [] {
  const auto unit = [](auto* benchmark) { benchmark->Unit(benchmark::kMicrosecond)->UseRealTime(); };
  for (const std::string engine : {"autograd", "dense"}) {
    const auto steps = [&](const std::string& name, const Setting& setting, int threads) {
      unit(benchmark::RegisterBenchmark(("step/" + name + "/" + engine).c_str(),
                                        [=](benchmark::State& state) { step(state, setting, engine, threads); }));
    };
    steps("16-64-4-64-16 batch 32", kSmall, 1);
    steps("16-64-4-64-16 batch 256", kSmallWide, 1);
    steps("784-256-64-256-784 batch 256", kLarge, 1);
    steps("784-256-64-256-784 batch 256 on 2 threads", kLarge, 2);
    steps("8 members 20-64-32-8-32-64-20 batch 32", kMembers, 1);
    steps("8 members 20-64-32-8-32-64-20 batch 32 on 2 threads", kMembers, 2);
    for (const auto& [rows, columns] : {std::pair<int, int>{5000, 30}, {20000, 6}}) {
      const auto shape = std::to_string(rows) + " x " + std::to_string(columns);
      for (const bool normed : {false, true}) {
        const Setting setting{columns, rows, 32, normed ? kNormedNetwork : kPlainNetwork, "{}"};
        unit(benchmark::RegisterBenchmark(
            ("fit/" + shape + (normed ? " batch norm and dropout" : "") + "/" + engine).c_str(),
            [=](benchmark::State& state) { fit(state, setting, engine); }));
      }
    }
  }
  unit(benchmark::RegisterBenchmark("sgemm/2048", [](benchmark::State& state) { sgemm(state, 1); }));
  unit(benchmark::RegisterBenchmark("sgemm/2048 on 2 threads", [](benchmark::State& state) { sgemm(state, 2); }));
  return true;
}();

}  // namespace

BENCHMARK_MAIN();
