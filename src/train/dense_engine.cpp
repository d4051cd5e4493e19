#include "train/dense_engine.hpp"

#include <torch/types.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <span>

#include "base/random.hpp"
#include "base/signals.hpp"
#include "model/dense_forward.hpp"
#include "model/kernels.hpp"
#include "model/threads.hpp"
#include "train/gradient_exchange.hpp"

namespace ae::train {
namespace {

constexpr std::int64_t kValidationPiece = 256;
// The batch of a single large network is cut into slices that threads take side by side, each with a gradient of its
// own; how many depends on the network and the batch alone. Smaller slices spend more on adding up than they gain.
constexpr std::int64_t kSliceRows = 128;
constexpr double kSliceOperations = 5e7;
constexpr std::int64_t kMostSlices = 8;
constexpr std::int64_t kNumbersAtOnce = 1 << 14;  // that a thread steps by their gradients

using model::DenseForward;
using model::PlainRows;

// Rows and what each cell counts: observed / #observed of the row.
struct Rows : PlainRows {
  const float* share = nullptr;
  const float* sizes = nullptr;  // [count], or null (see model::Batch)
};

// Memory for one batch of one member; a thread has one.
struct Workspace {
  std::int64_t rows = 0;   // room for so many
  std::int64_t whole = 0;  // and for corrupting so many
  DenseForward::Workspace forward;
  model::Arena arena;
  float *values = nullptr, *observed = nullptr, *share = nullptr, *cell_scratch = nullptr;
  float *gradient = nullptr, *next_gradient = nullptr;
  float *mean_gradient = nullptr, *log_variance_gradient = nullptr, *constants_gradient = nullptr;
  std::vector<float> loss_scratch;
};

void share_of_cells(const float* observed, std::int64_t rows, std::int64_t elements, float* share) {
  for (std::int64_t i = 0; i < rows; ++i, observed += elements, share += elements) {
    float count = 0;
    for (std::int64_t e = 0; e < elements; ++e) count += observed[e];
    const float each = 1 / std::max(count, 1.0f);
    for (std::int64_t e = 0; e < elements; ++e) share[e] = observed[e] * each;
  }
}

}  // namespace

class DenseEngine::Implementation {
 public:
  Implementation(loss::Autoencoder& autoencoder, const model::Samples& training, const model::Samples& held_out,
                 const recipe::TrainingOptions& options, Group& group)
      : loss_(autoencoder.loss()),
        options_(options),
        group_(group),
        parameters_(autoencoder.network().parameters()),
        weights_(autoencoder.network().gather_parameters()),
        optimizer_(options.optimizer->build_fused(parameters_, weights_)),
        plan_(std::make_shared<const model::DensePlan>(*autoencoder.network().dense_plan())),
        training_(training),
        held_out_(held_out),
        training_complete_(!training.has_missing()),
        held_out_complete_(!held_out.has_missing()),
        elements_(static_cast<std::int64_t>(autoencoder.elements().size())),
        member_size_(weights_.size(1)),
        slices_(slices()),
        gradients_(torch::zeros({slices_, plan_->members, member_size_})),
        weight_data_(weights_.data_ptr<float>()),
        gradient_data_(gradients_.data_ptr<float>()),
        crew_(static_cast<int>(std::min<std::int64_t>(plan_->members * slices_, model::threads_in_use()))),
        workspaces_(static_cast<std::size_t>(crew_.size())) {
    for (const auto& element : autoencoder.elements()) categorical_.push_back(element.categorical());
    for (std::int64_t m = 0; m < plan_->members; ++m) members_.emplace_back(plan_, m);
    const auto& layers = members_.front().layers();
    for (const auto& layer : layers) {
      const auto shares = [&](const DenseForward::Layer& other) {
        return !layer.affine.tied && other.affine.tied && other.affine.weight == layer.affine.weight;
      };
      shared_.push_back(std::any_of(layers.begin(), layers.end(), shares));
    }
    place_buckets();
  }

