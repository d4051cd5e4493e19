// Training steps of eight small networks (20 columns, 64-32-8-32-64, 32 rows a step): in one, by batched weights, and
// one after another. Both take the same steps; items_per_second counts steps of one member on one thread.
#include <benchmark/benchmark.h>
#include <torch/torch.h>

#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "config/document.hpp"
#include "loss/autoencoder.hpp"
#include "model/threads.hpp"
#include "train/reconstruction.hpp"

namespace {

constexpr std::int64_t kMembers = 8;
constexpr std::int64_t kColumns = 20;
constexpr std::int64_t kRows = 1024;
constexpr std::int64_t kBatch = 32;

class Training {
 public:
  explicit Training(std::int64_t members)
      : samples_(model()), nothing_(ae::model::Batch{torch::zeros({0, kColumns}), torch::zeros({0, kColumns})}) {
    ae::config::read_text(*family_.value(), R"({"members": )" + std::to_string(members) + "}", "benchmark", ".");
    std::vector<ae::model::Element> elements;
    for (std::int64_t i = 0; i < kColumns; ++i) elements.push_back({"x" + std::to_string(i), 0, false});
    loss_.resolve(elements, false);
    autoencoder_ = std::make_unique<ae::loss::Autoencoder>(*family_, loss_.terms, elements, false, 1);
    objective_ = std::make_unique<ae::train::ReconstructionObjective>(*autoencoder_, samples_, nothing_, options_);
  }
  void step() {
    std::vector<std::int64_t> rows(kBatch);
    std::iota(rows.begin(), rows.end(), (kBatch * step_) % kRows);
    objective_->step(rows, {static_cast<std::uint64_t>(step_++), 0, 1e-3});
  }

 private:
  static ae::model::Batch model() {
    torch::manual_seed(1);
    auto values = torch::randn({kRows, kColumns});
    return {values, torch::ones_like(values)};
  }
  ae::config::Variant<ae::model::Family> family_{ae::model::families(), "dense"};
  ae::loss::LossOptions loss_;
  ae::train::TrainingOptions options_;
  ae::model::TableSamples samples_, nothing_;
  std::unique_ptr<ae::loss::Autoencoder> autoencoder_;
  std::unique_ptr<ae::train::ReconstructionObjective> objective_;
  std::int64_t step_ = 0;
};

void Together(benchmark::State& state) {
  ae::model::use_threads(1, 0, ae::model::Pool::blas);
  Training training(kMembers);
  for (auto _ : state) training.step();
  state.SetItemsProcessed(state.iterations() * kMembers);
}

void OneAfterAnother(benchmark::State& state) {
  ae::model::use_threads(1, 0, ae::model::Pool::blas);
  std::vector<std::unique_ptr<Training>> all;
  for (std::int64_t m = 0; m < kMembers; ++m) all.push_back(std::make_unique<Training>(1));
  for (auto _ : state) {
    for (auto& training : all) training->step();
  }
  state.SetItemsProcessed(state.iterations() * kMembers);
}

BENCHMARK(Together)->Unit(benchmark::kMicrosecond);
BENCHMARK(OneAfterAnother)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
