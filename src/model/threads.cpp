#include "model/threads.hpp"

#include <torch/torch.h>

#include <algorithm>
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

int use_threads(int requested, double operations) {
  const int available = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const int useful = static_cast<int>(std::clamp(operations / kWorthAThread, 1.0, static_cast<double>(available)));
  const int threads = requested > 0 ? requested : useful;
  at::set_num_threads(threads);
  if (openblas_set_num_threads != nullptr) openblas_set_num_threads(threads);
  return threads;
}

SerialBlas::SerialBlas() : before_(openblas_get_num_threads != nullptr ? openblas_get_num_threads() : 1) {
  if (before_ > 1 && openblas_set_num_threads != nullptr) openblas_set_num_threads(1);
}

SerialBlas::~SerialBlas() {
  if (before_ > 1 && openblas_set_num_threads != nullptr) openblas_set_num_threads(before_);
}

std::vector<std::string> library_versions() {
  std::vector<std::string> lines{"LibTorch: " TORCH_VERSION};
  lines.push_back(openblas_get_config != nullptr ? std::string("BLAS: ") + openblas_get_config() : "BLAS: unknown");
  return lines;
}

}  // namespace ae::model