  std::vector<double> step(const std::vector<std::int64_t>& samples, const StepContext& context) {
    const model::SerialBlas serial;
    const Rows rows = gather(samples);
    optimizer_->begin_step(context.learning_rate);
    exchange_->begin();
    const std::size_t parts = loss_.part_names().size();
    const bool alone = slices_ == 1 && group_.size() == 1;
    part_sums_.assign(static_cast<std::size_t>(plan_->members * slices_) * parts, 0.0);
    crew_.share_out(plan_->members * slices_, [&](std::int64_t item, int thread) {
      const std::int64_t member = item / slices_, slice = item % slices_;
      auto& workspace = workspaces_[static_cast<std::size_t>(thread)];
      double* own_parts = part_sums_.data() + static_cast<std::size_t>(item) * parts;
      const auto key = stream_key(context.key, "member", static_cast<std::uint64_t>(member));
      const Rows own = slice_of(rows, slice);
      evaluate(workspace, member, own, true, key, context.epoch, own_parts);
      backward(workspace, member, own.count, gradient_data_ + slice * weights_.numel());
      if (alone)
        optimizer_->update(member * member_size_, member_size_, gradient_data_ + member * member_size_,
                           clipping(member));
    });
    // Not before all members are on their way: waiting for one would keep a thread from the next.
    if (!alone) update();
    return totals(part_sums_, static_cast<double>(plan_->members));
  }

  // Corrupted as in training, but by the same draws every time.
  std::vector<double> validate() {
    const model::SerialBlas serial;
    const std::size_t parts = loss_.part_names().size();
    const std::int64_t rows = held_out_.size();
    const std::int64_t pieces = (rows + kValidationPiece - 1) / kValidationPiece;
    std::vector<double> sums(static_cast<std::size_t>(pieces * plan_->members) * parts, 0.0);
    reserve_even_share(std::min(kValidationPiece, rows));
    const auto key = stream_key(static_cast<std::uint64_t>(options_.seed), "validation corruption");
    crew_.share_out(pieces * plan_->members, [&](std::int64_t task, int thread) {
      if (group_.size() == 1) throw_if_stopped("validation");
      if (task % group_.size() != group_.world().rank) return;
      auto& workspace = workspaces_[static_cast<std::size_t>(thread)];
      const std::int64_t member = task / pieces, begin = task % pieces * kValidationPiece;
      const std::int64_t count = std::min(kValidationPiece, rows - begin);
      reserve(workspace, count, count);
      const auto piece = held_out_.range(begin, begin + count);
      const auto values = piece.values.contiguous(), seen = piece.observed.contiguous();
      const float* observed = nullptr;
      const float* share = even_share_.data();
      if (!held_out_complete_) {
        observed = seen.data_ptr<float>();
        share_of_cells(observed, count, elements_, workspace.share);
        share = workspace.share;
      }
      double* own_parts = sums.data() + static_cast<std::size_t>(task) * parts;
      const auto sizes = piece.sizes.defined() ? piece.sizes.contiguous() : piece.sizes;
      const Rows target{{count, values.data_ptr<float>(), observed, 0, count},
                        share,
                        sizes.defined() ? sizes.data_ptr<float>() : nullptr};
      evaluate(workspace, member, target, false,
               stream_key(key, "piece", static_cast<std::uint64_t>(member), static_cast<std::uint64_t>(begin)),
               loss::kRamped, own_parts);
      for (std::size_t p = 0; p < parts; ++p) own_parts[p] *= static_cast<double>(count);
    });
    group_.sum(sums);
    return totals(sums, static_cast<double>(rows * plan_->members));
  }

  model::NamedTensors gradients() const {
    model::NamedTensors views;
    for (const auto& [name, parameter] : parameters_) {
      views.emplace_back(name, recipe::part_of(gradients_[0], parameter));
    }
    return views;
  }

  recipe::FusedOptimizer& optimizer() { return *optimizer_; }

