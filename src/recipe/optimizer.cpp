#include "recipe/optimizer.hpp"

#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>
#include <torch/types.h>

#include <array>
#include <cmath>
#include <limits>
#include <sstream>

#include "base/error.hpp"
#include "model/kernels.hpp"
#include "recipe/tensor_io.hpp"

namespace ae::recipe {
namespace {

constexpr config::NumberRange kNotNegative{0};

// LibTorch keys an optimiser's state by the tensor's address: as text up to 1.x, as a pointer since 2.0.
template <typename Map>
typename Map::key_type state_key(const at::Tensor& parameter) {
  if constexpr (std::is_same_v<typename Map::key_type, std::string>) {
    std::ostringstream text;
    text << parameter.unsafeGetTensorImpl();
    return text.str();
  } else {
    return parameter.unsafeGetTensorImpl();
  }
}

// How the state of one parameter is stored, per kind of optimiser.
template <typename State>
struct Slots;

template <typename State>
struct AdamSlots {
  static void save(const State& state, const std::string& name, Arrays& arrays) {
    arrays[name + ".step"] = to_array(torch::tensor({state.step()}, torch::kInt64));
    arrays[name + ".mean"] = to_array(state.exp_avg());
    arrays[name + ".square"] = to_array(state.exp_avg_sq());
  }
  static void restore(State& state, const std::string& name, const at::Tensor& like, const Arrays& arrays) {
    auto step = torch::zeros({1}, torch::kInt64);
    auto mean = torch::zeros_like(like);
    auto square = torch::zeros_like(like);
    restore_tensors(name, {{".step", step}, {".mean", mean}, {".square", square}}, arrays, "training state");
    state.step(step.template item<std::int64_t>());
    state.exp_avg(mean);
    state.exp_avg_sq(square);
  }
  static constexpr const char* first = ".step";
};
template <>
struct Slots<torch::optim::AdamParamState> : AdamSlots<torch::optim::AdamParamState> {};
template <>
struct Slots<torch::optim::AdamWParamState> : AdamSlots<torch::optim::AdamWParamState> {};
template <>
struct Slots<torch::optim::SGDParamState> {
  static void save(const torch::optim::SGDParamState& state, const std::string& name, Arrays& arrays) {
    arrays[name + ".momentum"] = to_array(state.momentum_buffer());
  }
  static void restore(torch::optim::SGDParamState& state, const std::string& name, const at::Tensor& like,
                      const Arrays& arrays) {
    auto momentum = torch::zeros_like(like);
    restore_tensors(name, {{".momentum", momentum}}, arrays, "training state");
    state.momentum_buffer(momentum);
  }
  static constexpr const char* first = ".momentum";
};

template <typename TorchOptimizer, typename Options, typename State>
class TorchBacked final : public Optimizer {
 public:
  TorchBacked(const model::NamedTensors& parameters, const Options& options)
      : parameters_(parameters), optimizer_(tensors_of(parameters), options) {}

  // In place: a network's members may hold slices of their common gradient (LibTorch 2 would drop it).
  void zero_gradients() override {
    for (const auto& [name, parameter] : parameters_) {
      if (parameter.grad().defined()) parameter.grad().zero_();
    }
  }
  void step(double learning_rate) override {
    optimizer_.param_groups()[0].options().set_lr(learning_rate);
    optimizer_.step();
  }
  void save(const std::string& prefix, Arrays& arrays) const override {
    for (const auto& [name, parameter] : parameters_) {
      const auto found = optimizer_.state().find(key(parameter));
      if (found == optimizer_.state().end()) continue;
      Slots<State>::save(static_cast<const State&>(*found->second), prefix + name, arrays);
    }
  }
  void restore(const std::string& prefix, const Arrays& arrays) override {
    for (const auto& [name, parameter] : parameters_) {
      if (!arrays.contains(prefix + name + Slots<State>::first)) continue;
      auto state = std::make_unique<State>();
      Slots<State>::restore(*state, prefix + name, parameter, arrays);
      optimizer_.state()[key(parameter)] = std::move(state);
    }
  }

