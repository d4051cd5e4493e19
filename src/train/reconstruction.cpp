#include "train/reconstruction.hpp"

#include <torch/torch.h>

#include <algorithm>
#include <numeric>

#include "base/error.hpp"
#include "base/random.hpp"

namespace ae::train {
namespace {

constexpr std::int64_t kValidationRows = 1024;
constexpr std::int64_t kValidationPixels = 1 << 18;

std::int64_t validation_batch(const loss::Autoencoder& autoencoder) {
  const auto& domain = autoencoder.domain();
  if (!domain.images()) return std::max<std::int64_t>(1, kValidationRows / autoencoder.members());
  return std::clamp<std::int64_t>(kValidationPixels / (domain.grid[0] * domain.grid[1]), 1, kValidationRows);
}

// [total, parts...] as the mean over samples, in one transfer.
std::vector<double> means(const loss::Evaluation& evaluation) {
  std::vector<at::Tensor> all{evaluation.samples.mean()};
  for (const auto& part : evaluation.parts) all.push_back(part.mean());
  const auto stacked = torch::stack(all).to(torch::kFloat64).contiguous();
  const double* data = stacked.data_ptr<double>();
  return {data, data + stacked.numel()};
}

// Scales the gradients of each member so that their norm is at most `largest`.
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

}  // namespace

std::vector<std::int64_t> highest_losses(const loss::Autoencoder& autoencoder, const model::Samples& samples,
                                         double share) {
  const auto count = static_cast<std::int64_t>(share * static_cast<double>(samples.size()));
  if (count <= 0) return {};
  const torch::NoGradGuard no_grad;
  autoencoder.network().set_training(false);
  std::vector<double> losses;
  const std::int64_t at_once = validation_batch(autoencoder);
  for (std::int64_t begin = 0; begin < samples.size(); begin += at_once) {
    const auto batch = samples.range(begin, std::min(begin + at_once, samples.size())).repeated(autoencoder.members());
    const auto values = autoencoder.loss()
                            .evaluate(autoencoder.network().forward(batch), batch)
                            .samples.to(torch::kFloat64)
                            .view({autoencoder.members(), -1})
                            .mean(0)
                            .contiguous();
    losses.insert(losses.end(), values.data_ptr<double>(), values.data_ptr<double>() + values.numel());
  }
  std::vector<std::int64_t> order(losses.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) {
    return losses[static_cast<std::size_t>(a)] > losses[static_cast<std::size_t>(b)];
  });
  order.resize(static_cast<std::size_t>(count));
  std::sort(order.begin(), order.end());
  return order;
}

bool uses_dense_engine(const loss::Autoencoder& autoencoder, const TrainingOptions& options) {
  if (options.engine == "autograd") return false;
  auto complaints = DenseEngine::complaints(autoencoder, options);
  if (!complaints.empty() && options.engine == "dense") throw UsageError(std::move(complaints));
  return complaints.empty();
}

ReconstructionObjective::ReconstructionObjective(loss::Autoencoder& autoencoder, const model::Samples& training,
                                                 const model::Samples& held_out, const TrainingOptions& options)
    : autoencoder_(autoencoder), training_(training), held_out_(held_out), options_(options) {
  if (uses_dense_engine(autoencoder, options)) {
    dense_ = std::make_unique<DenseEngine>(autoencoder, training, held_out, options);
    return;
  }
  optimizer_ = options.optimizer->build(autoencoder.network().parameters());
  for (const auto& [name, tensor] : autoencoder.network().parameters()) parameters_.push_back(tensor);
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
  const auto target = training_.batch(samples).repeated(autoencoder_.members());
  const auto input = corrupted(target);
  optimizer_->zero_gradients();
  const auto losses = side_by_side() ? backward_side_by_side(input, target, context.epoch)
                                     : backward(autoencoder_, input, target, context.epoch);
  if (options_.clip_gradient) clip_gradients(parameters_, autoencoder_.members(), *options_.clip_gradient);
  optimizer_->step(context.learning_rate);
  return losses;
}

// Adds the gradient of the sum of the members' losses: each has the one that it would have alone. Returns the losses.
std::vector<double> ReconstructionObjective::backward(const loss::Autoencoder& autoencoder, const model::Batch& input,
                                                      const model::Batch& target, double epoch) const {
  const auto evaluation =
      autoencoder.loss().evaluate(autoencoder.network().forward(input), target, epoch, emphasis(input, target));
  (evaluation.samples.mean() * autoencoder.members()).backward();
  const torch::NoGradGuard no_grad;
  return means(evaluation);
}

// Convolutions of a few small images gain little from several threads; whole members on threads of their own gain all.
// A variational one draws from the generator that all share.
bool ReconstructionObjective::side_by_side() const {
  return autoencoder_.members() > 1 && autoencoder_.domain().images() && !autoencoder_.network().variational();
}

std::vector<double> ReconstructionObjective::backward_side_by_side(const model::Batch& input,
                                                                   const model::Batch& target, double epoch) {
  const std::int64_t members = autoencoder_.members();
  const std::int64_t count = target.samples() / members;
  std::vector<std::vector<double>> losses(static_cast<std::size_t>(members));
  if (!crew_) {
    const auto useful = std::min<std::int64_t>(members, model::threads_in_use());
    crew_ = std::make_unique<model::Crew>(static_cast<int>(useful));
  }
  const int threads = at::get_num_threads();
  at::set_num_threads(1);  // of the calling thread; the crew's others have one each
  crew_->share_out(members, [&](std::int64_t m, int) {
    const auto block = [&](const model::Batch& batch) {
      return model::Batch{batch.values.narrow(0, m * count, count), batch.observed.narrow(0, m * count, count)};
    };
    losses[static_cast<std::size_t>(m)] = backward(autoencoder_.member(m), block(input), block(target), epoch);
  });
  at::set_num_threads(threads);
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
  torch::manual_seed(stream_key(static_cast<std::uint64_t>(options_.seed), "validation corruption"));
  autoencoder_.network().set_training(false);
  std::vector<double> sums(1 + part_names().size(), 0.0);
  const std::int64_t at_once = validation_batch(autoencoder_);
  for (std::int64_t begin = 0; begin < held_out_.size(); begin += at_once) {
    const auto end = std::min(begin + at_once, held_out_.size());
    const auto target = held_out_.range(begin, end).repeated(autoencoder_.members());
    const auto input = corrupted(target);
    const auto losses = means(autoencoder_.loss().evaluate(autoencoder_.network().forward(input), target, loss::kRamped,
                                                           emphasis(input, target)));
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += losses[i] * static_cast<double>(end - begin);
  }
  for (double& sum : sums) sum /= static_cast<double>(held_out_.size());
  return sums;
}

void ReconstructionObjective::save_optimizer(Arrays& arrays) const {
  dense_ ? dense_->save_optimizer(arrays) : optimizer_->save("optimizer.", arrays);
}
void ReconstructionObjective::restore_optimizer(const Arrays& arrays) {
  dense_ ? dense_->restore_optimizer(arrays) : optimizer_->restore("optimizer.", arrays);
}

}  // namespace ae::train
