#include "train/gradient_exchange.hpp"

namespace ae::train {

GradientExchange::GradientExchange(Group& group, std::vector<std::span<float>> buckets)
    : group_(group), buckets_(std::move(buckets)), ready_(buckets_.size()), pending_(buckets_.size()) {}

void GradientExchange::begin() {
  sent_ = 0;
  ready_.assign(buckets_.size(), false);
}

void GradientExchange::ready(std::size_t bucket) {
  if (group_.size() == 1) return;
  const std::lock_guard lock(guard_);
  ready_[bucket] = true;
  for (; sent_ < buckets_.size() && ready_[sent_]; ++sent_) pending_[sent_] = group_.begin_sum(buckets_[sent_]);
}

void GradientExchange::wait(std::size_t bucket) {
  if (pending_[bucket]) pending_[bucket]->wait();
  pending_[bucket].reset();
}

}  // namespace ae::train
