#include "model/threads.hpp"

#include <torch/torch.h>

#include <algorithm>
#include <atomic>
#include <thread>

// Present when BLAS is OpenBLAS; LibTorch does not set its threads.
extern "C" {
__attribute__((weak)) void openblas_set_num_threads(int threads);
__attribute__((weak)) int openblas_get_num_threads();
__attribute__((weak)) char* openblas_get_config();
}

namespace ae::model {
namespace {

// Below this a step takes less than a few milliseconds on one core, and waking a second one does not pay.
constexpr double kWorthAThread = 5e7;

}  // namespace

int use_threads(int requested, double operations, Pool pool) {
  const int available = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const int useful = static_cast<int>(std::clamp(operations / kWorthAThread, 1.0, static_cast<double>(available)));
  const int threads = requested > 0 ? requested : useful;
  // A BLAS that is not OpenBLAS takes its threads from OpenMP, as LibTorch does.
  const bool separate = openblas_set_num_threads != nullptr;
  at::set_num_threads(pool == Pool::openmp || !separate ? threads : 1);
  if (separate) openblas_set_num_threads(pool == Pool::blas ? threads : 1);
  return threads;
}

void share_out(std::int64_t count, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)>& work) {
  const int blas = openblas_get_num_threads != nullptr ? openblas_get_num_threads() : 1;
  const std::int64_t pieces = (count + grain - 1) / grain;
  const auto threads = std::min<std::int64_t>(std::max(blas, at::get_num_threads()), pieces);
  std::atomic<std::int64_t> next{0};
  const auto take = [&] {
    for (std::int64_t piece; (piece = next++) < pieces;) work(piece * grain, std::min((piece + 1) * grain, count));
  };
  if (threads <= 1) {
    take();
    return;
  }
  if (blas > 1 && openblas_set_num_threads != nullptr) openblas_set_num_threads(1);
  std::vector<std::thread> others;
  for (std::int64_t i = 1; i < threads; ++i) {
    others.emplace_back([&] {
      at::set_num_threads(1);  // counts for this thread only
      take();
    });
  }
  take();
  for (auto& other : others) other.join();
  if (blas > 1 && openblas_set_num_threads != nullptr) openblas_set_num_threads(blas);
}

std::vector<std::string> library_versions() {
  std::vector<std::string> lines{"LibTorch: " TORCH_VERSION};
  lines.push_back(openblas_get_config != nullptr ? std::string("BLAS: ") + openblas_get_config() : "BLAS: unknown");
  return lines;
}

}  // namespace ae::model
