// How often values occur, of any number of them in constant memory (2 MB), to a relative precision of 2^-10.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace ae::stats {

// A bin holds the floats that share sign, exponent and the first 9 bits of their fraction: fine at every scale, without
// a range to be known before.
class ValueHistogram {
 public:
  ValueHistogram();
  void add(std::span<const float> values);  // finite ones
  std::int64_t size() const { return size_; }

  // The smallest value that at most `tail` of all values exceed, within its bin's precision (the bin's upper edge, not
  // above the largest value). 0 <= tail <= 1; 0 = the largest value, 1 = the smallest. 0 when empty.
  double upper_quantile(double tail) const;

  // visit(count of `high`, count of `low`) for every bin that one of them uses, largest values first.
  static void descend(const ValueHistogram& high, const ValueHistogram& low,
                      const std::function<void(std::int64_t, std::int64_t)>& visit);

 private:
  std::vector<std::int64_t> counts_;
  std::int64_t size_ = 0;
  float smallest_ = 0;
  float largest_ = 0;
};

// Average precision (area under the step precision-recall curve) of `high` against `low`; values of one bin are ties. 0
// when `high` is empty.
double average_precision(const ValueHistogram& high, const ValueHistogram& low);

}  // namespace ae::stats
