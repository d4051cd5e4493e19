#include "model/dense_forward.hpp"

#include <torch/types.h>

#include <algorithm>
#include <cmath>

#include "base/random.hpp"
#include "model/kernels.hpp"

namespace ae::model {
namespace {

// Of a member, contiguous.
template <typename T>
T* part_of(const at::Tensor& tensor, std::int64_t members, std::int64_t member) {
  return tensor.data_ptr<T>() + (members > 1 ? member * tensor.stride(0) : 0);
}

void multiply_by_weight(const DenseForward::Affine& affine, const float* x, std::int64_t rows, float* y) {
  multiply_matrices(false, !affine.tied, rows, affine.out, affine.in, x, affine.weight, 0, y);
}

}  // namespace

DenseForward::DenseForward(std::shared_ptr<const DensePlan> plan, std::int64_t member)
    : plan_(std::move(plan)), elements_(plan_->elements) {
  const auto part = [&](const at::Tensor& tensor) { return part_of<float>(tensor, plan_->members, member); };
  const auto affine = [&](const AffinePlan& of) {
    return Affine{of.in, of.out, of.tied, part(of.weight), part(of.bias)};
  };
  for (const auto& of : plan_->layers) {
    Layer layer;
    layer.affine = affine(of.affine);
    layer.norm = of.norm.kind;
    if (layer.norm != NormKind::none) {
      layer.scale = part(of.norm.scale);
      layer.shift = part(of.norm.shift);
    }
    if (layer.norm == NormKind::batch) {
      layer.running_mean = part(of.norm.running_mean);
      layer.running_variance = part(of.norm.running_variance);
      layer.batches = part_of<std::int64_t>(of.norm.batches, plan_->members, member);
    }
    if (!of.activation.empty()) layer.activation = activation_kernel(of.activation);
    layer.dropout = static_cast<float>(of.dropout);
    layers_.push_back(layer);
  }
  for (const auto& of : plan_->log_variance) log_variance_.push_back(affine(of));
  for (const auto& embedding : plan_->stem.embeddings) embeddings_.push_back(part(embedding));
  if (plan_->constants.defined()) constants_ = part(plan_->constants);
}

std::int64_t DenseForward::widest() const {
  std::int64_t widest = plan_->stem.inputs;
  for (const auto& layer : layers_) widest = std::max(widest, layer.affine.out);
  return widest;
}

std::int64_t DenseForward::code_of(const PlainRows& rows, std::int64_t row, std::size_t category) const {
  const float value = rows.values[row * elements_ + plan_->stem.categorical[category]];
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(value), 0, plan_->stem.codes[category] - 1);
}

const float* DenseForward::input_of(const Workspace& workspace, std::size_t layer) const {
  if (layer == 0) return workspace.input;
  if (variational() && layer == plan_->bottleneck + 1) return workspace.latent;
  return workspace.layers[layer - 1].value;
}

void DenseForward::reserve(Workspace& w, const PlainRows& for_rows) const {
  if (for_rows.count <= w.rows && for_rows.whole <= w.whole) return;
  const std::int64_t rows = w.rows = std::max(w.rows, for_rows.count);
  w.whole = std::max(w.whole, for_rows.whole);
  w.layers.resize(layers_.size());
  w.arena.lay_out([&](const auto& take) {
    w.input_memory = take(rows * plan_->stem.inputs);
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      const std::int64_t width = layers_[l].affine.out;
      auto& own = w.layers[l];
      own.value = take(rows * width);
      if (layers_[l].activation) own.slope = take(rows * width);
      if (layers_[l].norm == NormKind::none) continue;
      own.normalised = take(rows * width);
      own.inverse_deviation = take(std::max(rows, width));
    }
    w.mean = take(widest());
    w.variance = take(widest());
    w.draws = take(w.whole * widest());
    const std::int64_t codes = variational() ? rows * log_variance().out : 0;
    for (auto* array : {&w.log_variance, &w.inside, &w.deviation, &w.noise, &w.latent}) *array = take(codes);
  });
}

const float* DenseForward::run(Workspace& workspace, const PlainRows& rows, bool training, std::uint64_t key) const {
  reserve(workspace, rows);
  enter(workspace, rows);
  const float* x = workspace.input;
  for (std::size_t l = 0; l < layers_.size(); ++l) x = forward(workspace, l, x, training, key);
  return x;
}

