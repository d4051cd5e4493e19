#include "train/reconstruction.hpp"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <numeric>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/signals.hpp"
#include "model/batch_part.hpp"
#include "train/clip_gradients.hpp"

namespace ae::train {
namespace {

constexpr std::int64_t kValidationRows = 1024;
constexpr std::int64_t kValidationPixels = 1 << 18;

std::int64_t validation_batch(const loss::Autoencoder& autoencoder) {
  const auto& domain = autoencoder.domain();
  if (!domain.gridded()) return std::max<std::int64_t>(1, kValidationRows / autoencoder.members());
  return std::clamp<std::int64_t>(kValidationPixels / domain.positions(), 1, kValidationRows);
}

// [total, parts...] as the mean over samples, in one transfer.
std::vector<double> means(const loss::Evaluation& evaluation) {
  std::vector<at::Tensor> all{evaluation.samples.mean()};
  for (const auto& part : evaluation.parts) all.push_back(part.mean());
  const auto stacked = torch::stack(all).to(torch::kFloat64).contiguous();
  const double* data = stacked.data_ptr<double>();
  return {data, data + stacked.numel()};
}

}  // namespace

std::vector<std::int64_t> highest_losses(const loss::Autoencoder& autoencoder, const model::Samples& samples,
                                         double share, Group& group) {
  const auto count = static_cast<std::int64_t>(share * static_cast<double>(samples.size()));
  if (count <= 0) return {};
  const torch::NoGradGuard no_grad;
  autoencoder.network().set_training(false);
  std::vector<double> losses(static_cast<std::size_t>(samples.size()), 0.0);
  const std::int64_t at_once = validation_batch(autoencoder);
  for (std::int64_t begin = 0; begin < samples.size(); begin += at_once) {
    if (group.size() == 1) throw_if_stopped("finding the highest losses");
    if (begin / at_once % group.size() != group.world().rank) continue;
    const auto batch = samples.range(begin, std::min(begin + at_once, samples.size())).repeated(autoencoder.members());
    const auto values = autoencoder.loss()
                            .evaluate(autoencoder.network().forward(batch), batch)
                            .samples.to(torch::kFloat64)
                            .view({autoencoder.members(), -1})
                            .mean(0)
                            .contiguous();
    std::copy_n(values.data_ptr<double>(), values.numel(), losses.begin() + begin);
  }
  group.sum(losses);
  std::vector<std::int64_t> order(losses.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) {
    return losses[static_cast<std::size_t>(a)] > losses[static_cast<std::size_t>(b)];
  });
  order.resize(static_cast<std::size_t>(count));
  std::sort(order.begin(), order.end());
  return order;
}

bool uses_dense_engine(const loss::Autoencoder& autoencoder, const recipe::TrainingOptions& options) {
  if (options.engine == "autograd") return false;
  auto complaints = DenseEngine::complaints(autoencoder, options);
  if (!complaints.empty() && options.engine == "dense") throw UsageError(std::move(complaints));
  return complaints.empty();
}

// The gradients that autograd leaves, gathered into buckets. Of a network whose members are trained side by side, they
// are gathered after the backward pass: the members' gradients are the same memory, but other tensors.
class ReconstructionObjective::Buckets {
 public:
  Buckets(Group& group, const std::vector<at::Tensor>& parameters) {
    std::int64_t size = 0;
    for (const auto& parameter : parameters) size += parameter.numel();
    memory_ = torch::zeros({size});
    for (std::size_t i = parameters.size(); i-- > 0;) {
      if (buckets_.empty() || buckets_.back().size >= kBucketNumbers) buckets_.emplace_back();
      buckets_.back().parts.push_back({parameters[i], {}});
      buckets_.back().size += parameters[i].numel();
    }
    std::vector<std::span<float>> places;
    std::int64_t offset = 0;
    for (auto& bucket : buckets_) {
      places.emplace_back(memory_.data_ptr<float>() + offset, static_cast<std::size_t>(bucket.size));
      for (auto& [parameter, slot] : bucket.parts) {
        slot = memory_.narrow(0, offset, parameter.numel()).view(parameter.sizes());
        offset += parameter.numel();
      }
    }
    exchange_ = std::make_unique<GradientExchange>(group, std::move(places));
    for (std::size_t b = 0; b < buckets_.size(); ++b) {
      for (const auto& [parameter, slot] : buckets_[b].parts) {
        accumulators_.push_back(torch::autograd::impl::grad_accumulator(parameter));
        accumulators_.back()->add_post_hook(std::make_unique<Hook>(*this, b));
      }
    }
  }