 private:
  using StateMap = std::remove_cvref_t<decltype(std::declval<TorchOptimizer&>().state())>;
  static typename StateMap::key_type key(const at::Tensor& parameter) { return state_key<StateMap>(parameter); }
  static std::vector<at::Tensor> tensors_of(const model::NamedTensors& parameters) {
    std::vector<at::Tensor> tensors;
    for (const auto& [name, tensor] : parameters) tensors.push_back(tensor);
    return tensors;
  }
  model::NamedTensors parameters_;
  TorchOptimizer optimizer_;
};

class FusedAdam final : public FusedOptimizer {
 public:
  FusedAdam(const model::NamedTensors& parameters, const at::Tensor& buffer, double beta1, double beta2, double epsilon,
            double weight_decay, bool decoupled)
      : parameters_(parameters),
        values_(buffer),
        means_(torch::zeros_like(buffer)),
        squares_(torch::zeros_like(buffer)),
        beta1_(beta1),
        beta2_(beta2),
        weight_decay_(weight_decay),
        decoupled_(decoupled) {
    kernel_.beta1 = static_cast<float>(beta1);
    kernel_.beta2 = static_cast<float>(beta2);
    kernel_.epsilon = static_cast<float>(epsilon);
    if (!decoupled) kernel_.l2 = static_cast<float>(weight_decay);
  }
  void begin_step(double learning_rate) override {
    ++steps_;
    const auto count = static_cast<double>(steps_);
    kernel_.step_size = static_cast<float>(learning_rate / (1 - std::pow(beta1_, count)));
    kernel_.root_correction = static_cast<float>(1 / std::sqrt(1 - std::pow(beta2_, count)));
    if (decoupled_) kernel_.decay = static_cast<float>(1 - learning_rate * weight_decay_);
  }
  void update(std::int64_t begin, std::int64_t count, const float* gradients, float factor) override {
    model::AdamStep step = kernel_;
    step.gradient_factor = factor;
    model::adam_step(step, count, gradients, means_.data_ptr<float>() + begin, squares_.data_ptr<float>() + begin,
                     values_.data_ptr<float>() + begin);
  }
  void save(const std::string& prefix, Arrays& arrays) const override {
    if (steps_ == 0) return;
    for (const auto& [name, parameter] : parameters_) {
      arrays[prefix + name + ".step"] = to_array(torch::tensor({steps_}, torch::kInt64));
      arrays[prefix + name + ".mean"] = to_array(part_of(means_, parameter));
      arrays[prefix + name + ".square"] = to_array(part_of(squares_, parameter));
    }
  }
  void restore(const std::string& prefix, const Arrays& arrays) override {
    for (const auto& [name, parameter] : parameters_) {
      if (!arrays.contains(prefix + name + ".step")) continue;
      auto step = torch::zeros({1}, torch::kInt64);
      restore_tensors(
          prefix + name,
          {{".step", step}, {".mean", part_of(means_, parameter)}, {".square", part_of(squares_, parameter)}}, arrays,
          "training state");
      steps_ = step.item<std::int64_t>();
    }
  }

 private:
  model::NamedTensors parameters_;
  at::Tensor values_, means_, squares_;  // [members, size]
  double beta1_, beta2_, weight_decay_;
  bool decoupled_;
  model::AdamStep kernel_;
  std::int64_t steps_ = 0;
};

class FusedSgd final : public FusedOptimizer {
 public:
  FusedSgd(const model::NamedTensors& parameters, const at::Tensor& buffer, double momentum, bool nesterov,
           double weight_decay)
      : parameters_(parameters), values_(buffer), momentum_(torch::zeros_like(buffer)) {
    kernel_.momentum = static_cast<float>(momentum);
    kernel_.nesterov = nesterov;
    kernel_.l2 = static_cast<float>(weight_decay);
  }
  void begin_step(double learning_rate) override {
    kernel_.learning_rate = static_cast<float>(learning_rate);
    stepped_ = true;
  }
  void update(std::int64_t begin, std::int64_t count, const float* gradients, float factor) override {
    model::SgdStep step = kernel_;
    step.gradient_factor = factor;
    model::sgd_step(step, count, gradients, momentum_.data_ptr<float>() + begin, values_.data_ptr<float>() + begin);
  }
  void save(const std::string& prefix, Arrays& arrays) const override {
    if (!stepped_ || kernel_.momentum == 0) return;
    for (const auto& [name, parameter] : parameters_) {
      arrays[prefix + name + ".momentum"] = to_array(part_of(momentum_, parameter));
    }
  }
  void restore(const std::string& prefix, const Arrays& arrays) override {
    for (const auto& [name, parameter] : parameters_) {
      if (!arrays.contains(prefix + name + ".momentum")) continue;
      restore_tensors(prefix + name, {{".momentum", part_of(momentum_, parameter)}}, arrays, "training state");
      stepped_ = true;
    }
  }

