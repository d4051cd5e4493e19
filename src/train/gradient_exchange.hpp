// Gradients summed over the processes of a group, bucket by bucket, the first ones while later ones are still computed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "train/process_group.hpp"

namespace ae::train {

// Larger buckets need fewer messages, smaller ones leave earlier.
constexpr std::int64_t kBucketNumbers = 1 << 16;  // 256 KB

class GradientExchange {
 public:
  // `buckets`: memory that stays where it is, in the order in which backward passes finish it; the same sizes for all
  // members of the group. They are sent in this order, whatever the order in which they become ready.
  GradientExchange(Group& group, std::vector<std::span<float>> buckets);

  void begin();                    // before each backward pass: nothing is ready
  void ready(std::size_t bucket);  // this process's gradient is complete; from any thread
  void wait(std::size_t bucket);   // until the bucket, which must be ready everywhere, holds the sum
  std::size_t size() const { return buckets_.size(); }

 private:
  Group& group_;
  std::vector<std::span<float>> buckets_;
  std::mutex guard_;
  std::vector<bool> ready_;
  std::size_t sent_ = 0;
  std::vector<std::unique_ptr<Group::Pending>> pending_;
};

}  // namespace ae::train