  void begin() {
    for (auto& bucket : buckets_) bucket.left = bucket.parts.size();
    exchange_->begin();
  }

  // After the backward pass: sends what no hook has sent, and puts the sums in the gradients' place.
  void finish() {
    const torch::NoGradGuard no_grad;
    for (std::size_t b = 0; b < buckets_.size(); ++b) {
      if (buckets_[b].left > 0) send(b);
    }
    for (std::size_t b = 0; b < buckets_.size(); ++b) {
      exchange_->wait(b);
      for (auto& [parameter, slot] : buckets_[b].parts) {
        if (!parameter.grad().defined()) parameter.mutable_grad() = torch::zeros_like(parameter);
        parameter.mutable_grad().copy_(slot);
      }
    }
  }

 private:
  struct Part {
    at::Tensor parameter;
    at::Tensor slot;  // in the bucket
  };
  struct Bucket {
    std::vector<Part> parts;
    std::int64_t size = 0;
    std::size_t left = 0;  // parts without a gradient so far
  };
  struct Hook final : torch::autograd::FunctionPostHook {
    Buckets& buckets;
    std::size_t bucket;
    Hook(Buckets& of, std::size_t index) : buckets(of), bucket(index) {}
    torch::autograd::variable_list operator()(const torch::autograd::variable_list& outputs,
                                              const torch::autograd::variable_list&) override {
      if (--buckets.buckets_[bucket].left == 0) buckets.send(bucket);
      return outputs;
    }
  };

  void send(std::size_t b) {
    const torch::NoGradGuard no_grad;
    for (auto& [parameter, slot] : buckets_[b].parts) {
      if (parameter.grad().defined()) {
        slot.copy_(parameter.grad());
      } else {
        slot.zero_();
      }
    }
    buckets_[b].left = 0;
    exchange_->ready(b);
  }

  at::Tensor memory_;
  std::vector<Bucket> buckets_;  // the last parameters first, as backward passes go
  std::unique_ptr<GradientExchange> exchange_;
  std::vector<std::shared_ptr<torch::autograd::Node>> accumulators_;  // which their hooks live in
};

ReconstructionObjective::~ReconstructionObjective() = default;

ReconstructionObjective::ReconstructionObjective(loss::Autoencoder& autoencoder, const model::Samples& training,
                                                 const model::Samples& held_out, const recipe::TrainingOptions& options,
                                                 Group& group, std::span<const double> weights,
                                                 const Adversary* adversary)
    : autoencoder_(autoencoder),
      training_(training),
      held_out_(held_out),
      options_(options),
      group_(group),
      weights_(weights),
      adversary_(adversary) {
  if (adversary == nullptr && uses_dense_engine(autoencoder, options)) {
    dense_ = std::make_unique<DenseEngine>(autoencoder, training, held_out, options, group);
    return;
  }
  auto trained = autoencoder.network().parameters();
  add_adversary_to(trained);
  optimizer_ = options.optimizer->build(trained);
  for (const auto& [name, tensor] : trained) parameters_.push_back(tensor);
  if (group.size() > 1) buckets_ = std::make_unique<Buckets>(group, parameters_);
}

model::NamedTensors ReconstructionObjective::weights() const {
  auto all = autoencoder_.network().state();
  add_adversary_to(all);
  return all;
}

void ReconstructionObjective::add_adversary_to(model::NamedTensors& tensors) const {
  if (adversary_ == nullptr) return;
  for (const auto& [name, tensor] : adversary_->parameters()) tensors.emplace_back(kOfAdversary + name, tensor);
}