 private:
  model::NamedTensors parameters_;
  at::Tensor values_, momentum_;  // [members, size]
  model::SgdStep kernel_;
  bool stepped_ = false;
};

class AdamOptions final : public OptimizerOptions {
 public:
  explicit AdamOptions(bool decoupled) : decoupled_(decoupled), weight_decay_(decoupled ? 0.01 : 0.0) {}
  void fields(config::Fields& f) override {
    f.number("beta1", beta1_, {0, 1, false, true}, "Decay of the running mean of gradients.");
    f.number("beta2", beta2_, {0, 1, false, true}, "Decay of the running mean of squared gradients.");
    f.number("epsilon", epsilon_, {0, 1, true}, "Added to the root of the running square.");
    f.number("weight_decay", weight_decay_, kNotNegative,
             decoupled_ ? "Decay of the weights, separate from the gradient." : "L2 penalty added to the gradient.");
  }
  std::unique_ptr<Optimizer> build(const model::NamedTensors& parameters) const override {
    using namespace torch::optim;
    if (decoupled_) {
      auto options = torch::optim::AdamWOptions().betas({beta1_, beta2_}).eps(epsilon_).weight_decay(weight_decay_);
      return std::make_unique<TorchBacked<AdamW, AdamWOptions, AdamWParamState>>(parameters, options);
    }
    auto options = torch::optim::AdamOptions().betas({beta1_, beta2_}).eps(epsilon_).weight_decay(weight_decay_);
    return std::make_unique<TorchBacked<Adam, torch::optim::AdamOptions, AdamParamState>>(parameters, options);
  }
  bool fused() const override { return true; }
  std::unique_ptr<FusedOptimizer> build_fused(const model::NamedTensors& parameters,
                                              const at::Tensor& buffer) const override {
    return std::make_unique<FusedAdam>(parameters, buffer, beta1_, beta2_, epsilon_, weight_decay_, decoupled_);
  }

 private:
  bool decoupled_;
  double beta1_ = 0.9;
  double beta2_ = 0.999;
  double epsilon_ = 1e-8;
  double weight_decay_;
};

class SgdOptions final : public OptimizerOptions {
 public:
  void fields(config::Fields& f) override {
    f.number("momentum", momentum_, {0, 1, false, true}, "Share of the previous step kept in the next.");
    f.boolean("nesterov", nesterov_, "Look ahead along the momentum (needs momentum > 0).");
    f.number("weight_decay", weight_decay_, kNotNegative, "L2 penalty added to the gradient.");
  }
  void check(std::vector<config::Problem>& problems) const override {
    if (nesterov_ && momentum_ == 0)
      problems.push_back({"/nesterov", "true needs a momentum above 0; set \"momentum\": 0.9"});
  }
  std::unique_ptr<Optimizer> build(const model::NamedTensors& parameters) const override {
    auto options = torch::optim::SGDOptions(0.1).momentum(momentum_).nesterov(nesterov_).weight_decay(weight_decay_);
    return std::make_unique<TorchBacked<torch::optim::SGD, torch::optim::SGDOptions, torch::optim::SGDParamState>>(
        parameters, options);
  }
  bool fused() const override { return true; }
  std::unique_ptr<FusedOptimizer> build_fused(const model::NamedTensors& parameters,
                                              const at::Tensor& buffer) const override {
    return std::make_unique<FusedSgd>(parameters, buffer, momentum_, nesterov_, weight_decay_);
  }

 private:
  double momentum_ = 0.9;
  bool nesterov_ = false;
  double weight_decay_ = 0;
};

constexpr std::array<config::Entry<OptimizerOptions>, 3> kOptimizers{{
    {"adam", "Adam (Kingma and Ba 2015).",
     [] { return std::unique_ptr<OptimizerOptions>(std::make_unique<AdamOptions>(false)); }},
    {"adamw", "Adam with decoupled weight decay (Loshchilov and Hutter 2019).",
     [] { return std::unique_ptr<OptimizerOptions>(std::make_unique<AdamOptions>(true)); }},
    {"sgd", "Stochastic gradient descent with momentum.",
     [] { return std::unique_ptr<OptimizerOptions>(std::make_unique<SgdOptions>()); }},
}};

}  // namespace

at::Tensor part_of(const at::Tensor& buffer, const at::Tensor& parameter) {
  return buffer.as_strided(parameter.sizes(), parameter.strides(), parameter.storage_offset());
}

std::span<const config::Entry<OptimizerOptions>> optimizers() { return kOptimizers; }

}  // namespace ae::recipe
