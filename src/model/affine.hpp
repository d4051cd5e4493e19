// The linear layer of the families of tables. Internal to this room.
#pragma once

#include <torch/nn/functional/linear.h>
#include <torch/nn/init.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <cmath>

#include "model/dense_plan.hpp"
#include "model/module_network.hpp"

namespace ae::model {

// A linear layer whose weight may be another layer's, transposed. weight [out, in], bias [out]; of several members
// [members, out, in] and [members, out], whose first values stack_members() fills in.
class AffineImpl : public torch::nn::Module {
 public:
  AffineImpl(std::int64_t in, std::int64_t out, std::int64_t members)
      : members_(members), weight_(register_parameter("weight", torch::empty(stacked_shape(members, {out, in})))) {
    const double bound = 1.0 / std::sqrt(static_cast<double>(in));
    torch::nn::init::kaiming_uniform_(weight_, std::sqrt(5.0));
    bias_ = register_parameter("bias", torch::empty(stacked_shape(members, {out})).uniform_(-bound, bound));
  }
  // Tied: owns only a bias.
  AffineImpl(const AffineImpl& source, std::int64_t out)
      : members_(source.members_),
        tied_(&source),
        bias_(register_parameter("bias", torch::zeros(stacked_shape(source.members_, {out})))) {}
  torch::Tensor forward(const torch::Tensor& x) {
    const auto weight = tied_ ? tied_->weight_.transpose(-2, -1) : weight_;
    if (members_ == 1) return torch::nn::functional::linear(x, weight, bias_);
    const auto blocks = x.reshape({members_, -1, x.size(1)});
    return torch::baddbmm(bias_.unsqueeze(1), blocks, weight.transpose(1, 2)).flatten(0, 1);
  }
  std::int64_t in() const { return weight_.size(-1); }
  AffinePlan plan() const {
    const auto& weight = tied_ ? tied_->weight_ : weight_;
    return {weight.size(tied_ ? -2 : -1), bias_.size(-1), tied_ != nullptr, weight, bias_};
  }

 private:
  std::int64_t members_;
  const AffineImpl* tied_ = nullptr;  // a sibling in the same network, which outlives this
  torch::Tensor weight_;
  torch::Tensor bias_;
};
TORCH_MODULE(Affine);

}  // namespace ae::model