std::vector<std::string> ReconstructionObjective::part_names() const {
  auto names = autoencoder_.loss().part_names();
  if (adversary_ != nullptr) names.push_back(adversary_->part_name());
  return names;
}

model::Batch ReconstructionObjective::corrupted(model::Batch batch) const {
  for (const auto& corruption : options_.corruption) batch = corruption->apply(batch, autoencoder_.domain());
  return batch;
}

// By element, as of "emphasized denoising": Vincent et al., Stacked denoising autoencoders, JMLR 11 (2010), section 5.
at::Tensor ReconstructionObjective::emphasis(const model::Batch& input, const model::Batch& target) const {
  if (options_.emphasis == 1) return {};
  const auto changed = input.values.ne(target.values).logical_or(input.observed.ne(target.observed));
  return 1 + (options_.emphasis - 1) * changed.to(target.values.scalar_type());
}

std::vector<double> ReconstructionObjective::step(const std::vector<std::int64_t>& samples,
                                                  const StepContext& context) {
  if (dense_) return dense_->step(samples, context);
  torch::manual_seed(context.key);
  autoencoder_.network().set_training(true);
  auto target = training_.batch(samples).repeated(autoencoder_.members());
  auto input = corrupted(target);
  // What is drawn, augmentation and corruption too, is drawn for the whole batch, so that it does not depend on who
  // takes which part.
  const auto whole = static_cast<std::int64_t>(samples.size());
  const auto [first, last] = group_.world().share_of(whole);
  const std::int64_t count = last - first;
  const model::BatchPart part(first, count, whole);
  if (count < whole) {
    for (auto* batch : {&target, &input}) {
      const auto& sizes = batch->sizes;
      *batch = {part.of(batch->values), part.of(batch->observed), sizes.defined() ? part.of(sizes) : sizes};
    }
  }
  optimizer_->zero_gradients();
  if (buckets_) buckets_->begin();
  std::vector<double> losses(1 + part_names().size(), 0.0);
  if (count > 0) {
    const double share = static_cast<double>(count) / static_cast<double>(whole);
    losses = adversary_       ? backward_against(input, target, context, first, share)
             : side_by_side() ? backward_side_by_side(input, target, context.epoch, share)
                              : backward(autoencoder_, input, target, context.epoch, share);
  }
  if (buckets_) buckets_->finish();
  if (options_.clip_gradient) clip_gradients(parameters_, autoencoder_.members(), *options_.clip_gradient);
  optimizer_->step(context.learning_rate);
  return losses;
}

// Adds the gradient of the sum of the members' losses: each has the one that it would have alone. Returns the losses.
// Both are the share's part of those of the whole batch.
std::vector<double> ReconstructionObjective::backward(const loss::Autoencoder& autoencoder, const model::Batch& input,
                                                      const model::Batch& target, double epoch, double share) const {
  const auto evaluation =
      autoencoder.loss().evaluate(autoencoder.network().forward(input), target, epoch, emphasis(input, target));
  (evaluation.samples.mean() * (share * static_cast<double>(autoencoder.members()))).backward();
  const torch::NoGradGuard no_grad;
  auto losses = means(evaluation);
  for (double& loss : losses) loss *= share;
  return losses;
}

std::vector<double> ReconstructionObjective::backward_against(const model::Batch& input, const model::Batch& target,
                                                              const StepContext& context, std::int64_t first,
                                                              double share) const {
  const auto round = adversary_->play(autoencoder_, input, target, stream_key(context.key, "adversary"), first);
  autoencoder_.network().set_training(true);
  auto losses = losses_against(round, input, target, context.epoch);
  (losses.samples.mean() * share).backward();
  for (double& loss : losses.means) loss *= share;
  return losses.means;
}