// The stem (see StemPlan).
void DenseForward::enter(Workspace& w, const PlainRows& rows) const {
  const auto& stem = plan_->stem;
  w.entered = rows;
  w.input = w.input_memory;
  if (std::ssize(stem.numeric) == elements_ && !stem.show_observed) {
    if (rows.observed == nullptr) {
      w.input = rows.values;
    } else {
      multiply(rows.values, rows.observed, rows.count * elements_, w.input_memory);
    }
    return;
  }
  for (std::int64_t i = 0; i < rows.count; ++i) {
    const float* values = rows.values + i * elements_;
    const float* observed = rows.observed == nullptr ? nullptr : rows.observed + i * elements_;
    float* to = w.input_memory + i * stem.inputs;
    for (const auto e : stem.numeric) *to++ = observed == nullptr ? values[e] : values[e] * observed[e];
    for (std::size_t c = 0; c < stem.categorical.size(); ++c) {
      const float seen = observed == nullptr ? 1.0f : observed[stem.categorical[c]];
      const auto code = code_of(rows, i, c);
      if (embeddings_.empty()) {
        const auto levels = stem.codes[c] - 1;
        std::fill(to, to + levels, 0.0f);
        if (code < levels) to[code] = seen;
        to += levels;
      } else {
        const auto size = stem.embeddings[c].size(-1);
        const float* vector = embeddings_[c] + code * size;
        for (std::int64_t k = 0; k < size; ++k) *to++ = vector[k] * seen;
      }
    }
    if (!stem.show_observed) continue;
    if (observed == nullptr) {
      std::fill(to, to + elements_, 1.0f);
    } else {
      std::copy(observed, observed + elements_, to);
    }
  }
}

const float* DenseForward::forward(Workspace& w, std::size_t l, const float* x, bool training,
                                   std::uint64_t key) const {
  const std::int64_t rows = w.entered.count;
  const Layer& layer = layers_[l];
  auto& own = w.layers[l];
  const std::int64_t width = layer.affine.out;
  float* slope = training ? own.slope : nullptr;
  multiply_by_weight(layer.affine, x, rows, own.value);
  if (layer.activation && layer.norm == NormKind::none) {
    layer.activation(layer.affine.bias, rows, width, own.value, slope);
  } else {
    add_bias(layer.affine.bias, rows, width, own.value);
    normalise(w, l, rows, training);
    if (layer.activation) layer.activation(nullptr, rows, width, own.value, slope);
  }
  if (training && layer.dropout > 0) {
    fill_coarse_uniform(stream_key(key, "dropout", l), {w.draws, static_cast<std::size_t>(w.entered.whole * width)});
    drop(w.draws + w.entered.first * width, layer.dropout, rows * width, own.value, own.slope);
  }
  if (l != plan_->bottleneck || !variational()) return own.value;
  multiply_by_weight(log_variance(), x, rows, w.log_variance);
  add_bias(log_variance().bias, rows, width, w.log_variance);
  std::fill(w.noise, w.noise + rows * width, 0.0f);
  if (training) {
    fill_normal(stream_key(key, "code"), {w.draws, static_cast<std::size_t>(w.entered.whole * width)});
    const float* own = w.draws + w.entered.first * width;
    std::copy(own, own + rows * width, w.noise);
  }
  draw_code(own.value, w.noise, static_cast<float>(kLogVarianceLimit), rows * width, w.log_variance, w.inside,
            w.deviation, w.latent);
  return w.latent;
}

void DenseForward::normalise(Workspace& w, std::size_t l, std::int64_t rows, bool training) const {
  const Layer& layer = layers_[l];
  auto& own = w.layers[l];
  const std::int64_t width = layer.affine.out;
  if (layer.norm == NormKind::none) return;
  const auto epsilon = static_cast<float>(kNormEpsilon);
  if (layer.norm == NormKind::layer) {
    normalise_rows(layer.scale, layer.shift, rows, width, epsilon, own.normalised, own.inverse_deviation, own.value);
    return;
  }
  const float* mean = layer.running_mean;
  const float* variance = layer.running_variance;
  if (training) {
    column_statistics(own.value, rows, width, w.mean, w.variance);
    const auto momentum = static_cast<float>(kNormMomentum);
    const auto count = static_cast<float>(rows);
    for (std::int64_t j = 0; j < width; ++j) {
      layer.running_mean[j] += momentum * (w.mean[j] - layer.running_mean[j]);
      layer.running_variance[j] += momentum * (w.variance[j] * (count / (count - 1)) - layer.running_variance[j]);
    }
    ++*layer.batches;
    mean = w.mean;
    variance = w.variance;
  }
  for (std::int64_t j = 0; j < width; ++j) own.inverse_deviation[j] = 1 / std::sqrt(variance[j] + epsilon);
  normalise_columns(mean, own.inverse_deviation, layer.scale, layer.shift, rows, width, own.normalised, own.value);
}

}  // namespace ae::model
