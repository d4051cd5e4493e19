#include "train/dense_engine.hpp"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "base/random.hpp"
#include "model/activation.hpp"
#include "model/threads.hpp"
#include "train/kernels.hpp"

namespace ae::train {
namespace {

constexpr float kLogVarianceLimit = static_cast<float>(model::kLogVarianceLimit);
constexpr std::int64_t kValidationRows = 256;

// Where things are in a member's part of the buffer of weights, and of the buffer of their gradients.
struct Affine {
  std::int64_t in, out;
  bool tied;
  std::int64_t weight, bias;
  explicit Affine(const model::AffinePlan& plan)
      : in(plan.in),
        out(plan.out),
        tied(plan.tied),
        weight(plan.weight.storage_offset()),
        bias(plan.bias.storage_offset()) {}
};

struct Norm {
  model::NormKind kind;
  std::int64_t scale = 0, shift = 0;
  float* running_mean = nullptr;  // [members, width], and the next
  float* running_variance = nullptr;
  std::int64_t* batches = nullptr;  // [members]
  explicit Norm(const model::NormPlan& plan) : kind(plan.kind) {
    if (kind == model::NormKind::none) return;
    scale = plan.scale.storage_offset();
    shift = plan.shift.storage_offset();
    if (kind != model::NormKind::batch) return;
    running_mean = plan.running_mean.data_ptr<float>();
    running_variance = plan.running_variance.data_ptr<float>();
    batches = plan.batches.data_ptr<std::int64_t>();
  }
};

struct Layer {
  Affine affine;
  Norm norm;
  model::ActivationKernel activation;  // null: none
  float dropout;
  explicit Layer(const model::LayerPlan& plan)
      : affine(plan.affine),
        norm(plan.norm),
        activation(plan.activation.empty() ? nullptr : model::activation_kernel(plan.activation)),
        dropout(static_cast<float>(plan.dropout)) {}
};

// Rows with their cells, and what each cell counts: observed / #observed of the row.
struct Rows {
  std::int64_t count = 0;
  const float* values = nullptr;
  const float* observed = nullptr;
  const float* share = nullptr;
};

// Memory for one batch of one member; a thread has one. All matrices are [rows, ...].
struct Workspace {
  struct OfLayer {
    float* before = nullptr;      // what the activation takes, perhaps without the bias
    float* value = nullptr;       // the layer's output; of a layer without activation the same as `before`
    float* slope = nullptr;       // derivative of value by before
    float* normalised = nullptr;  // with a norm only, and the next
    float* inverse_deviation = nullptr;
  };
  std::int64_t rows = 0;
  std::vector<float> memory;
  float *values, *observed, *share, *cell_scratch, *input;
  std::vector<OfLayer> layers;
  float *mean, *variance, *draws, *gradient, *next_gradient;
  float *log_variance, *inside, *deviation, *noise, *latent, *mean_gradient, *log_variance_gradient;
  std::vector<float> loss_scratch;
  Rows entered;  // what the input was made of
};

void share_of_cells(const float* observed, std::int64_t rows, std::int64_t elements, float* share) {
  for (std::int64_t i = 0; i < rows; ++i, observed += elements, share += elements) {
    float count = 0;
    for (std::int64_t e = 0; e < elements; ++e) count += observed[e];
    const float each = 1 / std::max(count, 1.0f);
    for (std::int64_t e = 0; e < elements; ++e) share[e] = observed[e] * each;
  }
}

model::Batch all_of(const model::Samples& samples) {
  if (samples.size() == 0) return {};
  const auto all = samples.range(0, samples.size());
  return {all.values.contiguous(), all.observed.contiguous()};
}

}  // namespace

class DenseEngine::Implementation {
 public:
  Implementation(loss::Autoencoder& autoencoder, const model::Samples& training, const model::Samples& held_out,
                 const TrainingOptions& options)
      : loss_(autoencoder.loss()),
        options_(options),
        parameters_(autoencoder.network().parameters()),
        weights_(autoencoder.network().gather_parameters()),
        gradients_(torch::zeros_like(weights_)),
        optimizer_(options.optimizer->build_fused(parameters_, weights_)),
        plan_(*autoencoder.network().dense_plan()),
        training_(all_of(training)),
        held_out_(all_of(held_out)),
        elements_(static_cast<std::int64_t>(autoencoder.elements().size())),
        member_size_(weights_.size(1)),
        crew_(static_cast<int>(std::min<std::int64_t>(plan_.members, model::threads_in_use()))),
        workspaces_(static_cast<std::size_t>(crew_.size())) {
    for (const auto& element : autoencoder.elements()) categorical_.push_back(element.categorical());
    for (const auto& layer : plan_.layers) layers_.emplace_back(layer);
    for (const auto& layer : layers_) {
      const auto shares = [&](const Layer& other) {
        return !layer.affine.tied && other.affine.tied && other.affine.weight == layer.affine.weight;
      };
      shared_.push_back(std::any_of(layers_.begin(), layers_.end(), shares));
    }
    for (const auto& affine : plan_.log_variance) log_variance_.emplace_back(affine);
    for (const auto& embedding : plan_.stem.embeddings) {
      embeddings_.push_back({embedding.storage_offset(), embedding.size(-1)});
    }
  }

