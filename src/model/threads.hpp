// How many threads LibTorch and BLAS use, and what they are.
#pragma once

#include <string>
#include <vector>

namespace ae::model {

// `requested` 0: chosen by the work: `operations` floating-point operations per call of the largest unit of work. Small
// work runs on one thread, where handing it over would cost more than it saves. Returns the number in use.
int use_threads(int requested, double operations);

// While it lives, BLAS uses the calling thread only: for loops that share out their work themselves.
class SerialBlas {
 public:
  SerialBlas();
  ~SerialBlas();
  SerialBlas(const SerialBlas&) = delete;
  SerialBlas& operator=(const SerialBlas&) = delete;

 private:
  int before_;
};

std::vector<std::string> library_versions();  // lines for --version: LibTorch, BLAS

}  // namespace ae::model
