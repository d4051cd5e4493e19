// How many threads LibTorch and BLAS use, and what they are.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace ae::model {

// Whose threads do the bulk of the work: BLAS's (matrix products of tables) or OpenMP's (convolutions of images). Only
// one of them gets more than one: waiting threads spin, and two pools spinning against each other on the same cores can
// make two threads slower than one.
enum class Pool { blas, openmp };

// The share of this machine's processors that one of so many processes like this one may use.
int available_threads(int processes);

// `requested` 0: chosen by the work: `operations` floating-point operations per call of the largest unit of work. Small
// work runs on one thread, where handing it over would cost more than it saves. `processes` like this one share the
// machine. Returns the number in use.
int use_threads(int requested, double operations, Pool pool, int processes = 1);

// Calls work(begin, end) for pieces of at most `grain` that cover [0, count), on as many threads as use_threads() gave
// the larger pool. Meanwhile BLAS and LibTorch stay on the calling thread of each piece, and so does a share_out within
// `work`. Which thread takes a piece is left to chance. The first exception ends the work and is thrown here.
void share_out(std::int64_t count, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)>& work);

int threads_in_use();  // as use_threads() gave the larger pool

// BLAS on the calling thread alone while this lives; for one at a time.
class SerialBlas {
 public:
  SerialBlas();
  ~SerialBlas();
  SerialBlas(const SerialBlas&) = delete;
  SerialBlas& operator=(const SerialBlas&) = delete;

 private:
  int before_ = 1;
};

// LibTorch, too.
class SerialLibraries {
 public:
  SerialLibraries();
  ~SerialLibraries();
  SerialLibraries(const SerialLibraries&) = delete;
  SerialLibraries& operator=(const SerialLibraries&) = delete;

 private:
  SerialBlas blas_;
  int torch_before_;
};

// share_out() for work so short that threads must be waiting for it. `threads` counts the calling one.
class Crew {
 public:
  explicit Crew(int threads);
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;
  int size() const { return 1 + static_cast<int>(helpers_.size()); }
  // Calls work(item, thread) for every item in [0, count), thread in [0, size()); helpers that come too late are not
  // waited for. The first exception ends the work and is thrown here.
  void share_out(std::int64_t count, const std::function<void(std::int64_t, int)>& work);

 private:
  void help(int thread);
  void take(int thread);

  std::vector<std::thread> helpers_;
  std::mutex guard_;
  std::condition_variable begun_, done_;
  std::atomic<std::uint64_t> round_{0};
  bool open_ = false;
  bool over_ = false;
  int active_ = 0;
  std::int64_t count_ = 0;
  std::atomic<std::int64_t> next_{0};
  const std::function<void(std::int64_t, int)>* work_ = nullptr;
  std::exception_ptr failure_;
};

std::vector<std::string> library_versions();  // lines for --version: LibTorch, BLAS

}  // namespace ae::model