 private:
  // [total, parts...] of sums that come part by part.
  std::vector<double> totals(const std::vector<double>& sums, double divisor) const {
    const std::size_t parts = loss_.part_names().size();
    std::vector<double> losses(1 + parts, 0.0);
    for (std::size_t i = 0; i < sums.size(); ++i) losses[1 + i % parts] += sums[i];
    for (std::size_t p = 1; p <= parts; ++p) losses[0] += losses[p] /= divisor;
    return losses;
  }

  // This process's part of a batch. Around it lies the rest, where corruption draws for the whole batch.
  Rows gather(const std::vector<std::int64_t>& samples) {
    const auto whole = static_cast<std::int64_t>(samples.size());
    const auto [first, last] = group_.world().share_of(whole);
    const bool alone = options_.corruption.empty();
    const std::int64_t begin = alone ? first : 0, count = alone ? last - first : whole;
    const auto size = static_cast<std::size_t>(count * elements_);
    if (target_.size() < 3 * size) target_.resize(3 * size);
    float* values = target_.data();
    float* observed = training_complete_ ? nullptr : values + size;
    training_.gather(std::span(samples).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count)),
                     values, observed);
    const std::int64_t own = (first - begin) * elements_;
    sizes_.resize(samples.size());
    const float* sizes = training_.gather_sizes(samples, sizes_.data()) ? sizes_.data() + first : nullptr;
    if (observed == nullptr) {
      reserve_even_share(last - first);
      return {{last - first, values + own, nullptr, first, whole}, even_share_.data(), sizes};
    }
    float* share = observed + size;
    share_of_cells(observed + own, last - first, elements_, share + own);
    return {{last - first, values + own, observed + own, first, whole}, share + own, sizes};
  }

  std::int64_t slices() const {
    const auto normed = [](const auto& layer) {
      return layer.norm.kind == model::NormKind::batch;
    };  // of whole batches
    if (plan_->members > 1 || std::any_of(plan_->layers.begin(), plan_->layers.end(), normed)) return 1;
    const auto [first, last] = group_.world().share_of(options_.batch_size);
    const double operations = 6 * static_cast<double>(weights_.numel()) * static_cast<double>(last - first);
    const auto worth = static_cast<std::int64_t>(std::min<double>(kMostSlices, operations / kSliceOperations));
    return std::clamp<std::int64_t>(std::min((last - first) / kSliceRows, worth), 1, kMostSlices);
  }
  Rows slice_of(Rows rows, std::int64_t slice) const {
    const std::int64_t begin = rows.count * slice / slices_, end = rows.count * (slice + 1) / slices_;
    rows.count = end - begin;
    rows.first += begin;
    rows.values += begin * elements_;
    if (rows.observed != nullptr) rows.observed += begin * elements_;
    rows.share += begin * elements_;
    if (rows.sizes != nullptr) rows.sizes += begin;
    return rows;
  }

  // What the cells of complete rows count.
  void reserve_even_share(std::int64_t rows) {
    const auto size = static_cast<std::size_t>(rows * elements_);
    if (even_share_.size() < size) even_share_.assign(size, 1 / static_cast<float>(elements_));
  }

  // Lays the workspace out anew when the batch is larger than any before.
  void reserve(Workspace& w, std::int64_t rows, std::int64_t whole) const {
    if (rows <= w.rows && whole <= w.whole) return;
    rows = w.rows = std::max(w.rows, rows);
    w.whole = std::max(w.whole, whole);
    const std::int64_t cells = w.whole * elements_, widest = members_.front().widest();
    const std::int64_t codes = members_.front().variational() ? rows * members_.front().log_variance().out : 0;
    w.arena.lay_out([&](const auto& take) {
      for (auto* array : {&w.values, &w.observed, &w.share}) *array = take(cells);
      w.cell_scratch = take(3 * cells);
      for (auto* array : {&w.gradient, &w.next_gradient}) *array = take(rows * widest);
      for (auto* array : {&w.mean_gradient, &w.log_variance_gradient}) *array = take(codes);
      w.constants_gradient = take(std::ssize(loss_.constants()));
    });
  }

  // Forward pass and loss: adds to parts[term] its mean over the rows; leaves in the workspace what backward() needs.
  void evaluate(Workspace& w, std::int64_t member, const Rows& target, bool training, std::uint64_t key, double epoch,
                double* parts) const {
    if (target.count == 0) return;
    reserve(w, target.count, target.whole);
    const DenseForward& network = members_[static_cast<std::size_t>(member)];
    const Rows input = corrupted(w, target, key);
    const float* prediction = network.run(w.forward, input, training, key);
    loss::Composition::FusedBatch batch;
    batch.samples = target.count;
    batch.whole = target.whole;
    batch.prediction = prediction;
    batch.target = target.values;
    batch.share = input.share;
    batch.plain_share = target.share;
    batch.sizes = target.sizes;
    batch.constants = network.constants();
    loss::Composition::FusedGradient gradient;
    gradient.prediction = w.gradient;
    if (batch.constants != nullptr) {
      gradient.constants = w.constants_gradient;
      std::fill_n(w.constants_gradient, loss_.constants().size(), 0.0f);
    }
    if (network.variational()) {
      batch.latent = network.log_variance().out;
      batch.mean = w.forward.layers[plan_->bottleneck].value;
      batch.log_variance = w.forward.log_variance;
      gradient.mean = w.mean_gradient;
      gradient.log_variance = w.log_variance_gradient;
      std::fill(w.mean_gradient, w.mean_gradient + target.count * batch.latent, 0.0f);
      std::fill(w.log_variance_gradient, w.log_variance_gradient + target.count * batch.latent, 0.0f);
    }
    loss_.fused(batch, epoch, gradient, parts, w.loss_scratch);
  }

  // What the network sees of the rows; `share` is that of the loss.
  Rows corrupted(Workspace& w, const Rows& target, std::uint64_t key) const {
    if (options_.corruption.empty()) return target;
    const std::int64_t before = target.first * elements_, whole = target.whole * elements_;
    std::copy(target.values - before, target.values - before + whole, w.values);
    if (target.observed == nullptr) {
      std::fill(w.observed, w.observed + whole, 1.0f);
    } else {
      std::copy(target.observed - before, target.observed - before + whole, w.observed);
    }
    std::uint64_t order = 0;
    for (const auto& corruption : options_.corruption) {
      corruption->corrupt({target.whole, elements_, w.values, w.observed, &categorical_, w.cell_scratch},
                          stream_key(key, "corruption", order++));
    }
    const float *values = w.values + before, *observed = w.observed + before;
    const float* share = target.share;
    if (options_.emphasis != 1) {
      const auto emphasis = static_cast<float>(options_.emphasis);
      for (std::int64_t i = 0; i < target.count * elements_; ++i) {
        const float seen = target.observed == nullptr ? 1.0f : target.observed[i];
        const bool changed = values[i] != target.values[i] || observed[i] != seen;
        w.share[i] = target.share[i] * (changed ? emphasis : 1.0f);
      }
      share = w.share;
    }
    return {{target.count, values, observed, target.first, target.whole}, share, target.sizes};
  }

  // Gradients of the weights, from the gradient of the outputs in w.gradient, to where the weights are in `gradients`.
  // A weight that two layers share adds up.
  void backward(Workspace& w, std::int64_t member, std::int64_t rows, float* gradients) {
    const auto gradient_of = [&](const float* parameter) { return gradients + (parameter - weight_data_); };
    const DenseForward& network = members_[static_cast<std::size_t>(member)];
    const auto& layers = network.layers();
    if (rows == 0) {  // a batch smaller than the group
      std::fill_n(gradients + member * member_size_, member_size_, 0.0f);
      for (std::size_t l = layers.size(); l-- > 0;) complete(member, l);
      return;
    }
    if (network.constants() != nullptr)
      std::copy_n(w.constants_gradient, loss_.constants().size(), gradient_of(network.constants()));
    for (std::size_t l = layers.size(); l-- > 0;) {
      const auto& layer = layers[l];
      const auto& own = w.forward.layers[l];
      const std::int64_t width = layer.affine.out;
      const bool draws = network.variational() && l == plan_->bottleneck;
      if (draws) {  // w.gradient is that of the code drawn
        for (std::int64_t i = 0; i < rows * width; ++i) {
          const float of_code = w.gradient[i] * w.forward.noise[i] * 0.5f * w.forward.deviation[i];
          w.log_variance_gradient[i] = (w.log_variance_gradient[i] + of_code) * w.forward.inside[i];
          w.gradient[i] += w.mean_gradient[i];
        }
      }
      float* bias_gradient = gradient_of(layer.affine.bias);
      if (layer.activation) model::multiply_and_sum_columns(own.slope, rows, width, w.gradient, bias_gradient);
      if (layer.norm != model::NormKind::none) {
        const auto normalise_backward =
            layer.norm == model::NormKind::batch ? model::normalise_columns_backward : model::normalise_rows_backward;
        normalise_backward(own.normalised, own.inverse_deviation, layer.scale, rows, width, gradient_of(layer.scale),
                           gradient_of(layer.shift), w.gradient);
      }
      if (!layer.activation || layer.norm != model::NormKind::none) {
        model::sum_columns(w.gradient, rows, width, bias_gradient);
      }
      const float* x = network.input_of(w.forward, l);
      float* x_gradient = l > 0 || !network.embeddings().empty() ? w.next_gradient : nullptr;
      differentiate(layer.affine, shared_[l], x, w.gradient, rows, gradient_of(layer.affine.weight), x_gradient, 0);
      if (draws) {
        model::sum_columns(w.log_variance_gradient, rows, width, gradient_of(network.log_variance().bias));
        differentiate(network.log_variance(), false, x, w.log_variance_gradient, rows,
                      gradient_of(network.log_variance().weight), x_gradient, 1);
      }
      std::swap(w.gradient, w.next_gradient);
      if (l > 0) complete(member, l);
    }
    leave(network, w.forward.entered, w.gradient, gradients);
    complete(member, 0);
  }

  // Part of a member's gradient, complete when the backward pass has done a layer (and all above it).
  struct Bucket {
    std::int64_t begin = 0, end = 0;
    std::size_t layer = 0;
  };

  // Backward passes go through the buffer from its end, but where a layer shares the weight of one before.
  void place_buckets() {
    std::map<std::int64_t, std::size_t> done_after;  // layer, by where a parameter begins
    const auto note = [&](const float* parameter, std::size_t layer) {
      const auto [at, added] = done_after.emplace(parameter - weight_data_, layer);
      if (!added) at->second = std::min(at->second, layer);
    };
    const DenseForward& network = members_.front();
    for (std::size_t l = 0; l < network.layers().size(); ++l) {
      const auto& layer = network.layers()[l];
      for (const float* parameter : {layer.affine.weight, layer.affine.bias}) note(parameter, l);
      if (layer.norm == model::NormKind::none) continue;
      for (const float* parameter : {layer.scale, layer.shift}) note(parameter, l);
    }
    if (network.variational()) {
      for (const float* parameter : {network.log_variance().weight, network.log_variance().bias}) {
        note(parameter, plan_->bottleneck);
      }
    }
    for (const float* embedding : network.embeddings()) note(embedding, 0);
    if (network.constants() != nullptr) note(network.constants(), network.layers().size() - 1);
    Bucket bucket{member_size_, member_size_, network.layers().size()};
    for (auto parameter = done_after.rbegin(); parameter != done_after.rend(); ++parameter) {
      bucket.begin = std::next(parameter) == done_after.rend() ? 0 : parameter->first;
      bucket.layer = std::min(bucket.layer, parameter->second);
      if (bucket.end - bucket.begin < kBucketNumbers && bucket.begin > 0) continue;
      buckets_.push_back(bucket);
      bucket = {bucket.begin, bucket.begin, network.layers().size()};
    }
    std::vector<std::span<float>> places;
    for (std::int64_t member = 0; member < plan_->members; ++member) {
      for (const auto& part : buckets_) {
        places.emplace_back(gradient_data_ + member * member_size_ + part.begin,
                            static_cast<std::size_t>(part.end - part.begin));
      }
    }
    exchange_ = std::make_unique<GradientExchange>(group_, std::move(places));
    slices_done_ = std::vector<std::atomic<std::int64_t>>(buckets_.size());
  }

  std::size_t first_bucket(std::int64_t member) const { return static_cast<std::size_t>(member) * buckets_.size(); }

  // The last slice that completes a bucket adds up those of all.
  void complete(std::int64_t member, std::size_t layer) {
    for (std::size_t b = 0; b < buckets_.size(); ++b) {
      if (buckets_[b].layer != layer) continue;
      if (slices_ > 1) {
        if (++slices_done_[b] < slices_) continue;
        slices_done_[b] = 0;
        float* sum = gradient_data_ + buckets_[b].begin;
        for (std::int64_t slice = 1; slice < slices_; ++slice) {
          model::add(sum + slice * weights_.numel(), buckets_[b].end - buckets_[b].begin, sum);
        }
      }
      exchange_->ready(first_bucket(member) + b);
    }
  }

  // Calls work(begin, count) for ranges of the buffer, the same ones for any number of threads.
  template <typename Work>
  void for_each_range(const Work& work) {
    const std::int64_t size = weights_.numel();
    crew_.share_out((size + kNumbersAtOnce - 1) / kNumbersAtOnce, [&](std::int64_t range, int) {
      const std::int64_t begin = range * kNumbersAtOnce;
      work(begin, std::min(kNumbersAtOnce, size - begin));
    });
  }

  // By the gradient of the whole batch.
  void update() {
    std::vector<float> factors;
    for (std::int64_t member = 0; member < plan_->members; ++member) {
      for (std::size_t b = 0; b < buckets_.size(); ++b) exchange_->wait(first_bucket(member) + b);
      factors.push_back(clipping(member));
    }
    if (plan_->members == 1) {
      for_each_range([&](std::int64_t begin, std::int64_t count) {
        optimizer_->update(begin, count, gradient_data_ + begin, factors[0]);
      });
      return;
    }
    crew_.share_out(plan_->members, [&](std::int64_t member, int) {
      optimizer_->update(member * member_size_, member_size_, gradient_data_ + member * member_size_,
                         factors[static_cast<std::size_t>(member)]);
    });
  }

  // What the member's gradient is multiplied by.
  float clipping(std::int64_t member) const {
    if (!options_.clip_gradient) return 1;
    const double norm = std::sqrt(model::sum_of_squares(gradient_data_ + member * member_size_, member_size_));
    return static_cast<float>(std::min(1.0, *options_.clip_gradient / (norm + 1e-6)));
  }

  // Of an affine layer: from its output's gradient those of the weight, `own`, and, plus beta times the one before, of
  // x. The decoder comes first, so the gradient of a weight that it shares is there already.
  static void differentiate(const DenseForward::Affine& affine, bool shared, const float* x, const float* gradient,
                            std::int64_t rows, float* own, float* x_gradient, float beta) {
    if (affine.tied) {
      model::multiply_matrices(true, false, affine.in, affine.out, rows, x, gradient, 0, own);
    } else {
      model::multiply_matrices(true, false, affine.out, affine.in, rows, gradient, x, shared ? 1.0f : 0.0f, own);
    }
    if (x_gradient == nullptr) return;
    model::multiply_matrices(false, affine.tied, rows, affine.in, affine.out, gradient, affine.weight, beta,
                             x_gradient);
  }

  // The embeddings, from the gradient of the input.
  void leave(const DenseForward& network, const PlainRows& entered, const float* input_gradient,
             float* gradients) const {
    const auto& stem = plan_->stem;
    std::int64_t first = std::ssize(stem.numeric);
    for (std::size_t c = 0; c < network.embeddings().size(); ++c) {
      const auto size = stem.embeddings[c].size(-1);
      float* own = gradients + (network.embeddings()[c] - weight_data_);
      std::fill(own, own + stem.codes[c] * size, 0.0f);
      for (std::int64_t i = 0; i < entered.count; ++i) {
        const float seen = entered.observed == nullptr ? 1.0f : entered.observed[i * elements_ + stem.categorical[c]];
        const float* from = input_gradient + i * stem.inputs + first;
        float* to = own + network.code_of(entered, i, c) * size;
        for (std::int64_t k = 0; k < size; ++k) to[k] += from[k] * seen;
      }
      first += size;
    }
  }

  const loss::Composition& loss_;
  const recipe::TrainingOptions& options_;
  Group& group_;
  model::NamedTensors parameters_;
  at::Tensor weights_;  // [members, member_size_]
  std::unique_ptr<recipe::FusedOptimizer> optimizer_;
  std::shared_ptr<const model::DensePlan> plan_;
  const model::Samples &training_, &held_out_;
  bool training_complete_, held_out_complete_;  // every cell is observed
  std::int64_t elements_;
  std::int64_t member_size_;
  std::int64_t slices_;
  at::Tensor gradients_;      // [slices_, members, member_size_]; the whole one ends in the first
  const float* weight_data_;  // of weights_
  float* gradient_data_;      // of gradients_
  model::Crew crew_;
  std::vector<Workspace> workspaces_;  // one per thread
  std::vector<bool> categorical_;
  std::vector<DenseForward> members_;
  std::vector<bool> shared_;   // of each layer: its weight is also a tied layer's
  std::vector<float> target_;  // values, observed, share of the batch
  std::vector<float> even_share_;
  std::vector<float> sizes_;                            // of the batch
  std::vector<double> part_sums_;                       // of each member and slice
  std::vector<Bucket> buckets_;                         // of each member
  std::vector<std::atomic<std::int64_t>> slices_done_;  // of each bucket, how many slices have completed it
  std::unique_ptr<GradientExchange> exchange_;
};

