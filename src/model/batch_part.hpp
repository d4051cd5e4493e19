// What networks draw from LibTorch's default generator for a part of a batch: what the whole batch would draw for it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

namespace ae::model {

// While this lives, networks on this thread see samples [first, first + count) of a batch of `whole` ones.
class BatchPart {
 public:
  BatchPart(std::int64_t first, std::int64_t count, std::int64_t whole);
  ~BatchPart();
  BatchPart(const BatchPart&) = delete;
  BatchPart& operator=(const BatchPart&) = delete;

  // Of a tensor whose rows are the samples of the whole batch, or of several blocks of them: those seen of each block.
  at::Tensor of(const at::Tensor& whole) const { return range_.of(whole); }

  // A tensor of numbers that `fill` draws in place, shaped like one whose rows are the samples seen, or several blocks
  // of them.
  static at::Tensor draw(const at::Tensor& like, const std::function<void(at::Tensor&)>& fill);

 private:
  struct Range {
    std::int64_t first, count, whole;
    at::Tensor of(const at::Tensor& all) const;
  };
  // Null: all of the batch. NOLINTNEXTLINE(*-avoid-non-const-global-variables): as LibTorch's own guards do it
  static inline thread_local const Range* seen = nullptr;
  Range range_;
  const Range* before_;
};

}  // namespace ae::model