  std::vector<double> step(const std::vector<std::int64_t>& samples, const StepContext& context) {
    const model::SerialBlas serial;
    const Rows rows = gather(samples);
    optimizer_->begin_step(context.learning_rate);
    const std::size_t parts = loss_.part_names().size();
    member_parts_.assign(static_cast<std::size_t>(plan_.members) * parts, 0.0);
    crew_.share_out(plan_.members, [&](std::int64_t member, int thread) {
      auto& workspace = workspaces_[static_cast<std::size_t>(thread)];
      double* own_parts = member_parts_.data() + static_cast<std::size_t>(member) * parts;
      const auto key = stream_key(context.key, "member", static_cast<std::uint64_t>(member));
      evaluate(workspace, member, rows, true, key, context.epoch, own_parts);
      backward(workspace, member, rows);
      float* gradients = gradients_.data_ptr<float>() + member * member_size_;
      float factor = 1;
      if (options_.clip_gradient) {
        const double norm = std::sqrt(sum_of_squares(gradients, member_size_));
        factor = static_cast<float>(std::min(1.0, *options_.clip_gradient / (norm + 1e-6)));
      }
      optimizer_->update(member * member_size_, member_size_, gradients, factor);
    });
    return totals(member_parts_, static_cast<double>(plan_.members));
  }

  // Corrupted as in training, but by the same draws every time.
  std::vector<double> validate() {
    const model::SerialBlas serial;
    const std::size_t parts = loss_.part_names().size();
    const std::int64_t rows = held_out_.samples();
    const std::int64_t pieces = (rows + kValidationRows - 1) / kValidationRows;
    std::vector<double> sums(static_cast<std::size_t>(pieces * plan_.members) * parts, 0.0);
    const auto key = stream_key(static_cast<std::uint64_t>(options_.seed), "validation corruption");
    crew_.share_out(pieces * plan_.members, [&](std::int64_t task, int thread) {
      auto& workspace = workspaces_[static_cast<std::size_t>(thread)];
      const std::int64_t member = task / pieces, begin = task % pieces * kValidationRows;
      const std::int64_t count = std::min(kValidationRows, rows - begin);
      reserve(workspace, count);
      const float* observed = held_out_.observed.data_ptr<float>() + begin * elements_;
      share_of_cells(observed, count, elements_, workspace.share);
      double* own_parts = sums.data() + static_cast<std::size_t>(task) * parts;
      evaluate(workspace, member,
               {count, held_out_.values.data_ptr<float>() + begin * elements_, observed, workspace.share}, false,
               stream_key(key, "piece", static_cast<std::uint64_t>(member), static_cast<std::uint64_t>(begin)),
               loss::kRamped, own_parts);
      for (std::size_t p = 0; p < parts; ++p) own_parts[p] *= static_cast<double>(count);
    });
    return totals(sums, static_cast<double>(rows * plan_.members));
  }

  model::NamedTensors gradients() const {
    model::NamedTensors views;
    for (const auto& [name, parameter] : parameters_) {
      views.emplace_back(name,
                         gradients_.as_strided(parameter.sizes(), parameter.strides(), parameter.storage_offset()));
    }
    return views;
  }