// What corruption has changed is emphasised, not what the adversary has, who changes everything.
ReconstructionObjective::Losses ReconstructionObjective::losses_against(const Adversary::Round& round,
                                                                        const model::Batch& input,
                                                                        const model::Batch& target,
                                                                        double epoch) const {
  const auto output = autoencoder_.network().forward(round.input);
  const auto evaluation = autoencoder_.loss().evaluate(output, target, epoch, emphasis(input, target));
  const auto further = adversary_->loss(round, autoencoder_.loss().expected(output.prediction));
  Losses losses{evaluation.samples + adversary_->weight() * further, means(evaluation)};
  const double mean = further.detach().mean().item<double>();
  losses.means.front() += adversary_->weight() * mean;
  losses.means.push_back(mean);
  return losses;
}

// Convolutions of a few small images gain little from several threads; whole members on threads of their own gain all.
// A variational one draws from the generator that all share.
bool ReconstructionObjective::side_by_side() const {
  return autoencoder_.members() > 1 && autoencoder_.domain().gridded() && !autoencoder_.network().variational();
}

std::vector<double> ReconstructionObjective::backward_side_by_side(const model::Batch& input,
                                                                   const model::Batch& target, double epoch,
                                                                   double share) {
  const std::int64_t members = autoencoder_.members();
  const std::int64_t count = target.samples() / members;
  std::vector<std::vector<double>> losses(static_cast<std::size_t>(members));
  if (!crew_) {
    const auto useful = std::min<std::int64_t>(members, model::threads_in_use());
    crew_ = std::make_unique<model::Crew>(static_cast<int>(useful));
  }
  const model::SerialLibraries serial;
  crew_->share_out(members, [&](std::int64_t m, int) {
    const auto block = [&](const model::Batch& batch) { return batch.range(m * count, (m + 1) * count); };
    losses[static_cast<std::size_t>(m)] = backward(autoencoder_.member(m), block(input), block(target), epoch, share);
  });
  std::vector<double> mean(losses.front().size(), 0.0);
  for (const auto& own : losses) {
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += own[i] / static_cast<double>(members);
  }
  return mean;
}

// The held-out rows are corrupted as in training, but by the same draws every time.
std::vector<double> ReconstructionObjective::validate() {
  if (dense_) return dense_->validate();
  const torch::NoGradGuard no_grad;
  autoencoder_.network().set_training(false);
  std::vector<double> sums(1 + part_names().size(), 0.0);
  const std::int64_t at_once = validation_batch(autoencoder_);
  for (std::int64_t begin = 0; begin < held_out_.size(); begin += at_once) {
    if (group_.size() == 1) throw_if_stopped("validation");
    if (begin / at_once % group_.size() != group_.world().rank) continue;
    torch::manual_seed(stream_key(static_cast<std::uint64_t>(options_.seed), "validation corruption",
                                  static_cast<std::uint64_t>(begin)));
    const auto end = std::min(begin + at_once, held_out_.size());
    const auto target = held_out_.range(begin, end).repeated(autoencoder_.members());
    const auto input = corrupted(target);
    std::vector<double> losses;
    if (adversary_ != nullptr) {
      const auto key = stream_key(static_cast<std::uint64_t>(options_.seed), "validation adversary");
      losses =
          losses_against(adversary_->play(autoencoder_, input, target, key, begin), input, target, loss::kRamped).means;
    } else {
      losses = means(autoencoder_.loss().evaluate(autoencoder_.network().forward(input), target, loss::kRamped,
                                                  emphasis(input, target)));
    }
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += losses[i] * static_cast<double>(end - begin);
  }
  group_.sum(sums);
  for (double& sum : sums) sum /= static_cast<double>(held_out_.size());
  return sums;
}

void ReconstructionObjective::save_state(recipe::Arrays& arrays) const {
  dense_ ? dense_->save_optimizer(arrays) : optimizer_->save("optimizer.", arrays);
}
void ReconstructionObjective::restore_state(const recipe::Arrays& arrays) {
  dense_ ? dense_->restore_optimizer(arrays) : optimizer_->restore("optimizer.", arrays);
}

}  // namespace ae::train