std::vector<std::string> DenseEngine::complaints(const loss::Autoencoder& autoencoder,
                                                 const recipe::TrainingOptions& options) {
  std::vector<std::string> lines;
  const auto complain = [&](const std::string& pointer, const std::string& what) {
    lines.push_back(pointer + ": the dense engine " + what + "; use \"auto\" or \"autograd\"");
  };
  if (!autoencoder.network().dense_plan()) {
    complain("/model/type", "trains fully connected networks of tables only");
    return lines;
  }
  if (autoencoder.network().parameters().front().second.scalar_type() != torch::kFloat32) {
    complain("/model", "computes in float32 only");
  }
  for (const auto& pointer : autoencoder.loss().not_fused()) complain(pointer, "has no kernel for this loss term");
  for (std::size_t i = 0; i < options.corruption.size(); ++i) {
    if (options.corruption[i]->fused()) continue;
    complain("/training/corruption/" + std::to_string(i), "has no kernel for this corruption");
  }
  if (!options.optimizer->fused()) complain("/training/optimizer", "has no kernel for this optimiser");
  return lines;
}

DenseEngine::DenseEngine(loss::Autoencoder& autoencoder, const model::Samples& training, const model::Samples& held_out,
                         const recipe::TrainingOptions& options, Group& group)
    : implementation_(std::make_unique<Implementation>(autoencoder, training, held_out, options, group)) {}
DenseEngine::~DenseEngine() = default;

std::vector<double> DenseEngine::step(const std::vector<std::int64_t>& samples, const StepContext& context) {
  return implementation_->step(samples, context);
}
std::vector<double> DenseEngine::validate() { return implementation_->validate(); }
void DenseEngine::save_optimizer(recipe::Arrays& arrays) const {
  implementation_->optimizer().save("optimizer.", arrays);
}
void DenseEngine::restore_optimizer(const recipe::Arrays& arrays) {
  implementation_->optimizer().restore("optimizer.", arrays);
}
model::NamedTensors DenseEngine::gradients() const { return implementation_->gradients(); }

}  // namespace ae::train
