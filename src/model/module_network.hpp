// A network made of torch::nn modules, registered below one root. Internal to this room.
#pragma once

#include <torch/nn/module.h>
#include <torch/utils.h>

#include "model/batch_part.hpp"
#include "model/network.hpp"

namespace ae::model {

// `Base` is Parameters or a class of networks.
template <typename Base>
class OfModules : public Base {
 public:
  NamedTensors parameters() const override { return named(root_.named_parameters()); }
  NamedTensors buffers() const override { return named(root_.named_buffers()); }
  void set_training(bool on) override { root_.train(on); }
  void to_double() override { root_.to(torch::kFloat64); }

 protected:
  class Root : public torch::nn::Module {};
  bool training() const { return root_.is_training(); }
  Root root_;

 private:
  static NamedTensors named(const torch::OrderedDict<std::string, torch::Tensor>& dictionary) {
    NamedTensors tensors;
    for (const auto& item : dictionary) tensors.emplace_back(item.key(), item.value());
    return tensors;
  }
};

using ModuleNetwork = OfModules<Network>;

// How many networks a family builds (see model::Network).
inline void members_field(config::Fields& f, std::int64_t& members) {
  f.integer("members", members, {1, 1024},
            "Networks of this shape, trained at once but each from its own first weights and corruption; they answer "
            "together.");
}

// Of a parameter, given its shape for one member (see model::Network).
inline std::vector<std::int64_t> stacked_shape(std::int64_t members, std::vector<std::int64_t> shape) {
  if (members > 1) shape.insert(shape.begin(), members);
  return shape;
}

// Takes over the members' weights, and makes them slices of the stacked ones of all.
template <typename Member>
void stack_members(const Network& all, const std::vector<std::shared_ptr<Member>>& members) {
  const torch::NoGradGuard no_grad;
  const auto stacked = all.state();
  for (std::size_t m = 0; m < members.size(); ++m) {
    const auto own = members[m]->state();
    for (std::size_t i = 0; i < own.size(); ++i) {
      const auto slice = stacked[i].second.detach().select(0, static_cast<std::int64_t>(m));
      slice.copy_(own[i].second);
      own[i].second.set_data(slice);
    }
  }
}

// z ~ N(mean, variance) while training, else the mean.
inline Code variational_code(const torch::Tensor& mean, const torch::Tensor& log_variance, bool draw) {
  Code code{mean, mean, log_variance.clamp(-kLogVarianceLimit, kLogVarianceLimit)};
  if (draw) {
    const auto noise = BatchPart::draw(mean, [](at::Tensor& numbers) { numbers.normal_(); });
    code.latent = mean + torch::exp(0.5 * code.log_variance) * noise;
  }
  return code;
}

}  // namespace ae::model
