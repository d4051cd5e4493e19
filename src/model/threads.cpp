#include "model/threads.hpp"

#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <future>
#include <memory>
#include <mutex>
#include <thread>

#include "base/signals.hpp"

namespace ae::model {
namespace {

// Below this a step takes less than a few milliseconds on one core, and waking a second one does not pay.
constexpr double kWorthAThread = 5e7;

// What OpenBLAS offers, null of another BLAS; LibTorch does not set its threads. Looked up while running: not every
// linker leaves weak references to a library that is only linked by another one.
template <typename Function>
Function* loaded(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}
const auto openblas_set_num_threads = loaded<void(int)>("openblas_set_num_threads");
const auto openblas_get_num_threads = loaded<int()>("openblas_get_num_threads");
const auto openblas_get_config = loaded<char*()>("openblas_get_config");

// libgomp's waiting threads spin for milliseconds, unless the process has more OpenMP threads than processors; then
// they sleep almost at once. Its setting for that, OMP_WAIT_POLICY, is read before main(), so we make it true: a team
// of threads that has nothing to do, sleeps and stays. Measured on two cores that others used too: two threads took a
// sixth of the processor time and a quarter of the time they take while spinning.
void wait_without_spinning() {
  static const auto parallel = loaded<void(void (*)(void*), void*, unsigned, unsigned)>("GOMP_parallel");
  static const bool done = [] {
    if (parallel == nullptr) return false;  // another OpenMP
    const auto ready = std::make_shared<std::promise<void>>();
    signal_free_thread([ready] {
      parallel([](void*) {}, nullptr, 1 + std::max(1u, std::thread::hardware_concurrency()), 0);
      ready->set_value();
      for (;;) pause();
    }).detach();
    ready->get_future().wait();
    return true;
  }();
  (void)done;
}

}  // namespace

int available_threads(int processes) {
  const int available = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  // A launcher that binds processes to processors has shared these out already.
  return available == sysconf(_SC_NPROCESSORS_ONLN) ? std::max(1, available / processes) : available;
}

int use_threads(int requested, double operations, Pool pool, int processes) {
  const int available = available_threads(processes);
  const int useful = static_cast<int>(std::clamp(operations / kWorthAThread, 1.0, static_cast<double>(available)));
  const int threads = requested > 0 ? requested : useful;
  // A BLAS that is not OpenBLAS takes its threads from OpenMP, as LibTorch does.
  const bool separate = openblas_set_num_threads != nullptr;
  if (pool == Pool::openmp && threads > 1) wait_without_spinning();
  at::set_num_threads(pool == Pool::openmp || !separate ? threads : 1);
  if (separate) openblas_set_num_threads(pool == Pool::blas ? threads : 1);
  return threads;
}

void share_out(std::int64_t count, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)>& work) {
  const std::int64_t pieces = (count + grain - 1) / grain;
  const auto threads = std::min<std::int64_t>(threads_in_use(), pieces);
  const auto piece = [&](std::int64_t p, int) { work(p * grain, std::min((p + 1) * grain, count)); };
  if (threads <= 1) {
    for (std::int64_t p = 0; p < pieces; ++p) piece(p, 0);
    return;
  }
  const SerialLibraries serial;
  Crew(static_cast<int>(threads)).share_out(pieces, piece);
}

int threads_in_use() {
  return std::max(openblas_get_num_threads != nullptr ? openblas_get_num_threads() : 1, at::get_num_threads());
}

SerialBlas::SerialBlas() {
  if (openblas_get_num_threads != nullptr) before_ = openblas_get_num_threads();
  if (before_ > 1) openblas_set_num_threads(1);
}
SerialBlas::~SerialBlas() {
  if (before_ > 1) openblas_set_num_threads(before_);
}

SerialLibraries::SerialLibraries() : torch_before_(at::get_num_threads()) { at::set_num_threads(1); }
SerialLibraries::~SerialLibraries() { at::set_num_threads(torch_before_); }

Crew::Crew(int threads) {
  for (int i = 1; i < threads; ++i) helpers_.push_back(signal_free_thread([this, i] { help(i); }));
}

Crew::~Crew() {
  {
    const std::lock_guard lock(guard_);
    over_ = true;
    ++round_;
  }
  begun_.notify_all();
  for (auto& helper : helpers_) helper.join();
}

void Crew::take(int thread) {
  try {
    for (std::int64_t item; (item = next_++) < count_;) (*work_)(item, thread);
  } catch (...) {
    const std::lock_guard lock(guard_);
    if (!failure_) failure_ = std::current_exception();
    next_ = count_;
  }
}

void Crew::help(int thread) {
  at::set_num_threads(1);  // counts for this thread only
  // The next round mostly begins a few microseconds after the last: sooner than a sleeping thread wakes.
  constexpr int kLooks = 20000;
  for (std::uint64_t seen = 0;;) {
    for (int look = 0; look < kLooks && round_.load(std::memory_order_acquire) == seen; ++look) {
      std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    std::unique_lock lock(guard_);
    begun_.wait(lock, [&] { return round_ != seen; });
    seen = round_;
    if (over_) return;
    if (!open_) continue;
    ++active_;
    lock.unlock();
    take(thread);
    lock.lock();
    if (--active_ == 0) done_.notify_one();
  }
}

void Crew::share_out(std::int64_t count, const std::function<void(std::int64_t, int)>& work) {
  if (helpers_.empty() || count == 1) {
    for (std::int64_t item = 0; item < count; ++item) work(item, 0);
    return;
  }
  {
    const std::lock_guard lock(guard_);
    count_ = count;
    next_ = 0;
    work_ = &work;
    failure_ = nullptr;
    open_ = true;
    ++round_;
  }
  begun_.notify_all();
  take(0);
  std::unique_lock lock(guard_);
  open_ = false;
  done_.wait(lock, [&] { return active_ == 0; });
  if (failure_) std::rethrow_exception(failure_);
}

std::vector<std::string> library_versions() {
  std::vector<std::string> lines{"LibTorch: " TORCH_VERSION};
  lines.push_back(openblas_get_config != nullptr ? std::string("BLAS: ") + openblas_get_config() : "BLAS: unknown");
  return lines;
}

}  // namespace ae::model
