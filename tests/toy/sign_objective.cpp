// The toy objective "sign": every weight takes a step of one size, by the sign of an average of its gradients; the
// averages are the state that a resumed run needs.
#include <torch/types.h>
#include <torch/utils.h>

#include <optional>

#include "recipe/checkpoint.hpp"
#include "recipe/config.hpp"
#include "toy.hpp"
#include "train/trainee.hpp"

namespace ae::toy {
namespace {

class Steps final : public train::Objective {
 public:
  Steps(loss::Autoencoder& pair, const recipe::Dataset& data, double memory)
      : pair_(pair), data_(data), memory_(memory) {
    for (const auto& [name, tensor] : pair.network().parameters()) {
      averages_.emplace_back(name, torch::zeros_like(tensor));
    }
  }
  std::vector<std::string> part_names() const override { return pair_.loss().part_names(); }
  std::int64_t training_samples() const override { return data_.training->size(); }
  std::vector<double> step(const std::vector<std::int64_t>& samples, const train::StepContext& context) override {
    torch::manual_seed(context.key);
    pair_.network().set_training(true);
    const auto batch = data_.training->batch(samples);
    const auto evaluation = pair_.loss().evaluate(pair_.network().forward(batch), batch, context.epoch);
    for (const auto& [name, tensor] : pair_.network().parameters()) tensor.mutable_grad() = at::Tensor();
    evaluation.samples.mean().backward();
    const torch::NoGradGuard no_grad;
    std::size_t i = 0;
    for (const auto& [name, tensor] : pair_.network().parameters()) {
      auto& average = averages_[i++].second;
      average.mul_(memory_).add_(tensor.grad());
      tensor.sub_(average.sign() * context.learning_rate);
    }
    return losses(evaluation);
  }
  bool has_validation() const override { return data_.held_out->size() > 0; }
  std::vector<double> validate() override {
    const torch::NoGradGuard no_grad;
    pair_.network().set_training(false);
    const auto batch = data_.held_out->range(0, data_.held_out->size());
    return losses(pair_.loss().evaluate(pair_.network().forward(batch), batch));
  }
  model::NamedTensors weights() const override { return pair_.network().state(); }
  void save_state(recipe::Arrays& arrays) const override { recipe::save_tensors("average.", averages_, arrays); }
  void restore_state(const recipe::Arrays& arrays) override {
    recipe::restore_tensors("average.", averages_, arrays, "state");
  }

 private:
  static std::vector<double> losses(const loss::Evaluation& evaluation) {
    std::vector<double> all{evaluation.samples.mean().item<double>()};
    for (const auto& part : evaluation.parts) all.push_back(part.mean().item<double>());
    return all;
  }

  loss::Autoencoder& pair_;
  const recipe::Dataset& data_;
  double memory_;
  model::NamedTensors averages_;
};

class SignTrainee final : public train::Trainee {
 public:
  SignTrainee(recipe::Config& config, const recipe::Dataset& data, double memory)
      : config_(config), data_(data), memory_(memory), pair_(new_pair()) {}
  std::int64_t parameter_count() const override { return pair_.network().parameter_count(); }
  train::Work work() const override { return {}; }
  train::Objective* begin() override { return &steps_.emplace(pair_, data_, memory_); }
  void publish(const recipe::Arrays& best, const train::Publication& to) override {
    const auto finished = new_pair();
    recipe::restore_tensors("", finished.network().state(), best, "best weights");
    const auto calibration =
        config_.score->calibrate({finished, *data_.training, *data_.held_out, 0, to.reporter, nullptr});
    recipe::write_checkpoint(to.model, {config_, *data_.kind, true, best, *config_.score, calibration, to.training});
  }

 private:
  loss::Autoencoder new_pair() {
    config_.loss.resolve(data_.domain().elements, false);
    config_.training.resolve(false);
    return {*config_.model, config_.loss.terms, data_.domain(), true, 0};
  }

  recipe::Config& config_;
  const recipe::Dataset& data_;
  double memory_;
  loss::Autoencoder pair_;
  std::optional<Steps> steps_;
};

class SignOptions final : public recipe::ObjectiveOptions {
 public:
  void fields(config::Fields& f) override {
    f.number("memory", memory_, {0, 1}, "How much of the average of earlier gradients is kept at each step.");
  }
  std::unique_ptr<train::Trainee> build(recipe::Config& config, const recipe::Dataset& data,
                                        train::Group&) const override {
    return std::make_unique<SignTrainee>(config, data, memory_);
  }

 private:
  double memory_ = 0.9;
};

}  // namespace

const config::Entry<recipe::ObjectiveOptions> kSignObjective{
    "sign", "Steps of one size by the sign of averaged gradients.",
    [] { return std::unique_ptr<recipe::ObjectiveOptions>(std::make_unique<SignOptions>()); }};

}  // namespace ae::toy
