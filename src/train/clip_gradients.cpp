#include "train/clip_gradients.hpp"

#include <torch/types.h>
#include <torch/utils.h>

namespace ae::train {

void clip_gradients(const std::vector<at::Tensor>& parameters, std::int64_t members, double largest) {
  const torch::NoGradGuard no_grad;
  at::Tensor squares;  // [members]
  for (const auto& parameter : parameters) {
    if (!parameter.grad().defined()) continue;
    const auto own = parameter.grad().reshape({members, -1}).square().sum(1);
    squares = squares.defined() ? squares + own : own;
  }
  if (!squares.defined()) return;
  const auto factor = (largest / (squares.sqrt() + 1e-6)).clamp_max(1);
  for (const auto& parameter : parameters) {
    if (!parameter.grad().defined()) continue;
    std::vector<std::int64_t> shape(static_cast<std::size_t>(parameter.dim()), 1);
    shape[0] = members;
    parameter.grad().mul_(factor.view(shape));
  }
}

}  // namespace ae::train