  FusedOptimizer& optimizer() { return *optimizer_; }

 private:
  // [total, parts...] of sums that come part by part.
  std::vector<double> totals(const std::vector<double>& sums, double divisor) const {
    const std::size_t parts = loss_.part_names().size();
    std::vector<double> losses(1 + parts, 0.0);
    for (std::size_t i = 0; i < sums.size(); ++i) losses[1 + i % parts] += sums[i];
    for (std::size_t p = 1; p <= parts; ++p) losses[0] += losses[p] /= divisor;
    return losses;
  }

  Rows gather(const std::vector<std::int64_t>& samples) {
    const auto count = static_cast<std::int64_t>(samples.size());
    const auto size = static_cast<std::size_t>(count * elements_);
    if (target_.size() < 3 * size) target_.resize(3 * size);
    float* values = target_.data();
    float* observed = values + size;
    const float* all_values = training_.values.data_ptr<float>();
    const float* all_observed = training_.observed.data_ptr<float>();
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t from = samples[static_cast<std::size_t>(i)] * elements_;
      std::copy(all_values + from, all_values + from + elements_, values + i * elements_);
      std::copy(all_observed + from, all_observed + from + elements_, observed + i * elements_);
    }
    share_of_cells(observed, count, elements_, observed + size);
    return {count, values, observed, observed + size};
  }

  // Lays the workspace out anew when the batch is larger than any before.
  void reserve(Workspace& w, std::int64_t rows) const {
    if (rows <= w.rows) return;
    w.rows = rows;
    constexpr std::int64_t kAligned = 64 / sizeof(float);
    w.layers.resize(layers_.size());
    std::int64_t size = 0;
    const auto lay_out = [&](float* memory) {
      size = 0;
      const auto take = [&](std::int64_t count) {
        float* place = memory + size;
        size += (count + kAligned - 1) / kAligned * kAligned;
        return place;
      };
      const std::int64_t cells = rows * elements_;
      w.values = take(cells);
      w.observed = take(cells);
      w.share = take(cells);
      w.cell_scratch = take(3 * cells);
      w.input = take(rows * plan_.stem.inputs);
      std::int64_t widest = plan_.stem.inputs;
      for (std::size_t l = 0; l < layers_.size(); ++l) {
        const Layer& layer = layers_[l];
        auto& own = w.layers[l];
        widest = std::max(widest, layer.affine.out);
        own.before = take(rows * layer.affine.out);
        own.value = layer.activation ? take(rows * layer.affine.out) : own.before;
        if (layer.activation) own.slope = take(rows * layer.affine.out);
        if (layer.norm.kind == model::NormKind::none) continue;
        own.normalised = take(rows * layer.affine.out);
        own.inverse_deviation = take(std::max(rows, layer.affine.out));
      }
      w.mean = take(widest);
      w.variance = take(widest);
      w.draws = take(rows * widest);
      w.gradient = take(rows * widest);
      w.next_gradient = take(rows * widest);
      const std::int64_t codes = log_variance_.empty() ? 0 : rows * log_variance_.front().out;
      for (auto* array : {&w.log_variance, &w.inside, &w.deviation, &w.noise, &w.latent, &w.mean_gradient,
                          &w.log_variance_gradient}) {
        *array = take(codes);
      }
    };
    lay_out(w.memory.data());
    w.memory.assign(static_cast<std::size_t>(size + kAligned), 0.0f);
    const auto address = reinterpret_cast<std::uintptr_t>(w.memory.data());
    lay_out(w.memory.data() + (64 - address % 64) % 64 / sizeof(float));
  }

