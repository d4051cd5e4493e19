#include "model/batch_part.hpp"

#include <torch/types.h>
#include <torch/utils.h>

namespace ae::model {

BatchPart::BatchPart(std::int64_t first, std::int64_t count, std::int64_t whole)
    : range_{first, count, whole}, before_(seen) {
  seen = &range_;
}
BatchPart::~BatchPart() { seen = before_; }

at::Tensor BatchPart::Range::of(const at::Tensor& all) const {
  return all.unflatten(0, {-1, whole}).narrow(1, first, count).flatten(0, 1);
}

at::Tensor BatchPart::draw(const at::Tensor& like, const std::function<void(at::Tensor&)>& fill) {
  const torch::NoGradGuard no_grad;
  if (seen == nullptr) {
    auto drawn = torch::empty_like(like);
    fill(drawn);
    return drawn;
  }
  auto shape = like.sizes().vec();
  shape[0] = shape[0] / seen->count * seen->whole;
  auto drawn = torch::empty(shape, like.options());
  fill(drawn);
  return seen->of(drawn);
}

}  // namespace ae::model
