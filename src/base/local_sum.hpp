// Sums over processes of one machine, through memory that they share. Linux only.
//
// The memory has no name in any folder and goes with the last process that has it, however that ends. It holds a few
// pieces of each process's numbers, however many numbers are summed.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace ae {

class LocalSum {
 public:
  // Makes the memory; the first of `size` processes does. RunError when the machine has none to give.
  static std::unique_ptr<LocalSum> make(int size, std::chrono::milliseconds timeout);
  // Finds the memory by its address(), from another process; null when that runs on another machine or under another
  // user, or does not let others in.
  static std::unique_ptr<LocalSum> find(const std::string& address, int rank, int size,
                                        std::chrono::milliseconds timeout);
  ~LocalSum();
  LocalSum(const LocalSum&) = delete;
  LocalSum& operator=(const LocalSum&) = delete;

  const std::string& address() const { return address_; }

  // Replaces numbers by their sums over all processes, which call this in the same order with as many numbers; the same
  // bits for all of them: numbers are added in the order of ranks. RunError when a process has ended, has given up, or
  // has not come within the timeout; after that this is of no more use.
  template <typename T>
  void add_up(std::span<T> numbers);

  // So that those who wait for us learn at once that we will not come.
  void give_up();

 private:
  struct Shared;
  LocalSum(int descriptor, std::string address, int rank, int size, std::chrono::milliseconds timeout);
  std::byte* piece(int slot, std::uint64_t turn) const;
  void meet();
  int absent() const;

  int descriptor_;
  std::string address_;
  int rank_, size_;
  std::chrono::milliseconds timeout_;
  std::size_t bytes_;
  std::byte* memory_ = nullptr;
  Shared* shared_ = nullptr;
  std::uint64_t turn_ = 0;  // pieces summed so far
};

}  // namespace ae