  // Forward pass and loss: adds to parts[term] its mean over the rows; leaves in the workspace what backward() needs.
  void evaluate(Workspace& w, std::int64_t member, const Rows& target, bool training, std::uint64_t key, double epoch,
                double* parts) const {
    reserve(w, target.count);
    const Rows input = corrupted(w, target, key);
    const float* weights = weights_.data_ptr<float>() + member * member_size_;
    enter(w, weights, input);
    const float* x = w.input;
    for (std::size_t l = 0; l < layers_.size(); ++l) x = forward(w, l, weights, member, x, target.count, training, key);

    loss::Composition::FusedBatch batch{target.count, 0, x, target.values, input.share, nullptr, nullptr};
    loss::Composition::FusedGradient gradient{w.gradient, nullptr, nullptr};
    if (!log_variance_.empty()) {
      batch.latent = log_variance_.front().out;
      batch.mean = w.layers[plan_.bottleneck].value;
      batch.log_variance = w.log_variance;
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
    const std::int64_t cells = target.count * elements_;
    std::copy(target.values, target.values + cells, w.values);
    std::copy(target.observed, target.observed + cells, w.observed);
    std::uint64_t order = 0;
    for (const auto& corruption : options_.corruption) {
      corruption->corrupt({target.count, elements_, w.values, w.observed, &categorical_, w.cell_scratch},
                          stream_key(key, "corruption", order++));
    }
    if (options_.emphasis == 1) return {target.count, w.values, w.observed, target.share};
    const auto emphasis = static_cast<float>(options_.emphasis);
    for (std::int64_t i = 0; i < cells; ++i) {
      const bool changed = w.values[i] != target.values[i] || w.observed[i] != target.observed[i];
      w.share[i] = target.share[i] * (changed ? emphasis : 1.0f);
    }
    return {target.count, w.values, w.observed, w.share};
  }

  std::int64_t code_of(const Rows& rows, std::int64_t row, std::size_t category) const {
    const float value = rows.values[row * elements_ + plan_.stem.categorical[category]];
    return std::clamp<std::int64_t>(static_cast<std::int64_t>(value), 0, plan_.stem.codes[category] - 1);
  }

  // The stem (see model::StemPlan).
  void enter(Workspace& w, const float* weights, const Rows& rows) const {
    const auto& stem = plan_.stem;
    w.entered = rows;
    if (std::ssize(stem.numeric) == elements_ && !stem.show_observed) {
      multiply(rows.values, rows.observed, rows.count * elements_, w.input);
      return;
    }
    for (std::int64_t i = 0; i < rows.count; ++i) {
      const float* values = rows.values + i * elements_;
      const float* observed = rows.observed + i * elements_;
      float* to = w.input + i * stem.inputs;
      for (const auto e : stem.numeric) *to++ = values[e] * observed[e];
      for (std::size_t c = 0; c < stem.categorical.size(); ++c) {
        const float seen = observed[stem.categorical[c]];
        const auto code = code_of(rows, i, c);
        if (embeddings_.empty()) {
          const auto levels = stem.codes[c] - 1;
          std::fill(to, to + levels, 0.0f);
          if (code < levels) to[code] = seen;
          to += levels;
        } else {
          const float* vector = weights + embeddings_[c].weight + code * embeddings_[c].size;
          for (std::int64_t k = 0; k < embeddings_[c].size; ++k) *to++ = vector[k] * seen;
        }
      }
      if (stem.show_observed) std::copy(observed, observed + elements_, to);
    }
  }

  void leave(const Workspace& w, const float* input_gradient, float* gradients) const {
    const auto& stem = plan_.stem;
    std::int64_t first = std::ssize(stem.numeric);
    for (std::size_t c = 0; c < embeddings_.size(); ++c) {
      const auto [offset, size] = embeddings_[c];
      std::fill(gradients + offset, gradients + offset + stem.codes[c] * size, 0.0f);
      for (std::int64_t i = 0; i < w.entered.count; ++i) {
        const float seen = w.entered.observed[i * elements_ + stem.categorical[c]];
        const float* from = input_gradient + i * stem.inputs + first;
        float* to = gradients + offset + code_of(w.entered, i, c) * size;
        for (std::int64_t k = 0; k < size; ++k) to[k] += from[k] * seen;
      }
      first += size;
    }
  }

  static void multiply_by_weight(const Affine& affine, const float* weights, const float* x, std::int64_t rows,
                                 float* y) {
    multiply_matrices(false, !affine.tied, rows, affine.out, affine.in, x, weights + affine.weight, 0, y);
  }

  const float* forward(Workspace& w, std::size_t l, const float* weights, std::int64_t member, const float* x,
                       std::int64_t rows, bool training, std::uint64_t key) const {
    const Layer& layer = layers_[l];
    auto& own = w.layers[l];
    const std::int64_t width = layer.affine.out;
    multiply_by_weight(layer.affine, weights, x, rows, own.before);
    const float* bias = weights + layer.affine.bias;
    if (layer.activation && layer.norm.kind == model::NormKind::none) {
      layer.activation(own.before, bias, rows, width, own.value, own.slope);
    } else {
      add_bias(bias, rows, width, own.before);
      normalise(w, l, weights, member, rows, training);
      if (layer.activation) layer.activation(own.before, nullptr, rows, width, own.value, own.slope);
    }
    if (training && layer.dropout > 0) {
      fill_coarse_uniform(stream_key(key, "dropout", l), {w.draws, static_cast<std::size_t>(rows * width)});
      drop(w.draws, layer.dropout, rows * width, own.value, own.slope);
    }
    if (l != plan_.bottleneck || log_variance_.empty()) return own.value;
    multiply_by_weight(log_variance_.front(), weights, x, rows, w.log_variance);
    add_bias(weights + log_variance_.front().bias, rows, width, w.log_variance);
    const auto codes = static_cast<std::size_t>(rows * width);
    std::fill(w.noise, w.noise + codes, 0.0f);
    if (training) fill_normal(stream_key(key, "code"), {w.noise, codes});
    draw_code(own.value, w.noise, kLogVarianceLimit, rows * width, w.log_variance, w.inside, w.deviation, w.latent);
    return w.latent;
  }

  void normalise(Workspace& w, std::size_t l, const float* weights, std::int64_t member, std::int64_t rows,
                 bool training) const {
    const Norm& norm = layers_[l].norm;
    auto& own = w.layers[l];
    const std::int64_t width = layers_[l].affine.out;
    if (norm.kind == model::NormKind::none) return;
    const float* scale = weights + norm.scale;
    const float* shift = weights + norm.shift;
    const auto epsilon = static_cast<float>(model::kNormEpsilon);
    if (norm.kind == model::NormKind::layer) {
      normalise_rows(scale, shift, rows, width, epsilon, own.normalised, own.inverse_deviation, own.before);
      return;
    }
    float* running_mean = norm.running_mean + member * width;
    float* running_variance = norm.running_variance + member * width;
    const float* mean = running_mean;
    const float* variance = running_variance;
    if (training) {
      column_statistics(own.before, rows, width, w.mean, w.variance);
      const auto momentum = static_cast<float>(model::kNormMomentum);
      const auto count = static_cast<float>(rows);
      for (std::int64_t j = 0; j < width; ++j) {
        running_mean[j] += momentum * (w.mean[j] - running_mean[j]);
        running_variance[j] += momentum * (w.variance[j] * (count / (count - 1)) - running_variance[j]);
      }
      ++norm.batches[member];
      mean = w.mean;
      variance = w.variance;
    }
    for (std::int64_t j = 0; j < width; ++j) own.inverse_deviation[j] = 1 / std::sqrt(variance[j] + epsilon);
    normalise_columns(mean, own.inverse_deviation, scale, shift, rows, width, own.normalised, own.before);
  }

  // Gradients of the weights, from the gradient of the outputs in w.gradient. A weight that two layers share adds up.
  void backward(Workspace& w, std::int64_t member, const Rows& target) {
    const std::int64_t rows = target.count;
    const float* weights = weights_.data_ptr<float>() + member * member_size_;
    float* gradients = gradients_.data_ptr<float>() + member * member_size_;
    const bool variational = !log_variance_.empty();
    for (std::size_t l = layers_.size(); l-- > 0;) {
      const Layer& layer = layers_[l];
      const auto& own = w.layers[l];
      const std::int64_t width = layer.affine.out;
      const bool draws = variational && l == plan_.bottleneck;
      if (draws) {  // w.gradient is that of the code drawn
        for (std::int64_t i = 0; i < rows * width; ++i) {
          const float of_code = w.gradient[i] * w.noise[i] * 0.5f * w.deviation[i];
          w.log_variance_gradient[i] = (w.log_variance_gradient[i] + of_code) * w.inside[i];
          w.gradient[i] += w.mean_gradient[i];
        }
      }
      float* bias_gradient = gradients + layer.affine.bias;
      if (layer.activation) {
        multiply_and_sum_columns(own.slope, rows, width, w.gradient, bias_gradient);
      }
      if (layer.norm.kind != model::NormKind::none) {
        const auto normalise_backward =
            layer.norm.kind == model::NormKind::batch ? normalise_columns_backward : normalise_rows_backward;
        normalise_backward(own.normalised, own.inverse_deviation, weights + layer.norm.scale, rows, width,
                           gradients + layer.norm.scale, gradients + layer.norm.shift, w.gradient);
      }
      if (!layer.activation || layer.norm.kind != model::NormKind::none) {
        sum_columns(w.gradient, rows, width, bias_gradient);
      }
      const float* x = l == 0 ? w.input : variational && l == plan_.bottleneck + 1 ? w.latent : w.layers[l - 1].value;
      const bool wanted = l > 0 || !embeddings_.empty();
      differentiate(layer.affine, shared_[l], weights, x, w.gradient, rows, gradients,
                    wanted ? w.next_gradient : nullptr, 0);
      if (draws) {
        sum_columns(w.log_variance_gradient, rows, width, gradients + log_variance_.front().bias);
        differentiate(log_variance_.front(), false, weights, x, w.log_variance_gradient, rows, gradients,
                      wanted ? w.next_gradient : nullptr, 1);
      }
      std::swap(w.gradient, w.next_gradient);
    }
    if (!embeddings_.empty()) leave(w, w.gradient, gradients);
  }

  // Of an affine layer: from its output's gradient those of the weight and, plus beta times the one before, of x.
  // The decoder comes first, so the gradient of a weight that it shares is there already.
  static void differentiate(const Affine& affine, bool shared, const float* weights, const float* x,
                            const float* gradient, std::int64_t rows, float* gradients, float* x_gradient, float beta) {
    float* own = gradients + affine.weight;
    if (affine.tied) {
      multiply_matrices(true, false, affine.in, affine.out, rows, x, gradient, 0, own);
    } else {
      multiply_matrices(true, false, affine.out, affine.in, rows, gradient, x, shared ? 1.0f : 0.0f, own);
    }
    if (x_gradient == nullptr) return;
    multiply_matrices(false, affine.tied, rows, affine.in, affine.out, gradient, weights + affine.weight, beta,
                      x_gradient);
  }

  struct Embedding {
    std::int64_t weight, size;
  };
  const loss::Composition& loss_;
  const TrainingOptions& options_;
  model::NamedTensors parameters_;
  at::Tensor weights_;    // [members, member_size_]
  at::Tensor gradients_;  // likewise
  std::unique_ptr<FusedOptimizer> optimizer_;
  model::DensePlan plan_;
  model::Batch training_, held_out_;
  std::int64_t elements_;
  std::int64_t member_size_;
  model::Crew crew_;
  std::vector<Workspace> workspaces_;  // one per thread
  std::vector<bool> categorical_;
  std::vector<Layer> layers_;
  std::vector<bool> shared_;          // of each layer: its weight is also a tied layer's
  std::vector<Affine> log_variance_;  // one or none
  std::vector<Embedding> embeddings_;
  std::vector<float> target_;  // values, observed, share of the batch
  std::vector<double> member_parts_;
};

std::vector<std::string> DenseEngine::complaints(const loss::Autoencoder& autoencoder, const TrainingOptions& options) {
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
                         const TrainingOptions& options)
    : implementation_(std::make_unique<Implementation>(autoencoder, training, held_out, options)) {}
DenseEngine::~DenseEngine() = default;

std::vector<double> DenseEngine::step(const std::vector<std::int64_t>& samples, const StepContext& context) {
  return implementation_->step(samples, context);
}
std::vector<double> DenseEngine::validate() { return implementation_->validate(); }
void DenseEngine::save_optimizer(Arrays& arrays) const { implementation_->optimizer().save("optimizer.", arrays); }
void DenseEngine::restore_optimizer(const Arrays& arrays) {
  implementation_->optimizer().restore("optimizer.", arrays);
}
model::NamedTensors DenseEngine::gradients() const { return implementation_->gradients(); }

}  // namespace ae::train
